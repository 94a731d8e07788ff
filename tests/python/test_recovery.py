"""The recovery code: on paper, in a token's place."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unittest

import memory
from house import PIN, HouseCase
from test_vault_format import Vault

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def lines_of(sheet: str) -> list[str]:
    return re.findall(r"^ *\d: +(\S+)$", sheet, re.MULTILINE)


def read(lines: list[str]) -> bytes:
    """The code, by docs/vault-format.md alone."""
    code = b""
    for number, line in enumerate(lines):
        bits = 0
        for symbol in line.replace("-", ""):
            bits = bits << 5 | SYMBOLS.index(symbol)
        whole = bits.to_bytes(10, "big")
        part, check = whole[:8], whole[8:]
        assert hashlib.sha256(b"rootseal/v1/recovery" + bytes([number]) + part).digest()[:2] == check
        code += part
    return code


class Recovery(HouseCase):
    house_options = {"aws": "none"}
    furnished = False

    def setUp(self) -> None:
        super().setUp()
        self.paper = self.house.dir / "paper.txt"

    def furnish(self, *init: str) -> None:
        """A vault with a code, and a seed."""
        self.house.must("init", "--label", "demo key", "--recovery-code-out", self.paper, *init, pin=PIN)
        self.house.must("account", "add", "prod", "--account-id", "111122223333")
        uri = self.house.file("uri", self.house.root.uri())
        self.house.must("totp", "add", "prod", "--uri-file", uri, pin=PIN)

    def by_code(self, *command, **how):
        return self.house.run("--recovery-code-file", self.paper, *command, **how)

    def slots(self) -> dict[str, dict]:
        return {row["label"]: row for row in json.loads(self.house.must("--json", "keyslot", "list"))}

    def records(self) -> list[dict]:
        return [json.loads(line) for line in (self.house.data / "audit.log").read_text().splitlines()]

    def lose_the_token(self) -> None:
        self.house.token.tell("unplug")

    def assert_code(self, result) -> None:
        self.assertRegex(self.assert_done(result), r"^\d{6}\n$")

    def test_a_vault_opens_with_the_code_and_no_token(self):
        self.furnish()
        self.assertEqual(self.paper.stat().st_mode & 0o777, 0o600)
        slot = self.slots()["recovery code"]
        self.assertEqual((slot["kind"], slot["holder"]), ("recovery", "recovery code"))
        self.assertIn("recovery code of recovery code (recovery), on paper\n", self.house.must("status"))
        self.lose_the_token()
        self.house.must("lock")
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "plug one in", "--recovery-code-file")
        self.assert_done(self.by_code("unlock"))
        self.assert_code(self.by_code("totp", "code", "prod", "--reason", "lost"))
        record = self.records()[-1]
        self.assertEqual((record["event"], record["outcome"]), ("totp-code", "granted"))
        self.assertEqual(record["token"], "recovery code")

    def test_a_locked_vault_needs_it_once_for_both_locks(self):
        self.furnish()
        self.lose_the_token()
        self.house.must("lock")
        self.assert_done(self.by_code("keyslot", "rekey"))
        self.assertEqual(self.house.state(), "unlocked")
        self.assert_code(self.by_code("totp", "code", "prod"))

    def test_it_is_typed_line_by_line_as_people_do(self):
        self.furnish()
        self.lose_the_token()
        self.house.must("lock")
        lines = lines_of(self.paper.read_text())
        typed = [lines[0].lower(), lines[1].replace("-", ""), lines[2].replace("-", " "), f" {lines[3]}"]
        shown = self.house.on_terminal("--token", "recovery", "unlock", typed=typed)
        self.assert_done(shown)
        self.assertIn("Line 4 of 4 of the recovery code, to unlock the vault, for uid", shown.err)
        for line in typed:
            self.assertNotIn(line.strip(), shown.err)
        self.house.must("lock")
        wrong = [*lines[:2], lines[1], lines[3]]
        again = self.house.on_terminal("--token", "recovery", "unlock", typed=[*wrong, *typed])
        self.assert_done(again)
        self.assertIn("recovery code (there is a mistake in line 3 of the recovery code)", again.err)
        given_up = self.house.on_terminal("--token", "recovery", "keyslot", "rekey", typed=[*wrong, "\x03"])
        self.assertEqual(given_up.code, 4)
        self.assertIn("cancelled", given_up.err)

    def test_what_the_picture_says_is_pasted_in_one_piece(self):
        self.furnish()
        self.house.must("lock")
        pasted = "-".join(lines_of(self.paper.read_text()))
        self.assert_done(self.house.on_terminal("--token", "recovery", "unlock", typed=[pasted]))

    def test_a_code_is_not_asked_for_for_ever(self):
        self.furnish()
        self.house.must("lock")
        wrong = ["0" * 16] * 4 * 5
        given_up = self.house.on_terminal("--token", "recovery", "unlock", typed=wrong)
        self.assertEqual(given_up.code, 4)
        self.assertIn("a mistake in line 1", given_up.err)

    def test_nothing_is_left_of_a_code_for_a_label_that_is_taken_or_for_others(self):
        self.furnish()
        again = self.house.dir / "again"
        add = ("keyslot", "add", "--label", "recovery code", "--recovery-code-out", again)
        self.assert_refused(self.house.run(*add, pin=PIN), 1, "already a keyslot")
        self.assertFalse(again.exists())
        self.house.tokens_config = f"[policy]\nmanage_uids = [{os.geteuid() + 1}]\n"
        self.house.restart_daemon()
        self.assert_refused(self.house.run(*add, pin=PIN), 6, "change the vault")
        self.assertFalse(again.exists())

    def test_what_is_no_code_of_this_vault_opens_nothing(self):
        self.furnish()
        good = self.paper.read_text()
        lines = lines_of(good)
        self.house.must("lock")
        swap = "0" if lines[2][0] != "0" else "1"
        for wrong, words in (
            ("", "4 lines of 16"),
            ("\n".join(lines[:3]), "4 lines of 16"),
            ("\n".join([*lines, lines[0]]), "4 lines of 16"),
            ("\n".join([lines[0], lines[1], swap + lines[2][1:], lines[3]]), "mistake in line 3"),
            ("\n".join([lines[1], lines[0], lines[2], lines[3]]), "mistake in line 1"),
            ("\x1b[2J" + good, "4 lines of 16"),
            # Another vault's: right in itself.
            ("000G-40R4-0M30-F8EC 104G-M2RC-1M70-YAWT 208H-44RM-2MB1-E1V3 30CH-M6RW-3MF1-YEWG", "another vault"),
        ):
            with self.subTest(words=words, wrong=wrong[:30]):
                self.paper.write_text(wrong.replace(good, lines[0]) if "\x1b" in wrong else wrong)
                self.assert_refused(self.by_code("unlock"), 4, words)
                self.assertEqual(self.house.state(), "locked")
                self.assertEqual(self.records()[-1]["outcome"], "refused")
        self.paper.write_text("x" * (1 << 20))
        self.assert_refused(self.by_code("unlock"), 4, "4 lines of 16")
        self.paper.write_text(good)
        self.paper.chmod(0o644)
        self.assert_refused(self.by_code("unlock"), 4, "chmod 600")
        self.paper.unlink()
        self.assert_refused(self.by_code("unlock"), 4, "paper.txt")
        # What the picture says.
        self.paper.write_text("-".join(lines))
        self.paper.chmod(0o600)
        self.assert_done(self.by_code("unlock"))

    def test_a_vault_without_one_says_so(self):
        self.house.furnish()
        self.paper.write_text("000G")
        self.paper.chmod(0o600)
        self.house.must("lock")
        self.assert_refused(self.by_code("unlock"), 5, "no recovery code")
        self.assert_refused(self.by_code("keyslot", "check"), 5, "no recovery code")

    def test_nothing_is_made_where_the_code_cannot_be_written(self):
        self.paper.write_text("there")
        init = ("init", "--recovery-code-out")
        self.assert_refused(self.house.run(*init, self.paper, pin=PIN), 1, "not there yet")
        self.assertEqual(self.paper.read_text(), "there")
        self.assert_refused(self.house.run(*init, "/nowhere/paper", pin=PIN), 1, "/nowhere/paper", "in a folder")
        self.assert_refused(self.house.run(*init, "/dev/full", pin=PIN), 1, "/dev/full")
        self.assertEqual(self.house.state(), "absent")
        elsewhere = self.house.dir / "elsewhere"
        self.assert_refused(self.house.run(*init, elsewhere, pin="654321"), 4, "wrong")
        self.assertFalse(elsewhere.exists(), "a code that opens nothing is not left behind")
        self.assertEqual(self.house.state(), "absent")
        # Standard output, as for a printer.
        sheet = self.house.must(*init, "-", pin=PIN)
        self.assertEqual(len(lines_of(sheet)), 4)
        self.paper.write_text(sheet)
        self.paper.chmod(0o600)
        self.house.must("lock")
        self.assert_done(self.by_code("unlock"))

    def test_a_full_disk_under_the_code_makes_no_keyslot(self):
        self.furnish()
        before, generation = self.slots(), self.house.vault.read_bytes()
        added = ("keyslot", "add", "--label", "second", "--recovery-code-out", "-")
        full = self.house.execute(
            ["sh", "-c", 'exec "$@" >/dev/full', "sh", *self.house._argv(added, PIN)],
        )
        self.assertEqual(full.code, 1, full)
        self.assertIn("standard output", full.err)
        self.house.must("status")
        self.assertEqual(self.slots(), before)
        self.assertEqual(self.house.vault.read_bytes(), generation)

    def test_one_is_added_checked_and_removed_later(self):
        self.house.furnish()
        add = ("keyslot", "add", "--label", "in the safe", "--holder", "notary", "--recovery-code-out")
        added = self.house.run(*add, self.paper, pin=PIN)
        self.assert_done(added)
        self.assertIn("let the recovery code \u201cin the safe\u201d of notary, a new holder open this vault", added.err)
        self.assert_refused(self.house.run(*add, self.house.dir / "again", pin=PIN), 1, "already a keyslot")
        self.assertFalse((self.house.dir / "again").exists())
        self.assert_refused(self.house.run(*add, self.paper, "--slot", "9d"), 2, "--slot")
        before = self.house.vault.read_bytes()
        for state in ("unlocked", "locked"):
            checked = json.loads(self.assert_done(self.by_code("--json", "keyslot", "check")))
            self.assertEqual((checked["label"], checked["holder"], checked["guard"]), ("in the safe", "notary", True))
            self.assertEqual(self.house.state(), state)
            self.house.must("lock")
        self.assertEqual(self.house.vault.read_bytes(), before)
        slots = self.slots()
        wrong = self.by_code("keyslot", "check", slots["demo key"]["id"])
        self.assert_refused(wrong, 2, "in the safe")
        # The token alone is what keeps a paper from being all that there is.
        token = slots["demo key"]["id"]
        self.assert_refused(self.by_code("keyslot", "remove", token), 1, "no other token")
        removed = self.house.run("keyslot", "remove", slots["in the safe"]["id"], pin=PIN)
        self.assert_done(removed)
        self.house.must("lock")
        self.assert_refused(self.by_code("unlock"), 5, "no recovery code")

    def test_a_lost_token_is_replaced_by_the_code(self):
        self.furnish()
        self.lose_the_token()
        spare = self.house.add_token("other")
        (row,) = json.loads(self.house.must("--json", "token", "list"))
        added = self.by_code("--token", row["id"], "keyslot", "add", "--label", "spare", "--holder", "owner", pin=PIN)
        self.assert_done(added)
        lost = self.slots()["demo key"]["id"]
        self.assert_done(self.by_code("keyslot", "remove", lost))
        self.house.must("lock")
        self.assert_done(self.house.run("unlock", pin=PIN))
        self.assertEqual(set(self.slots()), {"spare", "recovery code"})
        self.assertGreater(spare.touches(), 0)

    def test_it_counts_as_one_of_several_and_not_twice(self):
        self.furnish()
        self.house.must("quorum", "set", "--unlock", "1", "--guard", "2", "--recovery-code-file", self.paper, pin=PIN)
        touches = self.house.token.touches()
        both = self.by_code("totp", "code", "prod", pin=PIN)
        self.assert_code(both)
        self.assertIn("consent 2 of 2: owner after recovery code", both.err)
        self.assertEqual(self.house.token.touches(), touches + 1)
        self.assertIn(" and ", self.records()[-1]["token"])
        # Nobody waits for a paper to be plugged in.
        alone = self.house.run("totp", "code", "prod", pin=PIN)
        self.assert_refused(alone, 5, "1 of 2 have consented", "--recovery-code-file")

    def test_the_page_is_enough_to_open_the_vault_with_it(self):
        self.furnish()
        code = read(lines_of(self.paper.read_text()))
        vault = Vault(self.house.vault.read_bytes())
        (slot,) = [slot for slot in vault.header[4] if slot[3] == "recovery"]
        self.assertEqual(slot[5], b"")
        unlock, guard = (vault.share(slot, lock, code)[0] for lock in ("unlock", "guard"))
        index = vault.unlock(unlock)
        self.assertEqual(len(vault.manifest(guard, index)[4]), 2)

    @unittest.skipUnless(os.geteuid() == 0, "reading the memory of a process that is not dumpable takes root")
    def test_the_daemon_keeps_nothing_of_it(self):
        self.furnish()
        lines = lines_of(self.paper.read_text())
        code = read(lines)
        secrets = {f"line {at}": line.encode() for at, line in enumerate(lines)}
        secrets |= {f"part {at}": code[at : at + 8] for at in range(0, 32, 8)}
        self.assertEqual(memory.search(self.house.daemon_pid, secrets)[0], [])
        self.assert_code(self.by_code("totp", "code", "prod"))
        self.assertEqual(memory.search(self.house.daemon_pid, secrets)[0], [])


if __name__ == "__main__":
    unittest.main()
