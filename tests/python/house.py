"""A whole rootseal in a temporary directory: virtual tokens, daemon, a fake AWS, the client.

Nothing outside the directory is touched, and only processes started here are ended. What a
program says to a person is matched loosely; exit codes and streams are matched exactly.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import unittest
from pathlib import Path
from typing import NamedTuple

from fakes import ACCOUNT, PATIENCE, ROOT, FakeAws, Moto, RootUser, spawn, stop

BIN = Path(os.environ.get("ROOTSEAL_BIN", ROOT / "target" / "debug")).resolve()
PIN = "123456"
# Lines that tell of something going on; what is left on stderr is the error.
NOTICE = re.compile(r"^(rootseal: )?(touch|using|waiting|wait for|asking)\b", re.IGNORECASE)


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    def errors(self) -> list[str]:
        lines = (line.strip() for line in self.err.splitlines())
        return [line for line in lines if line and not NOTICE.match(line)]


class VirtualToken:
    """`rootseal-virtual-token` as a process, and the hand that plugs and touches it."""

    def __init__(self, directory: Path, name: str, touch: str, serial: int):
        self.name = name
        self.serial = serial
        self._directory = directory
        self._control = directory / f"{name}.control"
        self._argv = [
            *(BIN / "rootseal-virtual-token", *self.wire()),
            *("--state", directory / f"{name}.state", "--pin", PIN, "--touch", touch),
            *("--control", self._control, "--serial", serial),
        ]
        self.start()

    def wire(self) -> list:
        """The options that say what it hangs on, and how it looks there."""
        self.socket = self._directory / f"{self.name}.sock"
        return ["--socket", self.socket, "--label", self.name]

    def start(self) -> None:
        self._process, _ = spawn(self._argv, self._directory, self.name)

    def tell(self, command: str) -> str:
        """Gives a control command; returns its one line of answer."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            line.connect(str(self._control))
            line.sendall(f"{command}\n".encode())
            answer = line.makefile().readline().strip()
        if not answer or answer.startswith("error"):
            raise AssertionError(f"virtual token, {command}: {answer!r}")
        return answer

    def status(self) -> dict:
        return json.loads(self.tell("status"))

    def touches(self) -> int:
        return self.status()["touches"]

    def replug(self) -> None:
        self.tell("unplug")
        self.tell("plug")

    @contextlib.contextmanager
    def frozen(self):
        """A token that is there and answers nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def stop(self, how: int = signal.SIGTERM) -> None:
        stop(self._process, how)


class House:
    """The directory and all that runs in it."""

    token_class = VirtualToken
    # More lines for the daemon's [tokens].
    tokens_config = ""
    # The lines of [lock]. What a test pulls out does not come back in time on every machine.
    lock_config = "when_token_is_removed = false\n"
    # More sections.
    more_config = ""

    def __init__(
        self,
        aws: str = "fake",
        fake_options: tuple[str, ...] = (),
        touch: str = "auto",
        daemon_options: tuple[str, ...] = (),
        daemon_environment: dict[str, str] | None = None,
    ):
        self.dir = Path(tempfile.mkdtemp(prefix="rootseal-house-", dir="/tmp"))
        self.data = self.dir / "data"
        self.vault = self.data / "vault.rseal"
        self.address = f"unix:path={self.dir}/bus"
        self.root = RootUser()
        self._daemon_options = daemon_options
        self._daemon_environment = daemon_environment or {}
        self._running: list = []
        self._daemon: subprocess.Popen | None = None
        try:
            self.endpoint = "http://127.0.0.1:9"  # where nobody listens
            if aws != "none":
                self.aws = Moto() if aws == "moto" else FakeAws(self.dir, self.root, *fake_options)
                self._running.append(self.aws)
                self.endpoint = self.aws.url
            self.token = self.add_token("token", touch)
            self.start_daemon()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.stop_daemon()
        for thing in reversed(self._running):
            thing.stop()
        shutil.rmtree(self.dir)

    def add_token(self, name: str, touch: str = "auto") -> VirtualToken:
        token = self.token_class(self.dir, name, touch, serial=len(self._running))
        self._running.append(token)
        return token

    def daemon_argv(self, listen: str = "bus") -> list:
        return [
            *(BIN / "rootseald", "--config", self.dir / "rootseald.toml"),
            *("--data-dir", self.data, "--listen", f"unix:path={self.dir}/{listen}"),
            *self._daemon_options,
        ]

    def sockets(self, *names: str) -> list[str]:
        """Where the daemon looks for virtual tokens."""
        return [f"{self.dir}/{name}.sock" for name in names]

    def start_daemon(self, *allowed: str, sockets: tuple[str, ...] = ("token", "other")) -> None:
        sockets = json.dumps(self.sockets(*sockets))
        endpoints = json.dumps([self.endpoint, *allowed])
        (self.dir / "rootseald.toml").write_text(
            f"[tokens]\nhid_sockets = {sockets}\n{self.tokens_config}[aws]\nallowed_endpoints = {endpoints}\n"
            f"[lock]\n{self.lock_config}{self.more_config}"
        )
        environment = self.environment(**self._daemon_environment)
        self._daemon, _ = spawn(self.daemon_argv(), self.dir, "rootseald", env=environment)

    @property
    def daemon_pid(self) -> int:
        return self._daemon.pid

    def stop_daemon(self, how: int = signal.SIGTERM) -> None:
        if self._daemon is not None:
            stop(self._daemon, how)
            self._daemon = None

    def restart_daemon(self) -> None:
        self.stop_daemon()
        self.start_daemon()

    def environment(self, **more: str) -> dict[str, str]:
        """What the client and the AWS tools see: nothing of the caller's own AWS settings."""
        return {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.dir),
            "LC_ALL": "C.UTF-8",
            "NO_PROXY": "127.0.0.1,localhost",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            # None: what this machine's own sessions do is nothing to a test.
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.dir}/no-system-bus",
            "ROOTSEAL_ADDRESS": self.address,
            "AWS_ENDPOINT_URL_STS": self.endpoint,
        } | more

    def file(self, name: str, content: str | bytes) -> Path:
        """A file that only we can read."""
        path = self.dir / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o600)
        return path

    def _argv(self, args: tuple, pin: str | None) -> list[str]:
        options = [] if pin is None else ["--pin-file", self.file("pin", pin)]
        return [str(part) for part in (BIN / "rootseal", *options, *args)]

    def start(self, *args, pin: str | None = PIN, **env: str) -> subprocess.Popen:
        """The client without a terminal, in the background."""
        return subprocess.Popen(
            self._argv(args, pin),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(**env),
            start_new_session=True,
        )

    def run(self, *args, pin: str | None = None, stdin: bytes = b"", **env: str) -> Result:
        """The client without a terminal, to its end."""
        return self.execute(self._argv(args, pin), stdin=stdin, **env)

    def execute(
        self, argv: list, stdin: bytes = b"", pass_fds: tuple = (), **env: str
    ) -> Result:
        """Any program in the client's environment, without a terminal."""
        done = subprocess.run(
            [str(part) for part in argv],
            input=stdin,
            capture_output=True,
            env=self.environment(**env),
            pass_fds=pass_fds,
            start_new_session=True,
            timeout=PATIENCE,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def _start_on_terminal(self, args: tuple, **popen) -> tuple[subprocess.Popen, int, int]:
        """The client, and both ends of its terminal."""
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            self._argv(args, None),
            **({"stdin": theirs, "stdout": theirs, "stderr": theirs} | popen),
            env=self.environment(),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
        )
        return process, ours, theirs

    def on_terminal(self, *args, typed: list[str]) -> Result:
        """The client on a terminal of its own; each answer is typed when a PIN is asked for.

        `err` is all that the terminal showed, `out` what went into a pipe.
        """
        process, ours, theirs = self._start_on_terminal(args, stdout=subprocess.PIPE)
        os.close(theirs)
        shown, unread, left = b"", b"", list(typed)
        while True:
            if not select.select([ours], [], [], PATIENCE)[0]:
                process.kill()
                raise AssertionError(f"the terminal fell silent after {shown!r}")
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break  # EIO: nobody has the terminal any more
            if not piece:
                break
            shown += piece
            unread += piece
            if left and re.search(rb"(PIN|Line \d)[^\n]*: ?$", unread):
                os.write(ours, left.pop(0).encode() + b"\n")
                unread = b""
        out, _ = process.communicate(timeout=PATIENCE)
        os.close(ours)
        return Result(process.returncode, out.decode(), shown.decode().replace("\r\n", "\n"))

    @contextlib.contextmanager
    def asking(self, *args):
        """The client at a terminal, asking for a PIN: the process, and our end of the terminal."""
        process, ours, theirs = self._start_on_terminal(args)
        try:
            shown = b""
            while not re.search(rb"PIN[^\n]*: ?$", shown):
                if not select.select([ours], [], [], PATIENCE)[0]:
                    raise AssertionError(f"no PIN was asked for: {shown!r}")
                shown += os.read(ours, 4096)
            yield process, ours
        finally:
            stop(process)
            os.close(theirs)
            os.close(ours)

    def state(self) -> str:
        """absent, locked, unlocked or damaged, by `status --json`."""
        result = self.run("status", "--json")
        if result.code != 0:
            raise AssertionError(f"status: {result}")
        found = re.search(
            r'"(absent|locked|unlocked|damaged)"', json.dumps(json.loads(result.out))
        )
        if found is None:
            raise AssertionError(f"status names no state: {result.out}")
        return found[1]

    def furnish(self) -> None:
        """Vault, account, key, seed and profile, as the transcript makes them."""
        self.must("init", "--label", "demo key", pin=PIN)
        self.must("account", "add", "prod", "--account-id", ACCOUNT)
        self.must("key", "import", "prod", self.file("rootkey.csv", self.root.csv()), pin=PIN)
        uri = self.file("uri", self.root.uri())
        self.must("totp", "add", "prod", "--uri-file", uri, pin=PIN)
        self.must("profile", "add", "prod-root", "--account", "prod", "--duration", "3600")

    def must(self, *args, **how) -> str:
        """A command that has to succeed; returns its stdout."""
        result = self.run(*args, **how)
        if result.code != 0:
            raise AssertionError(f"rootseal {' '.join(map(str, args))}: {result}")
        return result.out


class HouseCase(unittest.TestCase):
    """A test in a house of its own; `furnished` says whether there is a vault."""

    furnished = True
    house_class = House
    house_options: dict = {}

    def setUp(self) -> None:
        self.house = self.house_class(**self.house_options)
        self.addCleanup(self.house.close)
        if self.furnished:
            self.house.furnish()

    def assert_done(self, result: Result) -> str:
        self.assertEqual(result.code, 0, result)
        return result.out

    def assert_refused(self, result: Result, code: int, *words: str) -> None:
        """`code`, nothing on stdout, one line on stderr with `words` (patterns) in it, and a
        daemon that goes on serving."""
        self.assertEqual(result.code, code, result)
        self.assertEqual(result.out, "")
        self.assertEqual(len(result.errors()), 1, result)
        for word in words:
            self.assertRegex(result.errors()[0], re.compile(word, re.IGNORECASE))
        for secret in (self.house.root.secret, self.house.root.seed):
            self.assertNotIn(secret, result.err)
        self.house.state()
