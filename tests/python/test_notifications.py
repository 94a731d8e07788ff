"""Prompts as notifications of a real desktop service: dunst, on a screen that nobody looks at."""

from __future__ import annotations

import json
import signal
import unittest

from desktop import Desktop
from fakes import PATIENCE
from house import PIN, HouseCase
from screens import AgentScreen

REASON = "<b>harm\u202eless</b> &amp; <img src=x>"
SHOWN = "&lt;b&gt;harm\ufffdless&lt;/b&gt; &amp;amp; &lt;img src=x&gt;"
CRITICAL = 2


class NotificationCase(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.desktop = Desktop()
        self.addCleanup(self.desktop.close)
        self.desktop.start()
        self.house.token.tell("mode demand")
        self.touches = self.house.token.touches()

    def end(self, client) -> tuple[int, str, str]:
        out, err = client.communicate(timeout=PATIENCE)
        return client.returncode, out.decode(), err.decode()

    def notified(self) -> tuple[str, str, list, dict]:
        """Heading, text, actions and hints of the next one."""
        program, _, _, heading, text, actions, hints, timeout = self.desktop.heard("Notify")
        self.assertEqual((program, timeout), ("rootseal", 0))
        return heading, text, actions, {key: value for key, (_, value) in hints.items()}

    def assert_closed(self) -> None:
        """By us, and not by a person or by itself."""
        self.assertEqual(self.desktop.heard("NotificationClosed")[1], 3)
        self.assertEqual(self.desktop.shown(), 0)


class OfAnAgent(NotificationCase):
    def setUp(self) -> None:
        super().setUp()
        self.screen = AgentScreen(self.house, "--notify", **self.desktop.environment())
        self.addCleanup(self.screen.close)

    def until_touch(self, *options: str):
        client = self.house.start(*options, "credentials", "prod-root", pin=None)
        self.screen.wait_for("tries left.*: $")
        heading, text, *_ = self.notified()
        self.assertIn("PIN", heading)
        self.assertIn("PIN of demo key", text)
        self.screen.type(f"{PIN}\r")
        heading, text, actions, hints = self.notified()
        while "Touch" not in text:
            heading, text, actions, hints = self.notified()
        self.assertIn("root of prod (1111-2222-3333)", text)
        self.assertEqual((actions, hints["urgency"]), (["refuse", "Refuse"], CRITICAL))
        self.house.token.tell("wait-touch")
        return client, text

    def test_it_tells_and_is_taken_away(self):
        client, _ = self.until_touch()
        self.assertEqual(self.desktop.shown(), 1)
        self.house.token.tell("touch")
        code, out, err = self.end(client)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("SessionToken", json.loads(out))
        self.assert_closed()

    def test_its_button_refuses(self):
        client, _ = self.until_touch()
        self.desktop.ask("action")
        code, out, err = self.end(client)
        self.assertEqual((code, out), (4, ""), err)
        self.house.token.tell("wait-idle")
        self.assertEqual(self.house.token.touches(), self.touches)
        self.screen.wait_for(self.screen.IDLE)
        (record,) = json.loads(self.house.must("--json", "audit", "show", "--last", "1"))
        self.assertEqual((record["outcome"], record["reason"]), ("refused", "Cancelled"))

    def test_to_dismiss_it_is_no_answer(self):
        client, _ = self.until_touch()
        self.desktop.ask("close")
        self.house.token.tell("touch")
        self.assertEqual(self.end(client)[0], 0)

    def test_a_refusal_elsewhere_takes_it_away(self):
        client, _ = self.until_touch()
        self.screen.type("n")
        self.assertEqual(self.end(client)[0], 4)
        self.assert_closed()

    def test_a_reason_is_text_and_not_markup(self):
        client, text = self.until_touch("--reason", REASON)
        self.assertIn(SHOWN, text)
        self.house.token.tell("touch")
        self.assertEqual(self.end(client)[0], 0)
        self.assert_closed()
        # As the service shows it: escaped once, by us.
        self.assertTrue(any(SHOWN in one["message"] for one in self.desktop.history()))

    def test_a_service_that_vanishes_holds_nobody_up(self):
        client, _ = self.until_touch()
        self.desktop.end()
        self.house.token.tell("touch")
        self.assertEqual(self.end(client)[0], 0)
        # Nor does one that is gone: the terminal shows it all the same.
        self.house.must("lock")
        client = self.house.start("unlock", pin=None)
        self.screen.wait_for("tries left.*: $")
        self.screen.type("\x1b")
        self.assertEqual(self.end(client)[0], 4)

    def test_a_service_that_hangs_holds_nobody_up(self):
        client, _ = self.until_touch()
        self.desktop.pause(signal.SIGSTOP)
        self.addCleanup(self.desktop.pause, signal.SIGCONT)
        self.house.token.tell("touch")
        self.assertEqual(self.end(client)[0], 0)


class OfACommand(NotificationCase):
    """`credentials` as an SDK calls it, with no terminal and no pinentry: the touch is explained on the desktop."""

    def ask(self):
        # The PIN comes from an agent without a notification, or nothing could be typed.
        screen = AgentScreen(self.house)
        self.addCleanup(screen.close)
        client = self.house.start("credentials", "prod-root", pin=None, **self.desktop.environment())
        screen.wait_for("tries left.*: $")
        screen.type(f"{PIN}\r")
        heading, text, *_ = self.notified()
        self.assertIn("Touch demo key", text)
        self.house.token.tell("wait-touch")
        return client

    def test_it_tells_and_is_taken_away(self):
        client = self.ask()
        self.house.token.tell("touch")
        code, out, err = self.end(client)
        self.assertEqual((code, err), (0, ""))
        self.assert_closed()

    def test_its_button_refuses(self):
        client = self.ask()
        self.desktop.ask("action")
        code, out, err = self.end(client)
        self.assertEqual((code, out), (4, ""))
        self.assertRegex(err, r"^rootseal: refused at the prompt\n$")
        self.assertEqual(self.house.token.touches(), self.touches)

    def test_a_pin_cannot_be_typed_there(self):
        refused = self.house.run("credentials", "prod-root", **self.desktop.environment())
        self.assert_refused(refused, 4, "neither a terminal nor a pinentry", "--pin-file")
        self.assertEqual(self.house.token.touches(), self.touches)


class WithoutAService(HouseCase):
    def test_it_is_said(self):
        desktop = Desktop()
        self.addCleanup(desktop.close)
        refused = self.house.run("agent", "--notify", **desktop.environment())
        self.assert_refused(refused, 4, "notification")
        refused = self.house.run("credentials", "prod-root", **desktop.environment())
        self.assert_refused(refused, 4, "rootseal agent")


if __name__ == "__main__":
    unittest.main()
