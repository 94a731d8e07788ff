"""Replies that no healthy service gives, one request each.

The fault file holds one fault a line; each request takes the first line away:

    garbage               200 with bytes that are no XML
    no-credentials        200 with the right envelope and nothing in it
    truncated             the true reply, its connection cut in the middle
    huge                  200 with 64 MiB of XML
    http500               500 InternalFailure, not carried out
    throttled             400 Throttling, not carried out
    drop                  the connection closed without a reply, not carried out
    slow-until-file FIFO  the true reply, held until somebody opens FIFO for writing
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from wire import AwsError

NOT_CARRIED_OUT = {
    "http500": AwsError(
        500,
        "InternalFailure",
        "The request processing has failed because of an unknown error, exception or failure.",
    ),
    "throttled": AwsError(400, "Throttling", "Rate exceeded"),
}
MANGLED = {"garbage", "no-credentials", "truncated", "huge"}
HUGE = 64 * 1024 * 1024


class FaultQueue:
    """The faults still to come."""

    def __init__(self, path: str | None):
        self._path = Path(path) if path else None
        self._lock = threading.Lock()

    def take(self) -> list[str]:
        """The next fault and its argument, or nothing."""
        if self._path is None:
            return []
        with self._lock:
            try:
                lines = self._path.read_text().splitlines()
            except FileNotFoundError:
                return []
            if not lines:
                return []
            rest = self._path.with_name(self._path.name + ".rest")
            rest.write_text("".join(line + "\n" for line in lines[1:]))
            os.replace(rest, self._path)
        return lines[0].split(maxsplit=1)


def hold(fifo: str) -> None:
    """Opening a FIFO for reading waits for its writer, and reading it for the writer's end: no timer."""
    with open(fifo, "rb") as held:
        held.read()


def huge_pieces():
    """`HUGE` bytes that begin like a reply."""
    head = b"<GetSessionTokenResponse><GetSessionTokenResult><Credentials><SessionToken>"
    yield head
    left = HUGE - len(head)
    block = b"A" * 65536
    while left > 0:
        yield block[:left]
        left -= len(block)
