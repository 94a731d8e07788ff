"""A whole run, with every byte on the private socket, in the data directory and on every standard
error kept, and searched for every secret. What passes through pipes and memfds is not in there:
that is where secrets belong."""

from __future__ import annotations

import array
import base64
import json
import socket
import threading
import unittest

import secrets_of
from fakes import PATIENCE
from house import PIN, House, HouseCase, Result


class Recorder:
    """Between the clients and the daemon's socket: keeps every byte, and passes descriptors on unread."""

    def __init__(self, ours: str, daemons: str):
        self._daemons = daemons
        self.taken = bytearray()
        self.descriptors = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._ends: list[socket.socket] = []
        self._ears = socket.socket(socket.AF_UNIX)
        self._ears.bind(ours)
        self._ears.listen()
        self._door = threading.Thread(target=self._accept)
        self._door.start()

    def stop(self) -> None:
        if self._ears.fileno() < 0:
            return
        self._ears.shutdown(socket.SHUT_RDWR)
        self._door.join(PATIENCE)
        self._ears.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._ears.accept()
            except OSError:
                return
            daemon = socket.socket(socket.AF_UNIX)
            daemon.connect(self._daemons)
            self._ends += [client, daemon]
            for ends in ((client, daemon), (daemon, client)):
                thread = threading.Thread(target=self._pass_on, args=ends)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        kept = bytearray()
        try:
            while True:
                data, descriptors, _, _ = socket.recv_fds(source, 65536, 64)
                if not data:
                    break
                kept += data
                try:
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
                    sent = sink.sendmsg([data], rights if descriptors else [])
                    sink.sendall(data[sent:])
                finally:
                    for descriptor in descriptors:
                        socket.close(descriptor)
                with self._lock:
                    self.descriptors += len(descriptors)
        except OSError:
            pass  # one end is gone: whatever came is kept
        with self._lock:
            # Each direction of a connection in one piece, so that no secret is torn apart.
            self.taken += kept + b"\n"
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class RecordingHouse(House):
    """Keeps what each client says on stderr."""

    said = b""

    def execute(self, argv: list, **how) -> Result:
        result = super().execute(argv, **how)
        self.said += result.err.encode()
        return result


def forms(found: dict[str, bytes]) -> dict[str, bytes]:
    """As they are, and as a program might write them down."""
    more = dict(found)
    for name, value in found.items():
        more[f"{name}, hex"] = value.hex().encode()
        more[f"{name}, HEX"] = value.hex().upper().encode()
        more[f"{name}, list"] = ", ".join(map(str, value)).encode()
        for alphabet, encode in (("", base64.b64encode), ("url", base64.urlsafe_b64encode)):
            # Without the last group: its end depends on what follows.
            more[f"{name}, base64{alphabet}"] = encode(value[: len(value) // 3 * 3])
    return more


class Leaks(HouseCase):
    furnished = False

    def setUp(self) -> None:
        self.house = RecordingHouse(daemon_options=("--verbose",))
        self.addCleanup(self.house.close)
        self.recorder = Recorder(f"{self.house.dir}/recorded", f"{self.house.dir}/bus")
        self.addCleanup(self.recorder.stop)
        self.house.address = f"unix:path={self.house.dir}/recorded"

    def full_run(self) -> dict[str, bytes]:
        """All that the command line can do, and some that goes wrong; returns every secret of it."""
        house = self.house
        house.furnish()
        wrong = "918273645546372819"
        self.assertEqual(house.run("totp", "code", "prod", pin=wrong).code, 4)
        code = house.must("totp", "code", "prod", pin=PIN).strip()
        house.must("lock")
        granted = house.must("credentials", "prod-root", pin=PIN)
        self.assertEqual(house.must("credentials", "prod-root"), granted)
        again = house.file("again.csv", house.root.csv())
        self.assertEqual(house.run("key", "import", "prod", again, pin=PIN).code, 1)
        house.must("vault", "check")
        house.state()
        house.must("lock")
        house.must("unlock", pin=PIN)

        guarded, unlocked = secrets_of.vault_keys(house)
        long = secrets_of.long_lived(house) | secrets_of.signing_keys(house.root.secret)
        found = forms(guarded | unlocked | long | secrets_of.of_session(granted))
        found |= {"PIN": PIN.encode(), "wrong PIN": wrong.encode(), f"code {code}": code.encode()}
        found |= {"session's key id": json.loads(granted)["AccessKeyId"].encode()}
        return found | {"signature": b"AWS4-HMAC-SHA256", "request": b"Action=GetSessionToken"}

    def assert_in_none(self, secrets: dict[str, bytes], places: dict[str, bytes]) -> None:
        self.assertEqual(
            [(name, place) for place, text in places.items() for name, value in secrets.items()
             if value in text],
            [],
        )

    def test_no_secret_outside_pipes_and_memory(self):
        secrets = self.full_run()
        while_running = self.files()
        self.house.stop_daemon()
        self.recorder.stop()

        taken = bytes(self.recorder.taken)
        # What must be there is there: it is the traffic, and the rest went through descriptors.
        for public in ("GetCredentials", "RequestPin", "GetTotp", "Finish", "ImportAccessKey"):
            self.assertIn(public.encode(), taken)
        self.assertIn(self.house.root.access_key_id.encode(), taken)
        self.assertGreater(self.recorder.descriptors, 10)
        log = (self.house.dir / "rootseald.log").read_bytes()
        self.assertIn(b"PIN", self.house.said)
        self.assertIn("audit.log", while_running)
        self.assertIn("vault.rseal", while_running)

        places = {"socket": taken, "daemon's stderr": log, "clients' stderr": self.house.said}
        places |= while_running | {f"{name}, at the end": text for name, text in self.files().items()}
        self.assert_in_none(secrets, places)

    def files(self) -> dict[str, bytes]:
        """The data directory, and whatever was left beside it that nobody put there."""
        ours = ("pin", "uri", "rootkey.csv", "again.csv", "rootseald.toml", "rootseald.log")
        return {
            path.name: path.read_bytes()
            for path in self.house.dir.rglob("*")
            if path.is_file()
            and path.name not in ours
            and not path.name.startswith(("aws.", "token.", "fake-aws."))
        }


if __name__ == "__main__":
    unittest.main()
