"""Searches the memory of a process: every mapping that can be read at all.

As root this works on a process that is not dumpable too. Pages of memfd_secret(2) cannot be read by anybody
but the process itself, which is what they are for.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

PIECE = 1 << 20


class Mapping(NamedTuple):
    start: int
    end: int
    name: str
    locked: bool


class Hit(NamedTuple):
    what: str
    where: str
    locked: bool


def mappings(pid: int) -> list[Mapping]:
    found: list[Mapping] = []
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
            if head and head[4] == "[vsyscall]":
                break  # The kernel's, the last one, and beyond what pread takes.
            if head:
                found.append(Mapping(int(head[1], 16), int(head[2], 16), head[4], False))
            elif line.startswith("VmFlags:"):
                found[-1] = found[-1]._replace(locked="lo" in line.split())
    return found


def search(pid: int, needles: dict[str, bytes]) -> tuple[list[Hit], int]:
    """Where each needle lies, and how many bytes were looked at."""
    longest = max(map(len, needles.values()))
    assert min(map(len, needles.values())) >= 6, "too short to mean anything"
    hits, looked_at = [], 0
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        for mapping in mappings(pid):
            at, before = mapping.start, b""
            while at < mapping.end:
                try:
                    piece = os.pread(memory, min(PIECE, mapping.end - at), at)
                except OSError:
                    break  # [vvar], secret memory
                if not piece:
                    break
                text = before + piece
                # Most of it was never written to.
                written = text.count(0) < len(text)
                for what, needle in needles.items() if written else ():
                    found = text.find(needle)
                    while found != -1:
                        place = at - len(before) + found
                        inside = f"{mapping.name or 'anonymous'} +{place - mapping.start:#x}"
                        hits.append(Hit(what, f"{place:#x} ({inside})", mapping.locked))
                        found = text.find(needle, found + 1)
                looked_at += len(piece)
                at += len(piece)
                before = text[-(longest - 1) :]
    finally:
        os.close(memory)
    # A needle in the overlap of two pieces is seen twice.
    return sorted(set(hits)), looked_at
