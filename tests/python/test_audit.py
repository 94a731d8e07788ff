"""No audit record, no secret; and the log's chain, verified by a reader that is not ours."""

from __future__ import annotations

import hashlib
import json
import subprocess
import unittest

from fakes import PATIENCE
from house import PIN, HouseCase


class Audit(HouseCase):
    def records(self) -> list[dict]:
        """Every record; each names the hash of the line before it."""
        lines = (self.house.data / "audit.log").read_bytes().splitlines()
        records = [json.loads(line) for line in lines]
        for place, record in enumerate(records):
            self.assertEqual(record["seq"], place + 1)
            if place:
                self.assertEqual(record["prev"], hashlib.sha256(lines[place - 1]).hexdigest())
        return records

    def test_every_release_is_in_the_chain(self):
        code = self.house.must("totp", "code", "prod", pin=PIN).strip()
        self.house.must("credentials", "prod-root", pin=PIN)
        self.house.must("credentials", "prod-root")
        events = [(record["event"], record["outcome"]) for record in self.records()]
        for event in ("create-vault", "key-import", "totp-add", "totp-code", "session", "session-cached"):
            self.assertIn((event, "granted"), events)
        log = (self.house.data / "audit.log").read_text()
        for secret in (self.house.root.secret, self.house.root.seed, f'"{code}"'):
            self.assertNotIn(secret, log)

    def test_where_the_log_cannot_be_opened_nothing_opens(self):
        self.house.stop_daemon()
        log = self.house.data / "audit.log"
        log.rename(self.house.dir / "kept.log")
        log.mkdir()
        self.house.start_daemon()
        for args in (("unlock",), ("credentials", "prod-root")):
            with self.subTest(args=args):
                self.assert_refused(self.house.run(*args, pin=PIN), 1, "audit")
                self.assertEqual(self.house.state(), "locked")
        # Put right, the same daemon goes on.
        log.rmdir()
        (self.house.dir / "kept.log").rename(log)
        self.house.must("credentials", "prod-root", pin=PIN)
        self.records()

    def test_where_the_disk_fails_nothing_goes_out(self):
        self.house.must("credentials", "prod-root", pin=PIN)
        before = len(self.records())
        argv = ["strace", "-f", "-p", str(self.house.daemon_pid), "-e", "trace=fdatasync"]
        strace = subprocess.Popen(
            [*argv, "-e", "inject=fdatasync:error=EIO"], stderr=subprocess.PIPE, text=True
        )
        try:
            self.assertIn("attached", strace.stderr.readline())
            # From the cache, and through the token.
            self.assert_refused(self.house.run("credentials", "prod-root"), 1, "audit")
            self.assert_refused(self.house.run("totp", "code", "prod", pin=PIN), 1, "audit")
        finally:
            strace.terminate()
            strace.communicate(timeout=PATIENCE)
        self.house.must("credentials", "prod-root")
        self.assertGreater(len(self.records()), before)


if __name__ == "__main__":
    unittest.main()
