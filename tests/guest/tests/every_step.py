"""A USB device that goes at every single frame and APDU. On demand, for it takes half an hour on two cores:

for test in frame_of_an_unlock frame_of_an_import apdu_of_an_unlock apdu_of_an_import; do
    tests/guest/run --patience 7200 python3 /project/tests/guest/tests/every_step.py EveryStep.test_every_$test
done
"""

from __future__ import annotations

import sys
import unittest

from test_usb_unplugged import UsbUnplugged


class EveryStep(UsbUnplugged):
    def every(self, prepare, at_least: int) -> None:
        steps = self.sweep(prepare)
        print(f"pulled out at each of {steps - 1} steps", file=sys.stderr)
        self.assertGreater(steps, at_least)

    def test_every_frame_of_an_unlock(self):
        self.use("fido", "hid")
        self.every(self.unlocking, 20)

    def test_every_frame_of_an_import(self):
        self.use("fido", "hid")
        self.every(self.importing, 20)

    def test_every_apdu_of_an_unlock(self):
        self.use("piv", "card")
        self.every(self.unlocking, 10)

    def test_every_apdu_of_an_import(self):
        self.use("piv", "card")
        self.every(self.importing, 10)


if __name__ == "__main__":
    unittest.main()
