"""A command without a terminal asks by pinentry: the real ones, and some that are none."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from fakes import PATIENCE
from house import PIN, HouseCase
from screens import Screen

WRONG = "654321"
CANARY = "canary-that-no-window-needs"


class PinentryCase(HouseCase):
    program = "pinentry-tty"

    def setUp(self) -> None:
        super().setUp()
        self.screen = Screen()
        self.addCleanup(self.screen.close)
        self.before = self.screen.modes()
        self.seen = self.house.dir / "pinentry.seen"
        self.touches = self.house.token.touches()

    def where(self) -> dict[str, str]:
        """A place to show a window at, and a pinentry that notes each of its starts."""
        noting = f"#!/bin/sh\necho $$ >> {self.seen}\nexec {self.program} \"$@\"\n"
        return {
            "GPG_TTY": self.screen.name,
            "TERM": "xterm",
            "PINENTRY_PROGRAM": str(self.script(noting, "noting.sh")),
        }

    def script(self, text: str, name: str = "pinentry.sh") -> Path:
        path = self.house.file(name, text)
        path.chmod(0o700)
        return path

    def started(self) -> list[int]:
        return [int(pid) for pid in self.seen.read_text().split()] if self.seen.exists() else []

    def ask(self, *args: str) -> subprocess.Popen:
        return self.house.start(*args, pin=None, **self.where())

    def end(self, client: subprocess.Popen) -> tuple[int, str, str]:
        out, err = client.communicate(timeout=PATIENCE)
        return client.returncode, out.decode(), err.decode()

    def assert_gone(self) -> None:
        """No window is left, and the terminal is as it was."""
        self.assertTrue(self.started())
        for pid in self.started():
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except FileNotFoundError:
                continue
            self.assertEqual(state, "Z", "it has ended, if nobody took notice yet")
        self.assertEqual(self.screen.modes(), self.before)

    def assert_refused_by_person(self, client: subprocess.Popen) -> None:
        code, out, err = self.end(client)
        self.assertEqual((code, out), (4, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn("refused", err)
        self.assert_gone()
        self.house.token.tell("wait-idle")
        self.assertEqual(self.house.token.touches(), self.touches)
        self.assertEqual(self.house.aws.requests(), [])
        (record,) = json.loads(self.house.must("--json", "audit", "show", "--last", "1"))
        found = record["event"], record["outcome"], record["reason"]
        self.assertEqual(found, ("session", "refused", "Cancelled"))


class OnTerminal(PinentryCase):
    refusals = ("r",)
    cancels = ("\x04",)
    right, wrong = "8 tries left", "Wrong PIN"

    def test_pin_and_reason_are_shown_and_the_session_comes(self):
        self.house.token.tell("mode demand")
        client = self.ask("credentials", "prod-root")
        self.screen.wait_for(self.right)
        self.screen.wait_for("PIN:")
        self.screen.type(f"{PIN}\r")
        shown = self.screen.wait_for("Hide.*Refuse")
        words = re.sub(r"[^\w(),.:-]", " ", shown).split()
        # The frame of a window is drawn with letters.
        words = " ".join(word for word in words if not re.fullmatch("[jklmqx]+", word))
        self.assertIn("Touch demo key", words)
        self.assertIn("root of prod (1111-2222-3333)", words)
        self.assertIn("rootseal, started by python", words)
        self.house.token.tell("wait-touch")
        self.house.token.tell("touch")
        code, out, err = self.end(client)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("SessionToken", json.loads(out))
        self.assertNotIn(PIN, shown)
        self.assert_gone()
        self.assertEqual(len(self.started()), 2, "one for the PIN, one for the touch")

    def test_whoever_does_not_want_it_says_so_as_easily_while_the_token_waits(self):
        for keys in self.refusals:
            with self.subTest(keys=keys):
                self.house.token.tell("mode demand")
                client = self.ask("credentials", "prod-root")
                self.screen.wait_for("PIN:")
                self.screen.type(f"{PIN}\r")
                self.screen.wait_for("Hide.*Refuse")
                self.house.token.tell("wait-touch")
                self.screen.type(keys)
                self.assert_refused_by_person(client)

    def test_and_at_the_pin(self):
        for keys in self.cancels:
            with self.subTest(keys=keys):
                client = self.ask("credentials", "prod-root")
                self.screen.wait_for("PIN:")
                self.screen.type(keys)
                self.assert_refused_by_person(client)

    def test_a_wrong_pin_is_said_and_asked_for_again(self):
        client = self.ask("credentials", "prod-root")
        self.screen.wait_for("PIN:")
        self.screen.type(f"{WRONG}\r")
        self.screen.wait_for(self.wrong)
        self.screen.wait_for("PIN:")
        self.screen.type(f"{PIN}\r")
        self.assertEqual(self.end(client)[0], 0)
        self.assert_gone()

    def test_the_daemon_takes_its_question_back(self):
        client = self.ask("credentials", "prod-root")
        self.screen.wait_for("PIN:")
        self.house.must("lock")
        code, out, _ = self.end(client)
        self.assertEqual((code, out), (4, ""))
        self.assert_gone()


class Curses(OnTerminal):
    program = "pinentry-curses"
    refusals = ("\t\r",)
    cancels = ("\t\t\r",)
    # It draws: words may be apart.
    right = r"8\W+tries\W+left"
    wrong = r"Wrong\W+PIN"


class Others(PinentryCase):
    """What is started, when, and with what."""

    def test_a_reason_cannot_pass_for_anything_else(self):
        reason = "<b>harm\u202eless</b> 100% &amp; %0A"
        client = self.ask("--reason", reason, "credentials", "prod-root")
        self.screen.wait_for("PIN:")
        shown = self.screen.shown
        self.screen.type(f"{PIN}\r")
        shown = self.screen.wait_for("Hide.*Refuse").encode() + shown
        self.assertEqual(self.end(client)[0], 0)
        for harmful in ("<b>", "\u202e"):
            self.assertNotIn(harmful.encode(), shown)
        self.assertIn("100% &amp; %0A".encode(), re.sub(rb"\s+", b" ", shown))

    def test_no_prompt_starts_none(self):
        refused = self.house.run("--no-prompt", "credentials", "prod-root", **self.where())
        self.assert_refused(refused, 4, "--no-prompt")
        self.assertEqual(self.started(), [])

    def test_without_a_place_for_it_none_is_started(self):
        nowhere = self.where() | {"GPG_TTY": "/dev/null"}
        self.assert_refused(self.house.run("credentials", "prod-root", **nowhere), 4, "rootseal agent")
        self.assertEqual(self.started(), [])

    def test_a_pin_file_needs_no_window_for_the_pin(self):
        done = self.house.run("credentials", "prod-root", pin=PIN, **self.where())
        self.assert_done(done)
        self.assertEqual(len(self.started()), 1, "for the touch")

    def test_it_gets_what_it_needs_and_nothing_else(self):
        told = self.house.dir / "told"
        noting = (
            f"#!{sys.executable}\nimport json, os, sys\n"
            f"told = sys.argv, dict(os.environ), os.listdir('/proc/self/fd')\n"
            f"open({str(told)!r}, 'w').write(json.dumps(told))\n"
            "os.execvp('pinentry-tty', ['pinentry-tty'])\n"
        )
        where = self.where() | {"PINENTRY_PROGRAM": str(self.script(noting))}
        canaries = {"AWS_SECRET_ACCESS_KEY": CANARY, "LD_CANARY": CANARY, "ROOTSEAL_CANARY": CANARY}
        client = self.house.start("credentials", "prod-root", pin=None, **where, **canaries)
        self.screen.wait_for("PIN:")
        self.screen.type(f"{PIN}\r")
        self.assertEqual(self.end(client)[0], 0)
        arguments, environment, descriptors = json.loads(told.read_text())
        self.assertEqual((len(arguments), environment["GPG_TTY"]), (1, self.screen.name))
        for other in (CANARY, PIN, "AWS_", "ROOTSEAL"):
            self.assertNotIn(other, json.dumps(environment))
        # The fourth lists them.
        self.assertLessEqual(set(descriptors), {"0", "1", "2", "3"})

    def assert_cannot_ask(self, program: str, *words: str) -> None:
        touches = self.house.token.touches()
        where = self.where() | {"PINENTRY_PROGRAM": program}
        refused = self.house.run("credentials", "prod-root", **where)
        self.assert_refused(refused, 4, "pinentry cannot ask", "PINENTRY_PROGRAM", *words)
        self.assertEqual(self.house.token.touches(), touches)
        # Where somebody reads standard error, a touch is explained there.
        done = self.house.run("keyslot", "check", pin=PIN, **where)
        self.assert_done(done)
        self.assertIn("Touch demo key", done.err)

    def test_one_that_is_missing_is_said(self):
        self.assert_cannot_ask("/nonexistent/pinentry", "/nonexistent/pinentry")

    def test_one_that_speaks_nonsense_is_said(self):
        for words in ("hello", "OK hi\\nHTTP/1.1 200 OK", "D 1%zz\\nOK", "\\0377\\0377\\0000"):
            with self.subTest(words=words):
                script = f"#!/bin/sh\nprintf '%b\\n' '{words}'\ncat > /dev/null\n"
                self.assert_cannot_ask(str(self.script(script)), "protocol")
        endless = "#!/bin/sh\nyes x | tr -d '\\n'\n"
        self.assert_cannot_ask(str(self.script(endless)), "protocol")

    def test_one_that_dies_is_said(self):
        for words in ("", "OK hi\\n"):
            with self.subTest(words=words):
                self.assert_cannot_ask(str(self.script(f"#!/bin/sh\nprintf '{words}'\n")), "ended")

    def test_one_that_has_no_screen_is_said_in_its_own_words(self):
        polite = (
            "#!/bin/sh\necho OK hi\nwhile read verb rest; do case $verb in\n"
            "GETPIN|CONFIRM) echo 'ERR 83918950 No screen here <Pinentry>' ;;\n*) echo OK ;; esac; done\n"
        )
        self.assert_cannot_ask(str(self.script(polite)), "No screen here")

    def test_one_that_dies_while_the_token_waits_ends_the_request(self):
        self.house.token.tell("mode demand")
        where = self.where()
        client = self.house.start("credentials", "prod-root", pin=None, **where)
        self.screen.wait_for("PIN:")
        self.screen.type(f"{PIN}\r")
        self.screen.wait_for("Hide.*Refuse")
        self.house.token.tell("wait-touch")
        os.kill(self.started()[-1], signal.SIGKILL)
        code, out, err = self.end(client)
        self.assertEqual((code, out), (4, ""))
        self.assertRegex(err, r"^rootseal: pinentry cannot ask .*ended")
        self.house.token.tell("wait-idle")
        self.assertEqual(self.house.token.touches(), self.touches)

    def test_a_client_that_is_killed_takes_its_question_along(self):
        self.house.token.tell("mode demand")
        client = self.ask("credentials", "prod-root")
        self.screen.wait_for("PIN:")
        self.screen.type(f"{PIN}\r")
        self.screen.wait_for("Hide.*Refuse")
        self.house.token.tell("wait-touch")
        client.send_signal(signal.SIGKILL)
        self.end(client)
        self.house.token.tell("wait-idle")
        self.assertEqual(self.house.token.touches(), self.touches)


if __name__ == "__main__":
    unittest.main()
