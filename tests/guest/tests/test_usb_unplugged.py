"""A USB device that goes in the middle of an unlock and of a guarded operation, on HID and in its reader."""

from __future__ import annotations

import unittest

from unplugged import Unplugged
from usb_house import UsbCase


class UsbUnplugged(Unplugged, UsbCase):
    def use(self, kind: str, interface: str) -> None:
        self.interface, self.token_id = interface, self.house.ids()[kind]

    def options(self) -> tuple:
        return ("--token", self.token_id)

    def put_back(self) -> None:
        self.house.token.left()
        self.house.token.plug()


class Sampled(UsbUnplugged):
    """The device goes at two of the steps; `every_step.py` tries them all."""

    def sample(self, prepare) -> None:
        last = self.steps_of(prepare)
        self.sweep(prepare, (last // 3, last * 2 // 3))

    def test_at_frames(self):
        self.use("fido", "hid")
        self.sample(self.unlocking)
        self.sample(self.importing)

    def test_at_apdus(self):
        self.use("piv", "card")
        self.sample(self.unlocking)
        self.sample(self.importing)


if __name__ == "__main__":
    unittest.main()
