"""A USB device that goes in the middle of an unlock and of a guarded operation, on HID and in its reader."""

from __future__ import annotations

import unittest

from unplugged import Unplugged
from usb_house import UsbCase


class Sampled(Unplugged, UsbCase):
    """The device goes at some of the steps; `tests/python/test_unplugged.py` tries them all."""

    def options(self) -> tuple:
        return ("--token", self.house.ids()[self.kind])

    def put_back(self) -> None:
        self.house.token.left()
        self.house.token.plug()

    def sample(self, prepare) -> None:
        last = self.steps_of(prepare)
        self.sweep(prepare, sorted({1, last // 3, last * 2 // 3, last}))

    def test_at_frames(self):
        self.kind, self.interface = "fido", "hid"
        self.sample(self.unlocking)
        self.sample(self.importing)

    def test_at_apdus(self):
        self.kind, self.interface = "piv", "card"
        self.sample(self.unlocking)
        self.sample(self.importing)


if __name__ == "__main__":
    unittest.main()
