"""A wall clock that jumps while the boot clock goes on: nothing is served until somebody has confirmed the time."""

from __future__ import annotations

import unittest

from clocks import ClockCase
from house import PIN

JUMP = 400


class Clock(ClockCase):
    def test_forward(self):
        self.house.must("credentials", "prod-root", pin=PIN)
        self.clocks.set(JUMP)
        touches = self.house.token.touches()
        self.assert_refused(self.house.run("credentials", "prod-root"), 4)
        self.assertEqual(self.house.token.touches(), touches)
        before = self.house.root.code(offset=JUMP)
        result = self.house.run("totp", "code", "prod", pin=PIN)
        code = self.assert_done(result).strip()
        self.assertRegex(result.err, r"clock jumped by (39\d|40\d) s: touch only if it is now \d{4}-\d\d-\d\d")
        self.assertIn(code, (before, self.house.root.code(offset=JUMP)))
        # Confirmed by that touch: the session is served again.
        self.house.must("credentials", "prod-root")

    def test_back(self):
        self.house.must("credentials", "prod-root", pin=PIN)
        self.clocks.set(-JUMP)
        touches = self.house.token.touches()
        self.assert_refused(self.house.run("credentials", "prod-root"), 4)
        # Its step, by the clock that was set back, lies before one that was given out.
        self.assert_refused(self.house.run("totp", "code", "prod", pin=PIN), 1, "clock")
        self.assertEqual(self.house.token.touches(), touches)


if __name__ == "__main__":
    unittest.main()
