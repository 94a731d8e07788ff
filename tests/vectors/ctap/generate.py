#!/usr/bin/env python3
"""Writes pin_protocols.json, requests.json and the fuzz corpora with python-fido2, an implementation independent of ours.

    python3 -m venv venv && venv/bin/pip install fido2==2.2.0
    venv/bin/python tests/vectors/ctap/generate.py

The keys and IVs are fixed, so that the output is the same each time. The files virtual_token_* in the corpus
are not written here: they were recorded from rootseal-virtual-token, with python-fido2 asking.
"""
import hashlib
import json
import pathlib
from unittest import mock

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2


def fixed(label, length=32):
    return hashlib.sha256(b"rootseal test vector: " + label.encode()).digest()[:length]


def key(label):
    return ec.derive_private_key(int.from_bytes(fixed(label), "big"), ec.SECP256R1())


def point(private):
    numbers = private.public_key().public_numbers()
    return {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}


def vector(protocol):
    name = f"protocol {protocol.VERSION}, "
    platform, token = key(name + "platform"), key(name + "token")
    with mock.patch.object(ec, "generate_private_key", return_value=platform):
        key_agreement, secret = protocol.encapsulate(point(token))
    iv = fixed(name + "iv", 16)
    pin_hash = hashlib.sha256("pässwörd".encode()).digest()[:16]
    salts = fixed("salt one") + fixed("salt two")
    pin_token = fixed(name + "pin token")
    with mock.patch("os.urandom", return_value=iv):
        encrypted = {
            "pin_hash": (pin_hash, protocol.encrypt(secret, pin_hash)),
            "one_salt": (salts[:32], protocol.encrypt(secret, salts[:32])),
            "two_salts": (salts, protocol.encrypt(secret, salts)),
        }
    return {
        "protocol": protocol.VERSION,
        "platform_private": fixed(name + "platform").hex(),
        "platform_x": key_agreement[-2].hex(),
        "platform_y": key_agreement[-3].hex(),
        "token_x": point(token)[-2].hex(),
        "token_y": point(token)[-3].hex(),
        "iv": iv.hex(),
        "encrypt": {what: {"plain": a.hex(), "cipher": b.hex()} for what, (a, b) in encrypted.items()},
        "salt_auth": protocol.authenticate(secret, encrypted["two_salts"][1]).hex(),
        "pin_token": pin_token.hex(),
        "client_data_hash": fixed("client data").hex(),
        "pin_uv_auth_param": protocol.authenticate(pin_token, fixed("client data")).hex(),
    }


def requests():
    one = vector(PinProtocolV1())
    cose = {1: 2, 3: -25, -1: 1, -2: bytes.fromhex(one["platform_x"]), -3: bytes.fromhex(one["platform_y"])}
    data, ident = fixed("client data"), fixed("credential")
    es256 = [{"alg": -7, "type": "public-key"}]
    rp, user = {"id": "rootseal.test", "name": "rootseal"}, {"id": b"\x01\x02", "name": "slot"}
    listed = [{"id": ident, "type": "public-key"}]
    secret = {1: cose, 2: b"\x05" * 64, 3: b"\x06" * 16}
    mac = b"\x07" * 32
    make = {1: data, 2: rp, 3: user, 4: es256, 6: {"hmac-secret": True}}
    ask = {1: "rootseal.test", 2: data, 3: listed}
    return {
        "make_credential": (1, make),
        "make_credential_excluding_with_pin": (1, make | {5: listed, 8: mac, 9: 2}),
        "probe": (2, ask | {5: {"up": False}}),
        "hmac_secret_one": (2, ask | {4: {"hmac-secret": secret}}),
        "hmac_secret_two_with_pin": (2, ask | {4: {"hmac-secret": secret | {4: 2}}, 6: mac, 7: 2}),
        "get_pin_retries": (6, {1: 1, 2: 1}),
        "get_key_agreement": (6, {1: 2, 2: 2}),
        "get_pin_token": (6, {1: 1, 2: 5, 3: cose, 6: b"\x08" * 16}),
        "get_pin_uv_auth_token_using_pin_with_permissions": (
            6,
            {1: 2, 2: 9, 3: cose, 6: b"\x08" * 32, 9: 2, 10: "rootseal.test"},
        ),
    }


def corpus_cbor():
    token = point(key("protocol 2, token"))
    cose = {1: 2, 3: -25, -1: 1} | token
    rp = hashlib.sha256(b"rootseal.test").digest()
    ident = fixed("credential")

    def made_with(public):
        made = rp + b"\xc1\0\0\0\x01" + fixed("aaguid", 16) + b"\0\x20" + ident
        return made + cbor.encode(public) + cbor.encode({"hmac-secret": True})

    es256_key = {1: 2, 3: -7, -1: 1} | token
    made = made_with(es256_key)
    asserted = rp + b"\x85\0\0\0\x02" + cbor.encode({"hmac-secret": b"\x09" * 80})
    es256 = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    signature = key("protocol 2, token").sign(asserted + fixed("client data"), es256)
    info = {
        1: ["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"],
        2: ["credProtect", "hmac-secret", "largeBlobKey"],
        3: fixed("aaguid", 16),
        4: {"rk": True, "up": True, "plat": False, "credMgmt": True, "clientPin": True, "pinUvAuthToken": True},
        5: 1200,
        6: [2, 1],
        7: 8,
        8: 128,
        9: ["usb"],
        10: [{"alg": -7, "type": "public-key"}, {"alg": -8, "type": "public-key"}],
        12: False,
        13: 4,
        14: 328707,
    }
    deep = b"\xa1\x01" * 40 + b"\x00"
    return {
        "get_info": cbor.encode(info),
        "get_info_minimal": cbor.encode({1: ["FIDO_2_0"], 3: bytes(16)}),
        "key_agreement": cbor.encode({1: cose}),
        "pin_token": cbor.encode({2: b"\x0a" * 48}),
        "pin_retries": cbor.encode({3: 8, 4: False}),
        "make_credential": cbor.encode({1: "none", 2: made, 3: {}}),
        "get_assertion": cbor.encode(
            {1: {"id": ident, "type": "public-key"}, 2: asserted, 3: signature}
        ),
        "auth_data_made": made,
        "auth_data_asserted": asserted,
        "auth_data_key_not_on_curve": made_with(es256_key | {-3: token[-2]}),
        "auth_data_key_compressed": made_with(es256_key | {-3: True}),
        "auth_data_key_short": made_with(es256_key | {-2: token[-2][1:]}),
        "auth_data_key_on_p384": made_with(es256_key | {-1: 2}),
        "auth_data_key_for_ecdh": made_with(es256_key | {3: -25}),
        "auth_data_key_eddsa": made_with({1: 1, 3: -8, -1: 6, -2: token[-2]}),
        "auth_data_key_with_more": made_with(es256_key | {2: b"kid"}),
        "auth_data_id_too_long": made[:53] + b"\xff\xff" + made[55:],
        "no_credentials": b"\x2e",
        "duplicate_key": bytes.fromhex("a203080308"),
        "duplicate_key_other_length": bytes.fromhex("a20308180308"),
        "indefinite": bytes.fromhex("bf0308ff"),
        "huge_array": bytes.fromhex("a1019bffffffffffffffff"),
        "huge_bytes": bytes.fromhex("a1025bffffffffffffffff"),
        "deep": deep,
        "text_not_utf8": bytes.fromhex("a1018162fffe"),
        "empty": b"",
    }


def packets(cid, command, payload):
    head = cid.to_bytes(4, "big")
    out = [head + bytes([command | 0x80]) + len(payload).to_bytes(2, "big") + payload[:57]]
    rest = payload[57:]
    for sequence in range((len(rest) + 58) // 59):
        out.append(head + bytes([sequence]) + rest[sequence * 59 :][:59])
    return b"".join(packet.ljust(64, b"\0") for packet in out)


def corpus_hid():
    reply = bytes([0]) + corpus_cbor()["get_info"]
    whole = packets(1, 0x10, reply)
    return {
        "get_info": whole,
        "keepalive_then_reply": packets(1, 0x3B, b"\x02") + packets(7, 0x10, b"\0") + whole,
        "error_in_the_middle": whole[:64] + packets(1, 0x3F, b"\x06"),
        "new_message_in_the_middle": whole[:64] + whole,
        "wrong_sequence": whole[:64] + whole[128:],
        "continuation_first": whole[64:],
        "longest": packets(1, 0x10, bytes(7609)),
        "too_long": packets(1, 0x10, b"")[:5] + b"\xff\xff" + bytes(57),
        "short_report": whole[:70],
    }


here = pathlib.Path(__file__).resolve().parent
json_files = {
    "pin_protocols.json": [vector(PinProtocolV1()), vector(PinProtocolV2())],
    "requests.json": {name: (bytes([command]) + cbor.encode(body)).hex() for name, (command, body) in requests().items()},
}
for name, content in json_files.items():
    (here / name).write_text(json.dumps(content, indent=1) + "\n")
for target, files in {"ctap_cbor": corpus_cbor(), "ctap_hid": corpus_hid()}.items():
    folder = here.parents[2] / "fuzz" / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
