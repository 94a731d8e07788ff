"""A terminal with somebody before it who reads and types: the far end of a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import re
import select
import subprocess
import termios

from fakes import PATIENCE, stop
from house import BIN, House

LOCAL_MODES = 3
ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>])")


class Screen:
    """What a program shows, as it comes, and the keys."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()
        self.name = os.ttyname(self.theirs)
        self.shown = b""

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)

    def wait_for(self, pattern: str) -> str:
        """Until that is there, from where the last one ended; returns what was shown up to its end."""
        while not (found := re.search(pattern.encode(), ESCAPES.sub(b"", self.shown), re.DOTALL)):
            if not select.select([self.ours], [], [], PATIENCE)[0]:
                raise AssertionError(f"not shown: {pattern}; but {self.shown!r}")
            self.shown += os.read(self.ours, 4096)
        plain = ESCAPES.sub(b"", self.shown)
        self.shown = plain[found.end() :]
        return plain[: found.end()].decode()

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def modes(self) -> list:
        return termios.tcgetattr(self.theirs)

    def echoes(self) -> bool:
        return bool(self.modes()[LOCAL_MODES] & termios.ECHO)


class AgentScreen(Screen):
    """`rootseal agent` on a terminal of its own, ready."""

    IDLE = "Prompts appear here; q ends this agent."

    def __init__(self, house: House, *options: str, **env: str):
        super().__init__()
        self.before = self.modes()
        self.process = subprocess.Popen(
            [BIN / "rootseal", "agent", *options],
            stdin=self.theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=house.environment(**env),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(self.theirs, termios.TIOCSCTTY, 0),
        )
        self.wait_for(self.IDLE)

    def close(self) -> None:
        if self.process.poll() is None:
            stop(self.process)
        self.process.stdout.close()
        self.process.stderr.close()
        super().close()

    def end(self) -> tuple[int, str]:
        """How it ended, and what it said on standard error."""
        out, err = self.process.communicate(timeout=PATIENCE)
        if out:
            raise AssertionError(f"on standard output: {out!r}")
        return self.process.returncode, err.decode()
