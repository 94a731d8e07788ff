"""Rules for whoever uses a vault: the machine's, in the configuration, and the holders', in the vault."""

from __future__ import annotations

import json
import os
import time
import unittest

from house import BIN, PIN, HouseCase
from test_vault_format import Vault

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
UID = str(os.geteuid())
OTHER = str(os.geteuid() + 1)


def not_now() -> str:
    """Hours on the day that is neither today nor tomorrow, in UTC."""
    return f"{DAYS[(time.gmtime().tm_wday + 3) % 7]} 00:00-24:00"


class Policies(HouseCase):
    """`machine` is tried in the configuration, `vault` in the vault: what they say has to come to the same."""

    def configured(self, rules: str) -> None:
        self.house.tokens_config = f"[policy]\n{rules}\n"
        self.house.restart_daemon()

    def laid_down(self, *rules: str) -> None:
        self.assert_done(self.house.run("policy", "set", *rules, pin=PIN))

    def last_record(self) -> dict:
        return json.loads((self.house.data / "audit.log").read_text().splitlines()[-1])

    def shown(self) -> dict:
        return json.loads(self.house.must("--json", "policy", "show"))

    def assert_use_is_refused(self, words: str) -> None:
        touches = self.house.token.touches()
        commands = [("credentials", "prod-root")]
        if self.house.state() == "unlocked":
            # The names of accounts are sealed: a locked vault asks to be unlocked first.
            commands.append(("totp", "code", "prod"))
        for command in commands:
            self.assert_refused(self.house.run(*command, pin=PIN), 6, words)
            record = self.last_record()
            self.assertEqual((record["outcome"], record["reason"]), ("refused", "NotAuthorized"))
        self.assertEqual(self.house.token.touches(), touches, "nothing blinked")

    def test_hours_bind_sessions_and_codes_and_nothing_else(self):
        for place in ("machine", "vault"):
            with self.subTest(place=place):
                if place == "machine":
                    self.configured(f'hours_utc = ["{not_now()}"]')
                else:
                    self.configured("")
                    self.house.must("credentials", "prod-root", pin=PIN)
                    self.laid_down("--hours", not_now())
                self.assert_use_is_refused("only " + not_now())
                self.house.must("lock")
                self.assert_use_is_refused("only " + not_now())
                self.house.must("unlock", pin=PIN)
                self.house.must("account", "list")
                self.assert_done(self.house.run("keyslot", "rekey", pin=PIN))
        self.laid_down("--hours", not_now(), "--hours", "Mon-Sun 00:00-24:00")
        self.house.must("totp", "code", "prod", pin=PIN)
        self.laid_down("--hours", "any")
        self.assertEqual(self.shown()["vault"]["hours_utc"], [])

    def test_a_session_is_no_longer_than_either_allows(self):
        self.laid_down("--longest-session", "1800")
        issued = self.house.run("credentials", "prod-root", pin=PIN)
        self.assert_done(issued)
        self.assertIn("GetSessionToken, 30 min", issued.err)
        self.configured("longest_session_seconds = 900")
        self.house.must("unlock", pin=PIN)
        issued = self.house.run("credentials", "prod-root", pin=PIN)
        self.assert_done(issued)
        self.assertIn("GetSessionToken, 15 min", issued.err)
        self.configured("longest_session_seconds = 7200")
        self.house.must("unlock", pin=PIN)
        self.assertIn("30 min", self.house.run("credentials", "prod-root", pin=PIN).err)

    def test_what_is_for_others_is_refused(self):
        self.configured(f"use_uids = [{OTHER}]")
        self.assert_use_is_refused(f"does not let uid {UID} use")
        self.house.must("unlock", pin=PIN)
        self.configured(f"unlock_uids = [{OTHER}]")
        for command in (("unlock",), ("keyslot", "rekey"), ("credentials", "prod-root")):
            self.assert_refused(self.house.run(*command, pin=PIN), 6, f"uid {UID} unlock the vault")
        self.assertEqual(self.house.state(), "locked")
        self.configured(f"manage_uids = [{OTHER}]")
        self.house.must("unlock", pin=PIN)
        before = self.house.vault.read_bytes()
        csv = self.house.file("rootkey.csv", self.house.root.csv())
        for command in (
            ("account", "add", "x", "--account-id", "111122223333"),
            ("account", "remove", "prod"),
            ("profile", "add", "x", "--account", "prod"),
            ("profile", "remove", "prod-root"),
            ("key", "import", "prod", csv),
            ("totp", "remove", "prod"),
            ("keyslot", "rekey"),
            ("quorum", "set", "--unlock", "1", "--guard", "1"),
            ("policy", "set", "--demand-reason", "no"),
            ("vault", "backup", self.house.dir / "copy"),
            ("vault", "restore", self.house.vault, "--older"),
        ):
            self.assert_refused(self.house.run(*command, pin=PIN), 6, f"uid {UID} change the vault")
        self.assertEqual(self.house.vault.read_bytes(), before)
        self.house.must("totp", "code", "prod", pin=PIN)
        self.configured(f"manage_uids = [{OTHER}, {UID}]")
        self.house.must("unlock", pin=PIN)
        self.house.must("profile", "remove", "prod-root")

    def test_the_vaults_own_rules_come_with_it_to_another_machine(self):
        self.laid_down("--demand-reason", "yes", "--use-uids", OTHER)
        self.house.stop_daemon()
        (self.house.data / "state.cbor").unlink()
        self.house.start_daemon()
        self.assert_use_is_refused(f"uid {UID} use")
        self.assert_refused(self.house.run("keyslot", "rekey", pin=PIN), 2, "--reason")
        self.assertEqual(self.shown()["vault"]["use_uids"], [int(OTHER)])
        self.assertEqual(self.shown()["machine"]["use_uids"], [])
        back = self.house.run("policy", "set", "--use-uids", "any", "--demand-reason", "no", "--reason", "test", pin=PIN)
        self.assert_done(back)
        self.assertIn("change the vault\u2019s policy".replace("\u2019", "'"), back.err)
        self.assertIn("anybody may use what the vault guards; demand no reason", back.err)
        self.house.must("totp", "code", "prod", pin=PIN)

    def test_the_file_cannot_be_stripped_of_them(self):
        self.laid_down("--demand-reason", "yes")
        self.house.stop_daemon()
        data = bytearray(self.house.vault.read_bytes())
        rule = bytes([7, 0xA1, 0, 0xF5])
        end = 16 + int.from_bytes(data[12:16], "big")
        self.assertEqual(data[end - 4 : end], rule)
        self.assertEqual(Vault(bytes(data)).header[7], {0: True})
        del data[end - 4 : end]
        data[12:16] = (end - 16 - 4).to_bytes(4, "big")
        self.assertEqual(data[16], 0xA8)
        data[16] = 0xA7
        self.house.vault.write_bytes(data)
        (self.house.data / "state.cbor").unlink()
        self.house.start_daemon()
        self.assert_refused(self.house.run("unlock", pin=PIN), 7)
        self.assert_refused(self.house.run("keyslot", "rekey", "--reason", "x", pin=PIN), 7)

    def test_a_vault_that_was_away_for_a_moment_has_its_rules_all_the_same(self):
        """What was read last was that there is none: and none has no rules."""
        self.laid_down("--hours", not_now())
        self.house.must("lock")
        away = self.house.vault.with_name("away")
        self.house.vault.rename(away)
        self.assertEqual(self.house.state(), "damaged")
        away.rename(self.house.vault)
        self.assert_use_is_refused("only " + not_now())

    def test_a_reason_is_demanded_of_a_cached_session_and_of_a_restore_too(self):
        copy = self.house.dir / "copy"
        self.house.must("vault", "backup", copy)
        self.house.must("credentials", "prod-root", pin=PIN)
        self.laid_down("--demand-reason", "yes")
        self.assert_refused(self.house.run("credentials", "prod-root", pin=PIN), 2, "--reason")
        self.assertEqual(self.last_record()["outcome"], "refused")
        self.assert_refused(self.house.run("vault", "restore", "--older", copy, pin=PIN), 2, "--reason")
        restored = self.house.run("vault", "restore", "--older", copy, "--reason", "test", pin=PIN)
        self.assert_done(restored)
        self.assertIn("with another policy than now", restored.err)

    def test_rules_that_cannot_be_are_refused_before_anything_blinks(self):
        touches = self.house.token.touches()
        for rules, words in (
            ((), "required"),
            (("--hours", "at night"), "Mon-Fri 08:00-18:00"),
            (("--hours", "Mon 18:00-08:00"), "Mon-Fri 08:00-18:00"),
            (("--longest-session", "60"), "longest session"),
            (("--longest-session", "0"), "900"),
            (("--use-uids", "root"), "numbers"),
            (("--demand-reason", "maybe"), "yes or no"),
            (("--manage-uids", OTHER), f"uid {UID} must be one"),
            (("--unlock-uids", OTHER), f"uid {UID} must be one"),
        ):
            for state in ("unlocked", "locked"):
                self.assert_refused(self.house.run("policy", "set", *rules, pin=PIN), 2, words)
                self.assertEqual(self.house.state(), state)
                self.house.must("lock")
            self.house.must("unlock", pin=PIN)
            touches += 1
        self.assertEqual(self.house.token.touches(), touches)
        self.assertEqual(self.shown()["vault"]["manage_uids"], [])

    def test_a_configuration_that_does_not_parse_stops_the_daemon_with_the_line(self):
        self.house.stop_daemon()
        config = self.house.dir / "bad.toml"
        for text, words in (
            ('[policy]\nhours_utc = ["at night"]\n', 'line 2: "at night"'),
            ("[tokens]\n[policy]\ndemand_reason = perhaps\n", "line 3"),
            ("[policy]\nuse_uids = []\n", "line 2: name 1 to 256"),
            ("[policy]\nmay_do_all = true\n", "line 2: unknown field"),
        ):
            config.write_text(text)
            refused = self.house.execute(
                [BIN / "rootseald", "--config", config, "--data-dir", self.house.data, "--listen", f"unix:path={self.house.dir}/x"]
            )
            self.assertEqual((refused.code, refused.out), (1, ""))
            self.assertIn(words, refused.err)
            self.assertEqual(len(refused.err.splitlines()), 1)
        self.house.start_daemon()

    def test_it_is_shown_to_people(self):
        self.laid_down("--hours", "Mon-Fri 08:00-18:00", "--hours", "Sat 10:00-12:00", "--longest-session", "900")
        shown = self.house.must("policy", "show")
        self.assertRegex(shown, r"RULE +VAULT +THIS MACHINE\n")
        self.assertRegex(shown, r"hours \(UTC\) +Mon-Fri 08:00-18:00; Sat 10:00-12:00 +any\n")
        self.assertRegex(shown, r"longest-session +900 s +any\n")


if __name__ == "__main__":
    unittest.main()
