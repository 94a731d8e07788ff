"""One AWS account and its root user: keys, MFA device, sessions. All state is here."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import secrets
import string
import threading
from dataclasses import dataclass

import totp
from wire import AwsError

_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


@dataclass(frozen=True)
class Session:
    """Temporary credentials that this account gave out."""

    access_key_id: str
    secret: str
    token: str
    expires: dt.datetime


@dataclass(frozen=True)
class Caller:
    """Who signed: the root user, by its long-term key or by a session."""

    access_key_id: str
    session: Session | None


class Account:
    """The root user of `account_id`, as strict as AWS about codes and sessions."""

    def __init__(self, account_id: str, keys: dict[str, str], seed: bytes, mfa_serial: str):
        self.account_id = account_id
        self.mfa_serial = mfa_serial
        self._keys = keys
        self._seed = seed
        self._spent_step = -1
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    @property
    def root_arn(self) -> str:
        return f"arn:aws:iam::{self.account_id}:root"

    def secret_of(self, access_key_id: str, token: str | None, now: dt.datetime) -> str:
        """The secret that `access_key_id` must have signed with."""
        invalid = AwsError(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
        if token is None:
            if access_key_id not in self._keys:
                raise invalid
            return self._keys[access_key_id]
        session = self._sessions.get(access_key_id)
        if session is None or not hmac.compare_digest(session.token.encode(), token.encode()):
            raise invalid
        if session.expires <= now:
            raise AwsError(
                403, "ExpiredToken", "The security token included in the request is expired"
            )
        return session.secret

    def caller(self, access_key_id: str) -> Caller:
        return Caller(access_key_id, self._sessions.get(access_key_id))

    def spend_mfa_code(self, serial: str, code: str, now: dt.datetime) -> None:
        """A code counts once; so does every step before it."""
        if serial != self.mfa_serial:
            raise AwsError(
                403,
                "AccessDenied",
                "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify "
                "your MFA serial number is valid and associated with this user.",
            )
        with self._lock:
            step = totp.matching_step(self._seed, code, now.timestamp())
            if step is None or step <= self._spent_step:
                raise AwsError(
                    403,
                    "AccessDenied",
                    "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
                )
            self._spent_step = step

    def new_session(self, now: dt.datetime, seconds: int) -> Session:
        session = Session(
            "ASIA" + _random(_ID_ALPHABET, 16),
            _random(_SECRET_ALPHABET, 40),
            base64.b64encode(secrets.token_bytes(225)).decode(),
            now.replace(microsecond=0) + dt.timedelta(seconds=seconds),
        )
        with self._lock:
            self._sessions[session.access_key_id] = session
        return session
