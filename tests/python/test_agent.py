"""`rootseal agent` at a terminal: it shows the prompts of all programs of its user, and answers them."""

from __future__ import annotations

import json
import signal
import unittest

from fakes import PATIENCE
from house import PIN, HouseCase
from message_bus import BusCase
from screens import AgentScreen

WRONG = "654321"


class AgentCase(HouseCase):
    def agent_screen(self) -> AgentScreen:
        screen = AgentScreen(self.house)
        self.addCleanup(screen.close)
        return screen

    def ask(self, *args: str):
        """As an SDK calls it: no terminal, no PIN file."""
        return self.house.start(*(args or ("credentials", "prod-root")), pin=None)

    def end(self, client) -> tuple[int, str, str]:
        out, err = client.communicate(timeout=PATIENCE)
        return client.returncode, out.decode(), err.decode()

    def assert_session(self, client) -> None:
        code, out, err = self.end(client)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("SessionToken", json.loads(out))

    def assert_refused_by_person(self, client, touches: int) -> None:
        code, out, err = self.end(client)
        self.assertEqual((code, out), (4, ""), err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.house.token.tell("wait-idle")
        self.assertEqual(self.house.token.touches(), touches)
        self.assertEqual(self.house.aws.requests(), [])
        (record,) = json.loads(self.house.must("--json", "audit", "show", "--last", "1"))
        found = record["event"], record["outcome"], record["reason"]
        self.assertEqual(found, ("session", "refused", "Cancelled"))


class Alone(AgentCase):
    def test_what_is_asked_for_is_shown_and_the_pin_typed_unseen(self):
        screen = self.agent_screen()
        self.house.token.tell("mode demand")
        client = self.ask()
        shown = screen.wait_for(r"8 tries left\).*: $")
        screen.type(f"{PIN}\r")
        shown += screen.wait_for("refuses")
        self.house.token.tell("wait-touch")
        self.house.token.tell("touch")
        self.assert_session(client)
        # What was on show is taken away.
        shown += screen.wait_for(screen.IDLE)
        for words in (
            *("PIN of demo key", "Touch demo key", "GetSessionToken, 1 h", "root of prod (1111-2222-3333)"),
            *("for uid ", "says it is: rootseal, started by python", f"pid {client.pid}", "until 20"),
        ):
            self.assertIn(words, shown)
        self.assertNotIn(PIN, shown)
        registered = json.loads(self.house.must("--json", "audit", "show"))
        self.assertIn("agent", json.dumps([record["event"] for record in registered]))

    def test_a_touch_is_refused_at_any_time_until_it_is_given(self):
        screen = self.agent_screen()
        touches = self.house.token.touches()
        self.house.token.tell("mode demand")
        for key in ("n", "\x1b", "\x03"):
            with self.subTest(key=key):
                client = self.ask()
                screen.wait_for("tries left.*: $")
                screen.type(f"{PIN}\r")
                screen.wait_for("refuses")
                self.house.token.tell("wait-touch")
                screen.type(key)
                self.assert_refused_by_person(client, touches)
                screen.wait_for(screen.IDLE)
        # It goes on.
        self.house.token.tell("mode auto")
        client = self.ask()
        screen.wait_for("tries left.*: $")
        screen.type(f"{PIN}\r")
        self.assert_session(client)

    def test_a_pin_is_refused(self):
        screen = self.agent_screen()
        touches = self.house.token.touches()
        for key in ("\x1b", "\x03", "12\x04"):
            with self.subTest(key=key):
                client = self.ask()
                screen.wait_for("tries left.*: $")
                screen.type(key)
                self.assert_refused_by_person(client, touches)
                screen.wait_for(screen.IDLE)

    def test_a_command_that_cannot_ask_itself_tells_what_the_agent_said(self):
        screen = self.agent_screen()
        client = self.ask("keyslot", "check")
        screen.wait_for("tries left.*: $")
        screen.type("\x1b")
        code, out, err = self.end(client)
        self.assertEqual((code, out), (4, ""))
        self.assertIn("refused", err)
        self.assertNotIn("--pin-file", err)

    def test_a_wait_is_shown_and_refused(self):
        screen = self.agent_screen()
        self.house.must("totp", "code", "prod", pin=PIN)
        touches = self.house.token.touches()
        client = self.ask("totp", "code", "prod")
        screen.wait_for(r"Waiting \d+ s for the next code")
        screen.type("n")
        code, out, _ = self.end(client)
        self.assertEqual((code, out, self.house.token.touches()), (4, "", touches))

    def test_a_wrong_pin_is_asked_for_again(self):
        screen = self.agent_screen()
        client = self.ask()
        screen.wait_for("8 tries left.*: $")
        screen.type(f"{WRONG}\r")
        screen.wait_for("Wrong PIN.*7 tries left.*: $")
        screen.type(f"{PIN}\r")
        self.assert_session(client)

    def test_a_command_with_a_pin_file_is_shown_too(self):
        screen = self.agent_screen()
        touches = self.house.token.touches()
        self.house.token.tell("mode demand")
        client = self.house.start("credentials", "prod-root")
        screen.wait_for("Touch demo key.*refuses")
        self.house.token.tell("wait-touch")
        screen.type("n")
        out, err = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, out), (4, b""), err)
        self.assertEqual(self.house.token.touches(), touches)

    def test_it_ends_when_it_is_told_and_leaves_the_terminal_as_it_was(self):
        for keys, code in (("q", 0), ("\x03", 0), ("\x04", 0)):
            with self.subTest(keys=keys):
                screen = self.agent_screen()
                self.assertFalse(screen.echoes())
                screen.type(keys)
                self.assertEqual(screen.end(), (code, ""))
                self.assertEqual(screen.modes(), screen.before)
        for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(how=how.name):
                screen = self.agent_screen()
                screen.process.send_signal(how)
                self.assertEqual(screen.end(), (128 + how, ""))
                self.assertEqual(screen.modes(), screen.before)

    def assert_ends_with_the_daemon(self) -> None:
        for how in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(how=how.name):
                screen = self.agent_screen()
                self.house.stop_daemon(how)
                code, err = screen.end()
                self.assertEqual(code, 3, err)
                self.assertRegex(err, r"^rootseal: rootseald went away[^\n]*\n$")
                self.assertEqual(screen.modes(), screen.before)
                self.house.start_daemon()

    def test_a_daemon_that_is_gone_ends_it(self):
        self.assert_ends_with_the_daemon()

    def test_without_a_place_to_show_anything_it_does_not_start(self):
        self.assert_refused(self.house.run("agent"), 4, "nowhere to show prompts")
        self.assert_refused(self.house.run("--no-prompt", "agent"), 4, "--no-prompt")
        self.assert_refused(self.house.run("agent", pin=PIN), 2, "--pin-file")

    def test_when_it_has_left_nobody_is_asked(self):
        screen = self.agent_screen()
        screen.type("q")
        screen.end()
        touches = self.house.token.touches()
        self.assert_refused(self.house.run("credentials", "prod-root"), 4, "rootseal agent")
        self.assertEqual(self.house.token.touches(), touches)


class OnABus(BusCase, AgentCase):
    def test_a_daemon_that_is_gone_ends_it(self):
        Alone.assert_ends_with_the_daemon(self)


class Two(AgentCase):
    """The one that came last is asked for the PIN; the touch is shown on both."""

    def setUp(self) -> None:
        super().setUp()
        self.start_both()

    def start_both(self) -> None:
        self.first, self.last = self.agent_screen(), self.agent_screen()
        self.both = (self.first, self.last)
        self.touches = self.house.token.touches()
        self.house.token.tell("mode demand")

    def until_touch(self):
        client = self.ask()
        self.first.wait_for("Asked for elsewhere: PIN of demo key")
        self.last.wait_for("tries left.*: $")
        self.last.type(f"{PIN}\r")
        for screen in self.both:
            screen.wait_for("Touch demo key.*refuses")
        self.house.token.tell("wait-touch")
        return client

    def assert_both_cleared(self) -> None:
        for screen in self.both:
            screen.wait_for(screen.IDLE)

    def test_a_consent_ends_it_on_both(self):
        client = self.until_touch()
        self.house.token.tell("touch")
        self.assert_session(client)
        self.assert_both_cleared()

    def test_one_refusal_ends_it_on_both(self):
        for screen in self.both:
            client = self.until_touch()
            screen.type("n")
            self.assert_refused_by_person(client, self.touches)
            self.assert_both_cleared()

    def test_whoever_is_not_asked_for_the_pin_can_still_refuse(self):
        client = self.ask()
        self.first.wait_for("Asked for elsewhere")
        self.last.wait_for("tries left.*: $")
        self.first.type("n")
        self.assert_refused_by_person(client, self.touches)
        self.assert_both_cleared()

    def test_a_caller_that_vanishes_ends_it_on_both(self):
        client = self.until_touch()
        client.send_signal(signal.SIGKILL)
        self.end(client)
        self.assert_both_cleared()
        self.house.token.tell("wait-idle")
        self.assertEqual(self.house.token.touches(), self.touches)

    def test_where_the_one_that_is_asked_dies_the_other_is_asked(self):
        client = self.ask()
        self.last.wait_for("tries left.*: $")
        self.last.process.send_signal(signal.SIGKILL)
        self.first.wait_for(r"8 tries left\).*: $")
        self.first.type(f"{PIN}\r")
        self.first.wait_for("Touch demo key.*refuses")
        self.house.token.tell("wait-touch")
        self.house.token.tell("touch")
        self.assert_session(client)

    def test_where_all_of_them_die_it_is_said(self):
        client = self.ask()
        self.last.wait_for("tries left.*: $")
        for screen in self.both:
            screen.process.send_signal(signal.SIGKILL)
        code, out, err = self.end(client)
        self.assertEqual((code, out), (4, ""))
        self.assertIn("rootseal agent", err)
        self.assertEqual(self.house.token.touches(), self.touches)


class TwoOnABus(BusCase, Two):
    def setUp(self) -> None:
        super().setUp()
        self.start_both()


if __name__ == "__main__":
    unittest.main()
