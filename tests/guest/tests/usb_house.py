"""The house of `tests/python`, in the guest: its tokens are USB devices with all that a YubiKey has, by vhci-hcd.

All that is between them and the daemon is real: usbhid and hidraw, udev, pcscd and libccid.
"""

from __future__ import annotations

import itertools
import signal
import subprocess
import time
from pathlib import Path

from smartcard import scard

from fakes import PATIENCE
from hidraw_house import HidrawCase, HidrawHouse, HidrawToken, await_node, free_nodes
from house import PIN

# `SCardGetStatusChange` of this name waits for a reader that comes or goes. One that came just before is not
# announced, so a look at the list follows after so many milliseconds.
ANY_READER = "\\\\?PnP?\\Notification"
LOOK_AGAIN = 200
YUBICO = "1050"

SELECT_OTP = "00A4040007A0000005272001"
# A configuration of yubikey-personalization (`ykdef.h`) for the second slot: it answers challenges with HMAC-SHA1 by
# the key of RFC 2202, case 1.
PROGRAM_OTP = f"0001030034{16 * '00'}{4 * '0B'}0000{16 * '0B'}{6 * '00'}000040260000F955"


def ask_pcscd(call, *arguments):
    """A call of PC/SC; what it tells, or nothing where there is nothing to tell."""
    try:
        result = call(*arguments)
    except SystemError:
        # pyscard asks for the length of the list and then for the list, which may be shorter by then.
        return ask_pcscd(call, *arguments)
    code, *told = result if isinstance(result, list | tuple) else [result]
    if code == scard.SCARD_E_INSUFFICIENT_BUFFER:
        # Or longer.
        return ask_pcscd(call, *arguments)
    if code == scard.SCARD_S_SUCCESS:
        return told[0] if told else None
    if code in (scard.SCARD_E_TIMEOUT, scard.SCARD_E_NO_READERS_AVAILABLE, scard.SCARD_E_UNKNOWN_READER):
        return []
    raise AssertionError(f"{call.__name__}: {scard.SCardGetErrorMessage(code)}")


def is_ours(reader: str) -> bool:
    """Whether it is not one of vpcd's, which are always there."""
    return not reader.startswith("Virtual PCD")


def plugged_in() -> int:
    """How many such devices the kernel knows of."""
    vendors = (path.read_text() for path in Path("/sys/bus/usb/devices").glob("*/idVendor"))
    return sum(vendor.strip() == YUBICO for vendor in vendors)


def await_cards() -> None:
    """Until pcscd sees a card in the reader of each device, and no other reader but vpcd's."""
    context = ask_pcscd(scard.SCardEstablishContext, scard.SCARD_SCOPE_SYSTEM)
    until, readers = time.monotonic() + PATIENCE, []
    try:
        while time.monotonic() < until:
            readers = [name for name in ask_pcscd(scard.SCardListReaders, context, []) if is_ours(name)]
            asked = [(name, scard.SCARD_STATE_UNAWARE) for name in readers]
            states = ask_pcscd(scard.SCardGetStatusChange, context, 0, asked) if asked else []
            present = [name for name, state, _ in states if state & scard.SCARD_STATE_PRESENT]
            if len(present) == len(readers) == plugged_in():
                return
            known = [(name, state) for name, state, _ in states] + [(ANY_READER, scard.SCARD_STATE_UNAWARE)]
            ask_pcscd(scard.SCardGetStatusChange, context, LOOK_AGAIN, known)
    finally:
        ask_pcscd(scard.SCardReleaseContext, context)
    raise AssertionError(f"not {plugged_in()} cards, but the readers {readers}")


class UsbToken(HidrawToken):
    """A virtual token that the kernel takes for a USB device. Its process ending is a real unplug."""

    def wire(self) -> list:
        return ["--usb"]

    def foresee_nodes(self) -> None:
        # In the order of the interfaces.
        self.keyboard, self.node = itertools.islice(free_nodes(), 2)

    def await_cards(self) -> None:
        await_cards()

    def arrived(self) -> None:
        """Waits until everybody has seen it come."""
        for node in (self.keyboard, self.node):
            await_node(node)
        place = Path("/sys/class/hidraw", self.node.name).resolve()
        self._device = next(path for path in place.parents if (path / "idVendor").exists())
        self.await_cards()

    def left(self) -> None:
        """Waits until everybody has seen it go."""
        gone = ["udevadm", "wait", "--removed", "--settle", f"--timeout={PATIENCE}", self._device]
        subprocess.run(gone, check=True)
        self.await_cards()

    def start(self) -> None:
        super().start()
        self.arrived()

    def plug(self) -> None:
        self.foresee_nodes()
        self.tell("plug")
        self.arrived()

    def unplug(self) -> None:
        self.tell("unplug")
        self.left()

    def stop(self, how: int = signal.SIGTERM) -> None:
        super().stop(how)
        self.left()


class UsbHouse(HidrawHouse):
    """Its token is enrolled as all that it is: for FIDO2, as a PIV card, and for challenge-response."""

    token_class = UsbToken

    def add_token(self, name: str, touch: str = "auto") -> UsbToken:
        # A serial number like a real one's, which all interfaces tell.
        token = self.token_class(self.dir, name, touch, serial=12345678 + len(self._running))
        self._running.append(token)
        return token

    def ids(self) -> dict[str, str]:
        """Each token's id by its kind, which is another one when the reader has another name."""
        return {token["kind"]: token["id"] for token in self.tokens()}

    def by(self, kind: str, *args, **how):
        """A command that is to use this kind of token, which has the usual PIN."""
        return self.run("--token", self.ids()[kind], *args, pin=PIN, **how)

    def furnish(self) -> None:
        super().furnish()
        ask_card(SELECT_OTP, PROGRAM_OTP)
        ids = self.ids()
        pins = [f"--pin-file={ids[kind]}={self.file(kind, PIN)}" for kind in ("fido", "piv")]
        for kind, more in (("piv", ["--generate", "p256"]), ("otp_hmac", [])):
            add = ("keyslot", "add", "--label", f"by {kind}", "--with", ids["fido"], *more)
            self.must(*pins, "--token", ids[kind], *add)


def ask_card(*commands: str) -> None:
    """Sends APDUs, in hexadecimal digits, to the one card; it has to do as they say."""
    context = ask_pcscd(scard.SCardEstablishContext, scard.SCARD_SCOPE_SYSTEM)
    try:
        reader = next(name for name in ask_pcscd(scard.SCardListReaders, context, []) if is_ours(name))
        connect = (scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1)
        card = ask_pcscd(scard.SCardConnect, context, reader, *connect)
        for command in commands:
            answer = ask_pcscd(scard.SCardTransmit, card, scard.SCARD_PCI_T1, list(bytes.fromhex(command)))
            if answer[-2:] != [0x90, 0x00]:
                raise AssertionError(f"{command}: {bytes(answer).hex()}")
        ask_pcscd(scard.SCardDisconnect, card, scard.SCARD_RESET_CARD)
    finally:
        ask_pcscd(scard.SCardReleaseContext, context)


class UsbCase(HidrawCase):
    """All tests of a class share one house: to furnish it takes its time."""

    house_class = UsbHouse

    @classmethod
    def setUpClass(cls) -> None:
        cls.house = cls.house_class(**cls.house_options)
        cls.addClassCleanup(cls.house.close)
        cls.house.furnish()

    def setUp(self) -> None:
        pass
