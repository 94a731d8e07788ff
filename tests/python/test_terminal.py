"""The terminal is as it was when a PIN prompt ends, whatever ended it."""

from __future__ import annotations

import os
import select
import signal
import termios
import unittest

from fakes import PATIENCE
from house import PIN, HouseCase

LOCAL_MODES = 3


class Prompt(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.house.must("lock")

    def assert_given_back(self, end, *codes: int) -> str:
        """`end` is called with the client while it asks. What the terminal showed after that."""
        with self.house.asking("unlock") as (process, terminal):
            # The terminal is asked itself, not the client: it keeps the settings of whoever sets them last.
            self.assertFalse(self.echoes(terminal), "what is typed is not shown")
            end(process)
            self.assertIn(process.wait(PATIENCE), codes)
            self.assertTrue(self.echoes(terminal))
            shown = b""
            while select.select([terminal], [], [], 0)[0]:
                shown += os.read(terminal, 4096)
            return shown.decode()

    def echoes(self, terminal: int) -> bool:
        modes = termios.tcgetattr(terminal)[LOCAL_MODES]
        wanted = termios.ECHO | termios.ICANON | termios.ISIG
        self.assertIn(modes & wanted, (0, wanted))
        return modes & wanted == wanted

    def test_the_daemon_dies_or_stops(self):
        for how in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(how=how.name):
                shown = self.assert_given_back(lambda _, how=how: self.house.stop_daemon(how), 1, 3)
                self.assertIn("rootseal: ", shown)
                self.house.start_daemon()
                self.assertEqual(self.house.state(), "locked")

    def test_the_client_is_ended(self):
        for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(how=how.name):
                self.assert_given_back(lambda client, how=how: client.send_signal(how), 128 + how)

    def test_a_terminal_that_does_not_know_its_size_keeps_the_lines_above(self):
        """Its width is 0: a message was taken to fill as many rows as it has characters."""
        shown = self.house.on_terminal("unlock", typed=[PIN])
        self.assert_done(shown)
        self.assertLess(shown.err.count("\x1b[A"), 10)


if __name__ == "__main__":
    unittest.main()
