"""A USB device with keyboard, HID and card, behind usbhid, hidraw, udev, libccid and pcscd: all kinds of keyslot."""

from __future__ import annotations

import signal
import subprocess
import unittest

from fakes import PATIENCE, RootUser
from hidraw_house import HidrawCase, TwoTokens
from house import PIN, Result
from usb_house import UsbCase, UsbHouse

KINDS = ("fido", "piv", "otp_hmac")


class OneDevice(UsbCase):
    def test_it_is_a_token_of_each_kind_with_one_serial(self):
        found = {token["kind"]: token for token in self.house.tokens() if token["kind"] in KINDS}
        self.assertEqual(set(found), set(KINDS))
        for token in found.values():
            self.assertEqual((token["serial"], token["virtual"]), (str(self.house.token.serial), False), token)
            self.assertTrue(token["enrolled"], token)

    def test_others_take_it_for_what_it_says_it_is(self):
        def said_by(*command) -> str:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
            return done.stdout

        status = said_by("yubico-piv-tool", "--reader=", "--action=status")
        self.assertRegex(status, rf"Serial Number:\s+{self.house.token.serial}\b")
        self.assertRegex(status, r"Version:\s+5\.4\.3\b")
        self.assertIn("vendor=0x1050", said_by("fido2-token", "-L"))
        self.assertIn("hmac-secret", said_by("fido2-token", "-I", self.house.token.node))

    def test_each_kind_opens_the_vault_and_those_with_a_pin_the_secrets(self):
        for kind in KINDS:
            self.house.must("lock")
            self.assert_done(self.house.by(kind, "unlock"))
            self.assertEqual(self.house.state(), "unlocked", kind)
        key = self.house.file("rootkey.csv", RootUser().csv())
        self.assert_done(self.house.by("fido", "key", "import", "prod", key))
        self.assert_code(self.house.by("piv", "totp", "code", "prod"))
        self.assert_refused(self.house.by("otp_hmac", "totp", "code", "prod"), 5, "has no PIN")

    def test_pulled_out_and_put_back_it_serves(self):
        self.house.must("lock")
        self.house.token.stop(signal.SIGKILL)
        self.assertEqual(self.house.tokens(), [])
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "token")
        self.house.token.start()
        for kind in KINDS:
            self.assert_done(self.house.by(kind, "unlock"))
            self.house.must("lock")

    def test_pulled_out_while_it_waits_for_a_touch(self):
        for kind in ("fido", "piv"):
            self.house.must("lock")
            self.house.token.tell("mode demand")
            client = self.house.start("--token", self.house.ids()[kind], "unlock")
            self.house.token.tell("wait-touch")
            self.house.token.unplug()
            out, err = client.communicate(timeout=PATIENCE)
            self.assert_refused(Result(client.returncode, out.decode(), err.decode()), 5, "token")
            self.assertEqual(self.house.state(), "locked", kind)
            self.house.token.plug()
            self.house.token.tell("mode auto")
            self.assert_done(self.house.by(kind, "unlock"))


class TwoDevices(TwoTokens, HidrawCase):
    house_class = UsbHouse


if __name__ == "__main__":
    unittest.main()
