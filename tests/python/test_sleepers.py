"""Agents that sleep: one that does not answer holds up nobody but its own user, and that only for a moment."""

from __future__ import annotations

import json
import unittest

from house import PIN
from message_bus import VAULT, BusCase


class Sleepers(BusCase):
    def test_through_done(self):
        sleeper = self.agent(pin=PIN, asleep=("Done",))
        touches = self.house.token.touches()
        # Without a terminal and a PIN file, nobody but the sleeper can be asked.
        session = self.house.must("credentials", "prod-root")
        self.assertIn("SessionToken", json.loads(session))
        sleeper.wait_for("Done")
        self.house.must("lock")
        self.client().call(VAULT, "org.rootseal.Vault1.Unlock", "a{sv}", {})
        sleeper.wait_for("RequestPin")
        sleeper.wait_for("Done")
        self.assertEqual(self.house.state(), "unlocked")
        self.assertEqual(self.house.token.touches(), touches + 2)

    def test_through_the_announcement_of_a_touch_that_another_has_shown(self):
        sleeper = self.agent(pin=None, asleep=("RequestTouch",))
        awake = self.agent(pin=PIN)
        session = self.house.must("credentials", "prod-root")
        self.assertIn("SessionToken", json.loads(session))
        for agent in (sleeper, awake):
            agent.wait_for("RequestTouch")
            agent.wait_for("Done")


if __name__ == "__main__":
    unittest.main()
