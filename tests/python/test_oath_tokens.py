"""TOTP seeds on a token instead of in the vault, with real pcscd and others' programs on the same card."""

from __future__ import annotations

import sys
import time
import unittest

from fakes import ACCOUNT, MFA_SERIAL
from house import PIN
from oath_house import BLUE, NAME, RFC_SEED, OathCase, ends

# RFC 6238 appendix B: the codes of two steps in a row, SHA-1, eight digits.
RFC_TIME = 1_111_111_080
RFC_CODES = ("07081804", "14050471")

# Fills a card up, as many accounts as it takes.
FILL = """
import sys
from smartcard.System import readers
from ykman.pcsc import ScardSmartCardConnection
from yubikit.core.smartcard import ApduError
from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData, OathSession
reader = next(each for each in readers() if each.name == sys.argv[1])
session = OathSession(ScardSmartCardConnection(reader.createConnection()))
try:
    for number in range(200):
        session.put_credential(CredentialData(f"other{number}", OATH_TYPE.TOTP, HASH_ALGORITHM.SHA1, bytes(20)))
except ApduError as error:
    assert error.sw == 0x6A84, hex(error.sw)
"""


class OneToken(OathCase):
    def test_a_token_that_makes_codes_is_listed_and_is_no_keyslot(self):
        (oath,) = [token for token in self.rows("token", "list") if token["kind"] == "oath"]
        self.assertEqual((oath["serial"], oath["enrolled"], oath["needs_pin"]), (str(BLUE), False, False))
        self.house.must("lock")
        self.house.must("unlock", pin=PIN)
        named = self.house.run("--token", oath["id"], "keyslot", "add", "--label", "x", pin=PIN)
        self.assert_refused(named, 5, oath["id"])

    def test_the_vault_keeps_no_seed_and_the_token_gives_the_codes(self):
        self.begin_step()
        printed = self.assert_done(self.add(BLUE))
        self.assertEqual(printed, f"{MFA_SERIAL}\n")
        self.assertEqual(self.places(), (False, [True]))
        self.assertEqual(self.on_card(), [NAME])
        # Neither the keyslot's token nor its PIN is needed.
        self.house.token.tell("unplug")
        self.begin_step()
        touches = self.blue.touches()
        result = self.run_it("totp", "code", "prod", pin=None)
        self.assert_code(self.assert_done(result).strip())
        self.assertRegex(result.err, rf"Touch .*{BLUE}: give out a TOTP code of root of prod \(1111-2222-3333\)")
        self.assertEqual(self.blue.touches(), touches + 1)
        granted = [event for event in self.events() if event["event"] == "totp-code"]
        self.assertEqual([event["outcome"] for event in granted], ["granted"])
        self.assertIn(str(BLUE), granted[0]["token"])

    def test_a_code_is_spent_once_also_after_a_restart(self):
        self.assert_done(self.add(BLUE))
        self.begin_step()
        first = self.code(pin=None)
        self.house.restart_daemon()
        self.house.must("unlock", pin=PIN)
        second = self.code_after_waiting()
        self.assertNotEqual(first, second)
        self.assert_code(second)

    def test_codes_are_those_of_the_rfc(self):
        uri = f"otpauth://totp/x?secret={RFC_SEED}&digits=8&algorithm=SHA1"
        self.uri = self.house.file("rfc", uri)
        self.assert_done(self.add(BLUE))
        self.clocks.set(RFC_TIME + 1 - int(time.time()))
        result = self.run_it("totp", "code", "prod")
        self.assertIn(self.assert_done(result).strip(), RFC_CODES)
        # Whoever touches it confirms the time.
        self.assertIn("touch only if it is now 2005-03-18", result.err)

    def test_a_code_without_a_touch_does_not_vouch_for_the_time(self):
        self.assert_done(self.add(BLUE, options=("--no-touch",)))
        self.assertEqual(self.places(), (False, [False]))
        touches = self.blue.touches()
        self.begin_step()
        self.assert_code(self.code())
        self.assertEqual(self.blue.touches(), touches)
        self.clocks.set(self.ahead + 400)
        self.assert_refused(self.run_it("totp", "code", "prod"), 1, "clock", "unlock")
        self.house.must("lock")
        self.house.must("unlock", pin=PIN)
        self.ahead += 400
        self.assert_code(self.code())

    def test_no_touch_in_time_gives_nothing_and_spends_nothing(self):
        self.assert_done(self.add(BLUE))
        self.blue.tell("mode never")
        self.begin_step()
        self.assert_refused(self.run_it("totp", "code", "prod"), 4, "touch")
        self.blue.tell("mode auto")
        self.begin_step()
        self.assert_code(self.code())

    def test_a_touch_that_comes_after_the_step_gets_the_next_code(self):
        self.assert_done(self.add(BLUE))
        self.blue.tell("mode demand")
        self.begin_step()
        client = self.house.start("totp", "code", "prod")
        self.blue.tell("wait-touch")
        self.begin_step()
        self.blue.tell("touch")
        self.blue.tell("wait-touch")
        self.blue.tell("touch")
        self.assert_code(self.assert_done(ends(client)).strip())

    def test_a_reset_of_the_card_gives_the_right_code_or_none(self):
        self.assert_done(self.add(BLUE))
        self.begin_step()
        self.blue.tell("fault none")
        codes = [self.code()]
        steps = self.blue.status()["apdus"]
        for step in (2, steps // 2, steps):
            with self.subTest(step=step, of=steps):
                self.begin_step()
                moves = self.readers.moves()
                self.blue.tell(f"fault reset {step}")
                self.assert_refused(self.run_it("totp", "code", "prod"), 5, "token")
                self.readers.wait_for_card(since=moves)
                self.begin_step()
                codes.append(self.code())
                self.assert_code(codes[-1])
        other = self.readers.add_other()
        other.reset()
        self.begin_step()
        codes.append(self.code())
        self.assert_code(codes[-1])
        self.assertEqual(len(set(codes)), len(codes))

    def test_locking_meanwhile_wins(self):
        self.assert_done(self.add(BLUE))
        self.blue.tell("mode demand")
        self.begin_step()
        client = self.house.start("totp", "code", "prod")
        self.blue.tell("wait-touch")
        self.house.must("lock")
        self.blue.tell("touch")
        self.assert_refused(ends(client), 4, "locked")

    def test_others_see_what_we_wrote(self):
        self.assert_done(self.add(BLUE))
        touches = self.blue.touches()
        theirs = self.ykman("accounts", "code", "--single", NAME).stdout.strip()
        self.assertEqual(self.blue.touches(), touches + 1)
        root = self.house.root
        self.assertIn(theirs, [root.code(steps) for steps in (0, -1)])

    def test_a_period_of_its_own_is_in_the_name(self):
        self.uri = self.house.file("uri60", f"{self.house.root.uri()}&period=60")
        self.assert_done(self.add(BLUE))
        self.assertEqual(self.ykman("accounts", "list", "--period").stdout.split(), [f"60/{NAME},", "60"])

    def test_an_account_whose_seed_is_on_a_token_stays(self):
        self.assert_done(self.add(BLUE))
        self.assert_refused(self.house.run("account", "remove", "prod", pin=PIN), 1, "totp remove")
        self.assert_done(self.run_it("totp", "remove", "prod"))
        self.assert_done(self.house.run("account", "remove", "prod", pin=PIN))


class Refused(OathCase):
    """What is refused leaves the vault and the token as they were."""

    def assert_nothing_added(self, result, code: int, *words: str, on_card: list[str] | None = None) -> None:
        self.assert_refused(result, code, *words)
        self.assertEqual(self.rows("totp", "list"), [])
        self.assertEqual(self.house.vault.read_bytes(), self.before)
        self.assertEqual(self.on_card(), on_card or [])

    def setUp(self) -> None:
        super().setUp()
        self.before = self.house.vault.read_bytes()

    def test_a_name_that_is_taken(self):
        self.ykman("accounts", "add", NAME, RFC_SEED)
        touches = self.house.token.touches()
        self.assert_nothing_added(self.add(BLUE), 1, "already", NAME, on_card=[NAME])
        self.assertEqual(self.house.token.touches(), touches, "refused before anybody had to consent")

    def test_a_full_token(self):
        self.readers.run(sys.executable, "-c", FILL, self.readers.reader())
        full = self.on_card()
        self.assert_nothing_added(self.add(BLUE), 1, "room", on_card=full)

    def test_tokens_that_are_not_there_or_make_no_codes_or_come_twice(self):
        add = ("totp", "add", "prod", "--uri-file", self.uri, "--on-token")
        self.assert_nothing_added(self.run_it(*add, "oath_00000000"), 5, "oath_00000000")
        piv = self.token_id(kind="piv")
        self.assert_nothing_added(self.run_it(*add, piv), 2, piv, "oath")
        blue = self.token_id()
        self.assert_nothing_added(self.run_it(*add, blue, "--on-token", blue), 2, "twice")

    def test_a_name_that_no_token_can_hold(self):
        long = f"arn:aws:iam::{ACCOUNT}:mfa/{'d' * 60}"
        self.assert_nothing_added(self.add(BLUE, options=("--mfa-serial", long)), 2, "64 bytes", "vault")

    def test_a_wrong_pin_of_the_keyslots_token(self):
        self.assert_nothing_added(self.add(BLUE, pin="654321"), 4, "PIN")

    def test_options_that_make_no_sense(self):
        for options in (("--in-vault",), ("--no-touch",)):
            refused = self.run_it("totp", "add", "prod", "--uri-file", self.uri, *options)
            self.assert_nothing_added(refused, 2, "on-token")

    def test_the_same_seed_on_the_same_token_again(self):
        self.assert_done(self.add(BLUE))
        self.assert_refused(self.add(BLUE), 1, "already")
        self.assertEqual(self.places(), (False, [True]))

    def test_another_seed_than_the_vaults_and_one_of_another_account(self):
        self.house.must("totp", "add", "prod", "--uri-file", self.uri, pin=PIN)
        self.before = self.house.vault.read_bytes()
        other = self.house.file("other", f"{RFC_SEED}\n")
        on = ("--on-token", self.token_id())
        different = self.run_it("totp", "add", "prod", *on, "--secret-file", other)
        self.assert_refused(different, 2, "not the TOTP seed")
        self.house.must("account", "add", "test", "--account-id", "444455556666")
        foreign = self.run_it("totp", "add", "test", *on, "--uri-file", self.uri)
        self.assert_refused(foreign, 1, "already", "prod")
        self.assertEqual(self.on_card(), [])
        self.assertEqual(self.places(), (True, []))


if __name__ == "__main__":
    unittest.main()
