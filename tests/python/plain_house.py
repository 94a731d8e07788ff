"""A house with a PIV card of no maker, `plain_card.py`."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path

from card_house import CardCase
from cards import FIRST_PORT, PIN
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fakes import spawn, stop

PLAIN_CARD = Path(__file__).with_name("plain_card.py")


def held(key=None, signer=None, **more: object) -> dict:
    """What a slot holds: a key, and its certificate."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plain")])
    begin = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36500))
        .sign(signer or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return {
        "key": key.private_bytes(serialization.Encoding.PEM, *form).decode(),
        "certificate": certificate.public_bytes(serialization.Encoding.DER).hex(),
    } | more


class PlainCardCase(CardCase):
    """The card in the first reader is a plain one, with a key in slot 9d."""

    def put_in(self) -> None:
        self.path = self.readers.dir / "plain.json"
        self.held = {"9d": held()}
        self.tell()
        moves = self.readers.moves()
        argv = self.readers.inside(sys.executable, PLAIN_CARD, FIRST_PORT, self.path)
        self.process, _ = spawn(argv, self.readers.dir, "plain")
        self.addCleanup(stop, self.process)
        self.readers.wait_for_card(since=moves)

    def tell(self, **settings: object) -> None:
        """What the card holds and does from now on."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"slots": self.held} | settings))
        new.rename(self.path)

    def token_id(self, kind: str = "piv", serial: object = "") -> str:
        return super().token_id(kind, serial)

    def init(self, *options: object, pin: str = PIN, **how: object):
        return super().init(*options, pin=pin, serial="")
