"""Runs every peer of this directory as a process of its own and counts what came of it.

A peer is `test_*.py` (unittest) or `*_peer.py` (a plain script, whose exit status counts).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Most of a peer's time is waiting for a program, a token or the next TOTP step: two of them leave both cores idle.
AT_ONCE = 4
SLOWEST_FIRST = ("test_unplugged", "test_transcript", "test_demo", "test_quorum", "test_card_keyslots")


def peers(wanted: list[str]) -> list[Path]:
    found = sorted({*HERE.glob("test_*.py"), *HERE.glob("*_peer.py")})
    unknown = set(wanted) - {path.stem for path in found}
    if unknown:
        sys.exit(f"no such peer: {', '.join(sorted(unknown))}")
    chosen = [path for path in found if not wanted or path.stem in wanted]
    return sorted(chosen, key=lambda path: path.stem not in SLOWEST_FIRST)


def counts(output: str, status: int) -> tuple[int, int, int]:
    """Passed, failed and skipped, as unittest says them; a plain script is one test."""
    ran = re.search(r"^Ran (\d+) tests? in ", output, re.MULTILINE)
    if ran is None:
        return (1, 0, 0) if status == 0 else (0, 1, 0)
    verdict = output[ran.end() :]
    number = {
        word: int(count)
        for word, count in re.findall(
            r"(failures|errors|unexpected successes|skipped)=(\d+)", verdict
        )
    }
    skipped = number.pop("skipped", 0)
    failed = sum(number.values())
    if status != 0 and failed == 0:
        failed = 1
    # A failing setUpClass counts as an error without having run.
    return max(int(ran[1]) - failed - skipped, 0), failed, skipped


def run(path: Path) -> tuple[Path, str, int, float]:
    began = time.monotonic()
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        cwd=HERE,
    )
    return path, done.stdout, done.returncode, time.monotonic() - began


def main() -> None:
    chosen = peers(sys.argv[1:])
    total = [0, 0, 0]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for path, output, status, took in pool.map(run, chosen):
            result = counts(output, status)
            total = [a + b for a, b in zip(total, result, strict=True)]
            print(f"{path.stem}: {'ok' if status == 0 else 'FAILED'} ({result[0]} passed, {took:.0f} s)")
            if status != 0 or result[2]:
                print(output, flush=True)
    passed, failed, skipped = total
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
