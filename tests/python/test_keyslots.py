"""A second token opens the vault as the first does, with the first one's consent."""

from __future__ import annotations

import json
import unittest

from fakes import PATIENCE
from house import PIN, HouseCase


class Keyslots(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.spare = self.house.add_token("other")

    def rows(self, *command: str) -> list[dict]:
        return json.loads(self.house.must("--json", *command))

    def ids(self) -> tuple[str, str]:
        """The enrolled token's and the other one's."""
        tokens = {token["enrolled"]: token["id"] for token in self.rows("token", "list")}
        return tokens[True], tokens[False]

    def pins(self, **pins: str) -> list[str]:
        """`--pin-file` options: one for each token id."""
        options = []
        for token, pin in pins.items():
            options += ["--pin-file", f"{token}={self.house.file(f'pin-of-{token}', pin)}"]
        return options

    def add(self, *more: str):
        first, second = self.ids()
        pins = self.pins(**{first: PIN, second: PIN})
        return self.house.run(*pins, "keyslot", "add", "--label", "spare", *more)

    def test_the_new_token_alone_opens_both_locks(self):
        self.assert_done(self.add("--token", self.ids()[1]))
        slots = self.rows("keyslot", "list")
        self.assertEqual([slot["label"] for slot in slots], ["demo key", "spare"])
        self.assertEqual({slot["holder"] for slot in slots}, {"owner"})
        self.assertTrue(all(slot["present"] for slot in slots))
        self.house.token.tell("unplug")
        self.house.must("lock")
        self.house.must("unlock", pin=PIN)
        self.assertRegex(self.house.must("totp", "code", "prod", pin=PIN), r"^\d{6}\n$")

    def test_a_locked_vault_takes_it_too_and_the_only_further_token_need_not_be_named(self):
        self.house.must("lock")
        slot = self.assert_done(self.add()).strip()
        self.assertEqual([row["id"] for row in self.rows("keyslot", "list")][1], slot)

    def test_both_plugged_in_have_to_be_told_apart(self):
        self.assert_done(self.add())
        self.house.must("lock")
        self.assert_refused(self.house.run("unlock", pin=PIN), 2, "--token")
        again = self.house.run("keyslot", "add", "--label", "third", pin=PIN)
        self.assert_refused(again, 2, "--with")

    def test_what_is_there_already_is_refused_before_anything_blinks(self):
        first, second = self.ids()
        touches = self.house.token.touches(), self.spare.touches()
        self.assert_refused(self.add("--token", first), 1, "already", "demo key")
        same = self.house.run("keyslot", "add", "--label", "demo key", pin=PIN)
        self.assert_refused(same, 1, "already", "demo key")
        absent = self.house.run("--token", "fido_00000000", "keyslot", "add", "--label", "x", pin=PIN)
        self.assert_refused(absent, 5, "fido_00000000")
        for label in ("", "a" * 65, "a\nb", " a", "a "):
            self.assert_refused(self.house.run("keyslot", "add", "--label", label, pin=PIN), 2, "label")
        self.assertEqual((self.house.token.touches(), self.spare.touches()), touches)

    def test_without_a_further_token_or_a_consenting_one_nothing_is_made(self):
        self.spare.tell("unplug")
        alone = self.house.run("keyslot", "add", "--label", "spare", pin=PIN)
        self.assert_refused(alone, 5, "already", "plug in")
        self.spare.tell("plug")
        self.house.token.tell("unplug")
        unwilling = self.house.run("keyslot", "add", "--label", "spare", pin=PIN)
        self.assert_refused(unwilling, 5, "demo key")
        self.assertEqual(self.spare.touches(), 0)

    def test_a_wrong_pin_of_the_consenting_token_saves_nothing(self):
        first, second = self.ids()
        before = self.house.vault.read_bytes()
        pins = self.pins(**{first: "654321", second: PIN})
        self.assert_refused(self.house.run(*pins, "keyslot", "add", "--label", "spare"), 4, "PIN")
        self.assertEqual(self.house.vault.read_bytes(), before)
        self.assertEqual(len(self.rows("keyslot", "list")), 1)
        self.assert_done(self.add())

    def test_several_holders_must_be_told_apart_and_who_consents_sees_whose_it_is(self):
        added = self.add("--holder", "bob")
        self.assert_done(added)
        self.assertIn("enrol \u201cspare\u201d as a keyslot of bob, a new holder", added.err)
        self.assertIn("let \u201cspare\u201d of bob open this vault, too", added.err)
        self.assertEqual([slot["holder"] for slot in self.rows("keyslot", "list")], ["owner", "bob"])
        events = (self.house.data / "audit.log").read_text()
        self.assertIn("keyslot-add", events)


class Locking(HouseCase):
    def test_it_ends_a_check_and_an_enrolment_that_wait_for_the_touch(self):
        other = self.house.add_token("other")
        rows = json.loads(self.house.must("--json", "token", "list"))
        ids = {row["enrolled"]: row["id"] for row in rows}
        pins = [f"--pin-file={token}={self.house.file(token, PIN)}" for token in ids.values()]
        add = ("--token", ids[False], "keyslot", "add", "--label", "spare")
        for token, command in ((self.house.token, ("keyslot", "check")), (other, add)):
            token.tell("mode demand")
            client = self.house.start(*pins, *command, pin=None)
            token.tell("wait-touch")
            self.house.must("lock")
            out, err = client.communicate(timeout=PATIENCE)
            self.assertEqual((client.returncode, out), (4, b""), err)
            self.assertIn(b"refused or given up", err)
            token.tell("mode auto")
        self.assertEqual(self.house.state(), "locked")


if __name__ == "__main__":
    unittest.main()
