"""A house with smart cards that make one-time codes, and its daemon's clock in the hands of the test."""

from __future__ import annotations

import base64
import functools
import json
import subprocess
import sys
import time
from pathlib import Path

from cards import Card, Readers
from clocks import ClockCase
from fakes import ACCOUNT, MFA_SERIAL
from house import PIN, House, Result

YKMAN = Path(sys.executable).with_name("ykman")
BLUE, GREEN = 1111111, 2222222
NAME = f"AWS:root-account-mfa-device@{ACCOUNT}"
PERIOD = 30
# What RFC 6238 appendix B uses.
RFC_SEED = base64.b32encode(b"12345678901234567890").decode()


class OathHouse(House):
    """Its daemon looks for cards in these readers."""

    def __init__(self, readers: Readers, daemon_environment: dict[str, str], **options):
        super().__init__(daemon_environment=daemon_environment | readers.environment, **options)


class OathCase(ClockCase):
    """A vault that a FIDO2 token opens, an account without a seed, and a card in the first reader."""

    furnished = False
    house_options = {"aws": "none"}

    def setUp(self) -> None:
        self.readers = Readers()
        self.addCleanup(self.readers.close)
        self.blue = self.readers.add_card("blue", serial=BLUE)
        self.house_class = functools.partial(OathHouse, self.readers)
        super().setUp()
        self.ahead = 0
        self.house.must("init", "--label", "demo key", pin=PIN)
        self.house.must("account", "add", "prod", "--account-id", ACCOUNT)
        self.uri = self.house.file("uri", self.house.root.uri())

    def add_green(self) -> Card:
        """A second card, in the second reader."""
        return self.readers.add_card("green", slot=1, serial=GREEN)

    # What others do to the card

    def ykman(self, *arguments: object, slot: int = 0, check: bool = True, **options: object):
        name = self.readers.reader(slot)
        return self.readers.run(YKMAN, "--reader", name, "oath", *arguments, check=check, **options)

    def on_card(self, slot: int = 0) -> list[str]:
        """The names of the accounts on a card, as another program sees them."""
        return self.ykman("accounts", "list", slot=slot).stdout.split()

    # What the daemon does

    def rows(self, *command: object) -> list[dict]:
        return json.loads(self.house.must("--json", *command))

    def token_id(self, serial: int = BLUE, kind: str = "oath") -> str:
        listed = self.rows("token", "list")
        (found,) = [t["id"] for t in listed if (t["kind"], t["serial"]) == (kind, str(serial))]
        return found

    def run_it(self, *command: object, passwords: dict[str, str] | None = None, pin: str | None = PIN) -> Result:
        """With the FIDO2 token's PIN, and passwords by token id."""
        options = []
        for token, password in (passwords or {}).items():
            options += ["--pin-file", f"{token}={self.house.file(f'password-of-{token}', password)}"]
        return self.house.run(*options, *command, pin=pin)

    def add(self, *serials: int, options: tuple = (), **how: object) -> Result:
        """Puts the account's seed on these cards."""
        where = [part for serial in serials for part in ("--on-token", self.token_id(serial))]
        return self.run_it("totp", "add", "prod", *where, "--uri-file", self.uri, *options, **how)

    def code(self, *options: object, **how: object) -> str:
        return self.assert_done(self.run_it(*options, "totp", "code", "prod", **how)).strip()

    def places(self) -> tuple[bool, list[bool]]:
        """Whether the vault has the seed, and for each token that has it whether it wants a touch."""
        (device,) = self.rows("totp", "list")
        self.assertEqual((device["account"], device["mfa_serial"]), ("prod", MFA_SERIAL))
        return device["in_vault"], [token["touch"] for token in device["tokens"]]

    def events(self) -> list[dict]:
        lines = (self.house.data / "audit.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    # The time

    def begin_step(self) -> None:
        """The next step has just begun."""
        now = time.time() + self.ahead
        self.ahead += int(PERIOD - now % PERIOD) + 1
        self.clocks.set(self.ahead)

    def assert_code(self, code: str) -> None:
        """Of this moment, or of the step before if that ended in between."""
        root = self.house.root
        self.assertIn(code, [root.code(steps, self.ahead) for steps in (0, -1)])

    def code_after_waiting(self, *options: object) -> str:
        """A code that has to be waited for; the wait is over at once."""
        client = self.house.start(*options, "totp", "code", "prod")
        for line in client.stderr:
            if b"Waiting" in line:
                break
        else:
            self.fail("it did not wait")
        self.begin_step()
        out, err = client.communicate()
        self.assertEqual(client.returncode, 0, err)
        return out.decode().strip()


def ends(process: subprocess.Popen) -> Result:
    """What a client in the background left behind."""
    out, err = process.communicate()
    return Result(process.returncode, out.decode(), err.decode())
