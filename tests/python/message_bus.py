"""A message bus of our own, a client of it that knows nothing of ours, and an agent.

jeepney is an implementation of D-Bus that shares no code with the daemon's.
"""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from jeepney import (
    DBusAddress,
    DBusErrorResponse,
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_call,
    new_method_return,
)
from jeepney.bus import get_bus
from jeepney.io.blocking import DBusConnection, DBusConnectionBase, prep_socket
from jeepney.io.common import MessageFilters

from fakes import PATIENCE, stop
from house import HouseCase

NAME = "org.rootseal.Daemon"
MANAGER, VAULT, AGENT = "/org/rootseal", "/org/rootseal/vault", "/org/rootseal/agent"
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""


class MessageBus:
    """`dbus-daemon` as a process."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rootseal-bus-", dir="/tmp")
        # Whichever bus listens there.
        self.path = f"unix:path={self._folder.name}/bus"
        self.start()

    def start(self) -> None:
        config = Path(self._folder.name, "bus.conf")
        config.write_text(CONFIG.format(path=f"{self._folder.name}/bus"))
        read_end, write_end = os.pipe()
        argv = ["dbus-daemon", "--nofork", f"--config-file={config}", f"--print-address={write_end}"]
        self._process = subprocess.Popen(argv, pass_fds=(write_end,))
        os.close(write_end)
        with os.fdopen(read_end) as ready:
            self.address = ready.readline().strip()

    def end(self) -> None:
        """Those that are on it lose it."""
        stop(self._process)

    def stop(self) -> None:
        self.end()
        self._folder.cleanup()


class BusCase(HouseCase):
    """A house whose daemon serves on a bus of its own."""

    daemon_environment: dict[str, str] = {}
    # Where it is not to be told the address.
    bus_option = ""

    def setUp(self) -> None:
        bus = self.message_bus = MessageBus()
        self.addCleanup(bus.stop)
        self.bus_address = bus.address
        self.before_the_daemon()
        self.house = self.house_class(
            daemon_options=("--bus", self.bus_option or bus.address),
            daemon_environment={"DBUS_SESSION_BUS_ADDRESS": bus.address} | self.daemon_environment,
            **self.house_options,
        )
        self.addCleanup(self.house.close)
        self.house.address = f"bus:{bus.address}"
        if self.furnished:
            self.house.furnish()

    def before_the_daemon(self) -> None:
        """For whoever wants to be on the bus first."""

    def agent(self, **answers) -> Agent:
        agent = Agent(self.bus_address, **answers)
        self.addCleanup(agent.close)
        return agent

    def client(self) -> Client:
        client = Client(self.bus_address)
        self.addCleanup(client.close)
        return client


class PeerToPeer(DBusConnection):
    """To a private socket, where there is no bus to say hello to."""

    def __init__(self, end: socket.socket):
        DBusConnectionBase.__init__(self, end, enable_fds=True)
        self._filters = MessageFilters()


class Client:
    """A connection to the daemon, and calls over it."""

    def __init__(self, address: str, a_bus: bool = True):
        end = prep_socket(get_bus(address), enable_fds=True, timeout=PATIENCE)
        self.connection = DBusConnection(end, enable_fds=True) if a_bus else PeerToPeer(end)

    def close(self) -> None:
        self.connection.close()

    def call(
        self, path: str, member: str, signature: str = "", *body, to: str = NAME, timeout=PATIENCE
    ):
        """Calls `Interface.Member`; the reply's values, or jeepney's DBusErrorResponse."""
        message = method_call(path, member, signature, *body, to=to)
        reply = self.connection.send_and_get_reply(message, timeout=timeout)
        if reply.header.message_type is MessageType.error:
            raise DBusErrorResponse(reply)
        return reply.body

    def ask(self, path: str, member: str, signature: str = "", *body) -> int:
        """Calls without waiting; returns by what `answer` knows the reply."""
        serial = next(self.connection.outgoing_serial)
        self.connection.send(method_call(path, member, signature, *body), serial=serial)
        return serial

    def answer(self, serial: int):
        """The values of a reply that is yet to come, or DBusErrorResponse. What comes before it is dropped."""
        while True:
            message = self.connection.receive(timeout=PATIENCE)
            if message.header.fields.get(HeaderFields.reply_serial) == serial:
                if message.header.message_type is MessageType.error:
                    raise DBusErrorResponse(message)
                return message.body

    def of_bus(self, member: str, signature: str = "", *body):
        bus = "org.freedesktop.DBus"
        return self.call("/org/freedesktop/DBus", f"{bus}.{member}", signature, *body, to=bus)

    def signal(self, wanted) -> tuple:
        """The first signal from now on for which `wanted(path, member, body)` holds."""
        while True:
            message = self.connection.receive(timeout=PATIENCE)
            if message.header.message_type is MessageType.signal:
                fields = message.header.fields
                found = fields[HeaderFields.path], fields[HeaderFields.member], message.body
                if wanted(*found):
                    return found


def method_call(path: str, member: str, signature: str = "", *body, to: str = NAME) -> Message:
    interface, _, name = member.rpartition(".")
    return new_method_call(DBusAddress(path, to, interface), name, signature or None, body)


def read_end_of(content: bytes) -> int:
    """A pipe with `content` in it and nobody at the other end."""
    read_end, write_end = os.pipe()
    os.write(write_end, content)
    os.close(write_end)
    return read_end


class Agent:
    """Shows the prompts of our user, on a connection and a thread of its own.

    `asked` fills with (member, argument) as they come; signals are among them. `pin` and
    `touch` say what is answered: a PIN or True, or None to refuse. A method call is answered
    only when `go` is set, which it is from the beginning. It sleeps through the members
    `asleep`, which are answered by `wake` alone.
    """

    def __init__(
        self, address: str, pin: str | None, touch: bool = True, asleep: tuple[str, ...] = ()
    ):
        self.pin, self.touch, self._asleep = pin, touch, asleep
        self._slept: queue.Queue = queue.Queue()
        self.asked: queue.Queue = queue.Queue()
        self.go = threading.Event()
        self.go.set()
        self._client = Client(address)
        self._client.call(MANAGER, "org.rootseal.Manager1.RegisterAgent", "o", AGENT)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self.go.set()
        self._client.connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._client.close()

    def wait_for(self, member: str) -> dict:
        """The argument of the next `member`, without its variants' types."""
        while True:
            name, body = self.asked.get(timeout=PATIENCE)
            if name == member:
                details = body[0] if isinstance(body[0], dict) else {"prompt": ("t", body[0])}
                return {key: value for key, (_, value) in details.items()}

    def wake(self) -> None:
        """Answers the first call that it slept through."""
        self._answer(*self._slept.get(timeout=PATIENCE))

    def _serve(self) -> None:
        while True:
            try:
                message = self._client.connection.receive()
            except OSError:
                return
            kind = message.header.message_type
            if kind not in (MessageType.method_call, MessageType.signal):
                continue
            member = message.header.fields[HeaderFields.member]
            if kind is MessageType.method_call and member in self._asleep:
                self._slept.put((member, message))
            self.asked.put((member, message.body))
            if kind is MessageType.method_call and member not in self._asleep:
                self.go.wait(PATIENCE)
                self._answer(member, message)

    def _answer(self, member: str, call: Message) -> None:
        send = self._client.connection.send
        if member == "RequestPin" and self.pin is not None:
            pin = read_end_of(self.pin.encode())
            send(new_method_return(call, "h", (pin,)))
            os.close(pin)
        elif member == "Done" or (member == "RequestTouch" and self.touch):
            send(new_method_return(call))
        else:
            send(new_error(call, "org.rootseal.Error.Cancelled", "s", ("no",)))
