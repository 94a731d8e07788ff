"""A device that only claims to be the enrolled token is never sent the PIN."""

from __future__ import annotations

import contextlib
import unittest

from house import PIN, HouseCase
from impostors import CLIENT_PIN, GET_ASSERTION, Impostor, Shy, Turncoat

LIES = ("garbage", "own key", "empty", "refuses")


class Impostors(HouseCase):
    @contextlib.contextmanager
    def impostor(self, lie: str):
        device = Impostor(self.house.dir / "other.sock", lie)
        try:
            yield device
        finally:
            device.stop()

    def assert_learnt_nothing(self, device: Impostor) -> None:
        self.assertIn(GET_ASSERTION, device.commands, "it was asked, and lied")
        self.assertNotIn(CLIENT_PIN, device.commands)

    def test_alone_it_is_another_token(self):
        self.house.must("lock")
        self.house.token.tell("unplug")
        for lie in LIES:
            with self.subTest(lie=lie), self.impostor(lie) as device:
                refused = self.house.run("unlock", pin=PIN)
                self.assert_refused(refused, 5, "no connected token is a keyslot")
                self.assert_learnt_nothing(device)
        self.house.token.tell("plug")
        self.house.must("unlock", pin=PIN)

    def test_beside_the_true_token_it_is_passed_over(self):
        for lie in LIES:
            with self.subTest(lie=lie), self.impostor(lie) as device:
                self.house.must("lock")
                self.house.must("unlock", pin=PIN)
                self.assert_learnt_nothing(device)


    def test_one_that_takes_the_tokens_place_after_the_proof_is_found_out(self):
        self.house.stop_daemon()
        device = Turncoat(self.house.dir / "other.sock", self.house.token.socket)
        self.addCleanup(device.stop)
        self.house.start_daemon(sockets=("other",))
        refused = self.house.run("unlock", pin=PIN)
        self.assert_refused(refused, 5, "no connected token is a keyslot")
        self.assert_learnt_nothing(device.impostor)


class ShyTokens(HouseCase):
    """One that does nothing without its user can prove nothing either: it is known by its model."""

    furnished = False

    def setUp(self) -> None:
        super().setUp()
        self.house.stop_daemon()
        path = self.house.dir / "other.sock"
        self.shy = Shy(path, self.house.token.socket)
        self.addCleanup(self.shy.stop)
        self.house.start_daemon(sockets=("other",))

    def test_it_is_enrolled_and_found_all_the_same(self):
        self.house.furnish()
        self.house.must("lock")
        self.house.must("unlock", pin=PIN)
        self.assertGreater(self.shy.refused, 1)

    def test_one_that_proved_itself_once_has_to_go_on(self):
        self.house.stop_daemon()
        self.house.start_daemon(sockets=("token",))
        self.house.furnish()
        self.house.stop_daemon()
        self.house.start_daemon(sockets=("other",))
        refused = self.house.run("unlock", pin=PIN)
        self.assert_refused(refused, 5, "no connected token is a keyslot")
        self.assertGreater(self.shy.refused, 0)


if __name__ == "__main__":
    unittest.main()
