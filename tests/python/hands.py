"""The hands on a virtual token: what its control socket can do."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from fakes import PATIENCE


class Hands:
    """Plugs, pulls and touches one token, and has it do things wrong."""

    def __init__(self, control: Path):
        self._control = control

    def tell(self, command: str) -> str:
        """Gives a control command; returns its one line of answer."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            line.connect(str(self._control))
            line.sendall(f"{command}\n".encode())
            answer = line.makefile().readline().strip()
        if not answer or answer.startswith("error"):
            raise AssertionError(f"virtual token, {command}: {answer!r}")
        return answer

    def status(self) -> dict:
        return json.loads(self.tell("status"))

    def touches(self) -> int:
        return self.status()["touches"]
