"""A copy of the sealed file, and a vault from it."""

from __future__ import annotations

import json
import shutil
import unittest

from fakes import ACCOUNT, PATIENCE
from house import PIN, HouseCase


class Backup(HouseCase):
    house_options = {"aws": "none"}

    def setUp(self) -> None:
        super().setUp()
        self.copy = self.house.dir / "copy.rseal"
        self.house.must("vault", "backup", self.copy)

    def generation(self) -> int:
        return json.loads(self.house.must("--json", "vault", "check"))["generation"]

    def restore(self, *more, pin: str | None = PIN):
        return self.house.run("vault", "restore", *more, self.copy, pin=pin)

    def test_it_is_the_file_and_nobody_elses_to_read(self):
        self.assertEqual(self.copy.read_bytes(), self.house.vault.read_bytes())
        self.assertEqual(self.copy.stat().st_mode & 0o777, 0o600)
        again = self.house.run("vault", "backup", self.copy)
        self.assert_refused(again, 1, "copy.rseal", "not there yet")
        self.house.must("lock")
        self.house.must("vault", "backup", self.house.dir / "while-locked")

    def test_a_damaged_vault_is_not_copied_and_is_restored(self):
        generation = self.generation()
        self.house.must("lock")
        damaged = bytearray(self.house.vault.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        for broken in (damaged[:-1], b"", damaged):
            self.house.vault.write_bytes(broken)
            self.assert_refused(self.house.run("unlock", pin=PIN), 7)
            elsewhere = self.house.dir / "elsewhere"
            if broken is not damaged:
                # Of damage inside, only the key tells.
                self.assert_refused(self.house.run("vault", "backup", elsewhere), 7)
                self.assertFalse(elsewhere.exists())
            touches = self.house.token.touches()
            restored = self.restore()
            self.assert_done(restored)
            self.assertIn("damaged or gone", restored.err)
            self.assertEqual(self.house.token.touches(), touches + 1)
            self.assertEqual(self.house.state(), "locked")
            self.house.must("unlock", pin=PIN)
            self.assertGreater(self.generation(), generation)
            generation = self.generation()
            self.assertRegex(self.house.must("totp", "code", "prod", pin=PIN), r"^\d{6}\n$")
            self.house.must("lock")

    def test_a_vault_that_is_gone_is_restored_above_all_that_was_seen(self):
        self.house.must("account", "add", "later", "--account-id", ACCOUNT)
        generation = self.generation()
        self.house.must("lock")
        self.house.vault.unlink()
        self.assert_done(self.restore())
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        self.assertGreater(self.generation(), generation)
        self.assertNotIn("later", self.house.must("account", "list"))

    def test_a_later_one_that_is_sound_stays_unless_it_is_said(self):
        self.house.must("account", "add", "later", "--account-id", ACCOUNT)
        before, touches = self.house.vault.read_bytes(), self.house.token.touches()
        for state in ("unlocked", "locked"):
            if state == "locked":
                self.house.must("lock")
            self.assert_refused(self.restore(), 1, "generation", "--older")
            self.assertEqual((self.house.state(), self.house.vault.read_bytes()), (state, before))
        self.assertEqual(self.house.token.touches(), touches)
        restored = self.restore("--older")
        self.assert_done(restored)
        self.assertRegex(restored.err, r"restore the vault of generation \d+ in place of generation \d+")
        self.house.must("unlock", pin=PIN)
        self.assertNotIn("later", self.house.must("account", "list"))

    def test_keyslots_that_were_removed_since_are_said_to_be_back(self):
        spare = self.house.add_token("other")
        tokens = {token["enrolled"]: token["id"] for token in json.loads(self.house.must("--json", "token", "list"))}
        pins = [f"--pin-file={token}={self.house.file(token, PIN)}" for token in tokens.values()]
        added = self.house.must(*pins, "keyslot", "add", "--label", "spare")
        self.copy.unlink()
        self.house.must("vault", "backup", self.copy)
        first = tokens[True]
        self.house.must(*pins, "--token", first, "keyslot", "remove", added.strip())
        spare.tell("unplug")
        restored = self.restore("--older")
        self.assert_done(restored)
        self.assertIn("keyslots that were removed since open it again", restored.err)

    def test_a_copy_of_another_vault_and_what_is_none_change_nothing(self):
        before = self.house.vault.read_bytes()
        whole = self.copy.read_bytes()
        for broken in (b"", b"garbage", whole[:-1], whole[: len(whole) // 2]):
            self.copy.write_bytes(broken)
            self.assert_refused(self.restore("--older"), 7, "the backup is damaged")
        other = bytearray(whole)
        other[len(whole) - 100] ^= 1
        self.copy.write_bytes(other)
        self.assert_refused(self.restore("--older"), 7, "the backup is damaged")
        self.assertEqual(self.house.vault.read_bytes(), before)
        self.assert_refused(self.house.run("vault", "restore", "/nowhere", pin=PIN), 1, "/nowhere")
        self.house.stop_daemon()
        shutil.move(self.house.data, self.house.dir / "old-data")
        self.house.start_daemon()
        self.house.furnish()
        self.copy.write_bytes(whole)
        self.assert_refused(self.restore("--older"), 2, "another vault")
        self.assert_refused(self.restore("--older", pin=None), 2, "another vault")

    def test_another_vault_that_was_never_opened_here_is_not_replaced(self):
        self.house.stop_daemon()
        shutil.rmtree(self.house.data)
        self.house.start_daemon()
        self.house.must("init", pin=PIN)
        self.house.stop_daemon()
        (self.house.data / "state.cbor").unlink()
        self.house.start_daemon()
        before = self.house.vault.read_bytes()
        self.assert_refused(self.restore("--older"), 2, "another vault")
        self.assertEqual(self.house.vault.read_bytes(), before)

    def test_a_machine_that_lost_its_memory_takes_nothing_for_granted(self):
        self.house.stop_daemon()
        before = self.house.vault.read_bytes()
        (self.house.data / "state.cbor").write_bytes(b"damaged")
        self.house.start_daemon()
        self.assert_refused(self.restore("--older"), 7, "state.cbor")
        self.assertEqual(self.house.vault.read_bytes(), before)

    def test_what_is_changed_while_the_prompt_is_shown_is_not_lost(self):
        self.house.token.tell("mode demand")
        client = self.house.start("vault", "restore", "--older", self.copy)
        self.house.token.tell("wait-touch")
        self.house.must("account", "add", "later", "--account-id", ACCOUNT)
        before = self.house.vault.read_bytes()
        self.house.token.tell("touch")
        out, err = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, out), (1, b""), err)
        self.assertIn(b"the vault changed while the prompt was shown", err)
        self.assertEqual(self.house.vault.read_bytes(), before)
        self.assertIn("later", self.house.must("account", "list"))

    def test_a_wrong_pin_or_nobody_to_ask_restores_nothing(self):
        before = self.house.vault.read_bytes()
        self.assert_refused(self.restore("--older", pin="654321"), 4, "PIN")
        self.assert_refused(self.house.run("--no-prompt", "vault", "restore", "--older", self.copy), 4)
        self.assertEqual(self.house.vault.read_bytes(), before)

    def test_a_machine_that_never_saw_it_takes_it(self):
        self.house.stop_daemon()
        shutil.rmtree(self.house.data)
        self.house.start_daemon()
        self.assert_done(self.restore())
        self.house.must("unlock", pin=PIN)
        self.assertRegex(self.house.must("totp", "code", "prod", pin=PIN), r"^\d{6}\n$")


if __name__ == "__main__":
    unittest.main()
