"""Other users than root, and a daemon of theirs."""

from __future__ import annotations

import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from fakes import PATIENCE, spawn, stop
from house import BIN, Result


def as_user(name: str) -> list[str]:
    user = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups", "--"]


class Daemon:
    """rootseald under a user of its own, and that user's client."""

    def __init__(self, user: str):
        self._user = user
        self.dir = Path(tempfile.mkdtemp())
        shutil.chown(self.dir, user)
        self._address = f"unix:path={self.dir}/bus"
        argv = [*as_user(user), BIN / "rootseald", "--config", "/dev/null", "--data-dir", self.dir / "data"]
        self._process, _ = spawn([*argv, "--listen", self._address], self.dir, "rootseald")

    def run(self, *args: str) -> Result:
        argv = [*as_user(self._user), BIN / "rootseal", "--address", self._address, *args]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        return Result(done.returncode, done.stdout, done.stderr)

    def stop(self) -> None:
        stop(self._process)
        shutil.rmtree(self.dir)
