"""Why somebody asks: in the prompt and in the audit log, and demanded where the policy says so."""

from __future__ import annotations

import json
import unittest

from house import PIN, HouseCase

WHY = "ticket 4711: the console is down <b>&amp;"


class Reason(HouseCase):
    def records(self, last: int) -> list[dict]:
        return json.loads(self.house.must("--json", "audit", "show", "--last", str(last)))

    def last_record(self) -> dict:
        return self.records(1)[0]

    def test_it_is_shown_before_the_touch_and_kept(self):
        for command in (("totp", "code", "prod"), ("credentials", "prod-root"), ("keyslot", "check"), ("keyslot", "rekey")):
            done = self.house.run("--reason", WHY, *command, pin=PIN)
            self.assert_done(done)
            self.assertIn(f", because: {WHY}", done.err)
            # New keys have a record of their own after it.
            self.assertIn(WHY, [record.get("why") for record in self.records(2)], command)
        self.house.must("lock")
        self.assertIn(f", because: {WHY}", self.house.run("--reason", WHY, "unlock", pin=PIN).err)
        self.assertEqual(self.last_record()["why"], WHY)
        self.house.must("totp", "code", "prod", pin=PIN)
        self.assertIsNone(self.last_record().get("why"))

    def test_what_no_screen_should_show_is_refused_before_anything_blinks(self):
        touches = self.house.token.touches()
        for odd in ("", "a" * 257, "a\nb", "\x1b[2Jgone", "\x07", "\x9b2J"):
            refused = self.house.run("--reason", odd, "totp", "code", "prod", pin=PIN)
            self.assert_refused(refused, 2, "reason")
        # As long as the system lets an argument be.
        self.assertNotEqual(self.house.run("--reason", "a" * 100_000, "totp", "code", "prod", pin=PIN).code, 0)
        self.assertEqual(self.house.token.touches(), touches)

    def test_what_turns_a_line_around_is_not_shown_as_it_is(self):
        done = self.house.run("--reason", "harm\u202eless", "keyslot", "check", pin=PIN)
        self.assert_done(done)
        self.assertNotIn("\u202e", done.err)
        self.assertNotIn("\u202e", self.house.must("audit", "show", "--last", "1"))

    def test_a_policy_demands_it_of_whoever_uses_what_is_guarded(self):
        self.house.tokens_config = "[policy]\ndemand_reason = true\n"
        self.house.restart_daemon()
        touches = self.house.token.touches()
        self.house.must("unlock", pin=PIN)
        for command in (("totp", "code", "prod"), ("credentials", "prod-root"), ("keyslot", "rekey")):
            self.assert_refused(self.house.run(*command, pin=PIN), 2, "--reason")
        self.assertEqual(self.house.token.touches(), touches + 1)
        refused = self.last_record()
        self.assertEqual((refused["outcome"], refused["reason"]), ("refused", "InvalidArgument"))
        self.assert_done(self.house.run("--reason", WHY, "totp", "code", "prod", pin=PIN))


if __name__ == "__main__":
    unittest.main()
