"""The fake of AWS against botocore, a signer that we did not write."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

from fakes import ACCOUNT, MFA_SERIAL, FakeAws, RootUser

# After fakes, which puts the fake's own modules on the path.
import account as fake_account
import totp
from wire import AwsError

# The fake is to judge the request, not botocore.
ONCE_AS_IT_IS = Config(
    retries={"total_max_attempts": 1}, proxies={}, parameter_validation=False
)


class FakeAwsCase(unittest.TestCase):
    """One fake for each test."""

    options: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="rootseal-fake-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.root = RootUser()
        self.start(*self.options)

    def start(self, *options: str) -> None:
        self.fake = FakeAws(self.directory, self.root, *options)
        self.addCleanup(self.fake.stop)

    def sts(self, key_id=None, secret=None, token=None, region="us-east-1", url=None):
        client = boto3.client(
            "sts",
            region_name=region,
            endpoint_url=url or self.fake.url,
            aws_access_key_id=key_id or self.root.access_key_id,
            aws_secret_access_key=secret or self.root.secret,
            aws_session_token=token,
            config=ONCE_AS_IT_IS,
        )
        self.addCleanup(client.close)
        return client

    def session(self, code=None, serial=MFA_SERIAL, client=None, **more):
        client = client or self.sts()
        code = code or self.root.code()
        return client.get_session_token(SerialNumber=serial, TokenCode=code, **more)

    def assert_refused(self, status: int, code: str, words: str, call, *args, **kwargs):
        with self.assertRaises(ClientError) as caught:
            call(*args, **kwargs)
        error = caught.exception.response
        self.assertEqual(error["Error"]["Code"], code)
        self.assertIn(words, error["Error"]["Message"])
        self.assertEqual(error["ResponseMetadata"]["HTTPStatusCode"], status)
        self.assertTrue(error["ResponseMetadata"]["RequestId"])
        return error["Error"]["Message"]


class Sessions(FakeAwsCase):
    def test_a_session_and_what_it_is_good_for(self):
        got = self.session(DurationSeconds=900)["Credentials"]
        self.assertTrue(got["AccessKeyId"].startswith("ASIA"))
        client = self.sts(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
        who = client.get_caller_identity()
        self.assertEqual(who["Arn"], f"arn:aws:iam::{ACCOUNT}:root")
        self.assertEqual(who["Account"], ACCOUNT)
        self.assert_refused(
            403, "AccessDenied", "session credentials", self.session, "123456", client=client
        )

    def test_the_long_term_key_may_ask_who_it_is(self):
        self.assertEqual(self.sts().get_caller_identity()["UserId"], ACCOUNT)

    def test_a_session_key_without_its_token_or_with_another(self):
        got = self.session()["Credentials"]
        for token in (None, "x" * 300):
            client = self.sts(got["AccessKeyId"], got["SecretAccessKey"], token)
            self.assert_refused(
                403, "InvalidClientTokenId", "security token", client.get_caller_identity
            )

    def test_root_gets_an_hour_at_most_and_a_quarter_at_least(self):
        now = self.sts().get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]["date"]
        until = self.session(DurationSeconds=43200)["Credentials"]["Expiration"]
        self.assertLessEqual((until - parsedate_to_datetime(now)).total_seconds(), 3600 + 60)
        self.assert_refused(
            400, "ValidationError", "equal to 900", self.session, DurationSeconds=899
        )


class Codes(FakeAwsCase):
    WRONG = "invalid MFA one time pass code. "

    def test_a_wrong_code(self):
        wrong = f"{(int(self.root.code()) + 1) % 1_000_000:06d}"
        near = {self.root.code(away) for away in (-2, -1, 0, 1, 2)}
        while wrong in near:
            wrong = f"{(int(wrong) + 1) % 1_000_000:06d}"
        self.assert_refused(403, "AccessDenied", self.WRONG, self.session, wrong)

    def test_a_code_counts_once_and_so_do_those_before_it(self):
        code, before = self.root.code(), self.root.code(-1)
        self.session(code)
        self.assert_refused(403, "AccessDenied", self.WRONG, self.session, code)
        self.assert_refused(403, "AccessDenied", self.WRONG, self.session, before)
        self.session(self.root.code(+1))

    def test_no_code_another_device_and_no_digits(self):
        self.assert_refused(
            403, "AccessDenied", "must provide both", self.sts().get_session_token
        )
        other = MFA_SERIAL.replace("root-account-mfa-device", "phone")
        self.assert_refused(
            403, "AccessDenied", "MFA serial number", self.session, serial=other
        )
        for code in ("12", "abcdef"):
            self.assert_refused(400, "ValidationError", "tokenCode", self.session, code)

    def test_the_vectors_of_rfc_6238(self):
        for seconds, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
            self.assertEqual(totp.code(b"12345678901234567890", seconds // 30), code)


class Signatures(FakeAwsCase):
    def test_a_wrong_secret(self):
        self.assert_refused(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
            self.sts(secret="x" * 40).get_caller_identity,
        )

    def test_an_unknown_key(self):
        self.assert_refused(
            403,
            "InvalidClientTokenId",
            "security token",
            self.sts("AKIA" + "A" * 16).get_caller_identity,
        )

    def send(self, headers: dict, form: str) -> str:
        """A request as it stands, past botocore; the reply's body."""
        request = urllib.request.Request(self.fake.url, form.encode(), headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.read().decode()

    def test_a_request_without_a_signature_and_one_changed_on_the_way(self):
        sent = {}
        client = self.sts()
        client.meta.events.register(
            "before-send.sts.*", lambda request, **_: sent.update(request.headers.items())
        )
        client.get_caller_identity()
        headers = {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in sent.items()
            if name != "Content-Length"
        }
        form = "Action=GetCallerIdentity&Version=2011-06-15"
        self.assertIn("<GetCallerIdentityResult>", self.send(headers, form))
        self.assertIn("SignatureDoesNotMatch", self.send(headers, form + "&X=1"))
        unsigned = {"Content-Type": headers["Content-Type"]}
        self.assertIn("MissingAuthenticationToken", self.send(unsigned, form))
        smuggled = headers | {"X-Amz-Security-Token": "not signed"}
        self.assertIn("'x-amz-security-token' must be", self.send(smuggled, form))

    def test_an_unknown_action(self):
        client = self.sts()
        self.assert_refused(
            400,
            "InvalidAction",
            "GetAccessKeyInfo",
            client.get_access_key_info,
            AccessKeyId="AKIA" + "A" * 16,
        )

    def test_a_clock_far_off_in_either_direction(self):
        for offset, words in (("3600", "Signature expired: "), ("-3600", "not yet current: ")):
            self.fake.stop()
            self.start("--clock-offset", offset)
            self.assert_refused(
                403, "SignatureDoesNotMatch", words, self.sts().get_caller_identity
            )

    def test_an_expired_session(self):
        now = dt.datetime.now(dt.timezone.utc)
        seed = totp.decode_seed(self.root.seed)
        account = fake_account.Account(ACCOUNT, {}, seed, MFA_SERIAL)
        made = account.new_session(now, 900)
        self.assertEqual(account.secret_of(made.access_key_id, made.token, now), made.secret)
        with self.assertRaises(AwsError) as caught:
            account.secret_of(made.access_key_id, made.token, now + dt.timedelta(seconds=900))
        self.assertEqual(caught.exception.code, "ExpiredToken")


class Faults(FakeAwsCase):
    def test_refusals_that_leave_the_code_unspent(self):
        for fault, status, code in (
            ("http500", 500, "InternalFailure"),
            ("throttled", 400, "Throttling"),
        ):
            self.fake.fault(fault)
            self.assert_refused(status, code, "", self.session)
        self.session()

    def test_replies_that_are_none(self):
        for fault in ("garbage", "truncated", "drop"):
            self.fake.fault(fault)
            with self.assertRaises((ResponseParserError, HTTPClientError), msg=fault):
                self.sts().get_caller_identity()
        self.fake.fault("no-credentials")
        self.assertNotIn("Credentials", self.session())
        self.sts().get_caller_identity()

    def test_a_huge_reply(self):
        self.fake.fault("huge")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.fake.url) as reply:
            self.assertEqual(int(reply.headers["Content-Length"]), 64 * 1024 * 1024)
            self.assertTrue(reply.read(64).startswith(b"<GetSessionTokenResponse>"))
        self.sts().get_caller_identity()

    def test_a_held_reply_waits_for_its_release(self):
        fifo = self.directory / "release"
        os.mkfifo(fifo)
        self.fake.fault(f"slow-until-file {fifo}")
        answers = []
        asking = threading.Thread(target=lambda: answers.append(self.session()))
        asking.start()
        with open(fifo, "wb"):
            # The fake is at the meeting point: the reply is held, others are served.
            self.assertEqual(answers, [])
            self.sts().get_caller_identity()
        asking.join()
        self.assertIn("Credentials", answers[0])


class Log(FakeAwsCase):
    def test_the_log_names_the_call_and_no_secret(self):
        got = self.session()["Credentials"]
        self.assert_refused(403, "AccessDenied", "", self.session)
        (first, second) = self.fake.requests()
        self.assertEqual(
            (first["action"], first["access_key_id"], first["result"]),
            ("GetSessionToken", self.root.access_key_id, "ok"),
        )
        self.assertEqual(second["result"], "AccessDenied")
        log = (self.directory / "aws.requests").read_text()
        secrets = (
            self.root.secret,
            self.root.seed,
            got["SecretAccessKey"],
            got["SessionToken"],
        )
        for secret in secrets:
            self.assertNotIn(secret, log)


if __name__ == "__main__":
    unittest.main()
