"""Every secret of a house, as bytes to search for: what went in, and what only the daemon derives.

The vault's keys come from the token itself through python-fido2 and the reader that was written from
docs/vault-format.md, so that nothing here takes the daemon's word for what its secrets are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta, timezone

from fido2.ctap2 import ClientPin, Ctap2
from fido2.hid import CtapHidDevice
from fido2.hid.base import HidDescriptor

from fakes import PATIENCE
from house import PIN, House, VirtualToken
from test_vault_format import LOCKS, Vault, gcm_open, hkdf, uncbor
from virtual_token_peer import SocketConnection


def token_secrets(token: VirtualToken, binding: dict) -> list[bytes]:
    """hmac-secret for both salts of a keyslot, with the PIN verified: one touch."""
    path = str(token.socket)
    connection = SocketConnection(path)
    connection.socket.settimeout(PATIENCE)
    try:
        device = CtapHidDevice(HidDescriptor(path, 0, 0, 64, 64, None, None), connection)
        ctap = Ctap2(device)
        client = ClientPin(ctap)
        agreement, shared = client._get_shared_secret()
        pin_token = client.get_pin_token(PIN, ClientPin.PERMISSION.GET_ASSERTION, binding[1])
        salts = client.protocol.encrypt(shared, b"".join(binding[2]))
        request = {
            1: agreement,
            2: salts,
            3: client.protocol.authenticate(shared, salts),
            4: client.protocol.VERSION,
        }
        digest = hashlib.sha256(b"search").digest()
        assertion = ctap.get_assertion(
            binding[1],
            digest,
            [{"type": "public-key", "id": binding[0]}],
            {"hmac-secret": request},
            None,
            client.protocol.authenticate(pin_token, digest),
            client.protocol.VERSION,
        )
        answer = assertion.auth_data.extensions["hmac-secret"]
        both = client.protocol.decrypt(shared, answer)
        return [both[:32], both[32:]]
    finally:
        connection.close()


def derived(name: str, ikm: bytes, salt: bytes, info: bytes) -> dict[str, bytes]:
    """HKDF's result, and the key in the middle of it (RFC 5869 section 2.2)."""
    found = {name: hkdf(ikm, salt, info)}
    found[f"{name}, before it is expanded"] = hmac.digest(salt, ikm, "sha256")
    return found


def keypair(name: str, seed: bytes) -> dict[str, bytes]:
    """What X-Wing makes of its seed (draft-connolly-cfrg-xwing-kem section 5.2)."""
    expanded = hashlib.shake_256(seed).digest(96)
    return {
        f"{name}, ML-KEM d": expanded[:32],
        f"{name}, ML-KEM z": expanded[32:64],
        f"{name}, X25519": expanded[64:],
    }


def vault_keys(house: House) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """All keys from the token to each record: those that only the guard lock may give, and those that an
    open index needs."""
    vault = Vault(house.vault.read_bytes())
    slot = vault.header[4][0]
    secrets = dict(zip(LOCKS, token_secrets(house.token, uncbor(slot[5])), strict=True))
    shares = {lock: vault.share(slot, lock, secret)[0] for lock, secret in secrets.items()}
    index = vault.unlock(shares["unlock"])
    # These are the keys: the reader, who was written from the page alone, accepts what they open.
    vault.manifest(shares["guard"], index)

    guarded: dict[str, bytes] = {"PIN, hashed": hashlib.sha256(PIN.encode()).digest()[:16]}
    for lock, secret in secrets.items():
        guarded[f"token secret ({lock})"] = secret
        info = b"rootseal/v1/slot" + vault.id + slot[0] + bytes([LOCKS[lock]])
        guarded |= derived(f"key-encryption key ({lock})", secret, slot[6], info)
        seed = vault.slot_key(slot, lock, secret)
        guarded |= {f"slot key ({lock})": seed} | keypair(f"slot key ({lock})", seed)
    guarded["guard key"] = shares["guard"]
    salt = vault.manifest_section[:32]
    guarded |= derived("manifest key", shares["guard"], salt, b"rootseal/v1/manifest" + vault.id)
    start = 0
    for item in index[2]:
        record = vault.records[start : start + item[5]]
        start += item[5]
        bound = vault.id + item[0] + bytes([item[3]]) + item[4].to_bytes(8, "big")
        ikm = shares["guard"] + shares["unlock"]
        name = f"record key ({item[2]})"
        guarded |= derived(name, ikm, record[:32], b"rootseal/v1/record" + bound)
        guarded[f"data key ({item[2]})"] = gcm_open(guarded[name], bound, record[32:80])

    key, salt = shares["unlock"], vault.header[5]
    unlocked = {"unlock key": key}
    unlocked |= derived("header MAC key", key, salt, b"rootseal/v1/header" + vault.id)
    unlocked |= derived("index key", key, salt, b"rootseal/v1/index" + vault.id)
    return guarded, unlocked


def signing_keys(secret: str) -> dict[str, bytes]:
    """SigV4's chain of keys ("Create a signed AWS API request"), for today and either side of it."""
    found = {"AWS4 + secret": f"AWS4{secret}".encode()}
    today = datetime.now(timezone.utc)
    for day in (-1, 0, 1):
        date = (today + timedelta(days=day)).strftime("%Y%m%d")
        key = f"AWS4{secret}".encode()
        for step in (date, "us-east-1", "sts", "aws4_request"):
            key = hmac.digest(key, step.encode(), "sha256")
            found[f"signing key {date} {step}"] = key
    return found


def pads(name: str, key: bytes, block: int) -> dict[str, bytes]:
    """The two blocks that HMAC (RFC 2104) makes of a key, as far as the key reaches."""
    if len(key) > block:
        return {}
    return {
        f"{name} in HMAC's {kind} pad": bytes(byte ^ mask for byte in key)
        for kind, mask in (("inner", 0x36), ("outer", 0x5C))
    }


def seed_bytes(house: House) -> bytes:
    return base64.b32decode(house.root.seed + "=" * (-len(house.root.seed) % 8))


def long_lived(house: House) -> dict[str, bytes]:
    """What a rootkey.csv, an otpauth URI and a person brought in."""
    return {
        "access key secret": house.root.secret.encode(),
        "seed": seed_bytes(house),
        "seed in base32": house.root.seed.encode(),
    }


def with_pads(found: dict[str, bytes]) -> dict[str, bytes]:
    more = dict(found)
    for name, key in found.items():
        more |= pads(name, key, 64)
    return more


def of_session(credentials: str) -> dict[str, bytes]:
    """The secrets in what `credentials` printed."""
    got = json.loads(credentials)
    return {
        "session secret": got["SecretAccessKey"].encode(),
        "session token": got["SessionToken"].encode(),
    }
