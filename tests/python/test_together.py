"""Two that ask for the same session at once: one touch, one request to AWS, one answer for both."""

from __future__ import annotations

import json
import re
import unittest

from jeepney import MessageType

from fakes import PATIENCE
from house import PIN
from message_bus import MANAGER, Agent, BusCase, Client

WATCHED = "type='method_call',interface='org.rootseal.Manager1',member='GetCredentials'"


class Together(BusCase):
    def setUp(self) -> None:
        super().setUp()
        # Watches for the second to come.
        self.monitor = self.client()
        monitoring = "org.freedesktop.DBus.Monitoring.BecomeMonitor"
        path, bus = "/org/freedesktop/DBus", "org.freedesktop.DBus"
        self.monitor.call(path, monitoring, "asu", [WATCHED], 0, to=bus)

    def ask(self):
        """A client whose question has reached the daemon."""
        client = self.house.start("credentials", "prod-root", pin=None)
        self.addCleanup(client.communicate, timeout=PATIENCE)
        while True:
            message = self.monitor.connection.receive(timeout=PATIENCE)
            if message.header.message_type is MessageType.method_call:
                message.body[2].close()  # its pipe, or the client would wait for us to let go of it
                break
        # The daemon serves in turn: who comes later and is answered shows that it came to this one.
        later = Client(self.bus_address)
        for _ in range(2):
            later.call(MANAGER, "org.rootseal.Manager1.Accounts")
        later.close()
        return client

    def end(self, client) -> tuple[int, str, str]:
        out, err = client.communicate(timeout=PATIENCE)
        return client.returncode, out.decode(), err.decode()

    def both_ask(self, agent: Agent) -> list:
        """The second while the first waits for its PIN."""
        agent.go.clear()
        first = self.ask()
        agent.wait_for("RequestPin")
        return [first, self.ask()]

    def test_one_touch_serves_both(self):
        agent = self.agent(pin=PIN)
        touches = self.house.token.touches()
        self.house.token.tell("mode demand")
        clients = self.both_ask(agent)
        agent.go.set()
        # What is touched for names both.
        shown = agent.wait_for("RequestTouch")["text"]
        pids = [int(pid) for pid in re.findall(r"pid (\d+)\)", shown)]
        self.assertEqual(pids, [client.pid for client in clients], shown)
        self.house.token.tell("wait-touch")
        self.house.token.tell("touch")

        sessions = []
        for client in clients:
            code, out, err = self.end(client)
            self.assertEqual((code, err), (0, ""))
            sessions.append(json.loads(out))
        self.assertEqual(sessions[0], sessions[1])
        self.assertEqual(self.house.token.touches(), touches + 1)
        self.assertEqual(len(self.house.aws.requests()), 1)
        log = (self.house.data / "audit.log").read_text().splitlines()
        released = [(record["event"], record["pid"]) for record in map(json.loads, log[-3:])]
        events = ("session", "session-granted", "session-cached")
        pids = (clients[0].pid, clients[0].pid, clients[1].pid)
        self.assertEqual(released, list(zip(events, pids, strict=True)))

    def assert_refused_both(self, clients: list, touches: int) -> None:
        for client in clients:
            code, out, err = self.end(client)
            self.assertEqual((code, out), (4, ""), err)
        self.assertEqual(self.house.token.touches(), touches)
        self.assertEqual(self.house.aws.requests(), [])

    def test_one_refusal_answers_both(self):
        for answers in ({"pin": None}, {"pin": PIN, "touch": False}):
            with self.subTest(**answers):
                agent = Agent(self.bus_address, **answers)
                touches = self.house.token.touches()
                clients = self.both_ask(agent)
                agent.go.set()
                self.assert_refused_both(clients, touches)
                # The second was not asked anew.
                agent.close()
                asked = [member for member, _ in agent.asked.queue]
                self.assertNotIn("RequestPin", asked)


if __name__ == "__main__":
    unittest.main()
