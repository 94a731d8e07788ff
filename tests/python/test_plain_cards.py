"""PIV cards that are no YubiKeys, and those that say whatever they like."""

from __future__ import annotations

import unittest

from cards import PIN
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from plain_house import PlainCardCase, held


class PlainCards(PlainCardCase):
    def test_one_that_is_standard_and_no_more_opens_both_locks(self) -> None:
        # The longest keys, too: their capsules and answers take several APDUs.
        for key in (
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP384R1()),
            *(rsa.generate_private_key(65537, bits) for bits in (2048, 3072, 4096)),
        ):
            with self.subTest(key=type(key).__name__, bits=key.key_size):
                self.held = {"9d": held(key)}
                self.tell()
                self.assert_done(self.init())
                self.assertEqual(self.slots()["card"]["attested"], "none")
                self.assert_opens_both_locks()
                self.house.begin_anew()

    def test_a_key_that_wants_neither_pin_nor_touch_is_refused(self) -> None:
        self.held = {"9d": held(pin=False)}
        self.tell()
        self.assert_refused(self.init(), 1, "neither PIN nor touch")
        self.assertEqual(self.house.state(), "absent")

    def test_a_certificate_of_somebody_elses_key_is_found_out(self) -> None:
        mine = held()
        self.held = {"9d": mine | {"certificate": held()["certificate"]}}
        self.tell()
        # What it agrees on is on the curve, and is not what was agreed on with the other key.
        self.assert_refused(self.init(), 1, "not the one in its certificate")
        self.assertEqual(self.house.state(), "absent")

    def test_keys_of_another_kind_are_named_so(self) -> None:
        signer = ec.generate_private_key(ec.SECP256R1())
        for key in (
            ed25519.Ed25519PrivateKey.generate(),
            ec.generate_private_key(ec.SECP521R1()),
            rsa.generate_private_key(65537, 1024),
        ):
            with self.subTest(key=type(key).__name__):
                self.held = {"9d": held(key, signer)}
                self.tell()
                self.assert_refused(self.init(), 1, "slot 9d|key", "algorithm|not valid")
        self.assertEqual(self.house.state(), "absent")

    def test_an_unreadable_slot_does_not_break_another(self) -> None:
        self.held = {"82": held()}
        for unreadable in ("", "00", "30820100", "ff" * 300, self.held["82"]["certificate"][:-20]):
            with self.subTest(unreadable=unreadable[:8]):
                self.held["9d"] = {"certificate": unreadable}
                self.tell()
                self.assertEqual([row["kind"] for row in self.rows("token", "list")], ["piv"])
                self.assertNotEqual(self.init("--slot", "9d").code, 0)
                self.assert_done(self.init("--slot", "82"))
                self.assert_opens_both_locks()
                self.house.begin_anew()

    def test_an_answer_that_is_on_no_curve_opens_nothing(self) -> None:
        self.assert_done(self.init())
        self.house.must("lock")
        # 5 is no point's x on P-256; nor is anything beyond the field, or of another length.
        for x in (f"{5:064x}", "ff" * 32, "00" * 31, "00" * 33, ""):
            with self.subTest(x=x[-2:]):
                self.tell(agree=x)
                refused = self.house.run("unlock", pin=PIN)
                self.assertIn(refused.code, (1, 5), refused)
                self.assertEqual(len(refused.errors()), 1, refused)
                self.assertEqual(self.house.state(), "locked")
        self.tell()
        self.assert_opens_both_locks()

    def test_another_point_than_the_keys_opens_nothing(self) -> None:
        self.assert_done(self.init())
        self.house.must("lock")
        x = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers().x
        self.tell(agree=f"{x:064x}")
        self.assertNotEqual(self.house.run("unlock", pin=PIN).code, 0)
        self.assertEqual(self.house.state(), "locked")
        self.tell()
        self.assert_opens_both_locks()

    def test_garbage_of_every_length_is_an_error_and_holds_nobody_up(self) -> None:
        self.assert_done(self.init())
        self.house.must("lock")
        # Nothing at all is no answer to a reader: it goes on waiting, as for any card that hangs.
        for length in (0, 1, 2, 3, 5, 16, 127, 255, 256, 257, 4096):
            for end in ("9000", "6100", "6c10") if length == 0 else ("", "9000", "6100"):
                self.tell(say="5a" * length + end)
                refused = self.house.run("unlock", pin=PIN)
                self.assertNotEqual(refused.code, 0, (length, end))
                self.assertEqual(len(refused.errors()), 1, refused)
        self.assertEqual(self.house.state(), "locked")
        self.tell()
        self.assert_opens_both_locks()

    def test_a_pin_that_others_spent_is_counted_again(self) -> None:
        self.assert_done(self.init())
        self.house.must("lock")
        self.assert_refused(self.house.run("unlock", pin="654321"), 4, "2 tries")
        # The same one would not be sent again.
        self.assert_refused(self.house.run("unlock", pin="654322"), 4, "1 tr")
        self.assert_refused(self.house.run("unlock", pin=PIN), 4, "one try left")
        shown = self.house.on_terminal("unlock", typed=[PIN])
        self.assertEqual(shown.code, 0, shown)
        self.assertRegex(shown.err, "last try")


if __name__ == "__main__":
    unittest.main()
