"""A PIV card of no maker: SP 800-73 and nothing else, with one key in each slot that it is told of.

As a module it says what the cards of the tests do; as a program it is one, in the reader that listens there:

    plain_card.py PORT SETTINGS

Settings are JSON, and are read anew for each command, so that a test can change them:

| setting | meaning |
|---|---|
| `slots` | `{"9d": {"key": PEM, "certificate": hex, "pin": true}}`: what each slot holds |
| `say` | hex: the answer to every command but SELECT, instead of a card's |
| `silent` | answers nothing any more |
| `agree` | hex: the answer of every key agreement |
| `kill` | `[PID, N]`: kills that process in place of the Nth command since the settings changed |
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

# Any answer to reset that is none of a maker's that we know.
ATR = bytes.fromhex("3b80800101")
PIN = b"123456\xff\xff"
OK, NOT_FOUND, SECURITY, UNKNOWN = b"\x90\x00", b"\x6a\x82", b"\x69\x82", b"\x6d\x00"
TRIES = 3


def tlv(tag: str, value: bytes) -> bytes:
    length = len(value)
    head = b"" if length < 128 else b"\x81" if length < 256 else b"\x82"
    return bytes.fromhex(tag) + head + length.to_bytes(2 if length > 255 else 1, "big") + value


class PlainCard:
    def __init__(self, settings: Path):
        self._settings = settings
        self.power()
        self._tries = TRIES
        self._commands = 0
        self._last = ""

    def power(self) -> None:
        self._verified = False
        self._chain = b""
        self._rest = b""

    def settings(self) -> dict:
        text = self._settings.read_text()
        if text != self._last:
            self._last, self._commands = text, 0
        return json.loads(text)

    def answer(self, command: bytes) -> bytes | None:
        settings = self.settings()
        self._commands += 1
        if "kill" in settings and settings["kill"][1] == self._commands:
            # Whoever kills pcscd has seen to it before anybody can notice.
            self._settings.with_suffix(".killed").touch()
            os.kill(settings["kill"][0], signal.SIGKILL)
            return None
        if settings.get("silent"):
            return None
        cla, ins, _, p2 = command[:4]
        data = command[5 : 5 + command[4]] if len(command) > 5 else b""
        if ins == 0xA4:
            return tlv("61", tlv("4f", bytes.fromhex("0000100001000100"))) + OK if b"\x03\x08" in data else NOT_FOUND
        if "say" in settings:
            return bytes.fromhex(settings["say"])
        if ins == 0xC0:
            return self._piece()
        if cla & 0x10:
            self._chain += data
            return OK
        data, self._chain = self._chain + data, b""
        answers = {0x20: self._verify, 0xCB: self._get_data, 0x87: self._use}
        if ins not in answers:
            return UNKNOWN
        self._rest = answers[ins](p2, data, settings)
        return self._piece()

    def _piece(self) -> bytes:
        body, status = self._rest[:-2], self._rest[-2:]
        if len(body) <= 256:
            return body + status
        self._rest = body[256:] + status
        return body[:256] + bytes([0x61, min(len(body) - 256, 255) % 256])

    def _verify(self, _p2: int, data: bytes, _settings: dict) -> bytes:
        if not data:
            return OK if self._verified else bytes([0x63, 0xC0 | self._tries])
        if self._tries == 0:
            return b"\x69\x83"
        self._verified = data == PIN
        self._tries = TRIES if self._verified else self._tries - 1
        return OK if self._verified else bytes([0x63, 0xC0 | self._tries])

    def _get_data(self, _p2: int, data: bytes, settings: dict) -> bytes:
        last = data[-1]
        slot = "9d" if last == 0x0B else f"{last - 0x0D + 0x82:02x}"
        held = settings["slots"].get(slot, {})
        if data[:-1] != bytes.fromhex("5c035fc1") or "certificate" not in held:
            return NOT_FOUND
        certificate = bytes.fromhex(held["certificate"])
        return tlv("53", tlv("70", certificate) + bytes.fromhex("710100fe00")) + OK

    def _use(self, slot: int, data: bytes, settings: dict) -> bytes:
        held = settings["slots"].get(f"{slot:02x}")
        if held is None or "key" not in held:
            return b"\x6a\x88"
        if held.get("pin", True) and not self._verified:
            return SECURITY
        if "agree" in settings:
            return tlv("7c", tlv("82", bytes.fromhex(settings["agree"]))) + OK
        key = serialization.load_pem_private_key(held["key"].encode(), None)
        if isinstance(key, rsa.RSAPrivateKey):
            numbers, size = key.private_numbers(), key.key_size // 8
            block = pow(int.from_bytes(data[-size:], "big"), numbers.d, numbers.public_numbers.n)
            return tlv("7c", tlv("82", block.to_bytes(size, "big"))) + OK
        point = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, data[data.index(b"\x85") + 2 :])
        return tlv("7c", tlv("82", key.exchange(ec.ECDH(), point))) + OK


def serve(port: int, card: PlainCard) -> None:
    """As vpcd wants it; a reader that goes away is tried for again."""
    while True:
        try:
            wire = socket.create_connection(("127.0.0.1", port))
        except OSError:
            time.sleep(0.05)
            continue
        with wire:
            try:
                talk(wire, card)
            except OSError:
                card.power()


def exactly(wire: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length:
        piece = wire.recv(length - len(got))
        if not piece:
            raise OSError("the reader is gone")
        got += piece
    return got


def talk(wire: socket.socket, card: PlainCard) -> None:
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        length = exactly(wire, 2)
        # vpcd keeps the rest back until its length has been acknowledged.
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        message = exactly(wire, int.from_bytes(length, "big"))
        if message in (b"\0", b"\1", b"\2"):
            card.power()
            continue
        answer = ATR if message == b"\4" else card.answer(message)
        if answer is not None:
            wire.sendall(len(answer).to_bytes(2, "big") + answer)


def main() -> None:
    os.write(int(sys.argv[sys.argv.index("--ready-fd") + 1]), b"READY=1\n")
    serve(int(sys.argv[1]), PlainCard(Path(sys.argv[2])))


if __name__ == "__main__":
    main()
