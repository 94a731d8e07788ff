"""A USB device without pcscd: challenge-response by the feature reports of its keyboard, behind usbhid and hidraw."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import time
import unittest
from pathlib import Path

from fakes import PATIENCE, RootUser
from hidraw_house import HidrawHouse
from house import PIN, Result
from usb_house import UsbCase, UsbHouse, UsbToken, await_cards

# `HIDIOCSFEATURE` and `HIDIOCGFEATURE` of `linux/hidraw.h`, for a number (none: 0) and a report of eight bytes.
SET_FEATURE, GET_FEATURE = (0xC0000000 | 9 << 16 | ord("H") << 8 | number for number in (6, 7))
# `SLOT_CONFIG2` of yubikey-personalization (`ykdef.h`), and the flags of its answers.
CONFIGURE = 0x03
BUSY = 0x80
# Key and answer of RFC 2202, case 1.
KEY = 20 * b"\x0b"


def crc(data: bytes) -> int:
    """CRC-16 of ISO/IEC 13239, not complemented."""
    rest = 0xFFFF
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x8408 if rest & 1 else 0)
    return rest


def configuration(touch: bool) -> bytes:
    """A slot that answers challenges of any length with HMAC-SHA1, as `ykdef.h` lays it out."""
    flags = 0x26 | (0x08 if touch else 0)
    fields = struct.pack("<16s4s2x16s6xBBBB2x", b"", KEY[16:], KEY[:16], 0, 0, 0x40, flags)
    return fields + struct.pack("<H", 0xFFFF ^ crc(fields))


def ask_keyboard(node: Path, command: int, payload: bytes) -> bytes:
    """Sends a frame that has no answer; the status when it is done."""

    def status() -> bytes:
        report = bytearray(9)
        fcntl.ioctl(descriptor, GET_FEATURE, report)
        return bytes(report[1:])

    payload = payload.ljust(64, b"\0")
    frame = payload + struct.pack("<BH3x", command, crc(payload))
    descriptor = os.open(node, os.O_RDWR)
    try:
        for number in range(10):
            part = frame[number * 7 :][:7]
            if any(part) or number in (0, 9):
                fcntl.ioctl(descriptor, SET_FEATURE, bytes([0, *part, BUSY | number]))
        until = time.monotonic() + PATIENCE
        while (told := status())[7] & BUSY and time.monotonic() < until:
            time.sleep(0.01)
        return told
    finally:
        os.close(descriptor)


def pcscd(what: str) -> None:
    subprocess.run(["systemctl", what, "pcscd.socket", "pcscd.service"], check=True)


class KeyboardToken(UsbToken):
    def await_cards(self) -> None:
        """Nobody sees them."""


class KeyboardHouse(UsbHouse):
    token_class = KeyboardToken

    def furnish(self) -> None:
        HidrawHouse.furnish(self)
        self.program(touch=True)
        ids = self.ids()
        pin = f"--pin-file={ids['fido']}={self.file('fido', PIN)}"
        self.must(pin, "--token", ids["otp_hmac"], "keyslot", "add", "--label", "keyboard", "--with", ids["fido"])

    def program(self, touch: bool) -> bytes:
        return ask_keyboard(self.token.keyboard, CONFIGURE, configuration(touch))


class Keyboard(UsbCase):
    house_class = KeyboardHouse

    @classmethod
    def setUpClass(cls) -> None:
        pcscd("stop")
        super().setUpClass()

    def setUp(self) -> None:
        self.token = self.house.token
        self.token.tell("mode auto")
        self.house.must("lock")

    def unlock(self) -> Result:
        """It needs no PIN."""
        return self.house.run("--token", self.house.ids()["otp_hmac"], "unlock")

    @contextlib.contextmanager
    def waiting(self):
        """An unlock that waits to be touched, and where its outcome will be found."""
        self.token.tell("mode demand")
        outcome: list[Result] = []
        client = self.house.start("--token", self.house.ids()["otp_hmac"], "unlock", pin=None)
        self.token.tell("wait-touch")
        yield client, outcome
        out, err = client.communicate(timeout=PATIENCE)
        outcome.append(Result(client.returncode, out.decode(), err.decode()))

    def test_the_kernel_takes_it_for_a_keyboard(self):
        device = Path("/sys/class/hidraw", self.token.keyboard.name, "device")
        self.assertEqual((device / "driver").resolve().name, "hid-generic")
        self.assertTrue(list((device / "input").glob("input*")))
        self.assertEqual((device.resolve().parent / "bInterfaceNumber").read_text().strip(), "00")

    def test_it_is_a_keyslot_without_a_reader(self):
        found = {token["kind"]: token for token in self.house.tokens()}
        self.assertEqual(set(found), {"fido", "otp_hmac"})
        keyboard = found["otp_hmac"]
        self.assertEqual((keyboard["serial"], keyboard["virtual"]), (str(self.token.serial), False))
        self.assertTrue(keyboard["enrolled"])
        self.assert_done(self.unlock())
        self.assertEqual(self.house.state(), "unlocked")
        # What it cannot open, the same device's FIDO can.
        self.assert_refused(self.house.by("otp_hmac", "totp", "code", "prod"), 5, "has no PIN")
        key = self.house.file("rootkey.csv", RootUser().csv())
        self.assert_done(self.house.by("fido", "key", "import", "prod", key))
        self.assert_code(self.house.by("fido", "totp", "code", "prod"))

    def test_a_slot_without_a_touch_answers_at_once(self):
        before = self.house.program(touch=True)
        after = self.house.program(touch=False)
        self.addCleanup(self.house.program, touch=True)
        self.assertEqual((before[1:4], before[5], after[5]), (b"\5\4\3", 0x0A, 0x02))
        self.assertEqual(after[4], before[4] + 1)
        self.token.tell("mode never")
        self.assert_done(self.unlock())

    def test_a_touch_is_asked_for_and_waited_for(self):
        touches = self.token.touches()
        with self.waiting() as (_, outcome):
            self.token.tell("touch")
        (done,) = outcome
        self.assert_done(done)
        self.assertRegex(done.err, "(?i)touch")
        self.assertEqual((self.token.touches(), self.house.state()), (touches + 1, "unlocked"))

    def test_nobody_touches_it(self):
        with self.waiting() as (_, outcome):
            self.token.tell("mode never")
        self.assert_refused(outcome[0], 4, "touch")
        self.assertFalse(self.token.status()["waiting"])
        self.token.tell("mode auto")
        self.assert_done(self.unlock())

    def test_whoever_goes_away_stops_the_blinking(self):
        with self.waiting() as (client, _):
            since = time.monotonic()
            client.terminate()
            self.token.tell("wait-idle")
            # Of itself it would wait for fifteen seconds.
            self.assertLess(time.monotonic() - since, 10)
        self.token.tell("mode auto")
        self.assert_done(self.unlock())

    def test_pulled_out_while_it_waits_for_a_touch(self):
        with self.waiting() as (_, outcome):
            self.token.unplug()
        self.assert_refused(outcome[0], 5, "token")
        self.assertEqual(self.house.state(), "locked")
        self.token.plug()
        self.token.tell("mode auto")
        self.assert_done(self.unlock())

    def test_with_a_reader_it_is_the_same_token(self):
        by_keyboard = self.house.ids()["otp_hmac"]
        pcscd("start")
        self.addCleanup(pcscd, "stop")
        await_cards()
        by_card = [token["id"] for token in self.house.tokens() if token["kind"] == "otp_hmac"]
        self.assertEqual(by_card, [by_keyboard])
        self.assert_done(self.unlock())


if __name__ == "__main__":
    unittest.main()
