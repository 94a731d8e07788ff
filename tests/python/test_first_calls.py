"""The first calls of a client, all at once: they are one caller's, who is there as long as the connection is."""

from __future__ import annotations

import json
import os
import signal
import unittest

from house import PIN
from message_bus import MANAGER, BusCase, Client

MANAGER1 = "org.rootseal.Manager1"


class FirstCalls(BusCase):
    def setUp(self) -> None:
        super().setUp()
        client = self.client()
        (self.account,) = client.call(MANAGER, f"{MANAGER1}.FindAccount", "s", "prod")
        self.tray = self.agent(pin=PIN)
        self.house.token.tell("mode demand")

    def ask_at_once(self) -> tuple[Client, int, list[int], int]:
        """A code, among other calls of a client that the daemon has never seen, and which it finds all at once."""
        client = Client(self.bus_address)
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        os.kill(self.house.daemon_pid, signal.SIGSTOP)
        try:
            others = [client.ask(MANAGER, f"{MANAGER1}.Accounts") for _ in range(8)]
            with open(write_end, "wb") as out:
                code = client.ask(self.account, "org.rootseal.Account1.GetTotp", "a{sv}h", {}, out)
            others += [client.ask(MANAGER, f"{MANAGER1}.Profiles") for _ in range(8)]
            # Answered by the bus itself, which has passed on by then all that came before.
            client.of_bus("GetId")
        finally:
            os.kill(self.house.daemon_pid, signal.SIGCONT)
        return client, code, others, read_end

    def records(self) -> list[tuple]:
        log = map(json.loads, (self.house.data / "audit.log").read_text().splitlines())
        return [(record["event"], record["outcome"], record.get("reason")) for record in log]

    def test_all_are_answered(self):
        client, code, others, read_end = self.ask_at_once()
        self.addCleanup(client.close)
        for other in others:
            ((first,),) = client.answer(other)
            self.assertEqual(first["name"][1], "prod" if "path" in first else "prod-root")
        self.house.token.tell("wait-touch")
        self.house.token.tell("touch")
        client.answer(code)
        self.assertRegex(os.read(read_end, 100), rb"^[0-9]{6}$")

    def test_whoever_vanishes_takes_its_question_along(self):
        touches, seen = self.house.token.touches(), len(self.records())
        client, _, others, read_end = self.ask_at_once()
        self.house.token.tell("wait-touch")
        client.close()
        self.house.token.tell("wait-idle")
        self.house.token.tell("mode auto")
        # Recorded in turn, so that what was given up stands before this.
        self.house.must("totp", "code", "prod", pin=PIN)
        records = self.records()[seen:]
        self.assertEqual(records, [("totp-code", "refused", "Cancelled"), ("totp-code", "granted", None)])
        self.assertEqual(self.house.token.touches(), touches + 1)
        self.assertEqual(os.read(read_end, 100), b"")


if __name__ == "__main__":
    unittest.main()
