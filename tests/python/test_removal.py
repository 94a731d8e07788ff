"""The vault locks when a token that opened it is pulled out, and not when the token is back at once."""

from __future__ import annotations

import json
import os
import signal
import time
import unittest

from card_house import CardCase
from fakes import PATIENCE
from house import PIN, House, HouseCase, VirtualToken
from message_bus import MANAGER, NAME, VAULT, BusCase

AWAY, BACK = "is away", "is back"
NEVER = 24 * 3600


def configure(house: House, grace: int) -> None:
    house.lock_config = f"removal_grace_seconds = {grace}\n"
    house.restart_daemon()


def said(house: House) -> str:
    return (house.dir / "rootseald.log").read_text()


def until(holds) -> None:
    """Looks again and again, for as long as anything is waited for in these tests."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise AssertionError("it did not come")
        time.sleep(0.02)


def await_words(house: House, words: str, times: int = 1) -> None:
    """Until the daemon has said that so often."""
    until(lambda: said(house).count(words) >= times)


def await_locked(house: House) -> None:
    until(lambda: house.state() == "locked")


class OnASocket(HouseCase):
    """Where nobody is told of tokens."""

    def test_it_locks_when_the_token_is_pulled_out(self):
        configure(self.house, 0)
        for _ in range(2):
            self.house.must("unlock", pin=PIN)
            self.house.token.tell("unplug")
            await_locked(self.house)
            self.house.token.tell("plug")
        self.assertIn("pulled out", said(self.house))

    def test_so_does_one_that_was_just_made(self):
        configure(self.house, 0)
        self.house.stop_daemon()
        for file in self.house.data.iterdir():
            file.unlink()
        self.house.start_daemon()
        self.house.must("init", "--label", "new", pin=PIN)
        self.house.token.tell("unplug")
        await_locked(self.house)

    def test_and_one_that_what_is_guarded_opened(self):
        configure(self.house, 0)
        self.house.must("credentials", "prod-root", pin=PIN)
        self.house.token.tell("unplug")
        await_locked(self.house)
        self.assert_refused(self.house.run("--no-prompt", "credentials", "prod-root"), 4)


class OnABus(BusCase):
    def begin(self, grace: int) -> None:
        configure(self.house, grace)
        self.house.must("unlock", pin=PIN)
        self.listener = self.client()
        self.listener.of_bus("AddMatch", "s", f"type='signal',sender='{NAME}'")

    def locks(self) -> None:
        self.listener.signal(
            lambda path, member, body: (path, member) == (VAULT, "PropertiesChanged")
            and body[1].get("State") == ("s", "locked")
        )

    def comes(self, member: str) -> None:
        self.listener.signal(lambda path, name, body: (path, name) == (MANAGER, f"Interfaces{member}"))

    def test_one_that_is_back_in_time_and_leaves_again(self):
        self.begin(NEVER)
        for times in (1, 2):
            self.house.token.tell("unplug")
            await_words(self.house, AWAY, times)
            self.house.token.tell("plug")
            await_words(self.house, BACK, times)
        self.assertEqual(self.house.state(), "unlocked")

    def test_one_that_is_back_at_another_place(self):
        self.begin(NEVER)
        self.house.token.stop()
        await_words(self.house, AWAY)
        again = Elsewhere(self.house.dir, "token", "auto", serial=9)
        self.addCleanup(again.stop)
        await_words(self.house, BACK)
        again.tell("unplug")
        await_words(self.house, AWAY, 2)

    def test_another_token_is_none(self):
        other = self.house.add_token("other")
        self.begin(0)
        other.tell("unplug")
        self.comes("Removed")
        self.assertEqual(self.house.state(), "unlocked")
        self.house.token.tell("unplug")
        self.locks()

    def test_one_that_takes_its_place_is_not_it(self):
        self.house.token.stop()
        stranger = self.house.add_token("other")
        stranger.tell("unplug")
        self.house.token.start()
        self.begin(NEVER)
        self.house.token.tell("unplug")
        await_words(self.house, AWAY)
        stranger.tell("plug")
        self.comes("Added")
        # Whoever asks for the tokens has them looked at; by then the stranger would have counted.
        self.house.must("token", "list")
        self.assertEqual(said(self.house).count(BACK), 0)
        self.house.token.tell("plug")
        await_words(self.house, BACK)

    def test_where_it_is_not_wanted(self):
        self.house.lock_config = "when_token_is_removed = false\nremoval_grace_seconds = 0\n"
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        self.listener = self.client()
        self.listener.of_bus("AddMatch", "s", f"type='signal',sender='{NAME}'")
        self.house.token.tell("unplug")
        self.comes("Removed")
        self.assertEqual(self.house.state(), "unlocked")


class Elsewhere(VirtualToken):
    """The same token in another port."""

    def wire(self) -> list:
        self.socket = self._directory / "other.sock"
        return ["--socket", self.socket, "--label", self.name]


class Quorum(HouseCase):
    """Two holders, who may have one port."""

    house_options = {"aws": "none"}

    def setUp(self) -> None:
        super().setUp()
        self.bob = self.house.add_token("other")
        ids = {row["id"] for row in self.tokens()}
        (alice,) = {row["id"] for row in self.tokens() if row["enrolled"]}
        (bob,) = ids - {alice}
        pin = self.house.file("pin", PIN)
        self.pins = [part for token in ids for part in ("--pin-file", f"{token}={pin}")]
        add = ("keyslot", "add", "--label", "bob's", "--holder", "bob", "--with", alice)
        self.must("--token", bob, *add)
        self.alice_id = alice
        configure(self.house, 0)

    def must(self, *command) -> None:
        self.house.must(*self.pins, *command)

    def rule(self, unlock: int) -> None:
        self.must("--token", self.alice_id, "quorum", "set", "--unlock", unlock, "--guard", "2")
        self.house.must("lock")

    def tokens(self) -> list[dict]:
        return json.loads(self.house.must("token", "list", "--json"))

    def in_one_port(self, *command: str) -> bytes:
        """alice consents, and takes her token out for bob's; what is printed."""
        client = self.house.start(*self.pins, *command, pin=None)
        while b"next holder" not in (line := client.stderr.readline()):
            self.assertNotEqual(line, b"")
        self.house.token.tell("unplug")
        self.bob.tell("plug")
        out, err = client.communicate(timeout=PATIENCE)
        self.assertEqual(client.returncode, 0, err)
        return out

    def test_any_of_them_that_leaves_counts(self):
        self.rule(unlock=2)
        for leaves in (self.house.token, self.bob):
            self.must("unlock")
            leaves.tell("unplug")
            await_locked(self.house)
            leaves.tell("plug")

    def test_who_made_room_for_the_next_has_not_left(self):
        self.rule(unlock=2)
        self.bob.tell("unplug")
        self.in_one_port("unlock")
        self.assertEqual(self.house.state(), "unlocked")
        self.bob.tell("unplug")
        await_locked(self.house)

    def test_consents_are_collected_to_the_end_and_then_it_locks(self):
        self.rule(unlock=1)
        self.bob.tell("unplug")
        self.must("unlock")
        self.assertRegex(self.in_one_port("totp", "code", "prod"), rb"^\d{6}\n$")
        await_locked(self.house)
        self.assertIn(AWAY, said(self.house))


class Cards(CardCase):
    def test_pulling_the_card_locks(self):
        self.assert_done(self.init("--generate", "p256"))
        configure(self.house, 0)
        self.assert_done(self.house.run("unlock", pin=PIN))
        self.card.unplug()
        await_locked(self.house)

    def test_a_pcscd_that_starts_again_and_one_that_dies_are_no_removal(self):
        self.assert_done(self.init("--generate", "p256"))
        configure(self.house, NEVER)
        self.assert_done(self.house.run("unlock", pin=PIN))
        self.readers.kill()
        await_words(self.house, AWAY)
        self.readers.start()
        await_words(self.house, BACK)
        os.kill(self.readers.service_pid, signal.SIGKILL)
        await_words(self.house, AWAY, 2)
        self.readers.restart()
        await_words(self.house, BACK, 2)
        self.card.unplug()
        await_words(self.house, AWAY, 3)
        self.assertEqual(self.house.state(), "unlocked")


if __name__ == "__main__":
    unittest.main()
