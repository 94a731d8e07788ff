"""Reads the fixed vault with a reader written from docs/vault-format.md alone, and none of our code.

If this fails after a change of the format, the page is wrong or the vectors are old: a reader in another
language would be stranded. X-Wing and HPKE come from `cryptography`; CBOR is read here, strictly.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import unittest
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "vault"
LOCKS = {"unlock": 0, "guard": 1}


class Damaged(Exception):
    pass


def need(condition: bool, what: str) -> None:
    if not condition:
        raise Damaged(what)


def times(one: int, two: int) -> int:
    """In the field of AES."""
    product = 0
    for bit in range(8):
        product ^= (one << bit) * (two >> bit & 1)
    for bit in range(14, 7, -1):
        product ^= (0x11B << bit - 8) * (product >> bit & 1)
    return product


def inverse(number: int) -> int:
    return next(other for other in range(256) if times(number, other) == 1)


def combine(shares: list[bytes]) -> bytes:
    """The polynomials' values at 0, one for each byte (Lagrange)."""
    key = [0] * 32
    for share in shares:
        factor = 1
        for other in shares:
            if other != share:
                factor = times(factor, times(other[0], inverse(other[0] ^ share[0])))
        key = [byte ^ times(factor, y) for byte, y in zip(key, share[1:], strict=True)]
    return bytes(key)


def cbor_head(major: int, number: int) -> bytes:
    for limit, size, mark in ((24, 0, 0), (1 << 8, 1, 24), (1 << 16, 2, 25), (1 << 32, 4, 26), (1 << 64, 8, 27)):
        if number < limit:
            first = number if size == 0 else mark
            return bytes([major << 5 | first]) + (number.to_bytes(size, "big") if size else b"")
    raise ValueError(number)


def cbor(value) -> bytes:
    """Deterministic CBOR."""
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return cbor_head(0, value)
    if isinstance(value, bytes):
        return cbor_head(2, len(value)) + value
    if isinstance(value, str):
        return cbor_head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return cbor_head(4, len(value)) + b"".join(map(cbor, value))
    return cbor_head(5, len(value)) + b"".join(cbor(key) + cbor(value[key]) for key in sorted(value))


def uncbor(data: bytes):
    """Whole input, and only what `cbor` would write again."""

    def read(at: int):
        need(at < len(data), "CBOR cut short")
        major, low = data[at] >> 5, data[at] & 31
        if data[at] in (0xF4, 0xF5, 0xF6):
            return {0xF4: False, 0xF5: True, 0xF6: None}[data[at]], at + 1
        need(major <= 5 and low <= 27, "CBOR of another kind")
        size = 0 if low < 24 else 1 << (low - 24)
        number = int.from_bytes(data[at + 1 : at + 1 + size], "big") if size else low
        at += 1 + size
        if major == 0:
            return number, at
        need(major != 1 and number <= len(data) - at, "CBOR length")
        if major in (2, 3):
            raw = data[at : at + number]
            return (raw if major == 2 else raw.decode()), at + number
        if major == 4:
            elements = []
            for _ in range(number):
                element, at = read(at)
                elements.append(element)
            return elements, at
        pairs = {}
        for _ in range(number):
            key, at = read(at)
            pairs[key], at = read(at)
        return pairs, at

    value, end = read(0)
    need(end == len(data) and cbor(value) == data, "CBOR is not deterministic")
    return value


def hkdf(ikm: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(ikm)


def gcm_open(key: bytes, aad: bytes, sealed: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(bytes(12), sealed, aad)
    except InvalidTag as error:
        raise Damaged("not authentic") from error


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def xwing(seed: bytes):
    """The key pair of a decapsulation key (draft-connolly-cfrg-xwing-kem section 5.2)."""
    expanded = hashlib.shake_256(seed).digest(96)
    ml_kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    curve = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    public = ml_kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return hpke.MLKEM768X25519PrivateKey(ml_kem, curve), public


SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class Vault:
    """A reader: prefix, header, and then whatever the keys open."""

    def __init__(self, data: bytes) -> None:
        need(data[:8] == b"ROOTSEAL" and int.from_bytes(data[8:12], "big") == 1, "prefix")
        end = 16 + int.from_bytes(data[12:16], "big")
        self.signed, self.mac = data[:end], data[end : end + 32]
        self.header = uncbor(data[16:end])
        self.id, self.epoch = self.header[0], self.header[2]
        index, manifest, records = self.header[6]
        at = end + 32
        self.index_section = data[at : at + index]
        self.manifest_section = data[at + index : at + index + manifest]
        self.records = data[at + index + manifest :]
        need(len(self.records) == records, "length")

    def slot_kek(self, slot: dict, lock: str, secret: bytes) -> bytes:
        byte = bytes([LOCKS[lock]])
        return hkdf(secret, slot[6], b"rootseal/v1/slot" + self.id + slot[0] + byte)

    def slot_key(self, slot: dict, lock: str, secret: bytes) -> bytes:
        aad = cbor([self.id, slot[0], slot[1], slot[3], slot[4], slot[5], LOCKS[lock]])
        return gcm_open(self.slot_kek(slot, lock, secret), aad, slot[7 + LOCKS[lock]][0])

    def share(self, slot: dict, lock: str, secret: bytes) -> tuple[bytes, bytes]:
        """The lock's key or the holder's share of it, and the slot's public key."""
        byte = bytes([LOCKS[lock]])
        _, encapsulated, sealed = slot[7 + LOCKS[lock]]
        private, public = xwing(self.slot_key(slot, lock, secret))
        info = b"rootseal/v1/share" + self.id + u64(self.epoch) + slot[0] + byte
        return SUITE.decrypt(encapsulated + sealed, private, info=info), public

    def unlock(self, key: bytes) -> dict:
        salt = self.header[5]
        mac_key = hkdf(key, salt, b"rootseal/v1/header" + self.id)
        need(hmac.digest(mac_key, self.signed, "sha256") == self.mac, "header MAC")
        index_key = hkdf(key, salt, b"rootseal/v1/index" + self.id)
        index = uncbor(gcm_open(index_key, sha256(self.signed + self.mac), self.index_section))
        need(set(index) in ({0, 1, 2, 3, 4}, {0, 1, 2, 3, 4, 5}), "index")
        if 5 in index:
            seq, head = index[5]
            need(isinstance(seq, int) and seq > 0 and len(head) == 32, "anchor of the audit log")
        need(index[3] == sha256(self.manifest_section), "manifest hash")
        need(index[4] == sha256(self.records), "records hash")
        need(sum(item[5] for item in index[2]) == len(self.records), "record lengths")
        return index

    def manifest(self, key: bytes, index: dict) -> dict:
        salt, sealed = self.manifest_section[:32], self.manifest_section[32:]
        manifest_key = hkdf(key, salt, b"rootseal/v1/manifest" + self.id)
        manifest = uncbor(gcm_open(manifest_key, self.id + u64(self.epoch), sealed))
        need(set(manifest) == {0, 1, 2, 3, 4, 5, 6} and manifest[6] == self.header.get(7, {}), "manifest")
        need([manifest[0], manifest[2], manifest[3]] == [self.id, self.epoch, self.header[3]], "manifest")
        slots = [
            [slot[0], sha256(cbor([self.id, slot[0], slot[1], slot[3], slot[4], slot[5]])), 8 in slot]
            for slot in self.header[4]
        ]
        need([[entry[0], entry[1], entry[3] is not None] for entry in manifest[4]] == slots, "keyslots")
        guarded = sorted([item[0], item[4]] for item in index[2] if item[3] == 1)
        need([entry[:2] for entry in manifest[5]] == guarded, "guarded items")
        return manifest

    def record(self, index: dict, place: int, unlock: bytes, guard: bytes, manifest: dict) -> dict:
        items = index[2]
        start = sum(item[5] for item in items[:place])
        item = items[place]
        record = self.records[start : start + item[5]]
        ikm = unlock
        if item[3] == 1:
            ikm = guard + unlock
            need([item[0], item[4], sha256(record)] in manifest[5], "record hash")
        bound = self.id + item[0] + bytes([item[3]]) + u64(item[4])
        data_key = gcm_open(hkdf(ikm, record[:32], b"rootseal/v1/record" + bound), bound, record[32:80])
        plaintext = uncbor(gcm_open(data_key, bound, record[80:]))
        account = next(account for account in index[0] if account[0] == item[1])
        need([plaintext[0], plaintext[1], plaintext.get(8)] == [account[2], account[3], account.get(4)], "account")
        return plaintext


def shown(value):
    return value.hex() if isinstance(value, bytes) else value


class VaultFormat(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls) -> None:
        cls.data = (VECTORS / "vault.rseal").read_bytes()
        cls.secrets = json.loads((VECTORS / "secrets.json").read_text())
        cls.expected = json.loads((VECTORS / "contents.json").read_text())

    def keys(self, vault: Vault, token: int) -> dict[str, bytes]:
        slot = vault.header[4][token]
        secrets = self.secrets["tokens"][token]
        return {lock: vault.share(slot, lock, bytes.fromhex(secrets[lock]))[0] for lock in LOCKS}

    def contents(self, vault: Vault, keys: dict[str, bytes]) -> dict:
        index = vault.unlock(keys["unlock"])
        manifest = vault.manifest(keys["guard"], index)
        items = []
        for place, item in enumerate(index[2]):
            record = vault.record(index, place, keys["unlock"], keys["guard"], manifest)
            words = {str(key): shown(value) for key, value in record.items()} | {"8": record.get(8)}
            names = ("id", "account", "kind", "class", "version", None, "created", "public text")
            entry = {name: shown(item.get(key)) for key, name in enumerate(names) if name}
            items.append(entry | {"record": words})
        slot_names = ("id", "holder", "label", "kind", "created", "binding")
        account_names = ("id", "name", "account id", "partition", "user", "e-mail", "created")
        profile_names = ("name", "account", "request", "duration", "region", "created")

        def named(names: tuple[str, ...], entries: list) -> list:
            return [{name: shown(entry.get(key)) for key, name in enumerate(names)} for entry in entries]

        return {
            "vault id": vault.id.hex(),
            "generation": vault.header[1],
            "key epoch": vault.epoch,
            "thresholds": vault.header[3],
            "keyslots": named(slot_names, vault.header[4]),
            "accounts": named(account_names, index[0]),
            "profiles": named(profile_names, index[1]),
            "items": items,
        }

    def test_the_page_is_enough_to_open_the_vault_with_either_token(self):
        for token in (0, 1):
            with self.subTest(token=token):
                vault = Vault(self.data)
                keys = self.keys(vault, token)
                self.assertEqual(keys["unlock"].hex(), self.secrets["unlock key"])
                self.assertEqual(keys["guard"].hex(), self.secrets["guard key"])
                self.assertEqual(self.contents(vault, keys), self.expected)

    def test_the_manifest_has_the_public_halves(self):
        vault = Vault(self.data)
        keys = self.keys(vault, 0)
        manifest = vault.manifest(keys["guard"], vault.unlock(keys["unlock"]))
        for token, entry in enumerate(manifest[4]):
            for lock, place in (("unlock", 2), ("guard", 3)):
                secret = bytes.fromhex(self.secrets["tokens"][token][lock])
                public = vault.share(vault.header[4][token], lock, secret)[1]
                self.assertEqual(entry[place], public)
                self.assertNotIn(public[:32], self.data)

    def test_a_fido2_binding_reads_as_the_page_says(self):
        for slot in Vault(self.data).header[4]:
            binding = uncbor(slot[5])
            self.assertEqual(set(binding), {0, 1, 2, 3, 4, 5, 6})
            self.assertEqual(binding[1], "rootseal")
            self.assertEqual([len(salt) for salt in binding[2]], [32, 32])
            self.assertIs(binding[3], True)
            self.assertEqual(len(binding[4]), 16)
            self.assertEqual((len(binding[5]), binding[5][0]), (65, 4))
            # Raises for what is no point of the curve.
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), binding[5])
            self.assertIs(binding[6], True)

    def test_where_a_seed_is_on_a_token_reads_as_the_page_says(self):
        vault = Vault(self.data)
        keys = self.keys(vault, 0)
        index = vault.unlock(keys["unlock"])
        (place,) = (at for at, item in enumerate(index[2]) if item[2] == "totp-token")
        self.assertEqual(index[2][place][3], 0)
        record = vault.record(index, place, keys["unlock"], b"", {5: []})
        self.assertEqual(set(record), {0, 1, 2, 5, 6, 7, 9, 10, 11})
        self.assertEqual(record[2], index[2][place][7])
        self.assertIs(record[11], True)

    def test_the_wrong_token_opens_nothing(self):
        vault = Vault(self.data)
        secret = bytes.fromhex(self.secrets["tokens"][1]["unlock"])
        with self.assertRaises(Damaged):
            vault.share(vault.header[4][0], "unlock", secret)


if __name__ == "__main__":
    unittest.main()
