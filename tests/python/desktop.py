"""A desktop without a desk: Xvfb, a session bus, and dunst, which shows the notifications there."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from pathlib import Path

from jeepney import HeaderFields

from fakes import PATIENCE, stop
from message_bus import Client, MessageBus

NOTIFICATIONS = "org.freedesktop.Notifications"
RULES = "type='signal',interface='org.freedesktop.DBus',member='NameOwnerChanged'"


class Desktop:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rootseal-desktop-", dir="/tmp")
        self.bus = MessageBus()
        read_end, write_end = os.pipe()
        # It chooses a number that is free, and says it when it serves.
        argv = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
        with open(Path(self._folder.name, "log"), "wb") as log:
            self._x = subprocess.Popen(argv, pass_fds=(write_end,), stdout=log, stderr=log)
        os.close(write_end)
        with os.fdopen(read_end) as ready:
            if not select.select([ready], [], [], PATIENCE)[0]:
                raise AssertionError("Xvfb says nothing")
            self.display = f":{ready.readline().strip()}"
        self._dunst: subprocess.Popen | None = None
        # Hears what is said to the server and by it.
        self.monitor = Client(self.bus.address)
        monitoring = "org.freedesktop.DBus.Monitoring.BecomeMonitor"
        rules = [f"interface='{NOTIFICATIONS}'"]
        self.monitor.call("/org/freedesktop/DBus", monitoring, "asu", rules, 0, to="org.freedesktop.DBus")

    def environment(self) -> dict[str, str]:
        return {"DBUS_SESSION_BUS_ADDRESS": self.bus.address}

    def start(self) -> None:
        """dunst, when it serves."""
        client = Client(self.bus.address)
        client.of_bus("AddMatch", "s", RULES + f",arg0='{NOTIFICATIONS}'")
        config = Path(self._folder.name, "dunstrc")
        config.write_text("[global]\nmarkup = full\nhistory_length = 50\n")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self._folder.name,
            "DISPLAY": self.display,
            "DBUS_SESSION_BUS_ADDRESS": self.bus.address,
        }
        with open(Path(self._folder.name, "log"), "ab") as log:
            argv = ["dunst", "-conf", config]
            self._dunst = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        client.signal(lambda path, member, body: member == "NameOwnerChanged" and body[2])
        client.close()

    def end(self) -> None:
        if self._dunst is not None:
            stop(self._dunst)
            self._dunst = None

    def pause(self, how: int) -> None:
        os.kill(self._dunst.pid, how)

    def close(self) -> None:
        self.end()
        self.monitor.close()
        stop(self._x)
        self.bus.stop()
        self._folder.cleanup()

    def ask(self, *command: str) -> str:
        """`dunstctl`."""
        environment = {"PATH": os.environ["PATH"], **self.environment()}
        argv = ["dunstctl", *command]
        return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout

    def shown(self) -> int:
        return int(self.ask("count", "displayed"))

    def history(self) -> list[dict]:
        """What was shown and is not any more, the last one first."""
        (found,) = json.loads(self.ask("history"))["data"]
        return [{key: value["data"] for key, value in one.items()} for one in found]

    def heard(self, member: str) -> tuple:
        """The body of the next message of that name."""
        while True:
            message = self.monitor.connection.receive(timeout=PATIENCE)
            if message.header.fields.get(HeaderFields.member) == member:
                return message.body
