"""The real logind: the machine sleeps as far as an emulated one can, sessions lock, users switch and log out."""

from __future__ import annotations

import json
import subprocess
import unittest
from pathlib import Path

from hidraw_house import HidrawCase, HidrawHouse
from house import PIN

BUS = "unix:path=/run/dbus/system_bus_socket"
LOGIND, MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1"


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def call(path: str, interface: str, member: str, *signature_and_arguments: str):
    argv = ("busctl", "--json=short", "call", LOGIND, path, f"{LOGIND}.{interface}", member)
    answer = run(*argv, *signature_and_arguments)
    return json.loads(answer)["data"] if answer.strip() else None


class Login:
    """A session of a user on a console of its own, as `login` begins one; on none where logind would begin a getty."""

    def __init__(self, user: str, console: int):
        self.unit = f"login-{user}-{console}.service"
        seat = f"XDG_SEAT=seat0 XDG_VTNR={console} XDG_SESSION_TYPE=tty XDG_SESSION_CLASS=user"
        properties = ["PAMName=login", f"User={user}", f"TTYPath=/dev/tty{console}", "StandardInput=tty"]
        options = [f"--property={line}" for line in (*properties, f"Environment={seat}")]
        run("systemd-run", "--quiet", f"--unit={self.unit}", *options, "sleep", "infinity")
        while not (found := [row for row in call(MANAGER, "Manager", "ListSessions")[0] if self.is_row(row, user)]):
            pass
        ((self.id, *_, self.path),) = found

    def is_row(self, row: list, user: str) -> bool:
        leader = run("systemctl", "show", "--property=MainPID", "--value", self.unit).strip()
        about = run("loginctl", "show-session", row[0], "--property=Leader", "--value").strip()
        return row[2] == user and about == leader

    def to_the_front(self) -> None:
        run("loginctl", "activate", self.id)
        while run("loginctl", "show-session", self.id, "--property=Active", "--value").strip() != "yes":
            pass

    def end(self) -> None:
        subprocess.run(["systemctl", "stop", self.unit])


class VaultHouse(HidrawHouse):
    def furnish(self) -> None:
        """A vault, and no more: here all takes its time."""
        self.must("init", "--label", "demo key", pin=PIN)


class Logind(HidrawCase):
    house_class = VaultHouse
    house_options = {"aws": "none", "daemon_environment": {"DBUS_SYSTEM_BUS_ADDRESS": BUS}}

    @classmethod
    def setUpClass(cls) -> None:
        run("useradd", "--create-home", "bob")

    def setUp(self) -> None:
        super().setUp()
        self.ours = self.login("root", 10)
        self.ours.to_the_front()
        self.inhibitor()
        # What came until here may have locked it.
        self.unlock()

    def login(self, user: str, console: int) -> Login:
        login = Login(user, console)
        self.addCleanup(login.end)
        return login

    def inhibitor(self, other_than: str = "") -> str:
        """The file of ours, once there is one."""
        while True:
            for file in Path("/run/systemd/inhibit").glob("[0-9]*"):
                if not file.suffix and file.name != other_than and "WHO=rootseal" in file.read_text():
                    return file.name

    def said(self) -> str:
        return (self.house.dir / "rootseald.log").read_text()

    def unlock(self) -> None:
        self.house.must("unlock", pin=PIN)
        self.heard = len(self.said())

    def locks(self, why: str) -> None:
        while why not in self.said()[self.heard :]:
            pass
        self.assertEqual(self.house.state(), "locked")

    def test_the_machine_sleeps_when_the_vault_is_locked(self):
        (row,) = [row for row in call(MANAGER, "Manager", "ListInhibitors")[0] if row[1] == "rootseal"]
        self.assertEqual((set(row[0].split(":")), row[3]), ({"sleep", "shutdown"}, "delay"))
        self.assertRegex(run("systemd-inhibit", "--list", "--no-pager"), r"rootseal .*delay")
        held = self.inhibitor()
        # As far as the kernel's freezing of all processes, and back: an emulated machine has nobody to wake it.
        Path("/sys/power/pm_test").write_text("freezer")
        run("systemctl", "suspend")
        self.locks("the machine goes to sleep")
        self.inhibitor(other_than=held)
        journal = run("journalctl", "--boot", "--no-pager")
        self.assertIn("PM: suspend entry", journal)
        self.assertNotIn("inhibitor timeout is reached", journal)
        self.unlock()

    def test_a_session_locks(self):
        run("loginctl", "lock-session", self.ours.id)
        self.locks("the session was locked")
        self.unlock()
        call(self.ours.path, "Session", "SetLockedHint", "b", "true")
        self.locks("the session was locked")

    def test_another_users_session_is_no_reason(self):
        bob = self.login("bob", 11)
        run("loginctl", "lock-session", bob.id)
        bob.end()
        # Heard after it.
        run("loginctl", "lock-session", self.ours.id)
        self.locks("the session was locked")
        self.assertEqual(self.said()[self.heard :].count("locked by itself"), 1)

    def test_users_switch(self):
        bob = self.login("bob", 11)
        self.assertEqual(self.house.state(), "unlocked")
        bob.to_the_front()
        self.locks("not in front")
        self.unlock()
        self.ours.to_the_front()
        self.assertEqual(self.house.state(), "unlocked")
        # A console with nobody on it.
        call(f"{MANAGER}/seat/seat0", "Seat", "SwitchTo", "u", "13")
        self.locks("not in front")

    def test_another_console_of_the_same_user_is_no_switch(self):
        second = self.login("root", 12)
        second.to_the_front()
        run("loginctl", "lock-session", second.id)
        self.locks("the session was locked")
        self.assertNotIn("not in front", self.said()[self.heard :])

    def test_the_user_logs_out(self):
        # Not the one in front, whose end is a switch first.
        second = self.login("bob", 11)
        second.to_the_front()
        self.locks("not in front")
        self.unlock()
        self.ours.end()
        self.locks("logged out")

    def test_logind_starts_again(self):
        held = self.inhibitor()
        run("systemctl", "restart", "systemd-logind")
        self.inhibitor(other_than=held)
        run("loginctl", "lock-session", self.ours.id)
        self.locks("the session was locked")


class Removal(HidrawCase):
    """A token on the kernel's HID."""

    house_class = VaultHouse

    def test_it_is_pulled_out(self):
        self.house.lock_config = "removal_grace_seconds = 0\n"
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        self.house.token.stop()
        while self.house.state() != "locked":
            pass

    def test_it_is_back_at_once(self):
        self.house.lock_config = "removal_grace_seconds = 86400\n"
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        log = self.house.dir / "rootseald.log"
        self.house.token.stop()
        while "is away" not in log.read_text():
            pass
        self.house.token.start()
        while "is back" not in log.read_text():
            pass
        self.assertEqual(self.house.state(), "unlocked")


if __name__ == "__main__":
    unittest.main()
