"""A token behind the real hidraw: found, opened, pulled out and put back."""

from __future__ import annotations

import signal
import unittest

from fakes import PATIENCE
from hidraw_house import HidrawCase, TwoTokens
from house import PIN, Result


class OneToken(HidrawCase):
    def test_a_token_on_hidraw_opens_the_vault_and_gives_codes(self):
        (token,) = self.house.tokens()
        self.assertEqual((token["label"], token["virtual"], token["enrolled"]), ("demo key", False, True))
        self.assertTrue(self.house.token.node.is_char_device())
        self.house.must("lock")
        self.house.must("unlock", pin=PIN)
        self.assert_code(self.house.run("totp", "code", "prod", pin=PIN))

    def test_pulled_out_at_rest_it_is_missed_and_put_back_it_serves(self):
        self.house.must("lock")
        self.house.token.stop(signal.SIGKILL)
        self.assertEqual(self.house.tokens(), [])
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "token")
        self.house.token.start()
        self.house.must("unlock", pin=PIN)
        self.house.token.stop(signal.SIGKILL)
        self.assert_refused(self.house.run("totp", "code", "prod", pin=PIN), 5, "token")
        self.assertEqual(self.house.state(), "unlocked")
        self.house.token.start()
        self.assert_code(self.house.run("totp", "code", "prod", pin=PIN))

    def assert_pulled_out_during(self, *args: str) -> None:
        """Pulls it out while the command waits for a touch, and puts it back."""
        self.house.token.tell("mode demand")
        client = self.house.start(*args)
        self.house.token.tell("wait-touch")
        self.house.token.stop(signal.SIGKILL)
        out, err = client.communicate(timeout=PATIENCE)
        self.assert_refused(Result(client.returncode, out.decode(), err.decode()), 5, "token")
        self.house.token.start()

    def test_pulled_out_while_it_waits_for_a_touch(self):
        self.house.must("lock")
        self.assert_pulled_out_during("unlock")
        self.assertEqual(self.house.state(), "locked")
        self.house.must("unlock", pin=PIN)
        self.assert_pulled_out_during("totp", "code", "prod")
        self.assertEqual(self.house.state(), "unlocked")
        self.assert_code(self.house.run("totp", "code", "prod", pin=PIN))


class Session(HidrawCase):
    """The guarded operation that needs AWS."""

    house_options = {"aws": "fake"}

    def test_a_token_on_hidraw_signs_for_a_session(self):
        self.house.must("key", "import", "prod", self.house.file("rootkey.csv", self.house.root.csv()), pin=PIN)
        self.house.must("profile", "add", "prod-root", "--account", "prod", "--duration", "3600")
        self.house.must("credentials", "prod-root", pin=PIN)
        (request,) = self.house.aws.requests()
        self.assertEqual(request["status"], 200)


class TwoHidrawTokens(TwoTokens, HidrawCase):
    pass


if __name__ == "__main__":
    unittest.main()
