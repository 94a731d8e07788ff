"""No audit record, no secret; and the log, verified by a reader that is not ours."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
import unittest
from pathlib import Path

from clocks import ClockCase
from fakes import PATIENCE
from house import PIN, House, HouseCase
from message_bus import MANAGER, Client

WRONG = "999999"


def chained(lines: list[bytes]) -> list[bytes]:
    """What somebody without a key can do: number and hash anew, MACs and salts as they are."""
    done, head = [], "0" * 64
    for seq, line in enumerate(lines, 1):
        record = json.loads(line) | {"seq": seq, "prev": head}
        mac = record.pop("mac", None)
        record |= {} if mac is None else {"mac": mac}
        done.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode())
        head = hashlib.sha256(done[-1]).hexdigest()
    return done


class AuditCase(HouseCase):
    @property
    def log(self) -> Path:
        return self.house.data / "audit.log"

    def lines(self) -> list[bytes]:
        """Of all files, from the oldest on."""
        full = [path for path in self.house.data.glob("audit.log.*") if path.suffix[1:].isdigit()]
        files = [*sorted(full, key=lambda path: int(path.suffix[1:])), self.log]
        return [line for path in files for line in path.read_bytes().splitlines()]

    def records(self) -> list[dict]:
        """Every record; each names the hash of the line before it."""
        lines = self.lines()
        records = [json.loads(line) for line in lines]
        for place, record in enumerate(records):
            self.assertEqual(record["seq"], place + 1)
            if place:
                self.assertEqual(record["prev"], hashlib.sha256(lines[place - 1]).hexdigest())
        return records

    def shown(self, *options) -> list[dict]:
        return json.loads(self.house.must("audit", "show", "--json", *options))

    def refuse_pin(self) -> None:
        self.assertEqual(self.house.run("unlock", pin=WRONG).code, 4)

    def assert_bad(self, record: int, *words: str) -> None:
        """`audit verify` names the record, in words and in JSON."""
        self.assert_refused(self.house.run("audit", "verify"), 1, rf"\brecord {record}\b", *words)
        result = self.house.run("audit", "verify", "--json")
        self.assertEqual(result.code, 1)
        self.assertEqual(json.loads(result.out)["bad_record"], record)

    @contextlib.contextmanager
    def daemon_down(self):
        """What is done to the log while nobody watches."""
        self.house.stop_daemon()
        yield
        self.house.start_daemon()

    @contextlib.contextmanager
    def injected(self, call: str, fault: str):
        """What the daemon does to the log fails."""
        argv = ["strace", "-f", "-p", str(self.house.daemon_pid), "-P", str(self.log), "-e", f"trace={call}"]
        strace = subprocess.Popen(
            [*argv, "-e", f"inject={call}:{fault}"], stderr=subprocess.PIPE, text=True
        )
        try:
            self.assertIn("attached", strace.stderr.readline())
            yield
        finally:
            strace.terminate()
            strace.communicate(timeout=PATIENCE)


class Audit(AuditCase):
    def test_every_release_is_in_the_chain(self):
        code = self.house.must("totp", "code", "prod", pin=PIN).strip()
        self.house.must("credentials", "prod-root", pin=PIN)
        self.house.must("credentials", "prod-root")
        events = [(record["event"], record["outcome"]) for record in self.records()]
        for event in ("create-vault", "key-import", "totp-add", "totp-code", "session", "session-cached"):
            self.assertIn((event, "granted"), events)
        log = self.log.read_text()
        for secret in (self.house.root.secret, self.house.root.seed, f'"{code}"'):
            self.assertNotIn(secret, log)

    def test_where_the_log_cannot_be_opened_nothing_opens(self):
        self.house.stop_daemon()
        self.log.rename(self.house.dir / "kept.log")
        self.log.mkdir()
        self.house.start_daemon()
        for args in (("unlock",), ("credentials", "prod-root")):
            with self.subTest(args=args):
                self.assert_refused(self.house.run(*args, pin=PIN), 1, "audit")
                self.assertEqual(self.house.state(), "locked")
        # Put right, the same daemon goes on.
        self.log.rmdir()
        (self.house.dir / "kept.log").rename(self.log)
        self.house.must("credentials", "prod-root", pin=PIN)
        self.records()

    def test_where_the_disk_fails_nothing_goes_out(self):
        self.house.must("credentials", "prod-root", pin=PIN)
        before = len(self.records())
        with self.injected("fdatasync", "error=EIO"):
            # From the cache, and through the token.
            self.assert_refused(self.house.run("credentials", "prod-root"), 1, "audit")
            self.assert_refused(self.house.run("totp", "code", "prod", pin=PIN), 1, "audit")
        self.house.must("credentials", "prod-root")
        self.assertGreater(len(self.records()), before)
        self.assertIn("intact", self.house.must("audit", "verify"))

    def test_a_log_that_can_only_be_read_refuses(self):
        self.house.must("credentials", "prod-root", pin=PIN)
        with self.injected("write", "error=EROFS"):
            self.assert_refused(self.house.run("credentials", "prod-root"), 1, "audit")
        self.house.must("credentials", "prod-root")
        self.assertIn("intact", self.house.must("audit", "verify"))
        with self.daemon_down():
            bind = ["mount", "--bind", self.log, self.log]
            if subprocess.run(bind, capture_output=True).returncode != 0:
                self.skipTest("nothing can be mounted here")
            self.addCleanup(subprocess.run, ["umount", "-l", self.log], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", self.log], check=True)
        self.assert_refused(self.house.run("credentials", "prod-root", pin=PIN), 1, "audit")
        self.assertEqual(self.house.state(), "locked")

    def test_macs_begin_with_an_unlock_and_end_with_the_lock(self):
        self.house.must("lock")
        self.refuse_pin()
        self.house.must("unlock", pin=PIN)
        records = self.records()
        opened = False
        for record in records:
            if "key" in record:
                opened = True
                self.assertEqual(set(record["key"]), {"vault", "epoch", "salt"})
            if record["outcome"] == "refused":
                opened = False
            self.assertEqual("mac" in record, opened, record)
        salts = [record["key"]["salt"] for record in records if "key" in record]
        self.assertEqual(len(set(salts)), 2)

    def test_refusals_in_a_row_are_joined(self):
        self.house.must("lock")
        for _ in range(4):
            self.refuse_pin()
            self.house.token.replug()
            # A right one, so that the token does not block, and a record that waits for nothing.
            self.assertEqual(self.house.run("unlock", pin=None).code, 4)
        before = self.records()
        refused = [record for record in before if record.get("reason") == "PinInvalid"]
        self.assertEqual(len(refused), 1)
        # What is held is written before anything is granted.
        self.house.must("unlock", pin=PIN)
        told = [record for record in self.records() if record.get("reason") == "PinInvalid"]
        self.assertEqual([record.get("count") for record in told], [None, 3])
        self.assertLessEqual(told[1]["since"], told[1]["time"])
        self.assertEqual(self.records()[-1]["event"], "unlock")

    def test_refusals_that_are_held_are_told_when_somebody_looks_and_at_the_end(self):
        self.house.must("lock")
        for asked in (2, 3):
            for _ in range(asked):
                self.assertEqual(self.house.run("unlock").code, 4)
            if asked == 2:
                shown = self.shown("--event", "unlock", "--outcome", "refused")
                self.assertEqual(len(shown), 2)
        self.house.stop_daemon()
        last = self.records()[-1]
        self.assertEqual((last["reason"], last["count"]), ("NoPrompt", 3))
        self.house.start_daemon()


class Tampered(AuditCase):
    """The log is changed while no daemon watches; the vault is opened all the same, and says so."""

    def setUp(self) -> None:
        super().setUp()
        self.house.must("credentials", "prod-root", pin=PIN)
        self.house.must("credentials", "prod-root")

    def reopen(self) -> None:
        self.house.must("unlock", pin=PIN)

    def put(self, lines: list[bytes]) -> None:
        self.log.write_bytes(b"".join(line + b"\n" for line in lines))

    def test_a_sound_log_is_intact(self):
        count = len(self.lines())
        self.assertRegex(self.house.must("audit", "verify"), rf"^intact: records 1 to {count}, ")
        with self.daemon_down():
            pass
        out = self.house.must("audit", "verify")
        self.assertRegex(out, "intact")
        self.assertRegex(out, "locked")
        self.reopen()
        verdict = json.loads(self.house.must("audit", "verify", "--json"))
        self.assertTrue(verdict["intact"] and verdict["with_vault"])
        self.assertEqual(verdict["macs_verified"], count + 1)

    def test_an_edited_record_stops_the_daemon_and_is_named(self):
        lines = self.lines()
        with self.daemon_down():
            self.put([*lines[:2], lines[2].replace(b'"pid":', b'"pid":1'), *lines[3:]])
        self.assert_bad(4)
        self.assert_refused(self.house.run("unlock", pin=PIN), 1, "audit", "record 4")

    def test_swapped_records_are_named(self):
        lines = self.lines()
        with self.daemon_down():
            self.put([lines[0], lines[2], lines[1], *lines[3:]])
        self.assert_bad(2)

    def test_a_log_that_is_changed_under_the_daemon_is_named(self):
        lines = self.lines()
        self.put(lines[:-1])
        self.assert_bad(len(lines))
        self.assert_refused(self.house.run("credentials", "prod-root"), 1, "audit")
        self.put([*lines[:1], lines[1].replace(b"granted", b"refused"), *lines[2:]])
        self.assert_bad(2)
        self.put(lines)
        self.house.must("audit", "verify")
        self.house.must("credentials", "prod-root")

    def test_a_tail_that_is_cut_off_shows_at_the_next_unlock_and_denies_nobody(self):
        lines = self.lines()
        with self.daemon_down():
            self.put(lines[:2])
        # Without the vault's key it cannot be known.
        self.house.must("audit", "verify")
        self.house.must("credentials", "prod-root", pin=PIN)
        self.assert_bad(3, "sealed")
        self.assertIn("record 3", self.house.must("status"))
        self.assertTrue(json.loads(self.house.must("status", "--json"))["audit_warnings"])
        lost = [record for record in self.records() if record["event"] == "log-lost"]
        self.assertEqual([record["lost"]["from"] for record in lost], [3])
        self.assertIn("mac", lost[0])
        # Saving the vault anew, or starting the daemon again, does not make it good.
        self.house.must("account", "add", "more", "--account-id", "444455556666")
        self.house.restart_daemon()
        self.reopen()
        self.assert_bad(3, "sealed")
        self.assertIn("record 3", self.house.must("status"))

    def test_a_log_that_is_gone_shows(self):
        with self.daemon_down():
            self.log.unlink()
        self.reopen()
        self.assert_bad(1)

    def test_a_chain_that_was_made_anew_without_the_key_shows(self):
        lines = self.lines()
        edited = json.loads(lines[1]) | {"uid": 4711}
        self.assertEqual(chained(lines), lines)
        with self.daemon_down():
            self.put(chained([lines[0], json.dumps(edited).encode(), *lines[2:]]))
        self.reopen()
        self.assert_bad(2, "MAC")

    def test_the_end_that_no_save_has_sealed_is_still_under_the_key(self):
        lines = self.lines()
        last = json.loads(lines[-1]) | {"what": "nothing at all"}
        with self.daemon_down():
            self.put(chained([*lines[:-1], json.dumps(last).encode()]))
        self.reopen()
        self.assert_bad(len(lines), "MAC")

    def test_what_was_written_while_locked_is_bound_in(self):
        self.house.must("lock")
        self.refuse_pin()
        self.reopen()
        lines = self.lines()
        refused = len(lines) - 1
        self.assertEqual(json.loads(lines[refused - 1])["outcome"], "refused")
        changed = json.loads(lines[refused - 1]) | {"uid": 4711}
        with self.daemon_down():
            self.put(chained([*lines[: refused - 1], json.dumps(changed).encode(), *lines[refused:]]))
        self.reopen()
        self.assert_bad(refused + 1, "MAC")

    def test_the_journal_says_how_far_the_log_goes(self):
        self.house.must("lock")
        said = (self.house.dir / "rootseald.log").read_text()
        head = hashlib.sha256(self.lines()[-1]).hexdigest()
        for when in ("made", "saved", "locked"):
            self.assertRegex(said, rf"vault is {when}\b.*last record")
        locked = [line for line in said.splitlines() if "vault is locked" in line][-1]
        self.assertIn(head, locked)
        self.assertIn(f"seq={len(self.lines())}", locked)


class Shown(AuditCase):
    def test_filters(self):
        self.house.must("totp", "code", "prod", pin=PIN)
        everything = self.shown()
        self.assertEqual([json.loads(line) for line in self.lines()], everything)
        self.assertEqual(self.shown("--last", "2"), everything[-2:])
        codes = [record for record in everything if record["event"] == "totp-code"]
        self.assertEqual(self.shown("--event", "totp-code"), codes)
        self.assertEqual(self.shown("--outcome", "refused"), [])
        about = [record for record in everything if "1111-2222-3333" in record["what"]]
        self.assertTrue(0 < len(about) < len(everything))
        for account in ("prod", "111122223333"):
            self.assertEqual(self.shown("--account", account), about)
        self.assertEqual(self.shown("--account", "other"), [])
        uid = everything[0]["uid"]
        self.assertEqual(self.shown("--uid", uid), everything)
        self.assertEqual(self.shown("--uid", uid + 1), [])
        last = everything[-1]["time"]
        self.assertEqual(self.shown("--since", last + 1), [])
        self.assertEqual(self.shown("--until", last), everything)
        self.assertEqual(self.shown("--until", "1999-12-31"), [])
        self.assertEqual(self.shown("--since", "2000-01-01"), everything)
        self.assert_refused(self.house.run("audit", "show", "--since", "soon"), 2)
        self.assert_refused(self.house.run("audit", "show", "--outcome", "maybe"), 2)
        table = self.house.must("audit", "show").splitlines()
        self.assertEqual(len(table), len(everything) + 1)

    def test_what_others_wrote_into_the_log_drives_no_terminal(self):
        evil = "\x1b[2J\x9b31m\u202e<b>&amp;\x07\r\n"
        self.house.stop_daemon()
        lines = [json.loads(line) for line in self.lines()]
        lines[-1]["what"] = lines[-1]["why"] = lines[-1]["event"] = evil
        lines[-1].pop("mac")
        self.log.write_bytes(b"".join(line + b"\n" for line in chained([json.dumps(line).encode() for line in lines])))
        with self.log.open("ab") as log:
            log.write(b"\x1b[2J no record\n")
        self.house.start_daemon()
        for options in ((), ("--json",)):
            result = self.house.run("audit", "show", *options)
            self.assertEqual(result.code, 0, result)
            self.assertFalse(re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.out), options)
        found = self.shown()
        self.assertEqual((found[-2]["what"], found[-1]["unreadable"]), (evil, "\x1b[2J no record"))
        self.assertFalse(re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", self.house.run("audit", "verify").err))

    def test_an_export_holds_all_and_the_verdict_and_replaces_nothing(self):
        path = self.house.dir / "export.jsonl"
        self.house.must("audit", "export", path)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        *lines, last = path.read_bytes().splitlines()
        self.assertEqual(lines, self.lines())
        self.assertTrue(json.loads(last)["verification"]["intact"])
        self.assert_refused(self.house.run("audit", "export", path), 1, "exists")
        self.assertEqual(path.read_bytes().splitlines()[:-1], lines)
        nowhere = self.house.dir / "none" / "export"
        self.assert_refused(self.house.run("audit", "export", nowhere), 1, "no such")
        # A bad log is exported as well, and said to be one.
        self.log.write_bytes(b"".join(line + b"\n" for line in lines[:-1]))
        bad = self.house.dir / "bad.jsonl"
        self.assert_refused(self.house.run("audit", "export", bad), 1, f"record {len(lines)}")
        self.assertFalse(json.loads(bad.read_bytes().splitlines()[-1])["verification"]["intact"])

    def test_a_reader_that_stops_reading_holds_nobody_up(self):
        client = Client(self.house.address, a_bus=False)
        self.addCleanup(client.close)
        pipes = [client.call(MANAGER, "org.rootseal.Audit1.Read", "a{sv}", {}) for _ in range(8)]
        self.house.must("audit", "verify")
        self.house.must("totp", "code", "prod", pin=PIN)
        self.assertEqual(len(pipes), 8)

    def test_options_are_checked(self):
        client = Client(self.house.address, a_bus=False)
        self.addCleanup(client.close)
        for options in (
            {"since": ("u", 1)},
            {"outcome": ("s", "maybe")},
            {"last": ("t", 1)},
            {"colour": ("s", "red")},
        ):
            with self.subTest(options), self.assertRaises(Exception) as refused:
                client.call(MANAGER, "org.rootseal.Audit1.Read", "a{sv}", options)
            self.assertIn("InvalidArgument", str(refused.exception) + repr(refused.exception))


class RotatingHouse(House):
    more_config = "[audit]\nrotate_bytes = 4096\n"


class Rotated(AuditCase):
    """A log of many files."""

    house_class = RotatingHouse

    def setUp(self) -> None:
        super().setUp()
        self.house.must("credentials", "prod-root", pin=PIN)
        while len(list(self.house.data.glob("audit.log.*"))) < 3:
            self.house.must("credentials", "prod-root")

    def test_the_chain_goes_on_through_all_files(self):
        records = self.records()
        self.assertEqual([record["after"] for record in records if "after" in record], [1, 2, 3])
        self.assertTrue(all("mac" in record for record in records))
        self.assertTrue(all("key" in record for record in records if "after" in record))
        self.assertEqual(self.shown(), records)
        verdict = json.loads(self.house.must("audit", "verify", "--json"))
        self.assertEqual((verdict["first"], verdict["macs_verified"]), (1, len(records)))
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        self.house.must("audit", "verify")

    def test_a_start_reads_only_the_file_that_grows(self):
        # What the vault has sealed is in the file that grows.
        self.house.must("account", "add", "more", "--account-id", "444455556666")
        self.house.stop_daemon()
        (self.house.data / "audit.log.2").write_text("anything\n")
        self.house.start_daemon()
        self.house.must("unlock", pin=PIN)
        self.assertNotIn("audit ", self.house.must("status"))
        self.assert_bad(json.loads(self.lines_of(1)[-1])["seq"] + 1)

    def lines_of(self, number: int) -> list[bytes]:
        return (self.house.data / f"audit.log.{number}").read_bytes().splitlines()

    def test_a_file_that_is_missing_in_between_shows_and_an_old_one_that_was_put_away_does_not(self):
        # Up to what the vault has sealed, the log has to be there.
        (self.house.data / "audit.log.1").rename(self.house.dir / "kept")
        self.assertEqual(self.house.run("audit", "verify").code, 1)
        self.house.must("account", "add", "more", "--account-id", "444455556666")
        out = self.house.must("audit", "verify")
        self.assertRegex(out, "not here")
        (self.house.dir / "kept").rename(self.house.data / "audit.log.1")
        missing = json.loads(self.lines_of(2)[0])["seq"]
        (self.house.data / "audit.log.2").unlink()
        self.assert_bad(missing)

    def test_a_cut_beginning_of_a_file_shows(self):
        for _ in range(2):
            self.house.must("credentials", "prod-root")
        lines = self.log.read_bytes().splitlines(keepends=True)
        self.house.stop_daemon()
        self.log.write_bytes(b"".join(lines[1:]))
        self.house.start_daemon()
        self.assert_refused(self.house.run("unlock", pin=PIN), 1, "audit")
        self.assertEqual(self.house.run("audit", "verify").code, 1)


class FullDisk(AuditCase):
    """The data directory is a small file system of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.house.stop_daemon()
        data = self.house.data
        kept = self.house.dir / "kept"
        data.rename(kept)
        data.mkdir(mode=0o700)
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(data)]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(data)], check=True)
        self.addCleanup(self.house.stop_daemon)
        for path in kept.iterdir():
            if path.name not in ("reserve", "lock"):
                (data / path.name).write_bytes(path.read_bytes())
        self.house.start_daemon()
        self.house.must("lock")

    def fill(self) -> None:
        with contextlib.suppress(OSError), (self.house.data / "filler").open("ab", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    def test_a_full_disk_denies_no_break_glass_and_refusals_cannot_use_its_room_up(self):
        self.fill()
        # Refusals find no room, and take none.
        for _ in range(3):
            self.assertEqual(self.house.run("unlock").code, 4)
        reserve = self.house.data / "reserve"
        self.assertEqual(reserve.stat().st_size, 1 << 20)
        self.house.must("credentials", "prod-root", pin=PIN)
        events = [record["event"] for record in self.records()]
        self.assertEqual(events[-3:], ["unlock", "session", "session-granted"])
        # Again and again: with what is left.
        for _ in range(20):
            self.fill()
            self.house.must("credentials", "prod-root")
        self.assertTrue(0 < reserve.stat().st_size < 1 << 20)
        self.assertRegex(self.house.must("status"), r"(?m)^audit .*room")
        # With room again, what was held is told, and the reserve is whole.
        (self.house.data / "filler").unlink()
        self.house.must("credentials", "prod-root")
        self.assertEqual(reserve.stat().st_size, 1 << 20)
        self.assertNotRegex(self.house.must("status"), r"(?m)^audit ")
        refused = [record for record in self.records() if record.get("reason") == "NoPrompt"]
        self.assertEqual(sum(record.get("count", 1) for record in refused), 3)
        self.house.must("audit", "verify")

    def test_without_a_reserve_a_full_disk_refuses(self):
        self.fill()
        self.house.stop_daemon()
        (self.house.data / "reserve").unlink()
        self.fill()
        self.house.start_daemon()
        result = self.house.run("credentials", "prod-root", pin=PIN)
        self.assertEqual((result.code, result.out), (1, ""))


class NewKeys(AuditCase):
    """The vault gets other keys, or an older copy takes its place: the log goes on under keys that can be verified."""

    def verdict(self) -> dict:
        return json.loads(self.house.must("audit", "verify", "--json"))

    def test_after_a_rekey(self):
        self.house.must("credentials", "prod-root", pin=PIN)
        older = len(self.lines())
        self.house.must("keyslot", "rekey", pin=PIN)
        self.house.must("totp", "code", "prod", pin=PIN)
        self.assertIn("new-keys", [record["event"] for record in self.records()])
        self.assertGreaterEqual(self.verdict()["macs_unverified"], older)
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        verdict = self.verdict()
        self.assertTrue(verdict["intact"] and verdict["macs_verified"] >= 3, verdict)

    def test_after_a_restore(self):
        copy = self.house.dir / "copy"
        self.house.must("vault", "backup", copy)
        self.house.must("profile", "add", "second", "--account", "prod")
        self.house.must("vault", "restore", "--older", copy, pin=PIN)
        self.house.must("unlock", pin=PIN)
        self.house.must("totp", "code", "prod", pin=PIN)
        verdict = self.verdict()
        self.assertTrue(verdict["intact"] and verdict["macs_verified"] >= 3, verdict)
        self.assertNotIn("log-lost", [record["event"] for record in self.records()])


class Killed(AuditCase):
    """The daemon dies in the middle of writing a record."""

    def test_the_log_goes_on_after_a_kill_at_each_call(self):
        self.house.must("credentials", "prod-root", pin=PIN)
        for call in ("write", "fdatasync"):
            with self.subTest(call):
                before = len(self.records())
                with self.injected(call, "signal=KILL:when=1"):
                    result = self.house.run("credentials", "prod-root")
                    self.assertEqual(result.out, "")
                    self.assertNotEqual(result.code, 0)
                self.house.stop_daemon()
                self.house.start_daemon()
                self.house.must("credentials", "prod-root", pin=PIN)
                self.assertGreater(len(self.records()), before)
                self.house.must("audit", "verify")


class Clock(AuditCase, ClockCase):
    def test_a_record_may_be_older_than_the_one_before_it(self):
        """The chain counts records: a clock that was set back takes nothing from it."""
        self.house.must("unlock", pin=PIN)
        self.clocks.set(-100_000)
        self.house.must("lock")
        self.house.must("unlock", pin=PIN)
        *_, before, last = self.records()
        self.assertLess(last["time"], before["time"])
        self.assertIn("intact", self.house.must("audit", "verify"))
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        self.assertIn("intact", self.house.must("audit", "verify"))


if __name__ == "__main__":
    unittest.main()
