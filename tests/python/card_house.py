"""A house with smart cards: a daemon whose PC/SC service is that of its virtual readers."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

from cards import Card, Readers
from fakes import ACCOUNT, PATIENCE, RootUser
from house import PIN, House, HouseCase, Result

MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708"
SERIAL = 7654321
YKMAN = Path(sys.executable).with_name("ykman")


class CardHouse(House):
    """Its tokens are cards; the FIDO token that every house has is there to be plugged in."""

    def __init__(self, readers: Readers, **options):
        super().__init__(aws="none", daemon_environment=readers.environment, **options)
        self.token.tell("unplug")

    def begin_anew(self) -> None:
        """As it was before there was a vault."""
        self.stop_daemon()
        shutil.rmtree(self.data)
        self.start_daemon()


class CardCase(HouseCase):
    """A test with readers and a house of its own, and a card in the first reader. There is no vault yet."""

    furnished = False
    house_class = CardHouse
    readers_options: dict = {}
    touch = "auto"

    def setUp(self) -> None:
        self.readers = Readers(**self.readers_options)
        self.addCleanup(self.readers.close)
        self.house_options = {"readers": self.readers}
        super().setUp()
        self.put_in()

    def put_in(self) -> None:
        """Puts the card in that a test is about."""
        self.card: Card = self.readers.add_card("blue", serial=SERIAL, touch=self.touch)

    # What others do to the card

    def ykman(self, *arguments: object, slot: int = 0, check: bool = True, **options: object):
        name = self.readers.reader(slot)
        return self.readers.run(YKMAN, "--reader", name, *arguments, check=check, **options)

    def generate_with_ykman(self, slot: str, algorithm: str, *options: str) -> Path:
        """A key with a certificate; returns the public key's file."""
        out = self.readers.dir / f"{slot}.pem"
        management = ("--management-key", MANAGEMENT_KEY, "--pin", PIN)
        self.ykman("piv", "keys", "generate", "--algorithm", algorithm, *management, *options, slot, out)
        self.ykman("piv", "certificates", "generate", *management, "--subject", f"CN=in {slot}", slot, out)
        return out

    # What the daemon knows

    def rows(self, *command: str) -> list[dict]:
        return json.loads(self.house.must("--json", *command))

    def token_id(self, kind: str = "piv", serial: int = SERIAL) -> str:
        found = [t["id"] for t in self.rows("token", "list") if (t["kind"], t["serial"]) == (kind, str(serial))]
        self.assertEqual(len(found), 1, self.rows("token", "list"))
        return found[0]

    def slots(self) -> dict[str, dict]:
        """The keyslots by their labels."""
        return {row["label"]: row for row in self.rows("keyslot", "list")}

    # What the daemon does

    def init(self, *options: object, pin: str = PIN, **how: object) -> Result:
        return self.house.run("--token", self.token_id(**how), "init", "--label", "card", *options, pin=pin)

    def furnish(self) -> None:
        """An account for what is guarded."""
        self.house.must("account", "add", "prod", "--account-id", ACCOUNT)

    def guarded(self, *options: object, pin: str | None = PIN) -> Result:
        """A guarded operation: seals another access key."""
        keys = self.house.file("rootkey.csv", RootUser().csv())
        return self.house.run(*options, "key", "import", "prod", keys, pin=pin)

    def until_listed(self) -> None:
        """The daemon has let the card go, which it resets, and finds it again."""
        end = time.monotonic() + PATIENCE
        while not any(row["kind"] == "piv" for row in self.rows("token", "list")):
            self.assertLess(time.monotonic(), end, "the card is not listed")

    def assert_opens_both_locks(self, *options: object) -> None:
        """By the card that is there: unlock, what is guarded, lock, and unlock again."""
        self.house.must("lock")
        self.assert_done(self.house.run(*options, "unlock", pin=PIN))
        if not self.rows("account", "list"):
            self.furnish()
        self.assert_done(self.guarded(*options))
        self.house.must("lock")
        self.assert_done(self.house.run(*options, "unlock", pin=PIN))
        self.assertEqual(self.house.state(), "unlocked")
