"""RFC 6238 with what AWS uses: HMAC-SHA1, 30 seconds, six digits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct

PERIOD = 30


def decode_seed(text: str) -> bytes:
    """Base32 with or without padding, in either case."""
    bare = "".join(text.split()).rstrip("=").upper()
    return base64.b32decode(bare + "=" * (-len(bare) % 8))


def code(seed: bytes, step: int) -> str:
    digest = hmac.new(seed, struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFF_FFFF
    return f"{number % 1_000_000:06d}"


def matching_step(seed: bytes, candidate: str, now: float) -> int | None:
    """The step that `candidate` belongs to, one step of drift either way."""
    current = int(now) // PERIOD
    for step in (current, current - 1, current + 1):
        if hmac.compare_digest(code(seed, step), candidate):
            return step
    return None
