"""The daemon on a message bus of its own, with everything on that bus captured and searched for secrets."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import secrets_of
from fakes import PATIENCE, stop
from house import PIN, House

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""


class RealBus(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="rootseal-bus-", dir="/tmp")
        self.addCleanup(folder.cleanup)
        config = Path(folder.name, "bus.conf")
        config.write_text(CONFIG.format(path=f"{folder.name}/bus"))
        read_end, write_end = os.pipe()
        argv = ["dbus-daemon", "--nofork", f"--config-file={config}", f"--print-address={write_end}"]
        bus = subprocess.Popen(argv, pass_fds=(write_end,))
        os.close(write_end)
        self.addCleanup(stop, bus)
        with os.fdopen(read_end) as ready:
            self.address = ready.readline().strip()
        self.start_monitor()
        self.house = House(
            daemon_options=("--bus", self.address),
            daemon_environment={"DBUS_SESSION_BUS_ADDRESS": self.address},
        )
        self.addCleanup(self.house.close)
        self.house.address = f"bus:{self.address}"

    def start_monitor(self) -> None:
        self.captured = bytearray()
        argv = ["dbus-monitor", "--address", self.address, "--binary"]
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
        by_name = {"ROOTSEAL_ADDRESS": "session", "DBUS_SESSION_BUS_ADDRESS": self.address}
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
