"""The demo as a newcomer runs it, with a terminal and without: it works and leaves nothing."""

from __future__ import annotations

import os
import pty
import subprocess
import tempfile
import unittest

from fakes import ROOT
from house import BIN

DEMO = ROOT / "demo" / "demo.sh"


class Demo(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="rs-demo-", dir="/tmp")
        # Fails if the demo left something behind.
        self.addCleanup(os.rmdir, self.directory)
        self.environment = os.environ | {"ROOTSEAL_BIN": str(BIN), "TMPDIR": self.directory}

    def check(self, output: str, status: int) -> None:
        self.assertEqual(status, 0, output)
        self.assertIn("arn:aws:iam::111122223333:root", output)
        self.assertIn("exit code 4", output)

    def test_without_a_terminal(self):
        done = subprocess.run(
            [DEMO],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            start_new_session=True,
        )
        self.check(done.stdout, done.returncode)

    def test_on_a_terminal(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(DEMO, [str(DEMO)], self.environment)
        shown = b""
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break  # EIO: the demo has gone
            if not piece:
                break
            shown += piece
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        self.check(shown.decode(errors="replace"), os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    unittest.main()
