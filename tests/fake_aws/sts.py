"""The STS actions a root user meets. Another service is another module of this shape."""

from __future__ import annotations

import datetime as dt
import re

from account import Account, Caller
from wire import AwsError, Request, validation_error

SERVICE = "sts"
VERSION = "2011-06-15"
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"

ROOT_MAX_SECONDS = 3600
MIN_SECONDS = 900
MAX_SECONDS = 129_600


def _duration(request: Request) -> int:
    text = request.params.get("DurationSeconds", str(ROOT_MAX_SECONDS))
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise AwsError(400, "MalformedInput", "Unexpected value for DurationSeconds")
    seconds = int(text)
    where = f"Value '{text}' at 'durationSeconds' failed to satisfy constraint: "
    if seconds < MIN_SECONDS:
        raise validation_error(f"{where}Member must have value greater than or equal to 900")
    if seconds > MAX_SECONDS:
        raise validation_error(f"{where}Member must have value less than or equal to 129600")
    return min(seconds, ROOT_MAX_SECONDS)


def get_session_token(
    account: Account, caller: Caller, request: Request, now: dt.datetime
) -> dict:
    if caller.session is not None:
        raise AwsError(
            403, "AccessDenied", "Cannot call GetSessionToken with session credentials"
        )
    seconds = _duration(request)
    serial = request.params.get("SerialNumber")
    code = request.params.get("TokenCode")
    if serial is None or code is None:
        # AWS gives a session without MFA here; the account played by this fake asks for it.
        raise AwsError(
            403,
            "AccessDenied",
            "MultiFactorAuthentication failed, must provide both MFA serial number and one "
            "time pass code. ",
        )
    if not re.fullmatch(r"[0-9]{6}", code):
        raise validation_error(
            f"Value '{code}' at 'tokenCode' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\d]{6}"
        )
    account.spend_mfa_code(serial, code, now)
    session = account.new_session(now, seconds)
    return {
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret,
            "SessionToken": session.token,
            "Expiration": session.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    }


def get_caller_identity(
    account: Account, _caller: Caller, _request: Request, _now: dt.datetime
) -> dict:
    return {
        "Arn": account.root_arn,
        "UserId": account.account_id,
        "Account": account.account_id,
    }


ACTIONS = {
    "GetSessionToken": get_session_token,
    "GetCallerIdentity": get_caller_identity,
}
