"""What an attack on the first version found: each of these went wrong once."""

from __future__ import annotations

import shutil
import unittest

from fakes import ACCOUNT
from house import PIN, HouseCase


class Attacks(HouseCase):
    def touches(self) -> int:
        return self.house.token.touches()

    def test_looking_at_a_damaged_vault_does_not_make_it_the_one_to_replace(self):
        good = self.house.vault.read_bytes()
        damaged = bytearray(good)
        damaged[-40] ^= 1
        self.house.vault.write_bytes(bytes(damaged))
        self.assert_refused(self.house.run("vault", "check"), 7, "damaged")
        other = ("account", "add", "other", "--account-id", "444455556666")
        self.assert_refused(self.house.run(*other), 1, "changed by somebody else")
        self.assertEqual(self.house.vault.read_bytes(), bytes(damaged))
        self.house.vault.write_bytes(good)
        self.house.must("unlock", pin=PIN)
        self.house.must(*other)

    def test_a_vault_that_is_gone_is_not_a_vault_that_never_was(self):
        self.house.must("lock")
        kept = self.house.dir / "kept.rseal"
        shutil.move(self.house.vault, kept)
        self.assertEqual(self.house.state(), "damaged")
        self.assert_refused(self.house.run("init", pin=PIN), 7, "gone")
        self.assertFalse(self.house.vault.exists())
        shutil.move(kept, self.house.vault)
        self.house.must("unlock", pin=PIN)

    def test_a_link_in_place_of_the_vault_is_damage_and_the_daemon_serves(self):
        self.house.stop_daemon()
        kept = self.house.dir / "kept.rseal"
        shutil.move(self.house.vault, kept)
        self.house.vault.symlink_to(kept)
        self.house.start_daemon()
        self.assertEqual(self.house.state(), "damaged")
        self.assert_refused(self.house.run("unlock", pin=PIN), 7, r"vault\.rseal", "regular file")
        self.assertTrue(self.house.vault.is_symlink())

    def test_a_seed_is_sealed_once(self):
        self.house.must("account", "add", "other", "--account-id", ACCOUNT)
        uri = self.house.file("again.uri", self.house.root.uri())
        again = self.house.run("totp", "add", "other", "--uri-file", uri, pin=PIN)
        self.assert_refused(again, 1, "already", "prod")

    def test_a_log_that_was_moved_away_stops_every_release(self):
        self.house.must("credentials", "prod-root", pin=PIN)
        log = self.house.data / "audit.log"
        away = self.house.dir / "audit.log.1"
        log.rename(away)
        self.assert_refused(self.house.run("credentials", "prod-root"), 1, "audit")
        log.write_bytes(b"")
        self.assert_refused(self.house.run("credentials", "prod-root"), 1, "moved away or changed")
        away.rename(log)
        self.house.must("credentials", "prod-root")

    def test_a_locked_vault_shows_no_made_up_words_and_asks_for_no_touch_in_vain(self):
        self.house.must("lock")
        before = self.touches()
        for profile in ("prod-root\x1b[2J", "x" * 65, "a/b", " prod-root"):
            with self.subTest(profile=profile):
                self.assert_refused(self.house.run("credentials", profile, pin=PIN), 2, "name")
        evil = {"AWS_ENDPOINT_URL_STS": "https://sts.evil.example"}
        self.assert_refused(self.house.run("credentials", "prod-root", pin=PIN, **evil), 2, "endpoint")
        self.assertEqual((self.touches(), self.house.state()), (before, "locked"))

    def test_a_token_that_hangs_holds_up_no_cached_session_and_no_lock(self):
        self.house.must("credentials", "prod-root", pin=PIN)
        with self.house.token.frozen():
            for _ in range(3):
                self.house.must("credentials", "prod-root")
            self.house.must("lock")


if __name__ == "__main__":
    unittest.main()
