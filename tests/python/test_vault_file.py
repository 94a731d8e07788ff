"""A vault file that is not the one the daemon saved: refused with exit 7, never written over.

The places in the file come from docs/vault-format.md.
"""

from __future__ import annotations

import shutil
import unittest

from fakes import ACCOUNT
from house import PIN, House, HouseCase

VERSION_AT = 8
# Header keys 3 and 4: thresholds [1, 1], then an array of one keyslot.
THRESHOLDS = b"\x03\x82\x01\x01\x04\x81"


class VaultFile(HouseCase):
    def with_vault(self, content: bytes) -> None:
        """Puts `content` where the vault is while no daemon runs."""
        self.house.stop_daemon()
        self.house.vault.write_bytes(content)
        self.house.start_daemon()

    def assert_refuses_all(self, words: str, state: str | None = None) -> None:
        before = self.house.vault.read_bytes()
        for args in (("unlock",), ("credentials", "prod-root"), ("init",)):
            with self.subTest(args=args):
                self.assert_refused(self.house.run(*args, pin=PIN), 7, words)
        if state:
            self.assertEqual(self.house.state(), state)
        self.assertEqual(self.house.vault.read_bytes(), before)

    def test_a_vault_cut_short(self):
        whole = self.house.vault.read_bytes()
        self.with_vault(whole[:-1])
        self.assert_refuses_all(r"damaged|vault\.rseal", "damaged")
        self.with_vault(whole)
        self.house.must("unlock", pin=PIN)

    def test_a_vault_with_one_bit_changed(self):
        whole = self.house.vault.read_bytes()
        # In the magic, in the header, in the last record.
        for at in (0, 40, len(whole) - 5):
            with self.subTest(at=at):
                changed = bytearray(whole)
                changed[at] ^= 1
                self.with_vault(bytes(changed))
                result = self.house.run("credentials", "prod-root", pin=PIN)
                self.assert_refused(result, 7, "damage|vault")
                self.assertEqual(self.house.vault.read_bytes(), bytes(changed))
        self.with_vault(whole)
        self.house.must("credentials", "prod-root", pin=PIN)

    def test_a_vault_of_a_newer_format(self):
        whole = self.house.vault.read_bytes()
        newer = whole[:VERSION_AT] + (2).to_bytes(4, "big") + whole[VERSION_AT + 4 :]
        self.with_vault(newer)
        self.assert_refuses_all("newer|version")

    def test_a_threshold_of_0(self):
        whole = self.house.vault.read_bytes()
        self.assertEqual(whole.count(THRESHOLDS), 1)
        self.with_vault(whole.replace(THRESHOLDS, b"\x03\x82\x00\x01\x04\x81"))
        self.assert_refuses_all("threshold|damage")

    def test_an_older_generation(self):
        older = self.house.vault.read_bytes()
        self.house.must("account", "add", "later", "--account-id", ACCOUNT[::-1])
        newest = self.house.vault.read_bytes()
        self.with_vault(older)
        self.assert_refused(self.house.run("unlock", pin=PIN), 7, "older|generation|roll")
        self.assertEqual(self.house.vault.read_bytes(), older)
        self.with_vault(newest)
        self.house.must("unlock", pin=PIN)
        self.assertIn("later", self.house.must("account", "list"))

    def test_the_previous_generation_never_loads_by_itself(self):
        previous = self.house.vault.with_name("vault.rseal.1")
        self.assertTrue(previous.exists())
        self.house.stop_daemon()
        self.house.vault.unlink()
        self.house.start_daemon()
        self.assertNotEqual(self.house.run("unlock", pin=PIN).code, 0)
        self.assertTrue(previous.exists())

    def test_somebody_elses_vault(self):
        theirs = House()
        self.addCleanup(theirs.close)
        theirs.must("init", pin=PIN)
        foreign = theirs.vault.read_bytes()
        self.with_vault(foreign)
        self.assert_refused(self.house.run("unlock", pin=PIN), 7, "vault")
        # On a machine that has seen no vault yet, the token does not know it.
        self.house.stop_daemon()
        shutil.rmtree(self.house.data)
        self.house.data.mkdir(mode=0o700)
        self.with_vault(foreign)
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "token|keyslot")
        self.assertEqual(self.house.vault.read_bytes(), foreign)


if __name__ == "__main__":
    unittest.main()
