"""Checks Signature Version 4 (header form), written from the AWS specification.

It recomputes the signature from the bytes that came in and is stricter than AWS in one
point: every `x-amz-*` header that is sent, the session token among them, must be signed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from wire import AwsError, Request

ALGORITHM = "AWS4-HMAC-SHA256"
WINDOW = dt.timedelta(minutes=15)
STAMP = "%Y%m%dT%H%M%SZ"

_AUTHORIZATION = re.compile(
    r"^AWS4-HMAC-SHA256 +Credential=(?P<credential>[^, ]+), *"
    r"SignedHeaders=(?P<headers>[^, ]+), *Signature=(?P<signature>[0-9a-f]{64})$"
)
_REGION = re.compile(r"^[a-z]{2}(-[a-z]+)+-[0-9]$")


@dataclass(frozen=True)
class Signed:
    """What a request with a valid signature has proven."""

    access_key_id: str
    region: str
    service: str


def _incomplete(message: str) -> AwsError:
    return AwsError(400, "IncompleteSignature", message)


def _mismatch(message: str) -> AwsError:
    return AwsError(403, "SignatureDoesNotMatch", message)


def _uri_encode(text: str, keep: str) -> str:
    return quote(text, safe="-_.~" + keep)


def canonical_query(query: str) -> str:
    pairs = []
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        pairs.append((_uri_encode(unquote(name), ""), _uri_encode(unquote(value), "")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def canonical_request(request: Request, signed_headers: list[str]) -> str:
    headers = "".join(
        f"{name}:{' '.join(request.headers[name].split())}\n" for name in signed_headers
    )
    return "\n".join(
        (
            request.method,
            _uri_encode(request.path, "/"),
            canonical_query(request.query),
            headers,
            ";".join(signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    )


def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _check_headers(request: Request, signed: list[str]) -> None:
    if signed != sorted(set(signed)) or signed != [name.lower() for name in signed]:
        raise _incomplete("SignedHeaders must be sorted, in lower case, each named once.")
    must = {"host", "x-amz-date"} | {n for n in request.headers if n.startswith("x-amz-")}
    if "content-type" in request.headers:
        must.add("content-type")
    absent = [name for name in signed if name not in request.headers]
    if absent:
        raise _incomplete(f"Signed headers that are not in the request: {', '.join(absent)}.")
    for name in sorted(must.difference(signed)):
        raise _mismatch(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")


def _check_date(request: Request, day: str, now: dt.datetime) -> str:
    stamp = request.headers.get("x-amz-date", "")
    try:
        sent = dt.datetime.strptime(stamp, STAMP).replace(tzinfo=dt.timezone.utc)
    except ValueError:
        raise _incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' "
            "header in ISO8601 basic format."
        ) from None
    if stamp[:8] != day:
        raise _mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
            f"from HTTP: '{day}' != '{stamp[:8]}', from '{stamp}'."
        )
    here = now.strftime(STAMP)
    if sent < now - WINDOW:
        edge = (now - WINDOW).strftime(STAMP)
        raise _mismatch(
            f"Signature expired: {stamp} is now earlier than {edge} ({here} - 15 min.)"
        )
    if sent > now + WINDOW:
        edge = (now + WINDOW).strftime(STAMP)
        raise _mismatch(
            f"Signature not yet current: {stamp} is still later than {edge} ({here} + 15 min.)"
        )
    return stamp


def verify(
    request: Request,
    service: str,
    now: dt.datetime,
    secret_of: Callable[[str, str | None], str],
) -> Signed:
    """Checks everything. `secret_of(access_key_id, session_token)` may refuse by raising."""
    authorization = request.headers.get("authorization")
    if authorization is None:
        raise AwsError(
            403, "MissingAuthenticationToken", "Request is missing Authentication Token"
        )
    found = _AUTHORIZATION.match(authorization)
    if found is None:
        raise _incomplete(f"Authorization header must be a complete {ALGORITHM} header.")
    scope = found["credential"].split("/")
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise _incomplete("Credential must have exactly 5 slash-delimited elements.")
    access_key_id, day, region, named_service, _ = scope
    signed = found["headers"].split(";")
    _check_headers(request, signed)
    stamp = _check_date(request, day, now)
    if not _REGION.match(region):
        raise _mismatch("Credential should be scoped to a valid region. ")
    if named_service != service:
        raise _mismatch(f"Credential should be scoped to correct service: '{service}'. ")
    claimed = request.headers.get("x-amz-content-sha256")
    if claimed is not None and claimed != hashlib.sha256(request.body).hexdigest():
        raise _mismatch("The provided x-amz-content-sha256 header does not match the body.")
    secret = secret_of(access_key_id, request.headers.get("x-amz-security-token"))
    to_sign = "\n".join(
        (
            ALGORITHM,
            stamp,
            "/".join(scope[1:]),
            hashlib.sha256(canonical_request(request, signed).encode()).hexdigest(),
        )
    )
    key = signing_key(secret, day, region, service)
    expected = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, found["signature"]):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. Consult the service "
            "documentation for details."
        )
    return Signed(access_key_id, region, service)
