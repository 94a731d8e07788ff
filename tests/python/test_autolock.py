"""The vault locks by itself, and with it goes all that an unlocked one gives without a touch."""

from __future__ import annotations

import json
import time
import unittest

from house import PIN
from message_bus import NAME, VAULT, BusCase, Client


class Autolock(BusCase):
    def locked_by_itself(self, lines: str) -> None:
        """With these lines in the configuration, after a session that would be good for an hour."""
        self.house.lock_config = f"{lines}\n"
        self.house.restart_daemon()
        listener = Client(self.bus_address)
        self.addCleanup(listener.close)
        listener.of_bus("AddMatch", "s", f"type='signal',sender='{NAME}'")
        self.assert_done(self.house.run("credentials", "prod-root", pin=PIN))
        for state in ("unlocked", "locked"):
            listener.signal(
                lambda path, member, body, state=state: (path, member) == (VAULT, "PropertiesChanged")
                and body[1].get("State") == ("s", state)
            )
        self.assertIsNone(json.loads(self.house.must("status", "--json"))["lock_deadline"])
        refused = self.house.run("--no-prompt", "credentials", "prod-root")
        self.assert_refused(refused, 4)

    def test_when_it_was_not_used_for_a_while(self):
        self.locked_by_itself("idle_seconds = 1\nlongest_seconds = 0")

    def test_however_much_it_is_used(self):
        self.locked_by_itself("idle_seconds = 0\nlongest_seconds = 1")

    def test_a_use_puts_it_off_and_the_deadline_is_told(self):
        now = int(time.time())
        deadline = json.loads(self.house.must("status", "--json"))["lock_deadline"]
        self.assertGreater(deadline, now)
        self.assertRegex(self.house.must("status"), r"closes +in \d+ min")

    def test_it_stays_open_where_that_is_wanted(self):
        self.house.lock_config = "idle_seconds = 0\nlongest_seconds = 0\n"
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        self.assertIsNone(json.loads(self.house.must("status", "--json"))["lock_deadline"])

    def test_a_limit_that_is_none_is_refused_with_its_line(self):
        config = self.house.file("odd.toml", "[lock]\nidle_seconds = -1\n")
        odd = self.house.execute([*self.house.daemon_argv()[:1], "--config", config])
        self.assertNotEqual(odd.code, 0)
        self.assertRegex(odd.err, "line 2")


if __name__ == "__main__":
    unittest.main()
