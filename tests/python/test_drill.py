"""The drill: every keyslot and a backup are proved, before the day on which it counts."""

from __future__ import annotations

import json
import unittest

from house import PIN, HouseCase


class Drill(HouseCase):
    """owner has a token and bob has one; there is a recovery code and a backup."""

    house_options = {"aws": "none"}
    furnished = False

    def setUp(self) -> None:
        super().setUp()
        self.paper, self.copy = self.house.dir / "paper", self.house.dir / "copy.rseal"
        self.house.must("init", "--label", "demo key", "--recovery-code-out", self.paper, pin=PIN)
        self.mine = self.rows("token", "list")[0]["id"]
        self.other = self.house.add_token("other")
        (self.theirs,) = {row["id"] for row in self.rows("token", "list")} - {self.mine}
        self.must("--token", self.theirs, "keyslot", "add", "--label", "bob's", "--holder", "bob", "--with", self.mine)
        self.must("account", "add", "prod", "--account-id", "111122223333")
        uri = self.house.file("uri", self.house.root.uri())
        self.must("--token", self.mine, "totp", "add", "prod", "--uri-file", uri)
        self.must("vault", "backup", self.copy)

    def pins(self) -> list[str]:
        return [f"--pin-file={token}={self.house.file(token, PIN)}" for token in (self.mine, self.theirs)]

    def must(self, *command) -> str:
        return self.house.must(*self.pins(), *command)

    def rows(self, *command):
        return json.loads(self.house.must("--json", *command))

    def drill(self, *more, backup: bool = True, code: bool = True, token: bool = True):
        options = [*(["--recovery-code-file", self.paper] if code else []), *(["--token", self.mine] if token else [])]
        backup = ["--backup", self.copy] if backup else []
        return self.house.run(*self.pins(), *options, *more, "drill", *backup)

    def status(self) -> dict:
        return self.rows("status")["drill"]

    def drills(self) -> list[dict]:
        lines = (self.house.data / "audit.log").read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["event"] == "drill"]

    def test_all_is_proved_recorded_and_reported(self):
        before = self.house.vault.read_bytes()
        self.assertEqual((self.status()["last"], self.status()["overdue"]), (None, False))
        report = self.assert_done(self.drill())
        for words in (
            "ROOTSEAL DRILL",
            ": complete",
            "“demo key” of owner (fido2), opened 20",
            "“bob's” of bob (fido2), opened 20",
            "“recovery code” of recovery code (recovery), opened 20",
            "backup     generation",
            "audit log  intact to record",
            "custodian  ____",
        ):
            self.assertIn(words, report)
        (record,) = self.drills()
        self.assertEqual(record["outcome"], "granted")
        self.assertRegex(record["what"], r"drill: 3 of 3 keyslots and the backup of generation \d+ opened")
        self.assertEqual(self.house.vault.read_bytes(), before)
        last = self.status()["last"]
        self.assertGreater(self.status()["due"], last + 80 * 86400)
        self.house.restart_daemon()
        self.assertEqual(self.status()["last"], last)
        self.assertIn("due 20", self.house.must("status"))

    def test_what_is_missing_is_named_and_the_drill_does_not_count(self):
        self.other.tell("unplug")
        done = self.drill(backup=False)
        self.assertEqual(done.code, 1, done)
        self.assertIn("NOT COMPLETE", done.out)
        self.assertIn("“bob's” of bob (fido2), NOT PROVED: its token is not plugged in", done.out)
        self.assertIn("backup     NOT PROVED: none was given", done.out)
        self.assertIn("“demo key” of owner (fido2), opened", done.out)
        self.assertEqual(done.errors()[-1], "rootseal: the drill is not complete: the report says what is missing")
        (record,) = self.drills()
        self.assertEqual(record["outcome"], "failed")
        self.assertIn("2 of 3 keyslots and no backup", record["what"])
        self.assertIsNone(self.status()["last"])
        # What an earlier drill has proved does not count for a later one.
        self.other.tell("plug")
        self.house.token.tell("unplug")
        again = self.drill("--json", code=False, token=False)
        self.assertEqual(again.code, 1, again)
        report = json.loads(again.out)
        proved = {slot["label"]: bool(slot["proved"]) for slot in report["keyslots"]}
        self.assertEqual(proved["demo key"], False)
        self.assertEqual(proved["bob's"], True)
        paper = next(slot["id"] for slot in report["keyslots"] if slot["kind"] == "recovery")
        self.assertEqual(report["problems"][paper], "give the code with --recovery-code-file")
        self.assertFalse(report["complete"])

    def test_a_backup_that_would_not_help_is_not_one(self):
        whole = self.copy.read_bytes()
        for broken, words in ((whole[:-1], "the backup is damaged"), (b"", "the backup is damaged")):
            self.copy.write_bytes(broken)
            self.assertIn(words, self.drill(code=False).out)
        inside = bytearray(whole)
        inside[len(whole) - 20] ^= 1
        self.copy.write_bytes(inside)
        self.assertIn("the backup is damaged", self.drill(code=False).out)
        self.copy.write_bytes(whole)
        self.must("--token", self.mine, "keyslot", "rekey")
        self.assertIn("made before the vault had its present keys", self.drill(code=False).out)
        gone = self.house.run(*self.pins(), "drill", "--backup", "/nowhere")
        self.assertIn("cannot read /nowhere", gone.out)

    def test_a_locked_vault_is_unlocked_first_and_new_keys_begin_anew(self):
        self.house.must("lock")
        self.assertIn(": complete", self.assert_done(self.drill()))
        self.assertEqual(self.house.state(), "unlocked")

    def test_a_schedule_is_the_configurations(self):
        self.house.tokens_config = "[custody]\ndrill_days = 0\n"
        self.house.restart_daemon()
        self.assertEqual(self.status(), {"last": None, "due": None, "overdue": False})
        self.assertNotIn("drill", self.house.must("status"))

    def test_without_a_vault_there_is_nothing_to_drill(self):
        self.house.stop_daemon()
        for path in self.house.data.iterdir():
            path.unlink()
        self.house.start_daemon()
        self.assert_refused(self.drill(), 1, "rootseal init")
        self.assertEqual(self.status()["due"], None)


class Overdue(HouseCase):
    """A clock that stands for the time that passes."""

    house_options = {"aws": "none"}

    def test_status_says_when_one_is_overdue(self):
        self.house.tokens_config = "[custody]\ndrill_days = 1\n"
        self.house.restart_daemon()
        self.assertIn("drill     due", self.house.must("status"))
        self.house.stop_daemon()
        # As if the vault's state were of a drill long ago.
        state = self.house.data / "state.cbor"
        known = state.read_bytes()
        self.assertEqual(known[-1:], b"\xf6", "never drilled")
        state.write_bytes(known[:-1] + b"\x1a" + (1_700_000_000).to_bytes(4, "big"))
        self.house.start_daemon()
        self.assertIn("overdue since 2023-11-15", self.house.must("status"))
        self.assertTrue(json.loads(self.house.must("--json", "status"))["drill"]["overdue"])


if __name__ == "__main__":
    unittest.main()
