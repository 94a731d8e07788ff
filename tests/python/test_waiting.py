"""While a token waits for a touch, the daemon serves; and whoever goes away takes the question along."""

from __future__ import annotations

import json
import signal
import unittest

from clocks import ClockCase
from fakes import PATIENCE
from house import PIN


class Waiting(ClockCase):
    def ask_for_a_touch(self, *args):
        """A client whose question makes the token blink."""
        self.house.token.tell("mode demand")
        client = self.house.start(*args)
        self.house.token.tell("wait-touch")
        return client

    def end(self, client) -> tuple[int, str]:
        out, _ = client.communicate(timeout=PATIENCE)
        return client.returncode, out.decode()

    def test_a_client_that_vanishes_takes_its_question_along(self):
        touches = self.house.token.touches()
        client = self.ask_for_a_touch("totp", "code", "prod")
        # The daemon's own patience with a touch never runs out: only a cancel ends the wait.
        self.clocks.hold()
        client.send_signal(signal.SIGKILL)
        self.end(client)
        # A touch given now would still answer the question of the client that is gone: it must end first.
        self.house.token.tell("wait-idle")
        self.house.token.tell("mode auto")
        self.assertRegex(self.house.must("totp", "code", "prod", pin=PIN), r"^[0-9]{6}\n$")
        self.assertEqual(self.house.token.touches(), touches + 1)

    def test_status_and_cached_sessions_are_served_meanwhile(self):
        printed = self.house.must("credentials", "prod-root", pin=PIN)
        client = self.ask_for_a_touch("totp", "code", "prod")
        self.assertEqual(self.house.state(), "unlocked")
        again = self.house.must("credentials", "prod-root")
        self.assertEqual(json.loads(again), json.loads(printed))
        self.assertIsNone(client.poll(), "it still waits")
        self.house.token.tell("touch")
        code, out = self.end(client)
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^[0-9]{6}\n$")

    def test_locking_meanwhile_wins(self):
        client = self.ask_for_a_touch("totp", "code", "prod")
        self.house.must("lock")
        # It does not wait for the touch any more: nobody should consent to what cannot be done.
        code, out = self.end(client)
        self.assertEqual((code, out), (4, ""))
        self.assertEqual(self.house.state(), "locked")


if __name__ == "__main__":
    unittest.main()
