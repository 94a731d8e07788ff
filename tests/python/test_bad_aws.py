"""An AWS that refuses, fails, lies or is not there: exit 1 with its reason, nothing lost."""

from __future__ import annotations

import os
import subprocess
import unittest

from fakes import PATIENCE, FakeAws, RootUser
from house import PIN, HouseCase


class Refusals(HouseCase):
    """What AWS says is repeated."""

    def test_a_clock_far_off(self):
        self.house.aws.stop()
        self.house.aws = FakeAws(self.house.dir, self.house.root, "--clock-offset", "7200")
        self.addCleanup(self.house.aws.stop)
        self.house.endpoint = self.house.aws.url
        self.house.restart_daemon()
        result = self.house.run("credentials", "prod-root", pin=PIN)
        self.assert_refused(result, 1, "Signature expired: ")

    def test_a_key_that_aws_does_not_know(self):
        self.house.aws.stop()
        self.house.aws = FakeAws(self.house.dir, RootUser())
        self.addCleanup(self.house.aws.stop)
        self.house.endpoint = self.house.aws.url
        self.house.restart_daemon()
        result = self.house.run("credentials", "prod-root", pin=PIN)
        self.assert_refused(result, 1, "InvalidClientTokenId|security token")

    def test_a_seed_that_is_not_the_accounts(self):
        account = ("other", "--account-id", "111122223333")
        self.house.must("account", "add", *account)
        self.house.must("key", "import", "other", pin=PIN, stdin=self.house.root.csv().encode())
        wrong = self.house.file("wrong", RootUser().seed)
        self.house.must("totp", "add", "other", "--secret-file", wrong, pin=PIN)
        self.house.must("profile", "add", "other-root", "--account", "other")
        result = self.house.run("credentials", "other-root", pin=PIN)
        self.assert_refused(result, 1, "invalid MFA one time pass code|AccessDenied")

    def test_throttling_and_an_internal_failure(self):
        for fault, words in (
            ("throttled", "Throttling|Rate exceeded"),
            ("http500", "InternalFailure|500"),
        ):
            with self.subTest(fault):
                self.house.aws.fault(fault)
                result = self.house.run("credentials", "prod-root", pin=PIN)
                self.assert_refused(result, 1, words)


class Replies(HouseCase):
    """A reply that is none is no credential."""

    def check(self, fault: str) -> None:
        self.house.aws.fault(fault)
        result = self.house.run("credentials", "prod-root", pin=PIN)
        self.assert_refused(result, 1)
        self.assertEqual(self.house.run("credentials", "prod-root").code, 4)

    def test_garbage(self):
        self.check("garbage")

    def test_no_credentials(self):
        self.check("no-credentials")

    def test_truncated(self):
        self.check("truncated")

    def test_huge(self):
        self.check("huge")

    def test_no_reply(self):
        self.check("drop")

    def test_after_a_bad_reply_the_next_try_works(self):
        self.check("garbage")
        # The code went out with the bad try, so this waits for the next one.
        self.house.must("credentials", "prod-root", pin=PIN)


class SlowReply(HouseCase):
    def test_the_daemon_serves_others_while_aws_thinks(self):
        fifo = self.house.dir / "release"
        os.mkfifo(fifo)
        self.house.aws.fault(f"slow-until-file {fifo}")
        client = self.house.start("credentials", "prod-root")
        with open(fifo, "wb"):
            self.assertEqual(self.house.state(), "unlocked")
            self.house.must("account", "list")
        out, err = client.communicate(timeout=PATIENCE)
        self.assertEqual(client.returncode, 0, err)
        self.assertIn(b"SessionToken", out)

    def test_a_client_that_vanishes_while_aws_thinks(self):
        fifo = self.house.dir / "release"
        os.mkfifo(fifo)
        self.house.aws.fault(f"slow-until-file {fifo}")
        client = self.house.start("credentials", "prod-root")
        with open(fifo, "wb"):
            client.kill()
            client.communicate(timeout=PATIENCE)
        self.assertEqual(self.house.state(), "unlocked")
        self.assertEqual(self.house.run("credentials", "prod-root").code, 4)


class Endpoints(HouseCase):
    def test_nobody_listens(self):
        self.house.aws.stop()
        result = self.house.run("credentials", "prod-root", pin=PIN)
        self.assert_refused(result, 1, "127.0.0.1|reach|connect")

    def test_an_endpoint_that_the_daemon_does_not_allow(self):
        other = FakeAws(self.house.dir, self.house.root)
        self.addCleanup(other.stop)
        touches = self.house.token.touches()
        result = self.house.run(
            "credentials", "prod-root", pin=PIN, AWS_ENDPOINT_URL_STS=other.url
        )
        self.assertIn(result.code, (1, 2), result)
        self.assert_refused(result, result.code, "endpoint|allow")
        self.assertEqual(self.house.token.touches(), touches)
        self.assertEqual(other.requests(), [])

    def test_a_certificate_that_nobody_vouches_for(self):
        certificate, key = self.house.dir / "cert.pem", self.house.dir / "key.pem"
        make = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        subprocess.run(
            [*make, "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"]
            + [
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-out",
                certificate,
                "-keyout",
                key,
            ],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        secure = FakeAws(self.house.dir, self.house.root, "--tls", str(certificate), str(key))
        self.addCleanup(secure.stop)
        self.house.stop_daemon()
        self.house.start_daemon(secure.url)
        result = self.house.run(
            "credentials", "prod-root", pin=PIN, AWS_ENDPOINT_URL_STS=secure.url
        )
        self.assert_refused(result, 1, "certificate|TLS")
        self.assertEqual(secure.requests(), [])


if __name__ == "__main__":
    unittest.main()
