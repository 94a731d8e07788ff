"""The strict fake of AWS and moto as things a test can start, feed with faults and stop."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import string
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAKE_AWS = ROOT / "tests" / "fake_aws"
sys.path.insert(0, str(FAKE_AWS))

import totp  # the fake's own, beside server.py

ACCOUNT = "111122223333"
MFA_SERIAL = f"arn:aws:iam::{ACCOUNT}:mfa/root-account-mfa-device"
# A safety net for a broken build, far beyond what any step takes. No test depends on it.
PATIENCE = 180


def spawn(argv: list, directory: Path, name: str, **popen) -> tuple[subprocess.Popen, str]:
    """Starts a program that knows `--ready-fd`; returns it with its READY line."""
    read_end, write_end = os.pipe()
    with open(directory / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            [str(part) for part in argv] + ["--ready-fd", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(write_end,),
            start_new_session=True,
            **popen,
        )
    os.close(write_end)
    with os.fdopen(read_end) as ready:
        # Ends with the line, or with the process, whose end closes the pipe.
        line = ready.readline()
    if not line.startswith("READY=1"):
        stop(process)
        said = (directory / f"{name}.log").read_text(errors="replace")[-2000:]
        raise AssertionError(f"{name} did not get ready (exit {process.returncode}):\n{said}")
    return process, line.strip()


def stop(process: subprocess.Popen, how: int = signal.SIGTERM) -> None:
    """Ends a process that we started, and waits for its end."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class RootUser:
    """A root access key and a TOTP seed, random for each test."""

    def __init__(self) -> None:
        letters = string.ascii_uppercase + "234567"
        self.access_key_id = "AKIA" + "".join(secrets.choice(letters) for _ in range(16))
        alphabet = string.ascii_letters + string.digits
        self.secret = "".join(secrets.choice(alphabet) for _ in range(40))
        self.seed = base64.b32encode(secrets.token_bytes(40)).decode()

    def code(self, steps_away: int = 0, offset: int = 0) -> str:
        step = int(time.time() + offset) // totp.PERIOD + steps_away
        return totp.code(totp.decode_seed(self.seed), step)

    def csv(self) -> str:
        return f"Access key ID,Secret access key\r\n{self.access_key_id},{self.secret}\r\n"

    def uri(self) -> str:
        return f"otpauth://totp/root-account-mfa-device@{ACCOUNT}?secret={self.seed}"


class FakeAws:
    """`tests/fake_aws/server.py` as a process."""

    def __init__(self, directory: Path, root: RootUser, *options: str):
        self._directory = directory
        (directory / "aws.secret").write_text(root.secret)
        (directory / "aws.seed").write_text(root.seed)
        self._log = directory / "aws.requests"
        self._faults = directory / "aws.faults"
        argv = [
            *(sys.executable, FAKE_AWS / "server.py", "--account", ACCOUNT),
            *("--access-key-id", root.access_key_id),
            *("--secret-file", directory / "aws.secret"),
            *("--totp-seed-file", directory / "aws.seed"),
            *("--log", self._log, "--fault-file", self._faults, *options),
        ]
        self._process, ready = spawn(argv, directory, "fake-aws")
        self.url = ready.removeprefix("READY=1 ")

    def fault(self, *lines: str) -> None:
        """The next requests meet these faults, one each."""
        self._faults.write_text("".join(line + "\n" for line in lines))

    def requests(self) -> list[dict]:
        """Who called what so far, and what came of it."""
        if not self._log.exists():
            return []
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def stop(self) -> None:
        stop(self._process)


class Moto:
    """moto's STS in a thread of ours. It checks no signature and no MFA code."""

    def __init__(self) -> None:
        import logging

        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"

    def stop(self) -> None:
        self._server.stop()
