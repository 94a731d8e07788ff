"""What custody rests on, looked at as a whole; and what to do."""

from __future__ import annotations

import json
import socket
import threading
import time
import unittest
from email.utils import formatdate

from fakes import PATIENCE
from house import PIN, HouseCase


class Clock:
    """A server that says what time it is, `off` seconds away from ours."""

    def __init__(self, off: int, headers: str | None = None):
        self._line = socket.create_server(("127.0.0.1", 0))
        self._line.settimeout(PATIENCE)
        self.url = f"http://127.0.0.1:{self._line.getsockname()[1]}/"
        date = headers if headers is not None else f"Date: {formatdate(time.time() + off, usegmt=True)}\r\n"
        self._answer = f"HTTP/1.1 404 Not Found\r\n{date}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._line.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(self._answer)
        self._line.close()


class Doctor(HouseCase):
    house_options = {"aws": "none"}

    def look(self, *more, code: int = 0) -> dict[str, list[dict]]:
        done = self.house.run("--json", "doctor", *more)
        self.assertEqual(done.code, code, done)
        found: dict[str, list[dict]] = {}
        for row in json.loads(done.out):
            found.setdefault(row["about"], []).append(row)
        return found

    def health(self, about: str, *more, code: int = 0) -> str:
        (row,) = self.look(*more, code=code)[about]
        return row["health"]

    def test_every_point_is_looked_at_and_what_is_weak_says_what_to_do(self):
        found = self.look()
        for about in (
            *("daemon", "vault", "thresholds", "keyslots", "tokens", "secret-memory", "locked-memory-limit"),
            *("core-dumps", "clock-jump", "data-directory", "audit-log", "audit-chain", "drill"),
            *("swap", "tracing", "udev-rules", "clock"),
        ):
            self.assertIn(about, found)
        for rows in found.values():
            for row in rows:
                self.assertIn(row["health"], ("good", "weak", "bad", "unknown"))
                self.assertTrue(row["text"])
                if row["health"] in ("weak", "bad") and row["about"] != "tokens":
                    self.assertTrue(row["advice"], row)
        for about in ("daemon", "vault", "core-dumps", "clock-jump", "data-directory", "audit-chain"):
            self.assertEqual([row["health"] for row in found[about]], ["good"], about)
        self.assertEqual(found["keyslots"][0]["health"], "weak", "one token alone")
        text = self.house.must("doctor")
        self.assertRegex(text, r"good     daemon: rootseald [\d.]+ answers at ")
        self.assertIn("what to do: add a second one: `rootseal keyslot add", text)

    def test_thresholds_are_held_against_the_tokens_at_hand(self):
        self.assertEqual(self.health("thresholds"), "good")
        self.house.token.tell("unplug")
        (row,) = self.look()["thresholds"]
        self.assertEqual(row["health"], "weak")
        self.assertIn("plug in a token of owner", row["advice"])
        self.house.token.tell("plug")
        paper = self.house.dir / "paper"
        self.house.must("keyslot", "add", "--label", "paper", "--recovery-code-out", paper, pin=PIN)
        self.assertEqual(self.health("keyslots"), "good")

    def test_a_log_that_was_changed_and_a_directory_that_is_open_are_found(self):
        self.house.data.chmod(0o755)
        self.assertEqual(self.health("data-directory"), "weak")
        log = self.house.data / "audit.log"
        lines = log.read_text().splitlines(keepends=True)
        log.write_text("".join([lines[0], *lines[2:]]))
        done = self.house.run("doctor")
        self.assertEqual(done.code, 1)
        self.assertRegex(done.out, r"BAD      audit-chain: bad from record \d+ on")
        self.assertEqual(done.errors()[-1], "rootseal: what is bad: audit-chain; do what stands beside it")

    def test_a_vault_that_is_damaged_or_absent(self):
        self.house.must("lock")
        self.house.vault.write_bytes(self.house.vault.read_bytes()[:-1])
        (row,) = self.look(code=1)["vault"]
        self.assertEqual(row["health"], "bad")
        self.assertIn("vault restore", row["advice"])

    def test_without_a_daemon_the_rest_is_said_all_the_same(self):
        self.house.stop_daemon()
        found = self.look(code=1)
        self.assertEqual(found["daemon"][0]["health"], "bad")
        self.assertIn("cannot reach rootseald", found["daemon"][0]["text"])
        self.assertIn("swap", found)
        self.assertNotIn("vault", found)

    def test_the_clock_is_compared_where_somebody_names_a_source(self):
        self.assertEqual(self.health("clock"), "unknown")
        for off, health in ((0, "good"), (-20, "weak"), (20, "weak"), (600, "bad"), (-600, "bad")):
            with self.subTest(off=off):
                self.assertEqual(self.health("clock", "--time-source", Clock(off).url, code=int(health == "bad")), health)
        for bad in (
            *("http://192.0.2.1/", "nonsense", "http://127.0.0.1:1/"),
            *(Clock(0, "").url, Clock(0, "Date: yesterday\r\n").url),
        ):
            self.assertEqual(self.health("clock", "--time-source", bad), "unknown", bad)

    def test_an_overdue_drill_is_weak(self):
        self.house.stop_daemon()
        state = self.house.data / "state.cbor"
        known = state.read_bytes()
        self.assertEqual(known[-1:], b"\xf6")
        state.write_bytes(known[:-1] + b"\x1a" + (1_700_000_000).to_bytes(4, "big"))
        self.house.start_daemon()
        (row,) = self.look()["drill"]
        self.assertEqual(row["health"], "weak")
        self.assertIn("overdue since 2024", row["text"])

    def test_no_secret_is_asked_for_and_nothing_blinks(self):
        touches = self.house.token.touches()
        self.look()
        self.house.must("lock")
        self.look()
        self.assertEqual(self.house.token.touches(), touches)


if __name__ == "__main__":
    unittest.main()
