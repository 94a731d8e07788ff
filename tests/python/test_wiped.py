"""The daemon's memory after each way in which the vault is locked: no key, no item, no session is left in it."""

from __future__ import annotations

import os
import unittest

import memory
import secrets_of
from house import PIN
from logind import ANOTHER, SESSION, LogindCase
from message_bus import MANAGER

OPERATION = "org.rootseal.Operation1"


@unittest.skipUnless(os.geteuid() == 0, "reading the memory of a process that is not dumpable takes root")
class Wiped(LogindCase):
    def setUp(self) -> None:
        super().setUp()
        guarded, unlocked = secrets_of.vault_keys(self.house)
        guarded |= secrets_of.long_lived(self.house) | secrets_of.signing_keys(self.house.root.secret)
        self.secrets = secrets_of.with_pads(guarded | unlocked)
        # In the sealed index: a vault that is locked knows nothing of it.
        self.secrets["access key id"] = self.house.root.access_key_id.encode()

    def hits(self) -> list[str]:
        hits, looked_at = memory.search(self.house.daemon_pid, self.secrets)
        self.assertGreater(looked_at, 1 << 20, "the memory was read")
        return [f"{hit.what} at {hit.where}" for hit in hits]

    def wiped_when(self, happens=lambda: None, lock: str = "") -> None:
        """With these lines in `[lock]`, after a session that would be good for an hour."""
        self.configure(lock)
        self.listen()
        printed = self.house.must("credentials", "prod-root", pin=PIN)
        self.secrets |= secrets_of.of_session(printed)
        self.listener.signal(
            lambda _, member, body: member == "PropertiesChanged" and body[1].get("State") == ("s", "unlocked")
        )
        happens()
        self.locks()
        self.assertEqual(self.hits(), [])

    def test_somebody_asks_for_it(self):
        self.wiped_when(lambda: self.house.must("lock"))

    def test_it_was_not_used_for_a_while(self):
        self.wiped_when(lock="idle_seconds = 1\nlongest_seconds = 0")

    def test_it_was_open_for_too_long(self):
        self.wiped_when(lock="idle_seconds = 0\nlongest_seconds = 1")

    def test_the_machine_sleeps(self):
        self.wiped_when(lambda: self.logind.prepare("Sleep", True))

    def test_the_machine_stops(self):
        self.wiped_when(lambda: self.logind.prepare("Shutdown", True))

    def test_the_session_locks(self):
        self.wiped_when(lambda: self.logind.emit(self.ours, SESSION, "Lock"))

    def test_the_user_switches(self):
        self.logind.add_session("another", ANOTHER, seat="seat1")
        self.wiped_when(lambda: self.logind.bring_to_front("another"))

    def test_the_user_logs_out(self):
        self.wiped_when(lambda: self.logind.remove_session("ours"))

    def test_the_token_is_pulled_out(self):
        self.wiped_when(lambda: self.house.token.tell("unplug"), lock="removal_grace_seconds = 0")

    def test_between_next_and_finish(self):
        self.house.must("lock")
        self.listen()
        self.agent(pin=PIN)
        client = self.client()
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        with open(write_end, "wb") as out:
            asks = (MANAGER, "org.rootseal.Manager1.GetCredentials", "sa{sv}h", "prod-root", {}, out)
            (reply,) = client.call(*asks)
        (signed,) = client.call(reply["operation"][1], f"{OPERATION}.Next")
        signed.close()
        # It was opened for this, and is locked in the middle.
        self.assertEqual(self.house.state(), "unlocked")
        self.logind.prepare("Sleep", True)
        self.locks()
        self.assertEqual(self.hits(), [])

    def test_while_a_token_waits_to_be_touched(self):
        self.house.must("lock")
        self.house.token.tell("mode demand")
        client = self.house.start("unlock")
        self.house.token.tell("wait-touch")
        self.logind.prepare("Sleep", True)
        out, err = client.communicate()
        self.assertEqual((client.returncode, out), (4, b""), err)
        while self.logind.inhibitors():
            pass
        self.assertEqual(self.hits(), [])


if __name__ == "__main__":
    unittest.main()
