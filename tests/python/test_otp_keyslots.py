"""A YubiKey's challenge-response opens the unlock lock, and that alone."""

from __future__ import annotations

import unittest

from card_house import SERIAL, CardCase
from cards import PIN

KEY = "0b" * 20


class OtpKeyslots(CardCase):
    def setUp(self) -> None:
        super().setUp()
        self.house.token.tell("plug")
        self.fido = next(row["id"] for row in self.rows("token", "list") if row["kind"] == "fido")
        self.house.must("--token", self.fido, "init", "--label", "fido", pin=PIN)
        self.furnish()

    def program(self, slot: int = 2, key: str = KEY, *options: str) -> None:
        self.ykman("otp", "chalresp", "--force", *options, slot, key)

    def add(self, *options: object):
        add = ("--token", self.token_id("otp_hmac"), "keyslot", "add", "--label", "otp", *options)
        return self.house.run(*add, pin=PIN)

    def test_it_opens_the_index_and_nothing_that_is_guarded(self) -> None:
        self.program()
        added = self.add()
        self.assert_done(added)
        self.assertRegex(added.err, "has no PIN")
        self.assertEqual(self.slots()["otp"]["kind"], "otp_hmac")
        self.house.token.tell("unplug")
        self.house.must("lock")
        # No PIN is asked for.
        self.assert_done(self.house.run("unlock"))
        self.assertEqual([row["name"] for row in self.rows("account", "list")], ["prod"])
        self.assert_refused(self.guarded(), 5, "otp", "no PIN", "fido")
        # With the other one there as well, what is guarded finds the right one by itself.
        self.house.must("lock")
        self.house.token.tell("plug")
        self.house.must("--token", self.token_id("otp_hmac"), "unlock")
        self.assert_done(self.guarded())

    def test_no_vault_begins_with_it(self) -> None:
        self.program()
        self.house.begin_anew()
        refused = self.house.run("--token", self.token_id("otp_hmac"), "init", "--label", "otp")
        self.assert_refused(refused, 2, "no PIN", "another token")
        self.assertEqual(self.house.state(), "absent")

    def test_slots_and_touches(self) -> None:
        self.assert_refused(self.add(), 1, "slot|empty")
        self.program(1, KEY, "--touch")
        self.assert_refused(self.add("--slot", "2"), 1, "slot|empty")
        self.assert_refused(self.add("--slot", "3"), 2, "1 or 2")
        self.assert_refused(self.add("--slot", "1", "--generate", "p256"), 1, "leaves no such choice")
        before = self.card.touches()
        self.assert_done(self.add("--slot", "1"))
        self.assertEqual(self.card.touches(), before + 1)
        self.house.token.tell("unplug")
        self.house.must("lock")
        self.assert_done(self.house.run("unlock"))
        self.assertEqual(self.card.touches(), before + 2)

    def test_another_key_or_another_token_does_not_open_it(self) -> None:
        self.program()
        self.assert_done(self.add())
        self.house.token.tell("unplug")
        self.house.must("lock")
        self.program(2, "0c" * 20)
        refused = self.house.run("unlock")
        self.assert_refused(refused, 5, "no connected token is a keyslot")
        self.ykman("otp", "delete", "--force", 2)
        self.assert_refused(self.house.run("unlock"), 5, "otp")
        self.card.stop()
        self.readers.wait_for_card(present=False)
        self.readers.add_card("green", serial=SERIAL + 1)
        self.program()
        self.assert_refused(self.house.run("unlock"), 5, "otp")
        self.assertEqual(self.house.state(), "locked")


if __name__ == "__main__":
    unittest.main()
