"""A token's arrival on the real kernel, told on a bus: with udev's rules in place, and where udev's netlink is not.

The daemon runs in a network namespace of its own, where no uevent comes through. `busctl` hears for us.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from fakes import PATIENCE, ROOT, spawn, stop
from hidraw_house import HidrawToken
from house import BIN
from test_udev import RULE, as_user, reload_rules

NAME, MANAGER = "org.rootseal.Daemon", "/org/rootseal"
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""


class Arrivals(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        subprocess.run(["useradd", "--system", "--user-group", "rootseal"], check=True)

    def setUp(self) -> None:
        RULE.unlink(missing_ok=True)
        reload_rules()
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        self.theirs = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.theirs)
        shutil.chown(self.theirs, "rootseal")
        self.address = f"unix:path={self.theirs}/message-bus"
        config = self.theirs / "bus.conf"
        config.write_text(CONFIG.format(path=f"{self.theirs}/message-bus"))
        config.chmod(0o644)
        bus = [*as_user("rootseal"), "dbus-daemon", "--nofork", f"--config-file={config}", "--print-address=1"]
        process = subprocess.Popen(bus, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(stop, process)
        process.stdout.readline()

    def start(self) -> None:
        argv = ["unshare", "--net", *as_user("rootseal"), BIN / "rootseald", "--config", "/dev/null"]
        argv += ["--data-dir", self.theirs / "data", "--bus", self.address]
        process, _ = spawn(argv, self.dir, "rootseald")
        self.addCleanup(stop, process)
        listen = [
            *as_user("rootseal"),
            *("busctl", f"--address={self.address}", "--json=short", "monitor"),
            *("--match", f"type='signal',path='{MANAGER}',interface='org.freedesktop.DBus.ObjectManager'"),
        ]
        self.heard = subprocess.Popen(listen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for stream in (self.heard.stdout, self.heard.stderr):
            self.addCleanup(stream.close)
        self.addCleanup(stop, self.heard)
        # "Monitoring bus message stream."
        self.heard.stderr.readline()

    def signalled(self, member: str) -> str:
        """The path in the next signal of that name."""
        for line in self.heard.stdout:
            message = json.loads(line)
            if message.get("member") == member:
                return message["payload"]["data"][0]
        raise AssertionError("busctl ended")

    def listed(self) -> list[dict]:
        argv = [*as_user("rootseal"), BIN / "rootseal", "--address", f"bus:{self.address}", "token", "list", "--json"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_a_node_that_udev_opens_to_the_group_is_told_without_netlink(self):
        shutil.copy(ROOT / "udev" / RULE.name, RULE)
        reload_rules()
        self.start()
        for _ in range(2):
            token = HidrawToken(self.dir, "token", "auto", 1)
            came = self.signalled("InterfacesAdded")
            self.assertEqual([row["id"] for row in self.listed()], [came.rpartition("/")[2]])
            token.stop()
            self.assertEqual(self.signalled("InterfacesRemoved"), came)


if __name__ == "__main__":
    unittest.main()
