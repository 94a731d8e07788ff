"""The wall clock is set while a request waits: for a code that was not given out yet, or for a touch."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import unittest

from clocks import ClockCase
from fakes import PATIENCE
from house import PIN

JUMP = 400
# So far back that the next code is more than a minute away, and not so far that nobody would wait for it.
BACK = 80


class ClockSet(ClockCase):
    def records(self) -> list[dict]:
        return [json.loads(line) for line in (self.house.data / "audit.log").read_text().splitlines()]

    def start(self, *args) -> subprocess.Popen:
        client = self.house.start(*args)
        self.addCleanup(client.communicate, timeout=PATIENCE)
        self.addCleanup(client.kill)
        return client

    def end(self, client) -> tuple[int, str, str]:
        out, err = client.communicate(timeout=PATIENCE)
        return client.returncode, out.decode(), err.decode()

    def assert_clock_jumped(self, client, words: str) -> None:
        code, out, err = self.end(client)
        self.assertEqual((code, out), (1, ""), err)
        self.assertRegex(err, words)
        last = self.records()[-1]
        self.assertEqual((last["outcome"], last["reason"]), ("refused", "ClockJumped"))

    def wait_for_a_code(self) -> subprocess.Popen:
        """A client that was told to wait for the next code, by a clock that is BACK seconds late."""
        self.house.must("totp", "code", "prod", pin=PIN)
        self.clocks.set(-BACK)
        client = self.start("totp", "code", "prod")
        told = client.stderr.readline().decode()
        self.assertRegex(told, re.compile(r"waiting \d+ s for the next code", re.IGNORECASE))
        return client

    def test_back_while_a_code_is_waited_for(self):
        touches = self.house.token.touches()
        client = self.wait_for_a_code()
        self.clocks.set(-JUMP)
        self.assert_clock_jumped(client, "clock")
        self.assertEqual(self.house.token.touches(), touches + 1, "the first code's")

    def test_forward_while_a_code_is_waited_for(self):
        client = self.wait_for_a_code()
        # No timer runs out by itself: the wait that was told at first is never over.
        self.clocks.hold()
        self.clocks.set(30)
        before = self.house.root.code(offset=30)
        # The daemon may have been told to hold its timers before it set this one: a few of its short steps, which
        # together are much less than what was told at first.
        for _ in range(BACK // 4):
            self.clocks.step(2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(timeout=1)
                break
        code, out, err = self.end(client)
        self.assertEqual(code, 0, err)
        self.assertIn(out.strip(), (before, self.house.root.code(offset=30)))

    def ask_for_a_touch(self, *args) -> subprocess.Popen:
        self.house.token.tell("mode demand")
        client = self.start(*args)
        self.house.token.tell("wait-touch")
        return client

    def jump_before_the_touch(self, seconds: int, *args) -> None:
        client = self.ask_for_a_touch(*args)
        self.clocks.set(seconds)
        self.house.token.tell("touch")
        self.assert_clock_jumped(client, "jumped while the prompt was shown")
        self.house.token.tell("mode auto")

    def assert_next_try_works(self, *args) -> str:
        """Its prompt says what the touch confirms."""
        result = self.house.run(*args, pin=PIN)
        self.assertRegex(result.err, r"clock jumped by -?\d+ s: touch only if it is now")
        return self.assert_done(result)

    def test_between_prompt_and_touch_of_a_code(self):
        for seconds in (JUMP, -JUMP):
            with self.subTest(seconds=seconds):
                self.jump_before_the_touch(seconds, "totp", "code", "prod")
        before = self.house.root.code(offset=-JUMP)
        code = self.assert_next_try_works("totp", "code", "prod").strip()
        self.assertIn(code, (before, self.house.root.code(offset=-JUMP)))

    def test_between_prompt_and_touch_of_a_session(self):
        self.jump_before_the_touch(JUMP, "credentials", "prod-root")
        self.assertEqual(self.house.aws.requests(), [])
        self.clocks.set(0)
        session = self.house.must("credentials", "prod-root", pin=PIN)
        self.assertEqual(json.loads(session)["Version"], 1)


if __name__ == "__main__":
    unittest.main()
