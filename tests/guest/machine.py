"""The guest as a QEMU process: boot it once and save its state, or restore it and run a command in it.

The saved state fits only the machine it was saved from: both are made by `Machine`, and `build` saves anew when
this file or QEMU changes. The machine is emulated, never virtualised: so it is the same everywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
GUEST = PROJECT / "target" / "guest"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or PROJECT / "target")
PROGRAMS = Path(os.environ.get("ROOTSEAL_BIN") or TARGET / "debug")
# A safety net for a guest that hangs, in seconds.
PATIENCE = 900

KERNEL = (
    "console=ttyS0 quiet loglevel=4 panic=-1 systemd.show_status=0 audit=0 apparmor=0 mitigations=off nopti "
    "cryptomgr.notests no_timer_check tsc=reliable random.trust_cpu=on"
)


class NoAnswer(Exception):
    """The guest ended, or fell silent, before it said what was waited for."""


class Machine:
    """A running QEMU. `ports` are our ends of its wires: `job`, `out`, `err` and `qmp`."""

    def __init__(self, disk: str, console: Path, *more: str, pass_fds: tuple[int, ...] = ()):
        self.ports: dict[str, socket.socket] = {}
        self.unread = dict.fromkeys(("job", "qmp"), b"")
        theirs = {}
        for name in ("job", "out", "err", "qmp"):
            self.ports[name], theirs[name] = socket.socketpair()
        argv = [
            # Nothing of it outlives us, however we end.
            *("setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64"),
            *("-M", "pc", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem", "-smp", "2", "-m", "1024"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-kernel", GUEST / "vmlinuz", "-initrd", GUEST / "initrd", "-append", KERNEL),
            *("-drive", f"if=virtio,cache=unsafe,format=raw,{disk}"),
            *("-serial", f"file:{console}", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
        ]
        for name, end in theirs.items():
            argv += ["-chardev", f"socket,id={name},fd={end.fileno()}"]
            if name != "qmp":
                argv += ["-device", f"virtserialport,chardev={name},name={name}"]
        argv += ["-mon", "chardev=qmp,mode=control"]
        for tag, folder in (("project", PROJECT), ("programs", PROGRAMS)):
            share = f"local,id={tag},path={folder.resolve()},security_model=none,readonly=on,multidevs=remap"
            argv += ["-fsdev", share, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        self.process = subprocess.Popen(
            [str(word) for word in (*argv, *more)],
            stdin=subprocess.DEVNULL,
            pass_fds=(*(end.fileno() for end in theirs.values()), *pass_fds),
            start_new_session=True,
        )
        for end in theirs.values():
            end.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        # The disk keeps nothing, so there is nothing to shut down.
        self.process.kill()
        self.process.wait()
        for port in self.ports.values():
            port.close()

    def say(self, port: str, message: dict) -> None:
        self.ports[port].sendall(json.dumps(message).encode() + b"\n")

    def hear(self, port: str, until: float, sinks: dict[str, int] | None = None) -> dict:
        """The next message of a port. What comes from other ports meanwhile goes into `sinks`."""
        with selectors.DefaultSelector() as selector:
            for name in (port, *(sinks or {})):
                selector.register(self.ports[name], selectors.EVENT_READ, name)
            while b"\n" not in self.unread[port]:
                ready = selector.select(max(until - time.monotonic(), 0))
                if not ready:
                    raise NoAnswer("nothing came of it in time")
                for key, _ in ready:
                    piece = self.ports[key.data].recv(1 << 16)
                    if not piece:
                        raise NoAnswer("the machine ended")
                    if key.data == port:
                        self.unread[port] += piece
                    else:
                        write_all(sinks[key.data], piece)
        line, _, self.unread[port] = self.unread[port].partition(b"\n")
        return json.loads(line)

    def drain(self, sinks: dict[str, int]) -> None:
        """What the ports hold already. The guest's writes are over when they are in our sockets."""
        for name, sink in sinks.items():
            self.ports[name].setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while piece := self.ports[name].recv(1 << 16):
                    write_all(sink, piece)


def write_all(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]


def save() -> None:
    """Boots the image, and saves the machine where it waits for a command."""
    until = time.monotonic() + PATIENCE
    disk, state = GUEST / "disk.ext4", GUEST / "state"
    state.unlink(missing_ok=True)
    subprocess.run(["cp", "--sparse=always", GUEST / "root.ext4", disk], check=True)
    console = GUEST / "boot.console"
    with Machine(f"file={disk}", console) as machine:

        def order(execute: str, **arguments: object) -> None:
            machine.say("qmp", {"execute": execute, "arguments": arguments})
            while "return" not in (answer := machine.hear("qmp", until)):
                if "error" in answer:
                    raise NoAnswer(f"{execute}: {answer['error']['desc']}")

        try:
            if not machine.hear("job", until).get("ready"):
                raise NoAnswer("the guest said something else than ready")
            order("qmp_capabilities")
            order("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
            order("migrate-set-parameters", **{"max-bandwidth": 10 << 30})
            order("migrate", uri=f"exec:cat > '{state}.part'")
            status = None
            while status != "completed":
                event = machine.hear("qmp", until)
                status = event["data"]["status"] if event.get("event") == "MIGRATION" else status
                if status == "failed":
                    raise NoAnswer("the state could not be saved")
        except NoAnswer as reason:
            sys.exit(f"guest: {reason}\n{tail(console)}")
    os.rename(f"{state}.part", state)


def run(argv: list[str], console: Path, patience: float = PATIENCE) -> int:
    """Restores the machine and runs a command in it; output goes to ours. Returns its exit status."""
    until = time.monotonic() + patience
    path = "/programs:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {
        **{"PATH": path, "HOME": "/root", "LC_ALL": "C.UTF-8", "ROOTSEAL_BIN": "/programs"},
        **{"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "/project/tests/python"},
        **{"RUST_BACKTRACE": os.environ.get("RUST_BACKTRACE", "0")},
    }
    sinks = {"out": 1, "err": 2}
    with open(GUEST / "state", "rb") as state:
        incoming = ("-incoming", f"fd:{state.fileno()}")
        disk = f"file={GUEST / 'disk.ext4'},snapshot=on"
        with Machine(disk, console, *incoming, pass_fds=(state.fileno(),)) as machine:
            machine.say("job", {"argv": argv, "env": environment, "now": time.time()})
            try:
                status = machine.hear("job", until, sinks)["status"]
            except NoAnswer as reason:
                machine.drain(sinks)
                print(f"guest: {reason}; its console:\n{tail(console)}", file=sys.stderr)
                return 125
            machine.drain(sinks)
            return status


def tail(console: Path) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(console.read_text(errors="replace").splitlines()[-40:])
    return "(none)"


if __name__ == "__main__":
    if sys.argv[1:] != ["save"]:
        sys.exit("usage: machine.py save (see `build`, and `run` for a command in the guest)")
    save()
