"""The daemon's memory, searched for every secret after each thing that it does with them."""

from __future__ import annotations

import os
import re
import signal
import unittest
from pathlib import Path

import memory
import secrets_of
from house import PIN, HouseCase


@unittest.skipUnless(os.geteuid() == 0, "reading the memory of a process that is not dumpable takes root")
class Memory(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        # What may lie nowhere at any time at which nothing is being done with it; and what an open index needs.
        self.guarded, unlocked = secrets_of.vault_keys(self.house)
        self.guarded |= secrets_of.long_lived(self.house)
        self.guarded |= secrets_of.signing_keys(self.house.root.secret)
        self.guarded = secrets_of.with_pads(self.guarded)
        self.unlocked = secrets_of.with_pads(unlocked)

    def assert_nowhere(self, needles: dict[str, bytes]) -> None:
        hits, looked_at = memory.search(self.house.daemon_pid, needles)
        self.assertGreater(looked_at, 1 << 20, "the memory was read")
        self.assertEqual([f"{hit.what} at {hit.where}" for hit in hits], [])

    def assert_only_in_locked_memory(self, needles: dict[str, bytes]) -> None:
        """Where the kernel has no secret memory, the arena can be read, and is locked."""
        hits, _ = memory.search(self.house.daemon_pid, needles)
        self.assertEqual([f"{hit.what} at {hit.where}" for hit in hits if not hit.locked], [])

    def test_the_search_finds_what_is_there(self):
        # The vault's path is no secret and lies in the daemon's heap.
        path = str(self.house.vault).encode()
        hits, _ = memory.search(self.house.daemon_pid, {"path": path})
        self.assertNotEqual(hits, [])

    def test_after_import(self):
        """The house was furnished by this very process: init, key import, totp add."""
        self.assert_nowhere(self.guarded)
        self.assert_only_in_locked_memory(self.unlocked)

    def test_after_unlock_and_lock(self):
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        self.assert_nowhere(self.guarded)
        self.assert_only_in_locked_memory(self.unlocked)
        self.house.must("lock")
        self.assert_nowhere(self.guarded | self.unlocked)

    def test_after_a_code(self):
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        code = self.house.must("totp", "code", "prod", pin=PIN).strip()
        self.assert_nowhere(self.guarded | {"code": code.encode()})
        self.assert_only_in_locked_memory(self.unlocked)

    def test_after_a_session(self):
        self.house.restart_daemon()
        # Locked: both locks are opened with one touch.
        printed = self.house.must("credentials", "prod-root", pin=PIN)
        session = secrets_of.of_session(printed)
        self.assert_nowhere(self.guarded)
        self.assert_only_in_locked_memory(self.unlocked | session)
        # Handed out again, from the cache.
        self.assertEqual(self.house.must("credentials", "prod-root"), printed)
        self.assert_only_in_locked_memory(self.unlocked | session)
        self.house.must("lock")
        self.assert_nowhere(self.guarded | self.unlocked | session)

    def test_after_wrong_and_right_pins(self):
        # Digits of which no other number in the process is likely made.
        pin = "918273645546372819"
        wrong = self.house.run("totp", "code", "prod", pin=pin)
        self.assertEqual(wrong.code, 4, wrong)
        self.assert_nowhere({"wrong PIN": pin.encode()})

    def test_the_process_is_hardened(self):
        pid = self.house.daemon_pid
        limits = Path(f"/proc/{pid}/limits").read_text()
        self.assertRegex(limits, r"(?m)^Max core file size +0 +0 ")
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        self.assertEqual(status["NoNewPrivs"].strip(), "1")
        # The files of a process that is not dumpable belong to root whoever runs it; as root that is
        # not to be told apart, but its own view is: see test_permissions.
        names = [mapping.name for mapping in memory.mappings(pid)]
        locked = int(re.sub(r"\D", "", status["VmLck"]))
        self.assertTrue(any("secretmem" in name for name in names) or locked > 0, names)
        self.house.must("lock")
        names = [mapping.name for mapping in memory.mappings(pid)]
        self.assertEqual([name for name in names if "secretmem" in name], [], "absent while locked")

    def test_at_the_end_everything_is_wiped_before_the_process_goes(self):
        printed = self.house.must("credentials", "prod-root", pin=PIN)
        pid = self.house.daemon_pid
        with Stopped(self, pid, signal.SIGTERM):
            needles = self.guarded | self.unlocked | secrets_of.of_session(printed)
            self.assert_nowhere(needles)
            names = [mapping.name for mapping in memory.mappings(pid)]
            self.assertEqual([name for name in names if "secretmem" in name], [])


class Stopped:
    """A process that was told to end, held at the door by ptrace: it cannot leave until we let it."""

    def __init__(self, case: unittest.TestCase, pid: int, how: int):
        self.case, self.pid, self.how = case, pid, how

    def __enter__(self):
        import ctypes

        self.libc = ctypes.CDLL(None, use_errno=True)
        SEIZE, OPTION_EXIT = 0x4206, 0x40
        # Every thread reports its exit while its memory is still there; the last one is the process.
        if self.libc.ptrace(SEIZE, self.pid, None, ctypes.c_void_p(OPTION_EXIT)) != 0:
            self.case.fail(f"ptrace: {os.strerror(ctypes.get_errno())}")
        os.kill(self.pid, self.how)
        while True:
            _, status = os.waitpid(self.pid, 0x40000000)  # __WALL
            self.case.assertTrue(os.WIFSTOPPED(status), status)
            if status >> 16 == 6:  # PTRACE_EVENT_EXIT
                return self
            self.libc.ptrace(7, self.pid, None, ctypes.c_void_p(os.WSTOPSIG(status)))

    def __exit__(self, *_):
        import ctypes

        self.libc.ptrace(7, self.pid, None, None)  # PTRACE_CONT


if __name__ == "__main__":
    unittest.main()
