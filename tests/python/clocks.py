"""The daemon's clocks in the hands of a test: the wall clock jumps, and no timer runs out."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from house import HouseCase


class Clocks:
    """What a process started with `environment` takes for the time. The boot clock stays as it is."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rootseal-clocks-", dir="/tmp")
        library = Path(self._folder.name, "clocks.so")
        source = Path(__file__).with_name("clocks.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        self.environment = {"LD_PRELOAD": str(library), "CLOCKS": self._folder.name}

    def set(self, seconds: int) -> None:
        """The wall clock is this far ahead of the true time."""
        self._say("wall", seconds)

    def hold(self) -> None:
        """From now on no timer runs out."""
        self._still = int(time.clock_gettime(time.CLOCK_MONOTONIC)) + 1
        self._say("still", self._still)

    def step(self, seconds: int) -> None:
        """Those timers run out that have no longer to go than this."""
        self._still += seconds
        self._say("still", self._still)

    def close(self) -> None:
        self._folder.cleanup()

    def _say(self, name: str, number: int) -> None:
        # Renamed into place: nobody reads half a number.
        new = Path(self._folder.name, "new")
        new.write_text(str(number))
        os.replace(new, new.with_name(name))


class ClockCase(HouseCase):
    """A house whose daemon takes the time from us."""

    def setUp(self) -> None:
        self.clocks = Clocks()
        self.addCleanup(self.clocks.close)
        self.house_options = {**self.house_options, "daemon_environment": self.clocks.environment}
        super().setUp()
