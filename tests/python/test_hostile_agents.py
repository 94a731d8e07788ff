"""Agents that lie, hang or go on with a wrong PIN: the request ends in words, and the token stays usable."""

from __future__ import annotations

import os
import socket
import subprocess
import unittest
from pathlib import Path

from jeepney import DBusErrorResponse, new_error, new_method_return

from clocks import Clocks
from fakes import PATIENCE
from house import PIN, HouseCase
from message_bus import AGENT, MANAGER, NAME, Agent, BusCase, read_end_of

WRONG = "654321"
PATIENCE_WITH_A_PERSON = 60


class Liar(Agent):
    """Answers each question for a PIN with what `lie` sends."""

    def __init__(self, address: str, lie):
        self._lie = lie
        super().__init__(address, pin=None)

    def _answer(self, member: str, call) -> None:
        if member == "RequestPin":
            self._lie(self._client.connection.send, call)
        else:
            super()._answer(member, call)


def descriptor(make):
    """A lie that is a descriptor of some kind."""

    def lie(send, call) -> None:
        made = make()
        send(new_method_return(call, "h", (made,)))
        os.close(made)

    return lie


LIES = {
    "too long": descriptor(lambda: read_end_of(b"1" * 65)),
    "endless": descriptor(lambda: os.open("/dev/zero", os.O_RDONLY)),
    "a directory": descriptor(lambda: os.open("/", os.O_RDONLY)),
    "a socket": descriptor(lambda: socket.socket(socket.AF_UNIX).detach()),
    "to write into": descriptor(lambda: os.open("/dev/null", os.O_WRONLY)),
    "no descriptor": lambda send, call: send(new_method_return(call, "s", (PIN,))),
    "nothing": lambda send, call: send(new_method_return(call)),
    "an error of nobody's": lambda send, call: send(new_error(call, "org.example.Error", "s", ("x" * 100_000,))),
}


class Liars(BusCase):
    def test_whatever_they_answer_the_request_ends_and_the_token_is_asked_nothing(self):
        touches = self.house.token.touches()
        for name, lie in LIES.items():
            with self.subTest(lie=name):
                agent = Liar(self.bus_address, lie)
                self.assert_refused(self.house.run("credentials", "prod-root"), 4)
                agent.close()
        self.assertEqual(self.house.token.touches(), touches)
        self.assertEqual(self.house.aws.requests(), [])
        # No try was spent on any of them.
        honest = self.agent(pin=PIN)
        self.house.must("credentials", "prod-root")
        self.assertEqual(honest.wait_for("RequestPin")["retries"], 8)

    def test_what_is_not_on_show_cannot_be_refused(self):
        client = self.client()
        client.call(MANAGER, "org.rootseal.Manager1.RegisterAgent", "o", AGENT)
        for number in (0, 1, 2**64 - 1):
            with self.assertRaises(DBusErrorResponse) as refused:
                client.call(MANAGER, "org.rootseal.Manager1.Refuse", "t", number)
            self.assertEqual(refused.exception.name, "org.rootseal.Error.NotFound")

    def test_only_who_shows_a_prompt_refuses_it(self):
        agent = self.agent(pin=PIN)
        self.house.token.tell("mode demand")
        command = self.house.start("credentials", "prod-root", pin=None)
        number = agent.wait_for("RequestTouch")["prompt"]
        self.house.token.tell("wait-touch")
        stranger, of_itself = self.client(), self.client()
        # One that serves its own requests alone shows no other.
        of_itself.call(MANAGER, "org.rootseal.Manager1.RegisterOwnAgent", "o", AGENT)
        for client in (stranger, of_itself):
            with self.assertRaises(DBusErrorResponse) as refused:
                client.call(MANAGER, "org.rootseal.Manager1.Refuse", "t", number)
            self.assertEqual(refused.exception.name, "org.rootseal.Error.NotFound")
        self.assertIsNone(command.poll(), "it still waits")
        self.house.token.tell("touch")
        command.communicate(timeout=PATIENCE)
        self.assertEqual(command.returncode, 0)


@unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
class Strangers(BusCase):
    """Another user, on a bus that lets them in."""

    def before_the_daemon(self) -> None:
        Path(self.bus_address.partition("path=")[2].partition(",")[0]).parent.chmod(0o755)

    def call(self, member: str, *arguments: str) -> str:
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
        call = ["dbus-send", f"--bus={self.bus_address}", f"--dest={NAME}", "--print-reply", MANAGER]
        argv = [*nobody, *call, f"org.rootseal.Manager1.{member}", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def test_they_cannot_be_an_agent_and_refuse_nothing(self):
        for member in ("RegisterAgent", "RegisterOwnAgent", "UnregisterAgent"):
            self.assertIn("NotAuthorized", self.call(member, f"objpath:{AGENT}"))
        # So there is still nobody to ask.
        self.assert_refused(self.house.run("credentials", "prod-root"), 4, "rootseal agent")
        agent = self.agent(pin=PIN)
        self.house.token.tell("mode demand")
        command = self.house.start("credentials", "prod-root", pin=None)
        number = agent.wait_for("RequestTouch")["prompt"]
        self.house.token.tell("wait-touch")
        self.assertIn("NotAuthorized", self.call("Refuse", f"uint64:{number}"))
        self.house.token.tell("touch")
        command.communicate(timeout=PATIENCE)
        self.assertEqual(command.returncode, 0)


class Sleepers(BusCase):
    def setUp(self) -> None:
        self.clocks = Clocks()
        self.addCleanup(self.clocks.close)
        super().setUp()
        self.house.stop_daemon()
        self.house._daemon_environment |= self.clocks.environment
        self.house.start_daemon()
        self.house.must("unlock", pin=PIN)

    def test_one_that_never_answers_is_waited_for_a_minute(self):
        touches = self.house.token.touches()
        agent = self.agent(pin=PIN, asleep=("RequestPin",))
        self.clocks.hold()
        command = self.house.start("credentials", "prod-root", pin=None)
        agent.wait_for("RequestPin")
        self.clocks.step(PATIENCE_WITH_A_PERSON + 1)
        out, err = command.communicate(timeout=PATIENCE)
        self.assertEqual((command.returncode, out), (4, b""))
        self.assertIn(b"time", err)
        agent.wait_for("Done")
        self.assertEqual(self.house.token.touches(), touches)


class WrongAgain(BusCase):
    """An agent that answers with the same wrong PIN for ever spends one try."""

    def test_by_an_agent(self):
        agent = Agent(self.bus_address, pin=WRONG)
        for _ in range(10):
            self.assert_refused(self.house.run("credentials", "prod-root"), 4, "wrong", "7 tries")
        agent.close()
        honest = self.agent(pin=PIN)
        self.house.must("credentials", "prod-root")
        self.assertEqual(honest.wait_for("RequestPin")["retries"], 7)


class WrongFile(HouseCase):
    def test_a_script_that_goes_on_with_a_wrong_pin_file_blocks_nothing(self):
        for _ in range(10):
            self.assert_refused(self.house.run("keyslot", "check", pin=WRONG), 4, "wrong", "7 tries")
        self.house.must("keyslot", "check", pin=PIN)
        # Another one is tried: it may be right.
        self.assert_refused(self.house.run("keyslot", "check", pin="111111"), 4, "7 tries")
        self.assert_refused(self.house.run("keyslot", "check", pin="222222"), 4, "6 tries")
        self.house.must("keyslot", "check", pin=PIN)


if __name__ == "__main__":
    unittest.main()
