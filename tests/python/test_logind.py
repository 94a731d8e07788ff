"""The vault locks when the machine sleeps, a session's screen locks, or its user is not in front any more."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import unittest
from pathlib import Path

from jeepney import DBusAddress, HeaderFields, new_signal

import memory
from fakes import PATIENCE
from house import PIN
from logind import ANOTHER, LOGIND, MANAGER, SESSION, Calls, LogindCase
from message_bus import Client, MessageBus


class Sleeping(LogindCase):
    def released(self) -> None:
        """The machine may go on: nobody holds it up."""
        while self.logind.inhibitors():
            pass

    def test_the_vault_is_locked_before_the_machine_sleeps_each_time(self):
        for _ in range(2):
            ((what, who, _, mode, *_),) = self.logind.inhibitors()
            self.assertEqual((what, who, mode), ("sleep:shutdown", "rootseal", "delay"))
            self.logind.prepare("Sleep", True)
            self.locks()
            self.released()
            self.logind.prepare("Sleep", False)
            self.attended()
            self.unlock()

    def test_and_before_it_stops(self):
        self.logind.prepare("Shutdown", True)
        self.locks()
        self.released()
        # It was called off.
        self.logind.prepare("Shutdown", False)
        self.attended()

    @unittest.skipUnless(os.geteuid() == 0, "following a process that is not dumpable takes root")
    def test_the_inhibitor_is_let_go_after_the_secrets_are(self):
        pid = self.house.daemon_pid
        secrets = [f"munmap({mapping.start:#x}," for mapping in memory.mappings(pid) if mapping.locked]
        self.assertNotEqual(secrets, [])
        ours, theirs = pipes(pid), pipes(self.logind.process.pid)
        (inhibitor,) = [fd for fd, pipe in ours.items() if pipe in theirs.values()]
        argv = ["strace", "-f", "-p", str(pid), "-e", "trace=munmap,close"]
        strace = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        self.addCleanup(strace.stderr.close)
        self.assertIn("attached", strace.stderr.readline())
        self.logind.prepare("Sleep", True)
        self.released()
        strace.terminate()
        _, said = strace.communicate(timeout=PATIENCE)
        lines = said.splitlines()
        wiped = [number for number, line in enumerate(lines) if any(secret in line for secret in secrets)]
        (let_go,) = [number for number, line in enumerate(lines) if re.search(rf"close\({inhibitor}\b", line)]
        self.assertEqual(len(wiped), len(secrets), said)
        self.assertLess(max(wiped), let_go)

    def test_a_daemon_that_comes_while_the_machine_is_about_to_sleep_does_not_hold_it_up(self):
        self.logind.update(MANAGER, f"{LOGIND}.Manager", PreparingForSleep=("b", True))
        self.house.restart_daemon()
        self.attended()
        self.released()
        self.logind.prepare("Sleep", False)
        self.attended()
        self.assertEqual(len(self.logind.inhibitors()), 1)

    def test_nothing_is_opened_until_the_sleep_is_over(self):
        """Somebody else's inhibitor may hold the sleep up, and a touch come meanwhile."""
        self.house.must("unlock", pin=PIN)
        self.logind.prepare("Sleep", True)
        self.released()
        touches = self.house.token.touches()
        for command in (("unlock",), ("credentials", "prod-root"), ("keyslot", "rekey")):
            self.assert_refused(self.house.run(*command, pin=PIN), 4, "about to sleep")
        self.assertEqual((self.house.state(), self.house.token.touches()), ("locked", touches))
        self.logind.prepare("Sleep", False)
        self.attended()
        self.house.must("unlock", pin=PIN)

    def test_where_it_is_not_wanted_nobody_is_held_up(self):
        attends = Calls(self.system.path, "ListSessions")
        self.addCleanup(attends.close)
        self.house.lock_config = "when_machine_sleeps = false\n"
        self.house.restart_daemon()
        attends.next()
        self.unlock()
        self.logind.prepare("Sleep", True)
        self.assertEqual(self.logind.inhibitors(), [])
        # Heard after it.
        self.logind.emit(self.ours, SESSION, "Lock")
        self.locks()
        self.assertIn("the session was locked", said(self))
        self.assertNotIn("goes to sleep", said(self))


def pipes(pid: int) -> dict[str, str]:
    """Which pipe each descriptor of a process is an end of."""
    found = {}
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        # Others come and go.
        with contextlib.suppress(FileNotFoundError):
            found[fd.name] = os.readlink(fd)
    return {fd: target for fd, target in found.items() if target.startswith("pipe:")}


def said(case: LogindCase) -> str:
    return (case.house.dir / "rootseald.log").read_text()


class Sessions(LogindCase):
    def test_the_signal_lock(self):
        self.logind.emit(self.ours, SESSION, "Lock")
        self.locks()

    def test_a_screen_locker_that_only_says_that_it_is_locked(self):
        self.logind.update(self.ours, SESSION, LockedHint=("b", True))
        self.locks()
        self.unlock()
        self.logind.update(self.ours, SESSION, LockedHint=("b", False))
        self.stays_open()

    def test_a_session_that_began_later(self):
        self.caught_up()
        later = self.logind.add_session("later")
        self.logind.emit(later, SESSION, "Lock")
        self.locks()

    def test_one_from_afar(self):
        ssh = self.logind.add_session("ssh", seat="")
        self.logind.emit(ssh, SESSION, "Lock")
        self.locks()

    def test_another_users_session_is_no_reason(self):
        another = self.logind.add_session("another", ANOTHER, seat="seat1")
        self.logind.emit(another, SESSION, "Lock")
        self.logind.update(another, SESSION, LockedHint=("b", True), Active=("b", False))
        self.logind.bring_to_front("", seat="seat1")
        self.logind.remove_session("another")
        self.stays_open()

    def test_nor_is_a_greeters(self):
        greeter = self.logind.add_session("greeter", seat="seat1")
        self.logind.update(greeter, SESSION, Class=("s", "greeter"))
        self.house.restart_daemon()
        self.attended()
        self.unlock()
        self.logind.emit(greeter, SESSION, "Lock")
        self.logind.remove_session("greeter")
        self.stays_open()

    def test_a_lock_that_somebody_else_signals_is_none(self):
        forger = Client(self.system.path)
        self.addCleanup(forger.close)
        (daemon,) = {
            name
            for name in forger.of_bus("ListNames")[0]
            if name.startswith(":")
            and forger.of_bus("GetConnectionUnixProcessID", "s", name)[0] == self.house.daemon_pid
        }
        for path, interface, member, signature, body in (
            (self.ours, SESSION, "Lock", None, ()),
            (MANAGER, f"{LOGIND}.Manager", "PrepareForSleep", "b", (True,)),
        ):
            for destination in (None, daemon):
                forged = new_signal(DBusAddress(path, interface=interface), member, signature, body)
                if destination:
                    forged.header.fields[HeaderFields.destination] = destination
                forger.connection.send(forged)
        # The bus has passed them on.
        forger.of_bus("GetId")
        self.stays_open()

    def test_where_it_is_not_wanted(self):
        self.configure("when_session_locks = false")
        self.unlock()
        self.logind.emit(self.ours, SESSION, "Lock")
        self.logind.update(self.ours, SESSION, LockedHint=("b", True))
        self.stays_open()
        self.logind.prepare("Sleep", True)
        self.locks()


class Switching(LogindCase):
    def test_another_user_comes_to_the_front(self):
        self.logind.add_session("another", ANOTHER, seat="seat1")
        self.caught_up()
        self.logind.bring_to_front("another")
        self.locks()
        self.unlock()
        self.logind.bring_to_front("ours")
        self.stays_open()

    def test_nobody_is_in_front(self):
        self.logind.bring_to_front("")
        self.locks()

    def test_a_session_that_says_itself_that_it_is_not_active_any_more(self):
        self.logind.add_session("another", ANOTHER, seat="seat1")
        self.caught_up()
        self.logind.bring_to_front("another")
        self.locks()
        self.unlock()
        self.logind.update(self.ours, SESSION, Active=("b", False))
        self.locks()

    def test_another_session_of_the_same_user_is_no_switch(self):
        self.logind.add_session("second")
        self.logind.bring_to_front("ours")
        self.caught_up()
        self.logind.bring_to_front("second")
        self.logind.update(self.ours, SESSION, Active=("b", False))
        self.stays_open()

    def test_the_last_session_is_over(self):
        self.logind.add_session("ssh", seat="")
        self.logind.remove_session("ssh")
        self.stays_open()
        self.logind.remove_session("ours")
        self.locks()

    def test_where_it_is_not_wanted(self):
        self.configure("when_user_switches = false")
        self.unlock()
        self.logind.bring_to_front("")
        self.logind.update(self.ours, SESSION, Active=("b", False))
        self.logind.remove_session("ours")
        self.stays_open()


class Everybody(LogindCase):
    """On the system bus, whoever is at the machine counts."""

    bus_option = "system"

    def system_bus(self) -> MessageBus:
        return self.message_bus

    def test_anybodys_session_at_a_seat(self):
        another = self.logind.add_session("another", ANOTHER, seat="seat1")
        self.logind.emit(another, SESSION, "Lock")
        self.locks()
        self.unlock()
        ssh = self.logind.add_session("ssh", ANOTHER, seat="")
        self.logind.emit(ssh, SESSION, "Lock")
        self.logind.remove_session("ssh")
        self.stays_open()
        self.logind.remove_session("another")
        self.locks()


class Absent(LogindCase):
    """Without a bus or a logind all goes on, and both are waited for."""

    def test_a_logind_that_starts_again(self):
        self.logind.stop()
        self.assertEqual(self.house.state(), "unlocked")
        self.start_logind()
        self.attended()
        self.logind.emit(self.ours, SESSION, "Lock")
        self.locks()
        self.assertEqual(said(self).count("there is no logind"), 1)

    def made_up_for(self, happens) -> None:
        """The daemon looks away while logind starts again, and sees nothing of what happens then but what is left."""
        self.unlock()
        os.kill(self.house.daemon_pid, signal.SIGSTOP)
        self.logind.stop()
        self.start_logind()
        happens()
        os.kill(self.house.daemon_pid, signal.SIGCONT)
        self.attended()
        self.locks()

    def test_what_happened_meanwhile_is_made_up_for(self):
        self.caught_up()
        self.made_up_for(lambda: self.logind.update(self.ours, SESSION, LockedHint=("b", True)))
        self.made_up_for(lambda: self.logind.remove_session("ours"))

    def test_a_switch_meanwhile_too(self):
        self.caught_up()

        def another_comes() -> None:
            self.logind.add_session("another", ANOTHER)
            self.logind.update(self.ours, SESSION, Active=("b", False))

        self.made_up_for(another_comes)

    def test_a_bus_that_is_lost_and_comes_again(self):
        self.logind.stop()
        self.inhibits.close()
        self.system.end()
        self.assertEqual(self.house.state(), "unlocked")
        self.system.start()
        self.watch_inhibits()
        self.start_logind()
        self.attended()
        self.logind.prepare("Sleep", True)
        self.locks()

    def test_a_daemon_that_is_there_first(self):
        self.logind.stop()
        self.inhibits.close()
        self.system.end()
        self.house.restart_daemon()
        self.unlock()
        self.system.start()
        self.watch_inhibits()
        self.start_logind()
        self.attended()
        self.logind.emit(self.ours, SESSION, "Lock")
        self.locks()
        self.assertEqual(said(self).count("there is no system bus"), 1)


if __name__ == "__main__":
    unittest.main()
