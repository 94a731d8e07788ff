"""The path from rootkey.csv to a signed-in AWS CLI and boto3, command by command.

Once against the strict fake, which checks signature, code and its single use, and once
against moto, which was written by others.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unittest
from datetime import datetime, timezone

import segno

from fakes import ACCOUNT, MFA_SERIAL
from house import PIN, HouseCase

BOTO3 = """
import boto3, json, sys
session = boto3.Session(profile_name="prod-root")
who = session.client("sts", endpoint_url=sys.argv[1]).get_caller_identity()
print(json.dumps({"Arn": who["Arn"], "key": session.get_credentials().access_key}))
"""


class Transcript:
    """The steps; the two classes below say on which AWS."""

    furnished = False

    def aws_profile(self) -> str:
        lines = self.house.must("aws-config", "prod-root")
        self.assertRegex(lines, r"(?m)^\[profile prod-root\]$")
        self.assertRegex(lines, r"(?m)^region *= *\S+$")
        self.assertRegex(lines, r"(?m)^credential_process *= *\"?/\S*/rootseal\b")
        self.assertIn(self.house.address, lines)
        return str(self.house.file("aws-config", lines))

    def who_am_i(self, config: str) -> tuple[str, dict]:
        """The ARN by the aws command, and what boto3 says."""
        house = self.house
        argv = ["aws", "--endpoint-url", house.endpoint, "sts", "get-caller-identity"]
        by_cli = house.execute([*argv, "--profile", "prod-root"], AWS_CONFIG_FILE=config)
        argv = [sys.executable, "-c", BOTO3, house.endpoint]
        by_boto3 = house.execute(argv, AWS_CONFIG_FILE=config)
        arn = json.loads(self.assert_done(by_cli))["Arn"]
        return arn, json.loads(self.assert_done(by_boto3))

    def test_the_transcript(self):
        house = self.house
        self.assertEqual(house.state(), "absent")
        house.furnish()
        self.assertEqual(house.state(), "unlocked")

        self.assertRegex(house.must("totp", "code", "prod", pin=PIN), r"^[0-9]{6}\n$")
        first = house.run("credentials", "prod-root", pin=PIN)
        self.assert_credentials(self.assert_done(first))
        # A code was just given out, so a fresh one had to be waited for, unless the step
        # happened to end in between.
        touches = house.token.touches()
        second = house.run("credentials", "prod-root", pin=None)
        self.assertEqual(json.loads(self.assert_done(second)), json.loads(first.out))
        self.assertEqual(house.token.touches(), touches)

        config = self.aws_profile()
        arn, boto3 = self.who_am_i(config)
        self.assert_root(arn)
        self.assert_root(boto3["Arn"])
        self.assertEqual(boto3["key"], json.loads(first.out)["AccessKeyId"])

        self.assertEqual(house.state(), "unlocked")
        house.must("lock")
        self.assertEqual(house.state(), "locked")
        self.assert_refused(
            house.run("credentials", "prod-root"), 4, "lock|PIN|prompt|terminal"
        )
        refused = house.execute(
            ["aws", "--endpoint-url", house.endpoint, "sts", "get-caller-identity"],
            AWS_CONFIG_FILE=config,
            AWS_PROFILE="prod-root",
        )
        self.assertNotEqual(refused.code, 0)
        self.assertEqual(refused.out, "")

    def assert_credentials(self, out: str) -> None:
        got = json.loads(out)
        self.assertIs(type(got["Version"]), int)
        self.assertEqual(got["Version"], 1)
        for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"):
            self.assertTrue(got[name], name)
        until = datetime.fromisoformat(got["Expiration"].replace("Z", "+00:00"))
        self.assertGreater(until, datetime.now(timezone.utc))
        self.assertNotIn(self.house.root.secret, out)


class OnTheStrictFake(Transcript, HouseCase):
    def assert_root(self, arn: str) -> None:
        self.assertEqual(arn, f"arn:aws:iam::{ACCOUNT}:root")

    def test_the_transcript(self):
        super().test_the_transcript()
        calls = [(call["action"], call["result"]) for call in self.house.aws.requests()]
        self.assertEqual(calls.count(("GetSessionToken", "ok")), 1)
        self.assertEqual([call for call in calls if call[1] != "ok"], [])


class OnMoto(Transcript, HouseCase):
    house_options = {"aws": "moto"}

    def assert_root(self, arn: str) -> None:
        # moto knows no root principal.
        self.assertTrue(arn.startswith("arn:aws:"), arn)


class Cached(HouseCase):
    def test_a_session_in_the_cache_needs_neither_token_nor_network(self):
        first = self.house.must("credentials", "prod-root", pin=PIN)
        self.house.token.tell("unplug")
        self.house.aws.stop()
        self.assertEqual(
            json.loads(self.house.must("credentials", "prod-root")), json.loads(first)
        )

    def test_a_listing_says_which_keyslot_is_plugged_in(self):
        for plugged in (True, False, True):
            self.house.token.tell("plug" if plugged else "unplug")
            slots = json.loads(self.house.must("keyslot", "list", "--json"))
            self.assertEqual([slot["present"] for slot in slots], [plugged])
            status = json.loads(self.house.must("status", "--json"))
            self.assertEqual([slot["present"] for slot in status["keyslots"]], [plugged])
            self.assertEqual(len(status["tokens"]), int(plugged))

    def test_after_a_restart_the_vault_is_there_and_locked(self):
        self.house.restart_daemon()
        self.assertEqual(self.house.state(), "locked")
        self.house.must("unlock", pin=PIN)
        self.assertIn("prod-root", self.house.must("profile", "list", "--json"))
        self.assertIn(self.house.root.access_key_id, self.house.must("key", "list"))

    def test_a_token_that_was_switched_off_still_opens_the_vault(self):
        self.house.must("lock")
        self.house.token.replug()
        self.house.must("unlock", pin=PIN)


class WaysIn(HouseCase):
    """Forms that a key, a seed and a PIN come in."""

    furnished = False

    def setUp(self) -> None:
        super().setUp()
        self.house.must("init", "--label", "demo key", pin=PIN)
        self.house.must("account", "add", "prod", "--account-id", ACCOUNT)

    def session_works(self) -> None:
        self.house.must("profile", "add", "prod-root", "--account", "prod")
        got = json.loads(self.house.must("credentials", "prod-root", pin=PIN))
        self.assertTrue(got["AccessKeyId"].startswith("ASIA"))

    def test_the_old_csv_from_standard_input_and_a_bare_secret(self):
        root = self.house.root
        old = f"AWSAccessKeyId={root.access_key_id}\nAWSSecretKey={root.secret}\n"
        self.house.must("key", "import", "prod", pin=PIN, stdin=old.encode())
        seed = self.house.file("seed", f"{root.seed.lower()}\n")
        self.house.must("totp", "add", "prod", "--secret-file", seed, pin=PIN)
        self.session_works()

    def test_the_new_csv_with_every_oddity_and_a_qr_picture(self):
        root = self.house.root
        odd = (
            '\ufeff"Access key ID","Secret access key"\r\n'
            f'"{root.access_key_id}","{root.secret}"\r\n\r\n'
        )
        self.house.must("key", "import", "prod", self.house.file("k.csv", odd), pin=PIN)
        picture = self.house.dir / "qr.png"
        segno.make(root.uri(), micro=False).save(str(picture), scale=6)
        options = ("--qr-file", picture, "--mfa-serial", MFA_SERIAL)
        self.house.must("totp", "add", "prod", *options, pin=PIN)
        self.session_works()

    def test_the_pin_from_a_descriptor_and_from_a_terminal(self):
        self.house.must("lock")
        read_end, write_end = os.pipe()
        os.write(write_end, PIN.encode())
        os.close(write_end)
        argv = [*self.house._argv((), None), "--pin-file", f"/dev/fd/{read_end}", "unlock"]
        by_descriptor = self.house.execute(argv, pass_fds=(read_end,))
        os.close(read_end)
        self.assert_done(by_descriptor)
        self.assertEqual(self.house.state(), "unlocked")

        self.house.must("lock")
        shown = self.house.on_terminal("unlock", typed=[PIN])
        self.assert_done(shown)
        self.assertTrue(re.search("PIN", shown.err))
        self.assertNotIn(PIN, shown.err)
        self.assertEqual(self.house.state(), "unlocked")


if __name__ == "__main__":
    unittest.main()
