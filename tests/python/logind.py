"""A system bus with a logind on it, which does as it is told: python-dbusmock's, as a program of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile

from jeepney import MessageType

from fakes import PATIENCE, stop
from house import PIN
from message_bus import NAME, VAULT, BusCase, Client, MessageBus

LOGIND, MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1"
MOCK, SESSION, SEAT = "org.freedesktop.DBus.Mock", f"{LOGIND}.Session", f"{LOGIND}.Seat"
OURS, ANOTHER = os.geteuid(), os.geteuid() + 1


def session_path(name: str) -> str:
    return f"{MANAGER}/session/{name}"


class Logind:
    """The mock on a bus, and the hand that moves it."""

    def __init__(self, bus: str):
        self.bus = bus
        self.start()

    def start(self) -> None:
        self._log = tempfile.TemporaryFile()
        # Debian's own Python has it.
        argv = ["/usr/bin/python3", "-m", "dbusmock", "--system", "--template", "logind"]
        environment = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": self.bus}
        self.process = subprocess.Popen(argv, stdout=self._log, stderr=self._log, env=environment)
        self._client = Client(self.bus)
        self._client.of_bus("AddMatch", "s", f"type='signal',member='NameOwnerChanged',arg0='{LOGIND}'")
        if not self._client.of_bus("NameHasOwner", "s", LOGIND)[0]:
            self._client.signal(lambda _, member, body: member == "NameOwnerChanged" and body[2])

    def stop(self) -> None:
        self._client.close()
        stop(self.process)
        self._log.close()

    def call(self, path: str, member: str, *args):
        return self._client.call(path, member, *args, to=LOGIND)

    def inhibitors(self) -> list[tuple]:
        return self.call(MANAGER, f"{LOGIND}.Manager.ListInhibitors")[0]

    def emit(self, path: str, interface: str, name: str, signature: str = "", *args) -> None:
        """With as many arguments as the signature has letters."""
        body = list(zip(signature, args, strict=True))
        self.call(path, f"{MOCK}.EmitSignal", "sssav", interface, name, signature, body)

    def prepare(self, what: str, begins: bool) -> None:
        self.emit(MANAGER, f"{LOGIND}.Manager", f"PrepareFor{what}", "b", begins)

    def add_session(self, name: str, uid: int = OURS, seat: str = "seat0", active: bool = True) -> str:
        """One without a seat is one from afar, which the mock knows nothing of."""
        path = session_path(name)
        if seat:
            self.call(MANAGER, f"{MOCK}.AddSession", "ssusb", name, seat, uid, f"user{uid}", active)
        else:
            about = {
                "User": ("(uo)", (uid, f"{MANAGER}/user/{uid}")),
                "Seat": ("(so)", ("", "/")),
                "Name": ("s", f"user{uid}"),
                "Class": ("s", "user"),
                "State": ("s", "active"),
                "Active": ("b", True),
                "LockedHint": ("b", False),
            }
            self.call(MANAGER, f"{MOCK}.AddObject", "ssa{sv}a(ssss)", path, SESSION, about, [])
        self.emit(MANAGER, f"{LOGIND}.Manager", "SessionNew", "so", name, path)
        return path

    def remove_session(self, name: str) -> None:
        path = session_path(name)
        self.call(MANAGER, f"{MOCK}.RemoveObject", "s", path)
        self.emit(MANAGER, f"{LOGIND}.Manager", "SessionRemoved", "so", name, path)

    def update(self, path: str, interface: str, **properties) -> None:
        """Sets properties, given with their types, and signals that they changed."""
        for name, value in properties.items():
            self.call(path, "org.freedesktop.DBus.Properties.Set", "ssv", interface, name, value)

    def bring_to_front(self, name: str, seat: str = "seat0") -> None:
        """The seat tells who is in front of it."""
        path = session_path(name) if name else "/"
        self.update(f"{MANAGER}/seat/{seat}", SEAT, ActiveSession=("(so)", (name, path)))


class Calls:
    """Sees each call of a method on a bus, and so how far the daemon has come."""

    def __init__(self, bus: str, member: str):
        self._client = Client(bus)
        monitoring = "org.freedesktop.DBus.Monitoring.BecomeMonitor"
        rule = f"type='method_call',interface='{LOGIND}.Manager',member='{member}'"
        path, to = "/org/freedesktop/DBus", "org.freedesktop.DBus"
        self._client.call(path, monitoring, "asu", [rule], 0, to=to)

    def next(self) -> tuple:
        while True:
            message = self._client.connection.receive(timeout=PATIENCE)
            if message.header.message_type is MessageType.method_call:
                return message.body

    def close(self) -> None:
        self._client.close()


class LogindCase(BusCase):
    """A daemon on a session bus, and a logind on the system bus, which is another."""

    def before_the_daemon(self) -> None:
        self.system = self.system_bus()
        self.daemon_environment = {"DBUS_SYSTEM_BUS_ADDRESS": self.system.path}
        self.watch_inhibits()
        self.start_logind()

    def system_bus(self) -> MessageBus:
        bus = MessageBus()
        self.addCleanup(bus.stop)
        return bus

    def setUp(self) -> None:
        super().setUp()
        self.attended()
        self.listen()

    def start_logind(self) -> None:
        """With a session of ours in front of the seat."""
        self.logind = Logind(self.system.path)
        self.addCleanup(self.logind.stop)
        self.ours = self.logind.add_session("ours")

    def watch_inhibits(self) -> None:
        self.inhibits = Calls(self.system.path, "Inhibit")
        self.addCleanup(self.inhibits.close)

    def attended(self) -> None:
        """The daemon has begun to follow this logind."""
        self.assertEqual(self.inhibits.next()[0], "sleep:shutdown")

    def configure(self, lock: str) -> None:
        """Begins anew with these lines in `[lock]`; locked."""
        self.house.lock_config = f"{lock}\n"
        self.house.restart_daemon()
        self.attended()

    def unlock(self) -> None:
        self.house.must("unlock", pin=PIN)
        self.listen()

    def listen(self) -> None:
        """From now on: nothing that was heard before counts."""
        self.listener = self.client()
        self.listener.of_bus("AddMatch", "s", f"type='signal',sender='{NAME}',path='{VAULT}'")

    def locks(self) -> None:
        """The vault, which was open, is locked."""
        self.listener.signal(
            lambda _, member, body: member == "PropertiesChanged" and body[1].get("State") == ("s", "locked")
        )
        self.assertEqual(self.house.state(), "locked")

    def caught_up(self) -> None:
        """All signals until now have been heard: the end of a sleep is answered with an inhibitor."""
        self.logind.prepare("Sleep", False)
        self.inhibits.next()

    def stays_open(self) -> None:
        self.caught_up()
        self.assertEqual(self.house.state(), "unlocked")
