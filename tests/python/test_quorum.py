"""Several holders: what it takes is counted in persons, one token after another."""

from __future__ import annotations

import json
import shutil
import unittest

from fakes import PATIENCE
from house import PIN, HouseCase
from secrets_of import token_secrets
from test_vault_format import Damaged, Vault, combine, uncbor


class Quorum(HouseCase):
    """alice has a token and a spare, bob and carol have one each; two of them open what is guarded."""

    house_options = {"aws": "none"}

    def setUp(self) -> None:
        super().setUp()
        names = ("other", "spare", "third")
        self.house.stop_daemon()
        self.house.start_daemon(sockets=("token", *names))
        self.alice = self.house.token
        self.bob, self.spare, self.carol = (self.house.add_token(name) for name in names)
        self.tokens = (self.alice, self.bob, self.spare, self.carol)
        self.plugged(self.alice)
        self.alice_id = self.id_of(self.alice)
        self.enrol("spare of alice", self.spare, "owner")
        self.enrol("bob's", self.bob, "bob")
        self.enrol("carol's", self.carol, "carol")

    def enrol(self, label: str, token, holder: str) -> None:
        self.plugged(self.alice, token)
        add = ("keyslot", "add", "--label", label, "--holder", holder, "--with", self.alice_id)
        self.assert_done(self.run_it("--token", self.id_of(token), *add))

    def plugged(self, *tokens) -> None:
        """These and no others."""
        for token in self.tokens:
            if token.status()["plugged"] != (token in tokens):
                token.tell("plug" if token in tokens else "unplug")

    def rows(self, *command: str):
        return json.loads(self.house.must("--json", *command))

    def id_of(self, token) -> str:
        """The id by which the daemon knows it; it has to be the only one with this file's serial."""
        place = {self.alice: "token", self.bob: "other", self.spare: "spare", self.carol: "third"}[token]
        known = getattr(self, "_ids", {})
        if place not in known:
            before = [other for other in self.tokens if other.status()["plugged"]]
            self.plugged(token)
            (row,) = self.rows("token", "list")
            known[place] = row["id"]
            self._ids = known
            self.plugged(*before)
        return known[place]

    def pins(self, wrong=None) -> list[str]:
        options = []
        for place, token in getattr(self, "_ids", {}).items():
            pin = "654321" if place == wrong else PIN
            options += ["--pin-file", f"{token}={self.house.file(f'pin-of-{place}', pin)}"]
        return options

    def run_it(self, *command, wrong=None):
        return self.house.run(*self.pins(wrong), *command)

    def start(self, *command):
        return self.house.start(*self.pins(), *command, pin=None)

    def rule(self, unlock: int = 1, guard: int = 2) -> None:
        self.plugged(self.alice)
        self.assert_done(self.run_it("quorum", "set", "--unlock", str(unlock), "--guard", str(guard)))

    def slots(self) -> dict[str, str]:
        return {row["label"]: row["id"] for row in self.rows("keyslot", "list")}

    def until_asked(self, client, word: bytes) -> bytes:
        """What the client has said up to the line that asks for the next holder."""
        said = b""
        while word not in said:
            line = client.stderr.readline()
            self.assertNotEqual(line, b"", said)
            said += line
        return said

    def test_two_persons_consent_one_after_the_other_and_each_is_told(self):
        self.rule()
        self.plugged(self.alice, self.bob)
        touches = self.alice.touches(), self.bob.touches()
        code = self.run_it("totp", "code", "prod")
        self.assertRegex(self.assert_done(code), r"^\d{6}\n$")
        self.assertEqual((self.alice.touches(), self.bob.touches()), (touches[0] + 1, touches[1] + 1))
        self.assertRegex(code.err, r"consent 1 of 2: (owner|bob)\)")
        self.assertRegex(code.err, r"consent 2 of 2: (bob after owner|owner after bob)\)")
        record = json.loads((self.house.data / "audit.log").read_text().splitlines()[-1])
        self.assertEqual((record["event"], record["outcome"]), ("totp-code", "granted"))
        self.assertIn("demo key", record["token"])
        self.assertIn("bob's", record["token"])

    def test_the_second_one_may_come_later_and_the_first_ones_spare_does_not_count(self):
        self.rule()
        self.plugged(self.alice)
        client = self.start("totp", "code", "prod")
        said = self.until_asked(client, b"next holder")
        self.assertIn(b"1 of 2 have consented; next one of bob, carol", said)
        spared = self.spare.touches()
        self.spare.tell("plug")
        self.rows("token", "list")
        self.carol.tell("plug")
        out, err = client.communicate(timeout=PATIENCE)
        self.assertEqual(client.returncode, 0, err)
        self.assertRegex(out, rb"^\d{6}\n$")
        self.assertEqual(self.spare.touches(), spared)

    def test_the_index_opens_with_one_and_a_locked_vault_with_both_at_once(self):
        self.rule()
        self.house.must("lock")
        self.plugged(self.bob)
        self.assert_done(self.run_it("unlock"))
        self.house.must("lock")
        self.plugged(self.carol, self.bob)
        touches = self.bob.touches(), self.carol.touches()
        self.assert_done(self.run_it("keyslot", "rekey"))
        self.assertEqual((self.bob.touches(), self.carol.touches()), (touches[0] + 1, touches[1] + 1))
        self.assertEqual(self.house.state(), "unlocked")

    def test_locking_ends_a_consent_that_waits_for_the_next_one(self):
        self.rule()
        self.house.must("lock")
        self.plugged(self.alice)
        client = self.start("quorum", "set", "--unlock", "1", "--guard", "1")
        said = self.until_asked(client, b"next holder")
        # The vault is locked and tells nothing; what is asked for is told all the same.
        self.assertIn(b"have 1 holder to unlock and 1 holder to use what is guarded consent", said)
        self.house.must("lock")
        out, err = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, out), (4, b""), err)
        self.bob.tell("plug")
        self.assertEqual(self.house.state(), "locked")
        self.assertEqual(self.rows("quorum", "show")["guard"], 2)

    def test_a_copy_from_before_the_rule_does_not_undo_it(self):
        copy = self.house.dir / "copy.rseal"
        self.house.must("vault", "backup", copy)
        self.rule()
        before, touches = self.house.vault.read_bytes(), self.alice.touches()
        refused = self.run_it("vault", "restore", "--older", copy)
        self.assert_refused(refused, 1, "wants 2 holders where the backup wants 1", "quorum set")
        self.assertEqual((self.house.vault.read_bytes(), self.alice.touches()), (before, touches))

    def test_more_than_are_needed_have_to_be_chosen_from(self):
        self.rule()
        self.plugged(self.alice, self.bob, self.carol)
        refused = self.run_it("totp", "code", "prod")
        self.assert_refused(refused, 2, "--token", self.id_of(self.bob), self.id_of(self.carol))
        two = f"{self.id_of(self.bob)},{self.id_of(self.carol)}"
        touches = self.alice.touches()
        one = self.run_it("--token", self.id_of(self.bob), "totp", "code", "prod")
        self.assert_refused(one, 2, "2 holders", "commas")
        self.assert_done(self.run_it("--token", two, "totp", "code", "prod"))
        self.assertEqual(self.alice.touches(), touches)

    def test_a_wrong_pin_of_the_second_opens_nothing_and_keeps_nothing(self):
        self.rule()
        self.house.must("lock")
        self.plugged(self.alice, self.bob)
        wrong = self.run_it("keyslot", "rekey", wrong="other")
        self.assert_refused(wrong, 4, "PIN")
        self.assertEqual(self.house.state(), "locked")
        self.plugged(self.bob)
        client = self.start("keyslot", "rekey")
        self.until_asked(client, b"1 of 2 have consented; next one of owner, carol")
        client.kill()
        client.communicate(timeout=PATIENCE)
        self.assertEqual(self.house.state(), "locked")

    def test_one_that_is_pulled_out_in_the_middle_opens_nothing(self):
        self.rule()
        self.house.must("lock")
        self.plugged(self.alice, self.bob)
        before = self.house.vault.read_bytes()
        for token in (self.alice, self.bob):
            token.tell("mode demand")
            client = self.start("keyslot", "rekey")
            token.tell("wait-touch")
            token.tell("unplug")
            out, err = client.communicate(timeout=PATIENCE)
            self.assertEqual((client.returncode, out), (5, b""), err)
            self.assertEqual((self.house.state(), self.house.vault.read_bytes()), ("locked", before))
            token.tell("mode auto")
            token.tell("plug")
        self.assert_done(self.run_it("keyslot", "rekey"))

    def test_a_reader_written_from_the_page_alone_puts_the_keys_together(self):
        self.rule(2, 3)
        vault = Vault(self.house.vault.read_bytes())
        self.plugged(self.alice, self.bob, self.carol)
        slots = {slot[2]: slot for slot in vault.header[4]}
        parts = {"unlock": [], "guard": []}
        for label, token in (("demo key", self.alice), ("bob's", self.bob), ("carol's", self.carol)):
            slot = slots[label]
            for lock, secret in zip(parts, token_secrets(token, uncbor(slot[5])), strict=True):
                parts[lock].append(vault.share(slot, lock, secret)[0])
        index = vault.unlock(combine(parts["unlock"][1:]))
        vault.manifest(combine(parts["guard"]), index)
        with self.assertRaises(Damaged):
            vault.unlock(parts["unlock"][0][1:])
        with self.assertRaises(Damaged):
            vault.manifest(combine(parts["guard"][1:]), index)

    def test_thresholds_that_nobody_could_meet_are_refused(self):
        self.plugged(self.alice)
        touches, before = self.alice.touches(), self.house.vault.read_bytes()
        for unlock, guard in ((0, 1), (1, 0), (0, 0), (2, 1), (1, 4), (4, 4), (1, 2**32 - 1)):
            set_it = ("quorum", "set", "--unlock", str(unlock), "--guard", str(guard))
            self.assert_refused(self.run_it(*set_it), 2, "threshold")
        for odd in ("-1", "x", str(2**32)):
            self.assertEqual(self.run_it("quorum", "set", "--unlock", odd, "--guard", "2").code, 2)
        self.assertEqual((self.alice.touches(), self.house.vault.read_bytes()), (touches, before))
        self.rule(2, 3)
        shown = self.rows("quorum", "show")
        self.assertEqual((shown["unlock"], shown["guard"]), (2, 3))
        self.assertEqual([holder["name"] for holder in shown["holders"]], ["bob", "carol", "owner"])

    def test_who_is_needed_stays_and_who_is_removed_opens_nothing_saved_afterwards(self):
        self.rule()
        self.plugged(self.alice, self.carol)
        slots = self.slots()
        old = shutil.copy(self.house.vault, self.house.dir / "old.rseal")
        self.assert_done(self.run_it("keyslot", "remove", slots["bob's"]))
        self.assertFalse(self.house.vault.with_name("vault.rseal.1").exists())
        before = self.house.vault.read_bytes()
        needed = self.run_it("keyslot", "remove", slots["carol's"])
        self.assert_refused(needed, 1, "needed", "quorum set")
        gone = self.run_it("keyslot", "remove", slots["bob's"])
        self.assert_refused(gone, 1, "no keyslot")
        self.assert_refused(self.run_it("keyslot", "remove", "nonsense"), 2, "32 hexadecimal digits")
        self.assertEqual(self.house.vault.read_bytes(), before)
        # One of alice's two may go.
        self.assert_done(self.run_it("keyslot", "remove", slots["spare of alice"]))
        self.house.must("lock")
        for token in (self.bob, self.spare):
            self.plugged(token)
            self.assert_refused(self.run_it("unlock"), 5, "no connected token is a keyslot")
        # The copy from before is not this machine's vault any more. Elsewhere it opens, as the command said.
        self.house.stop_daemon()
        shutil.rmtree(self.house.data)
        self.house.data.mkdir(mode=0o700)
        shutil.copy(old, self.house.vault)
        self.house.start_daemon(sockets=("token", "other", "spare", "third"))
        self.plugged(self.bob)
        self.assert_done(self.run_it("unlock"))

    def test_new_keys_need_no_token_of_those_who_stay(self):
        self.rule(2, 2)
        self.plugged(self.alice, self.bob)
        before = self.house.vault.read_bytes()
        self.assert_done(self.run_it("keyslot", "rekey"))
        self.assertNotEqual(self.house.vault.read_bytes()[:4096], before[:4096])
        self.house.must("lock")
        self.plugged(self.carol, self.spare)
        self.assert_done(self.run_it("unlock"))
        self.assert_done(self.run_it("totp", "code", "prod"))

    def test_a_check_proves_a_keyslot_and_changes_nothing(self):
        for rule in ((1, 1), (1, 2)):
            self.rule(*rule)
            before = self.house.vault.read_bytes()
            for lock in (False, True):
                if lock:
                    self.house.must("lock")
                self.plugged(self.carol)
                touches = self.carol.touches()
                checked = json.loads(self.assert_done(self.run_it("--json", "keyslot", "check")))
                expected = {"id": self.slots()["carol's"], "label": "carol's", "holder": "carol", "guard": True}
                self.assertEqual((checked, self.carol.touches()), (expected, touches + 1))
                absent = self.run_it("keyslot", "check", self.slots()["bob's"])
                self.assert_refused(absent, 5, "bob's")
                self.assertEqual(self.house.state(), "locked" if lock else "unlocked")
            self.assertEqual(self.house.vault.read_bytes(), before)
            said = "opens" if rule[1] == 1 else "does its part in opening"
            self.assertIn(f"carol {said} both locks", self.assert_done(self.run_it("keyslot", "check")))
            self.assert_done(self.run_it("unlock"))
        self.assert_refused(self.run_it("keyslot", "check", "0" * 32), 1, "no keyslot")

    def test_a_keyslot_gets_another_name_without_a_touch(self):
        self.plugged(self.alice)
        slots, touches = self.slots(), self.alice.touches()
        self.house.must("keyslot", "relabel", slots["bob's"], "bob, blue")
        self.assertEqual(self.slots()["bob, blue"], slots["bob's"])
        taken = self.house.run("keyslot", "relabel", slots["bob's"], "carol's")
        self.assert_refused(taken, 1, "already")
        for label in ("", "a" * 65, "a\nb"):
            self.assert_refused(self.house.run("keyslot", "relabel", slots["bob's"], label), 2, "label")
        self.assertEqual(self.alice.touches(), touches)
        self.house.must("lock")
        locked = self.house.run("keyslot", "relabel", slots["bob's"], "x")
        self.assert_refused(locked, 4, "unlock")


class NoVault(HouseCase):
    furnished = False

    def test_there_is_no_quorum_to_show_or_to_set(self):
        for command in (("show",), ("set", "--unlock", "1", "--guard", "1")):
            self.assert_refused(self.house.run("quorum", *command, pin=PIN), 1, "rootseal init")


if __name__ == "__main__":
    unittest.main()
