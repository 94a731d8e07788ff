"""A token that goes in place of each single frame and APDU of an unlock and of a guarded operation.

On a FIDO2 token's socket and on a card in vpcd: the daemon cannot tell these from USB. The guest's tests pull a USB
device out at some of these steps. The card's service goes, too, at every command.
"""

from __future__ import annotations

import unittest

from cards import Readers
from fakes import ACCOUNT
from house import PIN, HouseCase
from plain_house import PlainCardCase
from unplugged import Unplugged


class OnHid(Unplugged, HouseCase):
    def test_at_every_frame_of_an_unlock(self):
        self.assertGreater(self.sweep(self.unlocking), 20)

    def test_at_every_frame_of_a_guarded_operation(self):
        self.assertGreater(self.sweep(self.importing), 20)


class OnCard(Unplugged, HouseCase):
    """A PIV card, which is the only keyslot."""

    interface = "card"
    furnished = False

    def setUp(self) -> None:
        self.readers = Readers()
        self.addCleanup(self.readers.close)
        self.house_options = {"aws": "none", "daemon_environment": self.readers.environment}
        super().setUp()
        self.house.token.stop()
        self.card = self.readers.add_card("blue")
        self.house.must("init", "--label", "blue", "--generate", "p256", pin=PIN)
        self.house.must("account", "add", "prod", "--account-id", ACCOUNT)

    def hands(self):
        return self.card

    def put_back(self) -> None:
        self.readers.wait_for_card(present=False)
        self.card.plug()

    def test_at_every_apdu_of_an_unlock(self):
        self.assertGreater(self.sweep(self.unlocking), 10)

    def test_at_every_apdu_of_a_guarded_operation(self):
        self.assertGreater(self.sweep(self.importing), 10)


class WithoutService(Unplugged, PlainCardCase):
    """pcscd is killed in place of a command to the card, and started again."""

    def setUp(self) -> None:
        super().setUp()
        self.assert_done(self.init())
        self.furnish()

    def pull_at(self, step: int) -> None:
        self.killed = self.path.with_suffix(".killed")
        self.killed.unlink(missing_ok=True)
        self.tell(kill=[self.readers.service_pid, step])

    def is_gone(self) -> bool:
        if not self.killed.exists():
            return False
        self.readers.await_end()
        return True

    def leave_alone(self) -> None:
        self.tell()

    def put_back(self) -> None:
        self.leave_alone()
        self.readers.restart()
        self.readers.wait_for_card()

    # Not at every one: a pcscd that starts takes seconds.

    def test_at_commands_of_an_unlock(self):
        self.sweep(self.unlocking, (1, 4, 8, 12))

    def test_at_commands_of_a_guarded_operation(self):
        self.sweep(self.importing, (3, 7, 10))


if __name__ == "__main__":
    unittest.main()
