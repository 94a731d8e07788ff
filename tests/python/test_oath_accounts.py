"""A token's OATH accounts: their password, and the accounts that others put there."""

from __future__ import annotations

import json
import os
import unittest

from house import PIN
from oath_house import BLUE, GREEN, NAME, RFC_SEED, OathCase, ends


class Passwords(OathCase):
    """The token's accounts behind a password of their own."""

    def setUp(self) -> None:
        super().setUp()
        self.id = self.token_id()
        self.ykman("access", "change", "--new-password", "hush")

    def on_card(self, slot: int = 0) -> list[str]:
        return self.ykman("accounts", "list", "--password", "hush", slot=slot).stdout.split()

    def test_it_is_asked_for_and_never_kept(self):
        (oath,) = [token for token in self.rows("token", "list") if token["kind"] == "oath"]
        self.assertTrue(oath["needs_pin"])
        self.assert_done(self.add(BLUE, passwords={self.id: "hush"}))
        self.assertEqual(self.on_card(), [NAME])
        self.begin_step()
        self.assert_code(self.code(passwords={self.id: "hush"}))
        self.begin_step()
        self.assert_refused(self.run_it("totp", "code", "prod"), 4, "password", self.id)
        self.assertEqual([row["name"] for row in self.rows_with("oath", "list")], [NAME])
        removed = self.run_it("totp", "remove", "prod", passwords={self.id: "hush"})
        self.assert_done(removed)
        self.assertNotIn("the vault", removed.err)
        self.assertEqual(self.on_card(), [])

    def rows_with(self, *command: str) -> list[dict]:
        done = self.run_it("--json", *command, passwords={self.id: "hush"})
        return json.loads(self.assert_done(done))

    def test_a_wrong_one_is_said_and_not_tried_again(self):
        touches = self.house.token.touches()
        wrong = self.add(BLUE, passwords={self.id: "wrong"})
        self.assert_refused(wrong, 4, "password", "correct the file")
        self.assertNotIn("wrong\n", wrong.err)
        self.assertEqual(self.house.token.touches(), touches)
        self.assertEqual((self.on_card(), self.rows("totp", "list")), ([], []))

    def test_a_pin_is_never_taken_for_it(self):
        # The file serves the FIDO2 token alone, whichever asks first.
        refused = self.add(BLUE, pin="hush")
        self.assert_refused(refused, 4, "password", "--pin-file", self.id)

    def test_it_is_typed_on_a_terminal_until_it_is_right(self):
        shown = self.house.on_terminal("oath", "list", typed=["wrong", "hush"])
        self.assert_done(shown)
        self.assertRegex(shown.err, r"(?s)Password of the OATH accounts on .*Wrong password")
        self.assertNotIn("hush", shown.err)

    def test_another_token_that_takes_its_place_at_the_prompt_keeps_its_seed(self):
        green = self.add_green()
        self.ykman("access", "change", "--new-password", "hush", slot=1)
        self.assert_done(self.add(BLUE, GREEN, passwords={self.id: "hush", self.token_id(GREEN): "hush"}))
        asked = self.house.dir / "asked"
        os.mkfifo(asked, 0o600)
        remove = ("totp", "remove", "prod", "--from-token", self.id)
        client = self.house.start("--pin-file", f"{self.id}={asked}", *remove, pin=None)
        # Opened when the password is asked for.
        with asked.open("w") as password:
            self.blue.unplug()
            green.stop()
            self.readers.add_card("green", serial=GREEN)
            password.write("hush")
        self.assert_refused(ends(client), 5, "another token")
        self.assertEqual(self.on_card(), [NAME])
        self.assertEqual(self.places(), (False, [True, True]))

    def test_it_is_changed_and_taken_away(self):
        new = self.house.file("new", "even quieter\n")
        change = ("oath", "set-password", "--new-password-file", new)
        self.assert_refused(self.run_it(*change, passwords={self.id: "wrong"}), 4, "password")
        self.assert_done(self.run_it(*change, passwords={self.id: "hush"}))
        self.ykman("accounts", "list", "--password", "even quieter")
        self.assertNotEqual(self.ykman("accounts", "list", "--password", "hush", check=False).returncode, 0)
        self.assert_done(self.run_it("oath", "set-password", "--clear", passwords={self.id: "even quieter"}))
        self.ykman("accounts", "list")
        typed = self.house.on_terminal("oath", "set-password", typed=["hush", "hush"])
        self.assert_done(typed)
        self.assertEqual(self.on_card(), [])
        recorded = [event["outcome"] for event in self.events() if event["event"] == "oath-set-password"]
        self.assertEqual(recorded, ["refused", "granted", "granted", "granted"])

    def test_passwords_that_can_be_none(self):
        for name, text, word in (("long", "x" * 64, "63"), ("empty", "", "password"), ("two", "a\nb\n", "one line")):
            with self.subTest(name):
                file = self.house.file(name, text)
                refused = self.run_it("oath", "set-password", "--new-password-file", file, passwords={self.id: "hush"})
                self.assert_refused(refused, 2, word)
        self.assertEqual(self.on_card(), [])


class Accounts(OathCase):
    """`oath`: the accounts on a token, whoever put them there."""

    def test_what_others_wrote_is_listed_renamed_and_removed(self):
        self.ykman("accounts", "add", "Example:alice", RFC_SEED)
        self.ykman("accounts", "add", "--period", "60", "--algorithm", "SHA256", "bob", RFC_SEED)
        self.ykman("accounts", "add", "--oath-type", "HOTP", "counter", RFC_SEED)
        rows = {row["name"]: row for row in self.rows("oath", "list")}
        self.assertEqual(set(rows), {"Example:alice", "bob", "counter"})
        self.assertEqual((rows["bob"]["period"], rows["bob"]["algorithm"]), (60, "SHA256"))
        self.assertEqual((rows["counter"]["kind"], rows["counter"]["period"]), ("hotp", 0))
        self.assert_done(self.run_it("oath", "rename", "bob", "Example:bob"))
        self.assertIn("60/Example:bob, 60", self.ykman("accounts", "list", "--period").stdout)
        self.assert_refused(self.run_it("oath", "rename", "counter", "Example:alice"), 1, "already")
        self.assert_refused(self.run_it("oath", "rename", "nobody", "somebody"), 1, "oath list")
        self.assert_refused(self.run_it("oath", "rename", "counter", "x" * 65), 1, "64 bytes")
        self.assert_done(self.run_it("oath", "remove", "counter"))
        self.assert_refused(self.run_it("oath", "remove", "counter"), 1, "oath list")
        self.assertEqual(sorted(self.on_card()), ["60/Example:bob", "Example:alice"])

    def test_without_a_prompt_nothing_is_removed(self):
        self.ykman("accounts", "add", "Example:alice", RFC_SEED)
        self.assert_refused(self.run_it("--no-prompt", "oath", "remove", "Example:alice"), 4)
        self.assertEqual(self.on_card(), ["Example:alice"])

    def test_what_the_vault_counts_on_stays(self):
        self.assert_done(self.add(BLUE))
        for command in (("remove", NAME), ("rename", NAME, "x")):
            self.assert_refused(self.run_it("oath", *command), 1, "root of prod", "totp remove prod")
        self.house.must("lock")
        self.assert_refused(self.run_it("oath", "remove", NAME), 4, "unlock")
        self.assertEqual(self.on_card(), [NAME])

    def test_a_code_that_somebody_else_removed_is_missed_clearly(self):
        self.assert_done(self.add(BLUE))
        self.ykman("accounts", "delete", "--force", NAME)
        self.begin_step()
        self.assert_refused(self.run_it("totp", "code", "prod"), 1, "OATH account")
        self.assert_done(self.run_it("totp", "remove", "prod"))

    def test_which_token_must_be_clear(self):
        self.add_green()
        self.assert_refused(self.run_it("oath", "list"), 2, "--token", self.token_id(BLUE))
        self.assertEqual(self.rows("--token", self.token_id(GREEN), "oath", "list"), [])
        piv = self.token_id(kind="piv")
        self.assert_refused(self.run_it("--token", piv, "oath", "list"), 2, piv)
        self.assert_refused(self.run_it("--token", "oath_00000000", "oath", "list"), 5, "oath_00000000")
        for card in (self.blue, self.readers._cards[1]):
            card.unplug()
        self.assert_refused(self.run_it("oath", "list"), 5)


if __name__ == "__main__":
    unittest.main()
