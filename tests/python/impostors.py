"""Devices that lie about being the enrolled token, at a socket where the daemon looks for one."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor

RP_HASH = hashlib.sha256(b"rootseal").digest()
# What the virtual token calls its model.
AAGUID = bytes.fromhex("3e4397f38eea4889b1cd777f61d20db1")
INIT, CBOR = 0x86, 0x90
MAKE_CREDENTIAL, GET_ASSERTION, GET_INFO, CLIENT_PIN = 1, 2, 4, 6
REPORT = 64


class Message(NamedTuple):
    """What one side sent, and the reports that it came in."""

    channel: bytes
    command: int
    payload: bytes
    reports: list[bytes]

    def is_silent_question(self) -> bool:
        if self.command != CBOR or self.payload[0] != GET_ASSERTION:
            return False
        return cbor.decode(self.payload[1:]).get(5) == {"up": False}


def receive(wire: socket.socket) -> Message | None:
    """The next message; None at the end."""
    first = wire.recv(REPORT)
    if not first:
        return None
    reports, payload = [first], first[7:]
    length = int.from_bytes(first[5:7], "big")
    while len(payload) < length:
        report = wire.recv(REPORT)
        if not report:
            return None
        reports.append(report)
        payload += report[5:]
    return Message(first[:4], first[4], payload[:length], reports)


def send(wire: socket.socket, channel: bytes, command: int, payload: bytes) -> None:
    head = channel + bytes([command]) + len(payload).to_bytes(2, "big")
    wire.send((head + payload[:57]).ljust(REPORT, b"\0"))
    rest = payload[57:]
    for sequence in range((len(rest) + 58) // 59):
        piece = rest[sequence * 59 :][:59]
        wire.send((channel + bytes([sequence]) + piece).ljust(REPORT, b"\0"))


class Device:
    """Listens at a socket and serves one connection after another in a thread."""

    def __init__(self, path: Path):
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # stopped
            self._connection = connection
            with connection:
                try:
                    self.serve(connection)
                except OSError:
                    pass  # The daemon hung up.

    def serve(self, wire: socket.socket) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        if self._connection is not None:
            try:
                self._connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It is over already.
        self._thread.join()
        self._listener.close()
        self._path.unlink()


class Impostor(Device):
    """Says that it is of the token's model, has a PIN, and holds whatever credential it is asked for."""

    def __init__(self, path: Path, lie: str):
        # Each CBOR command that arrived, in order.
        self.commands: list[int] = []
        self._lie = lie
        self._key = ec.generate_private_key(ec.SECP256R1())
        super().__init__(path)

    def serve(self, wire: socket.socket) -> None:
        while message := receive(wire):
            if message.command == INIT:
                reply = message.payload + b"\0\0\0\x07" + bytes([2, 1, 0, 0, 0x0C])
                send(wire, message.channel, INIT, reply)
            elif message.command == CBOR:
                self.commands.append(message.payload[0])
                send(wire, message.channel, CBOR, self._answer(message.payload))

    def _answer(self, request: bytes) -> bytes:
        if request[0] == GET_INFO:
            options = {"rk": True, "up": True, "clientPin": True, "pinUvAuthToken": True}
            versions, extensions = ["FIDO_2_0", "FIDO_2_1"], ["hmac-secret"]
            info = {1: versions, 2: extensions, 3: AAGUID, 4: options, 5: 3072, 6: [2, 1]}
            return b"\0" + cbor.encode(info)
        if request[0] == GET_ASSERTION:
            return self._assertion(cbor.decode(request[1:]))
        if request[0] == CLIENT_PIN and cbor.decode(request[1:])[2] == 1:
            return b"\0" + cbor.encode({3: 8})
        return b"\x01"

    def _assertion(self, asked: dict) -> bytes:
        if self._lie == "refuses":
            return b"\x36"  # CTAP2_ERR_PUAT_REQUIRED
        data = RP_HASH + bytes(5)
        signature = {
            "garbage": lambda: os.urandom(70),
            "own key": lambda: self._key.sign(data + asked[2], ec.ECDSA(hashes.SHA256())),
            "empty": lambda: b"",
        }[self._lie]()
        return b"\0" + cbor.encode({1: asked[3][0], 2: data, 3: signature})


class Relay(Device):
    """Stands before the true token and passes everything on that it does not answer itself."""

    def __init__(self, path: Path, token: Path):
        self._token = token
        super().__init__(path)

    def answer(self, message: Message) -> bytes | None:
        """What it says itself; None is for the token to answer."""
        raise NotImplementedError

    def serve(self, wire: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as token:
            token.connect(str(self._token))
            back = threading.Thread(target=self._pass_back, args=(token, wire))
            back.start()
            try:
                while message := receive(wire):
                    if (answer := self.answer(message)) is not None:
                        send(wire, message.channel, CBOR, answer)
                        continue
                    for report in message.reports:
                        token.send(report)
            finally:
                token.shutdown(socket.SHUT_RDWR)
                back.join()

    def _pass_back(self, token: socket.socket, wire: socket.socket) -> None:
        try:
            while report := token.recv(REPORT):
                wire.send(report)
        except OSError:
            pass  # One of the two is gone.


class Shy(Relay):
    """The true token, except that it answers no question without its user."""

    def __init__(self, path: Path, token: Path):
        self.refused = 0
        super().__init__(path, token)

    def answer(self, message: Message) -> bytes | None:
        if not message.is_silent_question():
            return None
        self.refused += 1
        return b"\x36"  # CTAP2_ERR_PUAT_REQUIRED


class Turncoat(Relay):
    """The true token, until it has proved that; an impostor from the next connection on."""

    def __init__(self, path: Path, token: Path):
        self.impostor = Impostor(path.with_suffix(".false"), "garbage")
        self._proved = False
        super().__init__(path, token)

    def stop(self) -> None:
        super().stop()
        self.impostor.stop()

    def answer(self, message: Message) -> bytes | None:
        self._proved |= message.is_silent_question()
        return None

    def serve(self, wire: socket.socket) -> None:
        if self._proved:
            self.impostor.serve(wire)
        else:
            super().serve(wire)
