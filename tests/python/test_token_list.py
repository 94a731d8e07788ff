"""What is wrong is said plainly: nothing plugged in, no pcscd, no rights, a token that hangs or talks nonsense."""

from __future__ import annotations

import json
import os
import pwd
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from fakes import PATIENCE, spawn, stop
from house import BIN, PIN, HouseCase, Result
from impostors import CBOR, INIT, Device, receive, send


class Babbler(Device):
    """Speaks CTAPHID as it should, and no CBOR."""

    def serve(self, wire) -> None:
        while message := receive(wire):
            if message.command == INIT:
                send(wire, message.channel, INIT, message.payload + b"\0\0\0\x07" + bytes([2, 1, 0, 0, 0x0C]))
            else:
                send(wire, message.channel, CBOR, b"\0" + bytes(range(200, 256)))


class Plainly(HouseCase):
    furnished = False
    # A place where there is no pcscd, whatever this machine has.
    house_options = {"aws": "none", "daemon_environment": {"PCSCLITE_CSOCK_NAME": "/nonexistent/pcscd.comm"}}

    def problems(self) -> dict[str, dict]:
        """By code, as `status` has them; `token list` says the same and succeeds."""
        rows = json.loads(self.house.must("status", "--json"))["token_problems"]
        listed = self.house.run("token", "list", "--json")
        self.assertEqual(listed.code, 0)
        self.assertEqual(json.loads(listed.out), json.loads(self.house.must("status", "--json"))["tokens"])
        told = [f"{row['place']}: {row['text']}" if row["place"] else row["text"] for row in rows]
        self.assertEqual(listed.err.splitlines(), told)
        status = self.house.must("status")
        for line in told:
            self.assertIn(f"problem   {line}\n", status)
        return {row["code"]: row for row in rows}

    def test_nothing_plugged_in_and_no_pcscd(self):
        self.house.token.tell("unplug")
        problems = self.problems()
        self.assertEqual(set(problems), {"none_plugged_in", "pcscd_not_running", "socket_missing"})
        self.assertIn("no security token is plugged in", problems["none_plugged_in"]["text"])
        self.assertIn("apt install pcscd", problems["pcscd_not_running"]["text"])
        listed = self.house.run("token", "list")
        self.assertEqual((listed.code, listed.out), (0, ""))

    def test_the_error_of_a_command_names_the_cause(self):
        self.house.token.tell("unplug")
        refused = self.house.run("init", "--label", "x", pin=PIN)
        self.assert_refused(refused, 5, "no security token is connected", "pcscd is not running")

    def test_with_a_token_nothing_is_said_of_it(self):
        self.assertEqual(set(self.problems()), {"pcscd_not_running", "socket_missing"})

    def test_a_token_that_hangs(self):
        with self.house.token.frozen():
            problem = self.problems()["silent"]
        self.assertEqual(problem["place"], str(self.house.token.socket))
        self.assertIn("does not answer", problem["text"])

    def test_a_token_that_talks_nonsense(self):
        device = Babbler(self.house.dir / "other.sock")
        self.addCleanup(device.stop)
        problem = self.problems()["nonsense"]
        self.assertEqual(problem["place"], f"{self.house.dir}/other.sock")

    def test_a_token_is_described_in_full(self):
        (token,) = json.loads(self.house.must("token", "list", "--json"))
        known = {key: token[key] for key in ("kind", "serial", "virtual", "enrolled", "needs_pin", "touch")}
        self.assertEqual(
            known,
            {
                **{"kind": "fido", "serial": "", "virtual": True},
                **{"enrolled": False, "needs_pin": True, "touch": "always"},
            },
        )
        self.assertRegex(token["id"], r"\A[a-z0-9_]{1,24}\Z")

    def test_no_cards_wanted_and_none_missed(self):
        config = self.house.dir / "rootseald.toml"
        self.house.stop_daemon()
        self.house.start_daemon(sockets=("token",))
        self.house.stop_daemon()
        config.write_text(config.read_text().replace("[tokens]\n", "[tokens]\npcsc = false\n"))
        argv = self.house.daemon_argv()
        process, _ = spawn(argv, self.house.dir, "rootseald", env=self.house.environment())
        self.addCleanup(stop, process)
        self.assertEqual(self.problems(), {})


class FalsePcscd:
    """Stands in for a pcscd that will not, or does not, answer."""

    def __init__(self, path: Path, answer: str):
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # stopped
            self._held.append(client)
            if self._answer in ("refuses", "hangs up"):
                # As pcscd does where polkit says no: what was sent is not even read, if it was sent at all.
                if self._answer == "refuses":
                    select.select([client], [], [], PATIENCE)
                client.close()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._listener, *self._held):
            each.close()


class Pcscd(HouseCase):
    furnished = False

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="rootseal-pcscd-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, folder)
        self.socket = folder / "pcscd.comm"
        environment = {"PCSCLITE_CSOCK_NAME": str(self.socket)}
        self.house_options = {"aws": "none", "daemon_environment": environment}
        super().setUp()

    def assert_said(self, answer: str, code: str, words: str) -> None:
        pcscd = FalsePcscd(self.socket, answer)
        self.addCleanup(pcscd.stop)
        problems = json.loads(self.house.must("status", "--json"))["token_problems"]
        self.assertEqual({row["code"] for row in problems}, {code, "socket_missing"})
        listed = self.house.run("token", "list", "--json")
        self.assertEqual(len(json.loads(listed.out)), 1, "the other token serves on")
        self.assertRegex(listed.err, words)

    def test_one_that_refuses_this_user(self):
        self.assert_said("refuses", "pcscd_denied", "pcscd refuses this user.*org.debian.pcsc-lite.access_pcsc")

    def test_one_that_hangs_up_before_a_word(self):
        self.assert_said("hangs up", "pcscd_denied", "pcscd refuses this user")

    def test_one_that_hangs(self):
        self.assert_said("hangs", "pcscd_failed", "pcscd does not answer")


@unittest.skipUnless(os.geteuid() == 0, "another user can be become by root alone")
class Rights(unittest.TestCase):
    """A daemon of a user who may not open the virtual token's socket."""

    def test_a_socket_that_may_not_be_opened_is_named(self):
        nobody = pwd.getpwnam("nobody")
        as_nobody = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]
        ours = Path(tempfile.mkdtemp(prefix="rootseal-ours-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, ours)
        theirs = Path(tempfile.mkdtemp(prefix="rootseal-theirs-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, theirs)
        shutil.chown(theirs, nobody.pw_uid, nobody.pw_gid)
        place = ours / "token.sock"
        token = [BIN / "rootseal-virtual-token", "--socket", place, "--state", ours / "state", "--pin", PIN]
        process, _ = spawn(token, ours, "token")
        self.addCleanup(stop, process)
        config = theirs / "rootseald.toml"
        config.write_text(f'[tokens]\nhid_sockets = ["{place}"]\npcsc = false\n')
        config.chmod(0o644)
        argv = [*as_nobody, BIN / "rootseald", "--config", config, "--data-dir", theirs / "data"]
        process, _ = spawn([*argv, "--listen", f"unix:path={theirs}/bus"], ours, "rootseald")
        self.addCleanup(stop, process)
        client = [*as_nobody, str(BIN / "rootseal"), "--address", f"unix:path={theirs}/bus", "token", "list", "--json"]
        done = subprocess.run(client, capture_output=True, text=True, timeout=PATIENCE)
        listed = Result(done.returncode, done.stdout, done.stderr)
        self.assertEqual((listed.code, json.loads(listed.out)), (0, []))
        self.assertRegex(listed.err, rf"\A{place}: this user may not open .*\n\Z")


if __name__ == "__main__":
    unittest.main()
