"""The daemon on a message bus of its own, with everything on that bus captured and searched for secrets."""

from __future__ import annotations

import json
import subprocess
import threading
import unittest

import secrets_of
from fakes import PATIENCE, stop
from house import PIN
from message_bus import BusCase

class RealBus(BusCase):
    furnished = False

    def before_the_daemon(self) -> None:
        self.captured = bytearray()
        argv = ["dbus-monitor", "--address", self.bus_address, "--binary"]
        self.monitor = subprocess.Popen(argv, stdout=subprocess.PIPE)
        watching = threading.Event()

        def capture() -> None:
            while piece := self.monitor.stdout.read1(65536):
                self.captured += piece
                # Whoever becomes a monitor loses its name.
                if b"NameLost" in self.captured:
                    watching.set()

        self.reader = threading.Thread(target=capture)
        self.reader.start()
        self.addCleanup(self.end_of_capture)
        self.assertTrue(watching.wait(PATIENCE))

    def end_of_capture(self) -> bytes:
        stop(self.monitor)
        self.reader.join(PATIENCE)
        self.monitor.stdout.close()
        return bytes(self.captured)

    def test_no_secret_crosses_the_bus(self):
        house = self.house
        house.furnish()
        codes = [house.must("totp", "code", "prod", pin=PIN).strip()]
        printed = house.must("credentials", "prod-root", pin=PIN)
        # Again, by the name that a desktop knows the bus by.
        by_name = {"ROOTSEAL_ADDRESS": "session", "DBUS_SESSION_BUS_ADDRESS": self.bus_address}
        self.assertEqual(house.must("credentials", "prod-root", **by_name), printed)
        house.must("lock")
        self.assertEqual(house.state(), "locked")
        house.must("unlock", pin=PIN)
        # Stopping the daemon makes the bus deliver what is under way before its name goes.
        house.stop_daemon()

        captured = self.end_of_capture()
        # What must be there is there, so the capture is one.
        key_id = json.loads(printed)["AccessKeyId"]
        for public in ("GetCredentials", "RequestPin", "GetTotp", house.root.access_key_id, "Prompt"):
            self.assertIn(public.encode(), captured)
        secret = secrets_of.long_lived(house) | secrets_of.of_session(printed)
        secret |= {f"code {code}": code.encode() for code in codes}
        secret |= {"PIN": PIN.encode(), "session's key id": key_id.encode()}
        secret |= {"signature": b"AWS4-HMAC-SHA256", "request": b"Action=GetSessionToken"}
        self.assertEqual([name for name, value in secret.items() if value in captured], [])


if __name__ == "__main__":
    unittest.main()
