"""What people get wrong, and what is wrong with the token: one clear sentence, the right exit
code, nothing lost, and a daemon that goes on serving."""

from __future__ import annotations

import struct
import subprocess
import unittest
import zlib

from fakes import ACCOUNT, PATIENCE
from house import PIN, HouseCase


def blank_png(side: int = 64) -> bytes:
    """A white picture without a QR code in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body))
            + kind
            + body
            + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff" * side) * side)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class NoVaultYet(HouseCase):
    furnished = False

    def test_everything_but_status_says_run_init(self):
        for args in (
            ("unlock",),
            ("credentials", "p"),
            ("totp", "code", "a"),
            ("account", "list"),
        ):
            with self.subTest(args=args):
                self.assert_refused(self.house.run(*args, pin=PIN), 1, "rootseal init")
        self.assertEqual(self.house.state(), "absent")

    def test_init_without_a_token(self):
        self.house.token.tell("unplug")
        self.assert_refused(self.house.run("init", pin=PIN), 5, "token")
        self.assertEqual(self.house.state(), "absent")

    def test_a_daemon_that_is_not_there(self):
        self.house.stop_daemon()
        result = self.house.run("unlock", pin=PIN)
        self.assertEqual((result.code, result.out), (3, ""), result)
        self.assertRegex(result.errors()[0], "rootseald")
        self.assertEqual(len(result.errors()), 1, result)

    def test_a_command_that_does_not_exist(self):
        result = self.house.run("unseal")
        self.assertEqual((result.code, result.out), (2, ""), result)


class Pin(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.house.must("lock")

    def test_a_wrong_pin_says_the_tries_left(self):
        self.assert_refused(self.house.run("unlock", pin="000000"), 4, "PIN", r"\b7\b")
        self.house.must("unlock", pin=PIN)

    def test_a_pin_file_that_others_can_read(self):
        shared = self.house.file("shared-pin", PIN)
        shared.chmod(0o644)
        result = self.house.run("--pin-file", shared, "unlock")
        self.assertIn(result.code, (1, 2, 4), result)
        self.assert_refused(result, result.code, "read|mode|permission|chmod")
        self.assertEqual(self.house.state(), "locked")

    def test_three_wrong_pins_want_the_token_replugged(self):
        for wrong in ("000001", "000002", "000003"):
            self.assertIn(self.house.run("unlock", pin=wrong).code, (4, 5))
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "plug|remove|insert|block")
        self.house.token.replug()
        self.house.must("unlock", pin=PIN)

    def test_a_script_never_spends_the_last_try_and_then_the_pin_blocks(self):
        for tries_before in range(8, 1, -1):
            wrong = self.house.run("unlock", pin=f"{tries_before:06d}")
            self.assertIn(wrong.code, (4, 5), wrong)
            self.house.token.replug()
        refused = self.house.run("unlock", pin=PIN)
        self.assertIn(refused.code, (4, 5))
        self.assert_refused(refused, refused.code, "last|one try|1 try")
        blocked = self.house.on_terminal("unlock", typed=["999999"])
        self.assertEqual(blocked.code, 5, blocked)
        self.house.token.replug()
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "block")
        self.assertEqual(self.house.state(), "locked")


class Token(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.house.must("lock")

    def test_no_token(self):
        self.house.token.tell("unplug")
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "token")
        self.house.token.tell("plug")
        self.house.must("unlock", pin=PIN)

    def test_another_token(self):
        self.house.add_token("other")
        self.house.token.tell("unplug")
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "token|keyslot")
        self.house.token.tell("plug")
        self.house.must("unlock", pin=PIN)

    def test_no_touch_in_time(self):
        self.house.token.tell("mode never")
        self.assert_refused(self.house.run("unlock", pin=PIN), 4, "touch")
        self.house.token.tell("mode auto")
        self.house.must("unlock", pin=PIN)

    def test_a_token_pulled_out_while_it_waits(self):
        self.house.token.tell("mode demand")
        client = self.house.start("unlock")
        self.house.token.tell("wait-touch")
        self.house.token.tell("unplug")
        _, err = client.communicate(timeout=PATIENCE)
        self.assertEqual(client.returncode, 5, err)
        self.house.token.tell("plug")
        self.house.token.tell("mode auto")
        self.house.must("unlock", pin=PIN)

    def test_a_client_that_vanishes_while_the_token_waits(self):
        self.house.token.tell("mode demand")
        client = self.house.start("credentials", "prod-root")
        self.house.token.tell("wait-touch")
        # Others are served while the token blinks.
        self.assertEqual(self.house.state(), "locked")
        client.kill()
        client.communicate(timeout=PATIENCE)
        self.house.token.tell("mode auto")
        self.house.must("unlock", pin=PIN)
        self.assertEqual(self.house.aws.requests(), [])

    def test_locking_does_not_wait_for_the_token(self):
        self.house.must("unlock", pin=PIN)
        self.house.token.tell("mode demand")
        client = self.house.start("totp", "code", "prod")
        self.house.token.tell("wait-touch")
        self.house.must("lock")
        self.assertEqual(self.house.state(), "locked")
        self.house.token.tell("mode auto")
        out, _ = client.communicate(timeout=PATIENCE)
        # The lock came in between: whatever the client is told, the vault stays locked.
        self.assertEqual(self.house.state(), "locked")
        self.assertEqual(out != b"", client.returncode == 0)


class Names(HouseCase):
    def test_an_account_that_is_there_and_one_that_is_not(self):
        twice = self.house.run("account", "add", "prod", "--account-id", ACCOUNT)
        self.assert_refused(twice, 1, "prod")
        for args in (("totp", "code", "nowhere"), ("account", "show", "nowhere")):
            self.assert_refused(self.house.run(*args, pin=PIN), 1, "nowhere")
        absent = self.house.run("profile", "add", "p", "--account", "nowhere")
        self.assert_refused(absent, 1, "nowhere")

    def test_a_profile_that_is_there_and_one_that_is_not(self):
        twice = self.house.run("profile", "add", "prod-root", "--account", "prod")
        self.assert_refused(twice, 1, "prod-root")
        for command in ("credentials", "aws-config"):
            self.assert_refused(self.house.run(command, "nowhere", pin=PIN), 1, "nowhere")

    def test_an_account_id_that_is_none(self):
        for wrong in (
            "11112222333",
            "1111222233334",
            "11112222333x",
            "",
            "１１１１２２２２３３３３",
        ):
            with self.subTest(wrong=wrong):
                result = self.house.run("account", "add", "x", "--account-id", wrong)
                self.assert_refused(result, 2, "twelve|12")

    def test_a_duration_that_root_cannot_have(self):
        for wrong in ("0", "899", "3601"):
            with self.subTest(wrong=wrong):
                options = ("--account", "prod", "--duration", wrong)
                self.assert_refused(self.house.run("profile", "add", "x", *options), 2, "900")

    def test_init_over_a_vault(self):
        before = self.house.vault.read_bytes()
        self.assert_refused(self.house.run("init", pin=PIN), 1, "vault")
        self.assertEqual(self.house.vault.read_bytes(), before)


class Imports(HouseCase):
    """What is refused leaves the vault as it was, byte for byte."""

    def refuse(self, *args, words: str, stdin: bytes = b"") -> None:
        before = self.house.vault.read_bytes()
        result = self.house.run(*args, pin=PIN, stdin=stdin)
        self.assertIn(result.code, (1, 2), result)
        self.assert_refused(result, result.code, words)
        self.assertEqual(self.house.vault.read_bytes(), before)

    def test_a_csv_that_does_not_hold_one_key(self):
        root = self.house.root
        header = "Access key ID,Secret access key\n"
        row = f"{root.access_key_id},{root.secret}\n"
        old = f"AWSAccessKeyId={root.access_key_id}\n"
        for name, content in {
            "empty": "",
            "no key": header,
            "two keys": header + row + row.replace("AKIA", "AKIB", 1),
            "a truncated line": header + root.access_key_id,
            "half a secret": header + row[:-20],
            "the old form without its secret": old,
            "the old form twice": (old + f"AWSSecretKey={root.secret}\n") * 2,
            "another file": "hello, world\n",
        }.items():
            with self.subTest(name):
                self.refuse("key", "import", "prod", stdin=content.encode(), words="key|csv")

    def test_a_csv_that_is_not_there(self):
        self.refuse("key", "import", "prod", self.house.dir / "none.csv", words="none.csv")

    def test_the_same_key_again(self):
        csv = self.house.root.csv().encode()
        self.refuse("key", "import", "prod", stdin=csv, words=self.house.root.access_key_id)

    def test_a_seed_that_is_none(self):
        for option, content, words in (
            ("--secret-file", b"this is not base32!", "base32"),
            ("--secret-file", b"", "base32|empty|secret|seed"),
            ("--uri-file", b"https://example.com/", "otpauth"),
            ("--uri-file", b"otpauth://totp/x@y?issuer=z", "secret"),
            (
                "--uri-file",
                b"otpauth://hotp/x@y?secret=MFRGGZDFMZTWQ2LK&counter=1",
                "totp|hotp",
            ),
            ("--qr-file", blank_png(), "QR|code|picture"),
            ("--qr-file", b"GIF89a", "PNG|picture"),
        ):
            with self.subTest(option=option, content=content[:20]):
                self.refuse("totp", "add", "prod", option, "-", stdin=content, words=words)


class Daemons(HouseCase):
    def test_a_second_daemon_on_the_same_data(self):
        second = subprocess.run(
            [str(part) for part in self.house.daemon_argv(listen="bus2")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.house.environment(),
            timeout=PATIENCE,
        )
        self.assertNotEqual(second.returncode, 0)
        self.assertRegex(second.stderr, "(?i)already|another|in use")
        self.assertEqual(self.house.state(), "unlocked")


if __name__ == "__main__":
    unittest.main()
