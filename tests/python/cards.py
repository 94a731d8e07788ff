"""A PC/SC service of our own with virtual readers in it, and virtual tokens as cards in them.

pcscd runs in a network namespace of its own, because vpcd listens on every address, and has its
own /run/pcscd, which is our temporary directory: so several of them run side by side, and the
system's own is never touched. Clients find it by `PCSCLITE_CSOCK_NAME` (`Readers.environment`).

    with Readers() as readers:
        card = readers.add_card("blue")
        subprocess.run(["opensc-tool", "--atr"], env=os.environ | readers.environment)
        card.unplug()

It needs Debian's pcscd and vsmartcard-vpcd, and either root or user namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from fakes import PATIENCE, ROOT, spawn, stop
from hands import Hands

BIN = Path(os.environ.get("ROOTSEAL_BIN", ROOT / "target" / "debug")).resolve()
DRIVER = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
PIN = "123456"
# Any port will do: nobody else is in the namespace.
FIRST_PORT = 35963
READY = "daemon ready"
# Yubico's tools look for their name in that of the reader, and for what its key can do.
NAME = "Virtual PCD Yubico YubiKey OTP+CCID"

# Waits for a card to come or go, and says how often any has come or gone so far. A process of its own, because a
# PC/SC library finds its service once.
WAIT = """
import sys
from smartcard.scard import *
name, wanted, since = sys.argv[1], sys.argv[2], sys.argv[3]
result, context = SCardEstablishContext(SCARD_SCOPE_USER)
assert result == 0, SCardGetErrorMessage(result)
known = SCARD_STATE_UNAWARE
while True:
    result, states = SCardGetStatusChange(context, INFINITE, [(name, known)])
    assert result == 0, SCardGetErrorMessage(result)
    known = states[0][1]
    present, moves = bool(known & SCARD_STATE_PRESENT), known >> 16
    if wanted in ("either", str(present)) and since != str(moves):
        break
print(moves)
"""

# Another program with a card of its own, which does what it is told, a word a line.
OTHER = """
import sys
from smartcard.scard import *
def must(result):
    assert result == SCARD_S_SUCCESS, SCardGetErrorMessage(result)
result, context = SCardEstablishContext(SCARD_SCOPE_USER)
must(result)
def connect():
    result, card, _ = SCardConnect(context, sys.argv[1], SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY)
    must(result)
    return card
card = connect()
print("READY", flush=True)
for line in sys.stdin:
    match line.strip():
        case "begin":
            must(SCardBeginTransaction(card))
        case "reset":
            must(SCardDisconnect(card, SCARD_RESET_CARD))
            card = connect()
    print("READY", flush=True)
"""


class Card(Hands):
    """A virtual token in one of the readers."""

    def __init__(self, readers: Readers, name: str, slot: int, serial: int, touch: str, *options: str):
        self._readers = readers
        self._slot = slot
        directory = readers.dir
        self.state = directory / f"{name}.state"
        argv = [
            *readers.inside(BIN / "rootseal-virtual-token", "--vpcd", f"127.0.0.1:{FIRST_PORT + slot}"),
            *("--state", self.state, "--pin", PIN, "--touch", touch, "--serial", serial),
            *("--control", directory / f"{name}.control", "--label", name, *options),
        ]
        self.process, _ = spawn(argv, directory, name)
        super().__init__(directory / f"{name}.control")

    def stop(self) -> None:
        stop(self.process)

    def unplug(self) -> None:
        """Pulls it out, and returns when PC/SC has seen it go."""
        moves = self._readers.moves(self._slot)
        self.tell("unplug")
        self._readers.wait_for_card(self._slot, present=False, since=moves)

    def plug(self) -> None:
        """Plugs it in again, and returns when PC/SC has seen it come."""
        moves = self._readers.moves(self._slot)
        self.tell("plug")
        self._readers.wait_for_card(self._slot, since=moves)


class Other:
    """Another program that has connected to a card, not for itself alone."""

    def __init__(self, readers: Readers, slot: int):
        self._process = subprocess.Popen(
            [sys.executable, "-c", OTHER, readers.reader(slot)],
            env=os.environ | readers.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.wait()

    def begin(self, act: str) -> None:
        """Does not wait for the end of it."""
        self._process.stdin.write(f"{act}\n")
        self._process.stdin.flush()

    def wait(self) -> None:
        if self._process.stdout.readline() != "READY\n":
            raise AssertionError("the other program failed")

    def hold(self) -> None:
        """Has the card to itself, until it lets go."""
        self.begin("begin")
        self.wait()

    def reset(self) -> None:
        """Parts from the card with a reset of it, and comes again."""
        self.begin("reset")
        self.wait()

    def let_go(self) -> None:
        """Ends, and everything that it holds with it."""
        if not self._process.stdin.closed:
            self._process.stdin.close()
            self._process.stdout.close()
            stop(self._process)


class Readers:
    """A pcscd with virtual readers, two for each of `drivers`; `reader(n)` is what PC/SC calls the nth.

    With `namesakes` the drivers give their readers the same names.
    """

    def __init__(self, drivers: int = 1, namesakes: bool = False):
        self.dir = Path(tempfile.mkdtemp(prefix="rootseal-cards-", dir="/tmp"))
        self._drivers = drivers
        self._namesakes = namesakes
        self.environment = {"PCSCLITE_CSOCK_NAME": str(self.dir / "run" / "pcscd.comm")}
        self._cards: list[Card] = []
        self._others: list[Other] = []
        self._service: subprocess.Popen | None = None
        # Holds the namespaces while pcscd is away.
        self._room = self._make_room()
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_reason: object) -> None:
        self.close()

    def _make_room(self) -> subprocess.Popen:
        (self.dir / "run").mkdir()
        readers = ""
        for number in range(self._drivers):
            # One vpcd knows its own two slots alone: the second driver has to be another library.
            driver = shutil.copy(DRIVER, self.dir / f"vpcd-{number}.so")
            port = f"{FIRST_PORT + 2 * number:#x}"
            readers += f'FRIENDLYNAME "{self._name(number)}"\nDEVICENAME /dev/null:{port}\n'
            readers += f"LIBPATH {driver}\nCHANNELID {port}\n"
        (self.dir / "readers").mkdir()
        (self.dir / "readers" / "vpcd").write_text(readers)
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        # The directory may be missing where pcscd never ran: then /run itself is replaced.
        script = (
            'ip link set lo up; if [ -d /run/pcscd ]; then mount --bind "$1" /run/pcscd;'
            ' else mount -t tmpfs none /run; mkdir /run/pcscd; mount --bind "$1" /run/pcscd; fi;'
            " echo READY; exec cat"
        )
        room = subprocess.Popen(
            ["unshare", *as_root, "--net", "--mount", "sh", "-ec", script, "sh", self.dir / "run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if room.stdout.readline() != "READY\n":
            stop(room)
            raise AssertionError("no namespace for the readers (it takes root or user namespaces)")
        return room

    def inside(self, *command: object) -> list[object]:
        """The command line that runs a command where the readers are."""
        as_root = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", self._room.pid, *as_root, "--net", "--mount", "--", *command]

    def start(self) -> None:
        """Starts pcscd, if it does not run."""
        if self._service is not None:
            return
        argv = self.inside("pcscd", "--foreground", "--info", "--config", self.dir / "readers")
        self._service = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        said = []
        for line in self._service.stdout:
            said.append(line)
            if READY in line:
                break
        else:
            self.kill()
            raise AssertionError(f"pcscd did not start:\n{''.join(said)}")
        # Whoever does not read what it says, stops it.
        self._log = threading.Thread(target=self._service.stdout.read, daemon=True)
        self._log.start()

    def kill(self) -> None:
        """Stops pcscd, as an administrator might. Cards come back by themselves when it is started again."""
        if self._service is None:
            return
        stop(self._service)
        if hasattr(self, "_log"):
            self._log.join(PATIENCE)
        self._service.stdout.close()
        self._service = None
        for left in (self.dir / "run").iterdir():
            left.unlink()

    @property
    def service_pid(self) -> int:
        return self._service.pid

    def await_end(self) -> None:
        """Until pcscd has ended, which was killed: a process takes a moment to go."""
        self._service.wait(PATIENCE)

    def restart(self) -> None:
        self.kill()
        self.start()

    def reader(self, slot: int = 0) -> str:
        """The name of a reader."""
        return f"{self._name(slot // 2)} 00 {slot % 2:02X}"

    def _name(self, driver: int) -> str:
        return f"{NAME} {driver}" if driver and not self._namesakes else NAME

    def add_card(
        self, name: str, slot: int = 0, serial: int = 12345678, touch: str = "auto", options: tuple = ()
    ) -> Card:
        """Puts a token into a reader and waits until PC/SC sees it."""
        moves = self.moves(slot)
        card = Card(self, name, slot, serial, touch, *options)
        self._cards.append(card)
        self.wait_for_card(slot, since=moves)
        return card

    def add_other(self, slot: int = 0) -> Other:
        """Another program at a card."""
        other = Other(self, slot)
        self._others.append(other)
        return other

    def moves(self, slot: int = 0) -> int:
        """How often PC/SC has seen a card come or go there. It notes what happens only when it looks, which it
        does every 0.4 s: what it says until then is about a card that may have gone. A newcomer counts as well
        where it takes the place of another one."""
        return int(self.run(sys.executable, "-c", WAIT, self.reader(slot), "either", "").stdout)

    def wait_for_card(self, slot: int = 0, present: bool = True, since: int | None = None) -> None:
        """Returns when PC/SC sees a card in that reader, or none; with `since`, a result of `moves`, not before
        it has seen one come or go."""
        self.run(sys.executable, "-c", WAIT, self.reader(slot), present, "" if since is None else since)

    def run(self, *command: object, check: bool = True, **options: object) -> subprocess.CompletedProcess:
        """Runs a PC/SC client to its end; an `AssertionError` says what it said if it failed."""
        argv = [str(part) for part in command]
        done = subprocess.run(
            argv,
            **({"stdin": subprocess.DEVNULL} if "input" not in options else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            env=os.environ | self.environment,
            **options,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def close(self) -> None:
        for other in self._others:
            other.let_go()
        for card in self._cards:
            card.stop()
        self.kill()
        self._room.stdin.close()
        stop(self._room)
        self._room.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)
