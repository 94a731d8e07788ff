"""A FIDO2 token that does each thing wrong that the virtual token can: a clean error, and then all is well again."""

from __future__ import annotations

import unittest

from house import PIN, HouseCase


class OnHid(HouseCase):
    house_options = {"aws": "none"}

    def assert_survived(self, fault: str, *expected: int) -> None:
        self.house.must("lock")
        self.house.token.tell(f"fault {fault}")
        refused = self.house.run("unlock", pin=PIN)
        self.assertIn(refused.code, expected, refused)
        self.assert_refused(refused, refused.code, "token")
        self.assertEqual(self.house.state(), "locked")
        self.house.token.tell("fault none")
        self.house.must("unlock", pin=PIN)

    def test_answers_that_are_noise(self):
        self.assert_survived("garble", 1, 5)

    def test_no_answers(self):
        self.assert_survived("stop", 5)

    def test_a_request_for_time_that_never_ends(self):
        self.assert_survived("keepalive", 5)

    def test_a_key_agreement_off_the_curve(self):
        self.assert_survived("bad-point", 1)

    def test_power_that_fails_for_a_moment(self):
        self.assert_survived("reset 15", 5)
        self.assertTrue(self.house.token.status()["plugged"])


if __name__ == "__main__":
    unittest.main()
