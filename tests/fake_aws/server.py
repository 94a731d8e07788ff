#!/usr/bin/env python3
"""A strict stand-in for AWS STS on loopback, with nothing but Python's standard library.

It plays one account with its root user: it verifies every signature in full, takes an MFA
code once, and remembers the sessions it gave out. It logs who called what, never a secret.
Once it listens it writes `READY=1 URL` to the descriptor given by `--ready-fd`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import faults
import sigv4
import sts
import totp
from account import Account
from wire import AwsError, Request, new_request_id, success

SERVICES = {sts.SERVICE: sts}
MAX_BODY = 1024 * 1024


class World:
    """What all requests share: the account, the clock, the faults, the log."""

    def __init__(self, account: Account, offset: int, fault_file: str | None, log: str | None):
        self.account = account
        self.faults = faults.FaultQueue(fault_file)
        self._offset = dt.timedelta(seconds=offset)
        self._log = log
        self._log_lock = threading.Lock()

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.timezone.utc) + self._offset

    def log(self, **entry: object) -> None:
        if self._log is None:
            return
        line = json.dumps({"time": self.now().isoformat(), **entry})
        with self._log_lock, open(self._log, "a", encoding="utf-8") as out:
            out.write(line + "\n")

    def answer(self, request: Request, entry: dict, request_id: str) -> bytes:
        """Judges one request; fills in `entry` for the log on the way."""
        service = SERVICES[sts.SERVICE]
        now = self.now()
        signed = sigv4.verify(
            request,
            service.SERVICE,
            now,
            lambda key_id, token: self._known(entry, key_id, token, now),
        )
        action = request.params.get("Action")
        if action is None:
            raise AwsError(400, "MissingAction", "No Action parameter in the request")
        entry["action"] = action
        version = request.params.get("Version")
        if version != service.VERSION or action not in service.ACTIONS:
            raise AwsError(
                400, "InvalidAction", f"Could not find operation {action} for version {version}"
            )
        caller = self.account.caller(signed.access_key_id)
        result = service.ACTIONS[action](self.account, caller, request, now)
        return success(action, result, service.NAMESPACE, request_id)

    def _known(self, entry: dict, key_id: str, token: str | None, now: dt.datetime) -> str:
        entry["access_key_id"] = key_id
        return self.account.secret_of(key_id, token, now)


def read_params(request: Request) -> dict[str, str]:
    """Query API parameters: from the form in a POST, from the query string in a GET."""
    text = request.query
    if request.method == "POST":
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise AwsError(400, "MalformedQueryString", "The body must be a URL-encoded form")
        text = request.body.decode("ascii", "replace")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise AwsError(
            400, "MalformedQueryString", "The query string contains a syntax error"
        ) from None
    params = dict(pairs)
    if len(params) != len(pairs):
        raise AwsError(400, "MalformedQueryString", "A parameter was given twice")
    return params


class Handler(BaseHTTPRequestHandler):
    """Reads a request, lets the world judge it, writes the reply or a fault."""

    protocol_version = "HTTP/1.1"
    server: FakeServer

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        world = self.server.world
        fault, *argument = world.faults.take() or [""]
        entry: dict = {"action": None, "access_key_id": None}
        request_id = new_request_id()
        try:
            request = self._read()
            request.params = read_params(request)
            entry["action"] = request.params.get("Action")
            if fault == "drop":
                self.close_connection = True
                world.log(**entry, status=0, result="drop")
                return
            if fault in faults.NOT_CARRIED_OUT:
                raise faults.NOT_CARRIED_OUT[fault]
            body, status, result = world.answer(request, entry, request_id), 200, "ok"
        except AwsError as error:
            body = error.body(sts.NAMESPACE, request_id)
            status, result = error.status, error.code
        if fault in faults.MANGLED:
            result = fault
        world.log(**entry, status=status, result=result)
        if fault == "slow-until-file":
            faults.hold(argument[0])
        self._reply(status, body, request_id, fault)

    def _read(self) -> Request:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            raise AwsError(400, "MalformedQueryString", "Send a body of known, modest length")
        body = self.rfile.read(int(length))
        path, _, query = self.path.partition("?")
        return Request(self.command, path, query, headers, body)

    def _reply(self, status: int, body: bytes, request_id: str, fault: str) -> None:
        pieces = iter([body])
        length = len(body)
        if fault == "garbage":
            status, body = 200, b"\x00\xff<<<not xml at all \xfe" * 40
            pieces, length = iter([body]), len(body)
        elif fault == "no-credentials":
            status = 200
            body = success("GetSessionToken", {}, sts.NAMESPACE, request_id)
            pieces, length = iter([body]), len(body)
        elif fault == "truncated":
            pieces = iter([body[: len(body) // 2]])
            self.close_connection = True
        elif fault == "huge":
            status, pieces, length = 200, faults.huge_pieces(), faults.HUGE
            self.close_connection = True
        try:
            self.send_response(status)
            self.send_header("x-amzn-RequestId", request_id)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)
        except OSError:
            # The client hung up, as it may on a huge or a slow reply.
            self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(timestamp or self.server.world.now().timestamp())

    def log_message(self, *_arguments: object) -> None:
        """The log file is the log; nothing on stderr."""


class FakeServer(ThreadingHTTPServer):
    """A thread for each connection, TLS when asked for."""

    daemon_threads = True

    def __init__(self, port: int, world: World, tls: ssl.SSLContext | None):
        super().__init__(("127.0.0.1", port), Handler)
        self.world = world
        self._tls = tls

    def get_request(self):
        connection, peer = super().get_request()
        if self._tls is not None:
            # The handshake is left to the connection's own thread.
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, peer

    def handle_error(self, _request, _client_address) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(_request, _client_address)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A strict fake of AWS STS on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--account", required=True, metavar="ID")
    parser.add_argument("--access-key-id", required=True, metavar="AKIA…")
    parser.add_argument("--secret-file", required=True, help="the root key's secret")
    parser.add_argument("--totp-seed-file", required=True, help="the MFA seed in base32")
    parser.add_argument("--mfa-serial", metavar="ARN", help="default: root's usual one")
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--log", metavar="FILE", help="one JSON line for each request")
    parser.add_argument("--clock-offset", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--fault-file", metavar="FILE", help=faults.__doc__.splitlines()[0])
    return parser.parse_args()


def main() -> None:
    args = arguments()
    serial = args.mfa_serial or f"arn:aws:iam::{args.account}:mfa/root-account-mfa-device"
    account = Account(
        args.account,
        {args.access_key_id: Path(args.secret_file).read_text().strip()},
        totp.decode_seed(Path(args.totp_seed_file).read_text()),
        serial,
    )
    tls = None
    if args.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*args.tls)
    world = World(account, args.clock_offset, args.fault_file, args.log)
    server = FakeServer(args.port, world, tls)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    scheme = "https" if tls else "http"
    ready = f"READY=1 {scheme}://127.0.0.1:{server.server_address[1]}\n"
    if args.ready_fd is None:
        print(ready, end="", flush=True)
    else:
        with os.fdopen(args.ready_fd, "w") as out:
            out.write(ready)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
