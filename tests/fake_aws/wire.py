"""The Query API on the wire: errors as AWS words them, and the XML both ways go in.

Nothing in here knows an action or an account.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from xml.sax.saxutils import escape


class AwsError(Exception):
    """A refusal, as the service would send it."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message

    def body(self, namespace: str, request_id: str) -> bytes:
        kind = "Receiver" if self.status >= 500 else "Sender"
        return (
            f'<ErrorResponse xmlns="{namespace}">\n'
            "  <Error>\n"
            f"    <Type>{kind}</Type>\n"
            f"    <Code>{self.code}</Code>\n"
            f"    <Message>{escape(self.message)}</Message>\n"
            "  </Error>\n"
            f"  <RequestId>{request_id}</RequestId>\n"
            "</ErrorResponse>\n"
        ).encode()


def validation_error(detail: str) -> AwsError:
    return AwsError(400, "ValidationError", f"1 validation error detected: {detail}")


@dataclass
class Request:
    """One HTTP request, header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    params: dict[str, str] = field(default_factory=dict)


def new_request_id() -> str:
    return str(uuid.uuid4())


def _element(name: str, value: object, indent: str) -> str:
    if isinstance(value, dict):
        inner = "".join(_element(k, v, indent + "  ") for k, v in value.items())
        return f"{indent}<{name}>\n{inner}{indent}</{name}>\n"
    if isinstance(value, list):
        inner = "".join(_element("member", v, indent + "  ") for v in value)
        return f"{indent}<{name}>\n{inner}{indent}</{name}>\n"
    return f"{indent}<{name}>{escape(str(value))}</{name}>\n"


def success(action: str, result: dict, namespace: str, request_id: str) -> bytes:
    """`<ActionResponse><ActionResult>…</ActionResult><ResponseMetadata>…`."""
    return (
        f'<{action}Response xmlns="{namespace}">\n'
        + _element(f"{action}Result", result, "  ")
        + _element("ResponseMetadata", {"RequestId": request_id}, "  ")
        + f"</{action}Response>\n"
    ).encode()
