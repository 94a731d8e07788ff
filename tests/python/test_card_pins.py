"""The PIN of a card: its tries are told, the last one is kept, and a blocked one is said."""

from __future__ import annotations

import sys
import unittest

from card_house import CardCase
from cards import PIN

WRONG = "654321"


class Pins(CardCase):
    def setUp(self) -> None:
        super().setUp()
        self.assert_done(self.init("--generate", "p256"))
        self.furnish()

    def spend(self, count: int) -> None:
        """Another program tries a wrong PIN."""
        for _ in range(count):
            self.ykman("piv", "access", "change-pin", "--pin", WRONG, "--new-pin", WRONG, check=False)

    def tries(self) -> str:
        told = self.ykman("piv", "info").stdout
        return next(line for line in told.splitlines() if line.startswith("PIN tries remaining")).split()[-1]

    def test_a_wrong_one_costs_a_try_which_is_told(self) -> None:
        self.house.must("lock")
        self.assert_refused(self.house.run("unlock", pin=WRONG), 4, "wrong", "2 tries")
        self.assertEqual(self.tries(), "2/3")
        self.assertEqual(self.house.state(), "locked")
        self.assert_opens_both_locks()
        self.assertEqual(self.tries(), "3/3")

    def test_what_can_be_no_pin_costs_none(self) -> None:
        for pin in ("1", "123", "123456789"):
            self.assertNotEqual(self.guarded(pin=pin).code, 0)
        self.assertEqual(self.tries(), "3/3")

    def test_the_last_try_is_not_for_a_file(self) -> None:
        self.house.must("lock")
        self.spend(2)
        for pin in (PIN, WRONG):
            self.assert_refused(self.house.run("unlock", pin=pin), 4, "one try left", "terminal")
        self.assertEqual(self.tries(), "1/3")
        shown = self.house.on_terminal("unlock", typed=[PIN])
        self.assertEqual(shown.code, 0, shown)
        self.assertRegex(shown.err, "last try before the token blocks")
        self.assertEqual(self.tries(), "3/3")

    def test_whoever_types_sees_the_tries_go_down_to_the_block(self) -> None:
        touches = self.card.touches()
        typed = [WRONG, "123123", "321321"]
        shown = self.house.on_terminal("key", "import", "prod", self.csv(), typed=typed)
        self.assertEqual(shown.code, 5, shown)
        for words in ("3 tries left", "Wrong PIN.*2 tries left", "Wrong PIN.*last try", "blocked"):
            self.assertRegex(shown.err, words)
        self.assertEqual(self.card.touches(), touches)
        # Now it stays so, said at once and by every command.
        self.assert_refused(self.guarded(), 5, "blocked", "another keyslot")
        self.house.must("lock")
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "blocked")
        self.assertEqual(self.house.state(), "locked")

    def csv(self) -> object:
        return self.house.file("rootkey.csv", self.house.root.csv())

    def test_another_program_that_has_verified_it_does_not_verify_it_for_us(self) -> None:
        self.house.must("lock")
        script = (
            "import sys\n"
            "from smartcard.System import readers\n"
            "from ykman.pcsc import ScardSmartCardConnection\n"
            "from yubikit.piv import PivSession\n"
            "reader = next(each for each in readers() if each.name == sys.argv[1])\n"
            "session = PivSession(ScardSmartCardConnection(reader.createConnection()))\n"
            f"session.verify_pin('{PIN}')\n"
        )
        self.readers.run(sys.executable, "-c", script, self.readers.reader())
        self.assert_refused(self.house.run("unlock", pin=WRONG), 4, "wrong", "2 tries")

    def test_a_wrong_one_enrols_nothing(self) -> None:
        self.house.begin_anew()
        self.assert_refused(self.init("--slot", "82", "--generate", "p256", pin=WRONG), 4, "wrong", "2 tries")
        self.assertEqual(self.house.state(), "absent")
        self.assertNotIn("Slot 82", self.ykman("piv", "info").stdout)


if __name__ == "__main__":
    unittest.main()
