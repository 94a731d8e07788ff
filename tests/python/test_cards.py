"""The virtual token as a smart card, driven by others' programs: what holds here holds for any client."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

from cards import PIN, Readers

MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708"
OPENSC = "opensc-pkcs11.so"
YKMAN = Path(sys.executable).with_name("ykman")
# RFC 4226 and RFC 6238 use this one.
SEED = b"12345678901234567890"
SERIAL = 7654321
SELECT_PIV = "00a4040005a000000308"
SELECT_OTP = "00a4040007a0000005272001"


class Driven(unittest.TestCase):
    """One reader, one card; each class has its own."""

    touch = "auto"

    @classmethod
    def setUpClass(cls) -> None:
        cls.readers = Readers()
        cls.addClassCleanup(cls.readers.close)
        cls.card = cls.readers.add_card("blue", serial=SERIAL, touch=cls.touch)

    def ykman(self, *arguments: object, check: bool = True, **options: object) -> subprocess.CompletedProcess:
        name = self.readers.reader()
        return self.readers.run(YKMAN, "--reader", name, *arguments, check=check, **options)

    def run_python(self, script: str, *arguments: object, check: bool = True) -> str:
        """Runs a script in a process of its own, where `connection` is an open connection to the card."""
        opening = (
            "import sys\n"
            "from smartcard.System import readers\n"
            "from ykman.pcsc import ScardSmartCardConnection\n"
            "reader = next(each for each in readers() if each.name == sys.argv[1])\n"
            "connection = ScardSmartCardConnection(reader.createConnection())\n"
        )
        name = self.readers.reader()
        return self.readers.run(sys.executable, "-c", opening + script, name, *arguments, check=check).stdout

    def apdus(self, *commands: str) -> list[str]:
        """Sends commands in hex; gives back the answers in hex, status word last."""
        script = (
            "for command in sys.argv[2:]:\n"
            "    data, status = connection.send_and_receive(bytes.fromhex(command))\n"
            "    print(data.hex() + f'{status:04x}')\n"
        )
        return self.run_python(script, *commands).split()


class TestPiv(Driven):
    def generate(self, slot: str, algorithm: str, *options: str) -> str:
        out = self.readers.dir / f"{slot}.pem"
        self.ykman(
            *("piv", "keys", "generate", "--algorithm", algorithm, "--management-key", MANAGEMENT_KEY),
            *("--pin", PIN, *options, slot, out),
        )
        self.ykman(
            *("piv", "certificates", "generate", "--management-key", MANAGEMENT_KEY, "--pin", PIN),
            *("--subject", f"CN=in {slot}", slot, out),
        )
        return str(out)

    def test_ykman_generates_keys_and_sees_them(self) -> None:
        self.generate("9d", "ECCP256", "--pin-policy", "ALWAYS", "--touch-policy", "ALWAYS")
        told = self.ykman("piv", "keys", "info", "9d").stdout
        for expected in ("ECCP256", "GENERATED", "ALWAYS"):
            self.assertIn(expected, told)
        self.assertGreaterEqual(self.card.touches(), 1)
        self.generate("83", "ECCP384")
        told = self.ykman("piv", "info").stdout
        self.assertIn("Slot 9D", told)
        self.assertIn("Slot 83", told)
        self.assertIn("3/3", told)

    def test_an_attestation_is_signed_by_the_cards_own_key(self) -> None:
        self.generate("84", "ECCP256")
        script = (
            "from cryptography import x509\n"
            "from yubikit.piv import PivSession, SLOT\n"
            "session = PivSession(connection)\n"
            "attested = session.attest_key(SLOT.RETIRED3)\n"
            "authority = session.get_certificate(SLOT.ATTESTATION)\n"
            "attested.verify_directly_issued_by(authority)\n"
            "assert attested.public_key() == session.get_slot_metadata(SLOT.RETIRED3).public_key\n"
            "known = {e.oid.dotted_string: e.value.value for e in attested.extensions}\n"
            "print(int.from_bytes(known['1.3.6.1.4.1.41482.3.7'][2:], 'big'))\n"
        )
        self.assertEqual(self.run_python(script).strip(), str(SERIAL))

    def test_opensc_derives_with_an_elliptic_curve_key_and_decrypts_with_rsa(self) -> None:
        public = self.generate("9d", "ECCP256")
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "ours.pem")
        self.openssl("pkey", "-in", "ours.pem", "-pubout", "-outform", "DER", "-out", "ours.der")
        self.openssl("pkeyutl", "-derive", "-inkey", "ours.pem", "-peerkey", public, "-out", "expected")
        self.pkcs11("--derive", "--id", "03", "-m", "ECDH1-COFACTOR-DERIVE", "-i", "ours.der", "-o", "got")
        self.assert_same_files()

        public = self.generate("82", "RSA2048")
        (self.readers.dir / "expected").write_bytes(os.urandom(32))
        self.openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", public, "-in", "expected", "-out", "sealed")
        self.pkcs11("--decrypt", "--id", "05", "-m", "RSA-PKCS", "-i", "sealed", "-o", "got")
        self.assert_same_files()

    def openssl(self, *arguments: str) -> None:
        self.readers.run("openssl", *arguments, cwd=self.readers.dir)

    def pkcs11(self, *arguments: str) -> None:
        (self.readers.dir / "got").unlink(missing_ok=True)
        self.readers.run(
            *("pkcs11-tool", "--module", OPENSC, "--login", "--pin", PIN, *arguments), cwd=self.readers.dir
        )

    def assert_same_files(self) -> None:
        expected, got = (self.readers.dir / name for name in ("expected", "got"))
        self.assertEqual(expected.read_bytes(), got.read_bytes())

    def test_yubicos_own_tool_reads_signs_and_attests(self) -> None:
        told = self.readers.run("yubico-piv-tool", "-a", "status").stdout
        self.assertIn(str(SERIAL), told)
        self.assertIn("5.4.3", told)
        public = self.readers.dir / "tool.pem"
        self.readers.run("yubico-piv-tool", "-a", "generate", "-s", "95", "-A", "ECCP256", "-o", public)
        told = self.readers.run("yubico-piv-tool", "-a", "attest", "-s", "95").stdout
        self.assertIn("BEGIN CERTIFICATE", told)

    def test_an_empty_slot_and_a_missing_pin_are_told_apart(self) -> None:
        self.generate("9d", "ECCP256")
        point = "04" + "11" * 64
        agree = "008711{}47" + "7c458200" + "8541" + point
        _, empty, locked = self.apdus(SELECT_PIV, agree.format("94"), agree.format("9d"))
        self.assertEqual((empty, locked), ("6a80", "6982"))

    def test_a_wrong_pin_costs_a_try_and_the_right_one_gives_them_back(self) -> None:
        verify, right = "0020008008", (PIN.encode() + b"\xff\xff").hex()
        wrong = b"000000\xff\xff".hex()
        said = self.apdus(SELECT_PIV, verify + wrong, "00200080", verify + right, "00f7008000")
        self.assertEqual(said[1:4], ["63c2", "63c2", "9000"])
        self.assertIn("06020303", said[4])

    def test_another_management_key_is_taken_up_and_the_old_one_is_refused(self) -> None:
        new = "aa" * 32
        change = ("piv", "access", "change-management-key", "--algorithm", "AES256", "--new-management-key")
        self.ykman(*change, new, "--management-key", MANAGEMENT_KEY)
        self.assertIn("AES256", self.ykman("piv", "info").stdout)
        refused = self.ykman(*change, new, "--management-key", "bb" * 32, check=False)
        self.assertNotEqual(refused.returncode, 0)
        # A PIN-protected one is kept in an object that only the PIN opens.
        protect = ("piv", "access", "change-management-key", "--protect", "--pin", PIN, "--management-key")
        self.ykman(*protect, new, "--algorithm", "TDES", "--generate")
        self.ykman("piv", "keys", "generate", "--pin", PIN, "92", "-")
        back = ("piv", "access", "change-management-key", "--algorithm", "TDES", "--pin", PIN)
        self.ykman(*back, "--new-management-key", MANAGEMENT_KEY)


class TestOath(Driven):
    def add(self, name: str, *options: str) -> None:
        secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        self.ykman("oath", "accounts", "add", "--oath-type", "TOTP", *options, name, secret)

    def test_codes_are_those_of_the_rfc(self) -> None:
        self.add("RFC:8", "--digits", "8")
        challenge = (59 // 30).to_bytes(8, "big")
        script = (
            "from yubikit.oath import OathSession\n"
            "session = OathSession(connection)\n"
            "found = next(c for c in session.list_credentials() if c.name == '8')\n"
            "print(session.calculate_code(found, 59).value)\n"
            "print(session.calculate(found.id, bytes.fromhex(sys.argv[2])).hex())\n"
        )
        code, whole = self.run_python(script, challenge.hex()).split()
        self.assertEqual(code, "94287082")
        import hmac

        self.assertEqual(whole, hmac.new(SEED, challenge, "sha1").hexdigest())

    def test_an_account_can_be_renamed_and_deleted(self) -> None:
        self.add("Old:name")
        self.ykman("oath", "accounts", "rename", "--force", "Old:name", "New:name")
        self.assertIn("New:name", self.ykman("oath", "accounts", "list").stdout)
        self.ykman("oath", "accounts", "delete", "--force", "New:name")
        self.assertNotIn("name", self.ykman("oath", "accounts", "list").stdout)

    def test_a_touch_is_wanted_where_the_account_says_so(self) -> None:
        self.add("Touch:me", "--touch")
        self.add("Touch:not")
        before = self.card.touches()
        self.assertIn("Requires Touch", self.ykman("oath", "accounts", "code").stdout)
        self.assertEqual(self.card.touches(), before)
        self.ykman("oath", "accounts", "code", "Touch:me")
        self.assertEqual(self.card.touches(), before + 1)

    def test_more_accounts_than_one_answer_holds_are_listed(self) -> None:
        names = [f"Many:{number:02}-{'x' * 40}" for number in range(12)]
        for name in names:
            self.add(name)
        self.assertLessEqual(set(names), set(self.ykman("oath", "accounts", "list").stdout.split()))

    def test_an_access_key_closes_the_application(self) -> None:
        self.ykman("oath", "access", "change", "--new-password", "hush")
        self.addCleanup(self.ykman, "oath", "access", "change", "--password", "hush", "--clear")
        self.ykman("oath", "accounts", "list", "--password", "hush")
        wrong = self.ykman("oath", "accounts", "list", "--password", "other", check=False)
        self.assertNotEqual(wrong.returncode, 0)
        self.assertEqual(self.apdus("00a4040007a0000005272101", "00a10000")[1], "6982")


class TestOtp(Driven):
    def test_a_slot_answers_challenges(self) -> None:
        # RFC 2202, case 1.
        self.ykman("otp", "chalresp", "--force", "2", "0b" * 20)
        self.assertIn("Slot 2: programmed", self.ykman("otp", "info").stdout)
        script = (
            "from yubikit.yubiotp import YubiOtpSession, SLOT\n"
            "session = YubiOtpSession(connection)\n"
            "print(session.get_serial())\n"
            "print(session.calculate_hmac_sha1(SLOT.TWO, b'Hi There').hex())\n"
        )
        serial, answer = self.run_python(script).split()
        self.assertEqual(serial, str(SERIAL))
        self.assertEqual(answer, "b617318655057264e28bc0b6fb378c8ef146be00")
        self.assertEqual(self.apdus(SELECT_OTP, "0001300008" + b"Hi There".hex())[1], "6985")


class TestCard(Driven):
    touch = "demand"

    def test_it_survives_its_process(self) -> None:
        self.ykman("otp", "chalresp", "--force", "1", "0c" * 20)
        self.card.stop()
        self.readers.wait_for_card(present=False)
        type(self).card = self.readers.add_card("blue", serial=SERIAL, touch=self.touch)
        self.assertIn("Slot 1: programmed", self.ykman("otp", "info").stdout)

    def test_it_goes_and_comes_and_outlives_the_service(self) -> None:
        self.card.unplug()
        self.card.plug()
        self.readers.restart()
        self.readers.wait_for_card()
        self.assertEqual(self.apdus(SELECT_PIV, "00fd000000")[1], "0504039000")

    def test_a_touch_that_is_given_ends_the_wait(self) -> None:
        self.ykman("otp", "chalresp", "--force", "--touch", "2", "0b" * 20)
        name = self.readers.reader()
        script = (
            "import sys; from smartcard.System import readers\n"
            "from ykman.pcsc import ScardSmartCardConnection\n"
            "from yubikit.yubiotp import YubiOtpSession, SLOT\n"
            "reader = next(each for each in readers() if each.name == sys.argv[1])\n"
            "session = YubiOtpSession(ScardSmartCardConnection(reader.createConnection()))\n"
            "print(session.calculate_hmac_sha1(SLOT.TWO, b'Hi There').hex())\n"
        )
        waiting = subprocess.Popen(
            [sys.executable, "-c", script, name],
            env=os.environ | self.readers.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.card.tell("wait-touch")
        self.card.tell("touch")
        self.assertEqual(waiting.communicate()[0].strip(), "b617318655057264e28bc0b6fb378c8ef146be00")


class TestFaults(Driven):
    def exchange(self) -> str:
        return self.apdus(SELECT_PIV, "00fd000000")[1]

    def setUp(self) -> None:
        self.addCleanup(self.card.tell, "fault none")

    def test_every_step_can_be_the_last_one(self) -> None:
        self.card.tell("fault none")
        self.assertEqual(self.exchange(), "0504039000")
        steps = self.card.status()["apdus"]
        self.assertGreaterEqual(steps, 4)
        for step in range(1, steps + 1):
            with self.subTest(step=step):
                self.card.tell(f"fault drop-at {step}")
                with self.assertRaises(AssertionError):
                    self.exchange()
                self.assertFalse(self.card.status()["plugged"])
                self.card.plug()
                self.assertEqual(self.exchange(), "0504039000")

    def test_a_reset_brings_the_card_back_by_itself(self) -> None:
        self.card.tell("fault reset 3")
        moves = self.readers.moves()
        with self.assertRaises(AssertionError):
            self.exchange()
        self.readers.wait_for_card(since=moves)
        self.assertTrue(self.card.status()["plugged"])
        self.assertEqual(self.exchange(), "0504039000")

    def test_noise_is_noise(self) -> None:
        self.card.tell("fault garble")
        self.assertNotEqual(self.apdus(SELECT_PIV, "00fd000000")[1], "0504039000")

    def test_a_point_off_its_curve_is_given_out(self) -> None:
        generate = ("piv", "keys", "generate", "--algorithm", "ECCP256", "--management-key", MANAGEMENT_KEY)
        self.card.tell("fault bad-point")
        self.assertNotEqual(self.ykman(*generate, "--pin", PIN, "93", "-", check=False).returncode, 0)
        self.card.tell("fault none")
        self.ykman(*generate, "--pin", PIN, "93", "-")

    def test_a_card_that_answers_no_more_is_freed_by_pulling_it_out(self) -> None:
        for fault in ("stop", "keepalive"):
            with self.subTest(fault=fault):
                before = self.card.status()["requests"]
                self.card.tell(f"fault {fault}")
                waiting = subprocess.Popen(
                    ["opensc-tool", "--reader", self.readers.reader(), "--send-apdu", "00A4040005A000000308"],
                    env=os.environ | self.readers.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                while self.card.status()["requests"] == before:
                    self.assertIsNone(waiting.poll())
                self.card.unplug()
                waiting.wait()
                self.card.tell("fault none")
                self.card.plug()
                self.assertEqual(self.exchange(), "0504039000")


if __name__ == "__main__":
    unittest.main()
