"""One token, several clients that know nothing of each other: what one enrols, each of them gets the same secrets of.

rootseal's own client, ctap-hid-fido2 with both PIN/UV protocols, and libfido2's tools. `tests/interop/build` makes the
first two.
"""

from __future__ import annotations

import base64
import secrets
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import NamedTuple

from fakes import PATIENCE
from house import BIN, PIN
from usb_house import UsbToken

RP = "rootseal.test"
OURS = BIN / "examples" / "hmac_secret"
THEIRS = BIN / "ctap-hid-fido2-peer"


class Credential(NamedTuple):
    """Its id and its public key (`04 | x | y`), in hexadecimal digits."""

    id: str
    key: str


def run(*command: object, said: str) -> str:
    argv = [str(word) for word in command]
    # libfido2's tools ask for the PIN on the terminal, or where there is none on standard input.
    done = subprocess.run(argv, input=said, capture_output=True, text=True, timeout=PATIENCE, start_new_session=True)
    if done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Rootseal:
    def make(self) -> Credential:
        return Credential(*run(OURS, "make", RP, said=PIN).split())

    def ask(self, credential: Credential, salts: list[bytes], pin: str) -> list[str]:
        return run(OURS, "ask", RP, *credential, *(salt.hex() for salt in salts), said=pin).split()


class CtapHidFido2:
    def __init__(self, protocol: int):
        self._program = THEIRS, protocol

    def make(self) -> Credential:
        return Credential(*run(*self._program, "make", RP, said=PIN).split())

    def ask(self, credential: Credential, salts: list[bytes], pin: str) -> list[str]:
        told = run(*self._program, "ask", RP, credential.id, *(salt.hex() for salt in salts), said=pin)
        # It tells of a touch, too.
        return [line for line in told.splitlines() if len(line) == 64]


class Libfido2:
    """Its tools talk base64, a line for each thing, and know one salt."""

    def __init__(self, node: Path, folder: Path):
        self._node = node
        self._folder = folder

    def _file(self, *lines: bytes | str) -> Path:
        path = self._folder / "question"
        text = (line if isinstance(line, str) else base64.b64encode(line).decode() for line in lines)
        path.write_text("\n".join(text) + "\n")
        return path

    def make(self) -> Credential:
        question = self._file(secrets.token_bytes(32), RP, "user", b"user")
        made = run("fido2-cred", "-M", "-h", "-i", question, self._node, said=f"{PIN}\n")
        verified = run("fido2-cred", "-V", "-h", said=made).splitlines()
        at = verified.index("-----BEGIN PUBLIC KEY-----")
        # The point stands at the end of a SubjectPublicKeyInfo (RFC 5480).
        key = base64.b64decode("".join(verified[at + 1 : -1]))[-65:]
        return Credential(base64.b64decode(verified[0]).hex(), key.hex())

    def ask(self, credential: Credential, salts: list[bytes], pin: str) -> list[str]:
        question = self._file(secrets.token_bytes(32), RP, bytes.fromhex(credential.id), *salts)
        verify = ["-v"] if pin else []
        told = run("fido2-assert", "-G", "-h", *verify, "-i", question, self._node, said=f"{pin}\n")
        return [base64.b64decode(told.splitlines()[-1]).hex()]


class Interop(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        for program in (OURS, THEIRS):
            if not program.exists():
                raise AssertionError(f"{program.name} is missing: tests/interop/build")
        folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, folder)
        token = UsbToken(folder, "token", "auto", 12345678)
        cls.addClassCleanup(token.stop)
        cls.ours, cls.libfido2 = Rootseal(), Libfido2(token.node, folder)
        cls.clients = [cls.ours, CtapHidFido2(1), CtapHidFido2(2), cls.libfido2]

    def agreed(self, clients: list, credential: Credential, salts: list[bytes], pin: str) -> list[str]:
        """What all these clients get."""
        answers = [client.ask(credential, salts, pin) for client in clients]
        self.assertEqual([len(answer) for answer in answers], [len(salts)] * len(clients), answers)
        self.assertEqual(answers, [answers[0]] * len(clients))
        return answers[0]

    def check(self, maker) -> None:
        credential = maker.make()
        one, two = secrets.token_bytes(32), secrets.token_bytes(32)
        (first,) = self.agreed(self.clients, credential, [one], PIN)
        both = self.agreed([each for each in self.clients if each is not self.libfido2], credential, [one, two], PIN)
        self.assertEqual(both[0], first)
        (unverified,) = self.agreed(self.clients, credential, [one], "")
        self.assertEqual(len({first, both[1], unverified}), 3)

    def test_what_ours_enrols(self):
        self.check(self.ours)

    def test_what_ctap_hid_fido2_enrols(self):
        self.check(CtapHidFido2(1))
        self.check(CtapHidFido2(2))

    def test_what_libfido2_enrols(self):
        self.check(self.libfido2)


if __name__ == "__main__":
    unittest.main()
