"""Smart cards open the vault: keys that are made, keys that are there, and which card is whose."""

from __future__ import annotations

import json
import shutil
import unittest

from card_house import MANAGEMENT_KEY, SERIAL, CardCase
from cards import PIN

OPENSC = "opensc-pkcs11.so"


class NewKeys(CardCase):
    def test_a_new_key_of_every_kind_opens_both_locks(self) -> None:
        for algorithm, slot in (("p256", "9d"), ("p384", "82"), ("rsa2048", "95")):
            # Longer RSA keys are in `test_plain_cards`: the virtual token takes too long to make them.
            with self.subTest(algorithm=algorithm):
                self.assert_done(self.init("--slot", slot, "--generate", algorithm))
                self.assertEqual(self.slots()["card"]["kind"], "piv")
                self.assertTrue(self.slots()["card"]["present"])
                before = self.card.touches()
                self.assert_opens_both_locks()
                self.assertEqual(self.card.touches(), before + 3, "each use took a touch")
                self.house.begin_anew()

    def test_the_card_asks_for_pin_and_touch_whoever_uses_the_key(self) -> None:
        self.assert_done(self.init("--generate", "p256"))
        told = self.ykman("piv", "keys", "info", "9d").stdout
        for expected in ("ECCP256", "GENERATED", "ONCE", "ALWAYS"):
            self.assertIn(expected, told)

    def test_others_see_the_new_key_and_derive_what_it_derives(self) -> None:
        self.assert_done(self.init("--generate", "p256"))
        self.assertRegex(self.ykman("piv", "info").stdout, r"(?s)Slot 9D.*ECCP256.*CN=rootseal")
        self.assertRegex(self.readers.run("yubico-piv-tool", "-a", "status").stdout, r"(?si)Slot 9d.*rootseal")
        # OpenSC finds keys by their certificates alone.
        self.assertIn("KEY MAN key", self.readers.run("pkcs15-tool", "--list-keys").stdout)
        public = self.readers.dir / "9d.pem"
        self.ykman("piv", "keys", "export", "9d", public)
        run = lambda *command: self.readers.run(*command, cwd=self.readers.dir)  # noqa: E731
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "ours.pem")
        run("openssl", "pkey", "-in", "ours.pem", "-pubout", "-outform", "DER", "-out", "ours.der")
        run("openssl", "pkeyutl", "-derive", "-inkey", "ours.pem", "-peerkey", public, "-out", "expected")
        derive = ("--derive", "--id", "03", "-m", "ECDH1-COFACTOR-DERIVE", "-i", "ours.der", "-o", "got")
        run("pkcs11-tool", "--module", OPENSC, "--login", "--pin", PIN, *derive)
        self.assertEqual(*((self.readers.dir / name).read_bytes() for name in ("expected", "got")))

    def test_a_slot_that_is_taken_stays_as_it_is(self) -> None:
        self.generate_with_ykman("9d", "ECCP256")
        before = self.ykman("piv", "keys", "export", "9d", "-").stdout
        self.assert_refused(self.init("--generate", "p256"), 1, "slot 9d", "already", "--slot")
        self.assertEqual(self.ykman("piv", "keys", "export", "9d", "-").stdout, before)
        # A certificate without a key is somebody's, too.
        certificate = self.readers.dir / "9d.crt"
        self.ykman("piv", "certificates", "export", "9d", certificate)
        management = ("--management-key", MANAGEMENT_KEY, "--no-update-chuid")
        self.ykman("piv", "certificates", "import", *management, "84", certificate)
        self.assert_refused(self.init("--slot", "84", "--generate", "p256"), 1, "slot 84", "already")
        self.assertEqual(self.house.state(), "absent")

    def test_what_no_card_can_make_is_refused_before_it_is_asked(self) -> None:
        for options, told in (
            (("--slot", "9a", "--generate", "p256"), "82 to 95"),
            (("--slot", "96", "--generate", "p256"), "82 to 95"),
            (("--slot", "9d", "--generate", "ed25519"), "one of p256"),
            (("--slot", "9d", "--generate", "rsa1024"), "one of p256"),
        ):
            with self.subTest(options=options):
                self.assert_refused(self.init(*options), 2, told)
        self.assertEqual(self.house.state(), "absent")
        self.assertNotIn("Slot 9D", self.ykman("piv", "info").stdout)


class Choices(CardCase):
    """One card is several tokens: PIV, challenge-response, OATH."""

    def test_a_card_that_is_not_named_is_enrolled_by_piv(self) -> None:
        self.generate_with_ykman("9d", "ECCP256")
        self.assert_done(self.house.run("init", "--label", "card", pin=PIN))
        self.assertEqual(self.slots()["card"]["kind"], "piv")

    def test_a_choice_that_is_wrong_is_told_by_the_card_and_not_by_another_token(self) -> None:
        self.house.token.tell("plug")
        self.assert_refused(self.house.run("init", "--label", "card", "--generate", "p521", pin=PIN), 2, "p256")

    def test_a_second_pin_wants_a_file_with_the_tokens_name(self) -> None:
        self.assert_done(self.init("--generate", "p256"))
        self.house.token.tell("plug")
        told = self.house.run("keyslot", "add", "--label", "stick", pin=PIN)
        self.assert_refused(told, 4, f"--pin-file {self.token_id()}=PATH")


class ManagementKeys(CardCase):
    def change(self, *options: str) -> None:
        self.ykman("piv", "access", "change-management-key", "--management-key", MANAGEMENT_KEY, *options)

    def generate(self, *options: object):
        return self.init("--slot", "82", "--generate", "p256", *options)

    def test_one_that_is_given(self) -> None:
        tdes = "0a1b2c3d4e5f6071" + "1a2b3c4d5e6f7081" + "2a3b4c5d6e7f8091"
        for algorithm, key in (("AES256", "aa" * 32), ("TDES", tdes)):
            with self.subTest(algorithm=algorithm):
                self.change("--algorithm", algorithm, "--new-management-key", key)
                self.assert_refused(self.generate(), 1, "management key", "--management-key-file")
                wrong = self.house.file("wrong", "cc" * (len(key) // 2))
                self.assert_refused(self.generate("--management-key-file", wrong), 1, "wrong management key")
                right = self.house.file("right", f"{key}\n")
                self.assert_done(self.generate("--management-key-file", right))
                self.assert_opens_both_locks()
                self.house.begin_anew()
                self.card.stop()
                self.readers.wait_for_card(present=False)
                (self.readers.dir / "blue.state").unlink()
                self.put_in()

    def test_one_that_the_pin_protects(self) -> None:
        self.change("--protect", "--pin", PIN, "--generate")
        self.assert_done(self.generate())
        self.assert_opens_both_locks()

    def test_one_that_cannot_be_one(self) -> None:
        for text in ("", "0102", "zz" * 24, "01" * 25):
            given = self.house.file("key", text)
            self.assert_refused(self.generate("--management-key-file", given), 2, "hexadecimal|management key")
        absent = self.house.dir / "absent"
        self.assert_refused(self.generate("--management-key-file", absent), 1, "absent")


class KeysThatAreThere(CardCase):
    def test_one_of_ykmans(self) -> None:
        self.generate_with_ykman("9d", "ECCP256", "--pin-policy", "ALWAYS", "--touch-policy", "ALWAYS")
        self.assert_done(self.init())
        self.assert_opens_both_locks()

    def test_one_of_yubico_piv_tools(self) -> None:
        for slot, algorithm in (("84", "ECCP384"), ("85", "RSA2048")):
            with self.subTest(algorithm=algorithm):
                public = self.readers.dir / f"{slot}.pem"
                generate = ("-a", "generate", "-s", slot, "-A", algorithm, "-o", public)
                self.readers.run("yubico-piv-tool", *generate)
                self.assert_done(self.init("--slot", slot))
                before = self.card.touches()
                self.assert_opens_both_locks()
                self.assertEqual(self.card.touches(), before, "this key asks for none")
                self.house.begin_anew()

    def test_an_empty_slot(self) -> None:
        self.assert_refused(self.init("--slot", "90"), 1, "slot 90", "no key", "--generate")
        self.assertEqual(self.house.state(), "absent")


class WhichCard(CardCase):
    def test_a_card_and_a_fido_token_open_the_same_vault(self) -> None:
        self.house.token.tell("plug")
        fido = next(row["id"] for row in self.rows("token", "list") if row["kind"] == "fido")
        self.house.must("--token", fido, "init", "--label", "fido", pin=PIN)
        piv = self.token_id()
        pins = [f"--pin-file={token}={self.house.file(token, PIN)}" for token in (fido, piv)]
        add = ("--token", piv, "keyslot", "add", "--label", "card", "--generate", "p384")
        self.assert_done(self.house.run(*pins, *add))
        self.assertEqual({row["kind"] for row in self.rows("keyslot", "list")}, {"fido2", "piv"})
        self.house.must("lock")
        self.assert_refused(self.house.run("unlock", pin=PIN), 2, "--token", piv, fido)
        for token in (piv, fido):
            self.assert_opens_both_locks("--token", token)
        self.house.token.tell("unplug")
        self.assert_opens_both_locks()
        self.house.token.tell("plug")
        self.card.unplug()
        self.assert_opens_both_locks()

    def test_a_fido_token_is_added_with_a_cards_consent(self) -> None:
        self.assert_done(self.init("--generate", "p256"))
        self.house.token.tell("plug")
        fido = next(row["id"] for row in self.rows("token", "list") if row["kind"] == "fido")
        pins = [f"--pin-file={token}={self.house.file(token, PIN)}" for token in (fido, self.token_id())]
        self.assert_done(self.house.run(*pins, "--token", fido, "keyslot", "add", "--label", "fido"))
        self.card.unplug()
        self.assert_opens_both_locks()

    def test_the_one_that_is_enrolled_is_used_and_the_stranger_is_left_alone(self) -> None:
        self.house.token.tell("plug")
        fido = next(row["id"] for row in self.rows("token", "list") if row["kind"] == "fido")
        # The stranger has a key where ours would be.
        self.generate_with_ykman("9d", "ECCP256")
        self.house.must("--token", fido, "init", "--label", "fido", pin=PIN)
        touches = self.house.token.touches(), self.card.touches()
        self.assert_opens_both_locks()
        self.assertEqual((self.house.token.touches(), self.card.touches()), (touches[0] + 3, touches[1]))
        # A PIN that is wrong is tried on ours alone.
        self.house.must("lock")
        self.assertEqual(self.house.run("unlock", pin="654321").code, 4)
        self.assertIn("3/3", self.ykman("piv", "info").stdout)

    def test_a_fido_token_that_is_a_stranger_is_left_alone(self) -> None:
        self.house.token.tell("plug")
        self.assert_done(self.init("--generate", "p256"))
        touches = self.house.token.touches(), self.card.touches()
        self.assert_opens_both_locks()
        self.assertEqual((self.house.token.touches(), self.card.touches()), (touches[0], touches[1] + 3))
        self.house.must("lock")
        self.assert_refused(self.house.run("unlock", pin="654321"), 4, "2 tries")
        # A try on the FIDO2 token would show in the words about the next one: it has eight.
        fido = next(row["id"] for row in self.rows("token", "list") if row["kind"] == "fido")
        given = {self.token_id(): PIN, fido: "654321"}
        pins = [f"--pin-file={token}={self.house.file(token, pin)}" for token, pin in given.items()]
        self.assert_refused(self.house.run(*pins, "--token", fido, "keyslot", "add", "--label", "x"), 4, "7 tries")

    def test_a_card_stays_ours_when_others_write_on_it(self) -> None:
        self.assert_done(self.init("--generate", "p256"))
        # ykman gives the card a new number (GUID) with each certificate.
        self.generate_with_ykman("9a", "ECCP256")
        self.ykman("piv", "certificates", "delete", "--management-key", MANAGEMENT_KEY, "--pin", PIN, "9d")
        self.assert_opens_both_locks()

    def test_the_same_key_under_another_serial_number_is_not_ours(self) -> None:
        self.assert_done(self.init("--generate", "p256"))
        self.house.must("lock")
        self.card.stop()
        self.readers.wait_for_card(present=False)
        shutil.copy(self.readers.dir / "blue.state", self.readers.dir / "clone.state")
        clone = self.readers.add_card("clone", serial=SERIAL + 1)
        touches = clone.touches()
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "no connected token is a keyslot", "card")
        self.assertFalse(any(row["enrolled"] for row in self.rows("token", "list")))
        self.assertEqual(clone.touches(), touches)
        clone.stop()
        self.readers.wait_for_card(present=False)
        self.put_in()
        self.assert_opens_both_locks()

    def test_another_key_under_the_same_serial_number_is_not_ours(self) -> None:
        self.assert_done(self.init("--generate", "p256"))
        self.house.must("lock")
        self.card.stop()
        self.readers.wait_for_card(present=False)
        other = self.readers.add_card("other", serial=SERIAL)
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "no connected token is a keyslot")
        self.generate_with_ykman("9d", "ECCP256")
        self.assert_refused(self.house.run("unlock", pin=PIN), 5, "no connected token is a keyslot")
        self.assertIn("3/3", self.ykman("piv", "info").stdout, "no PIN was tried on it")
        other.stop()
        self.readers.wait_for_card(present=False)
        self.put_in()
        self.assert_opens_both_locks()


class SeveralReaders(CardCase):
    def test_readers_that_differ_in_their_number_alone_are_told_apart(self) -> None:
        self.readers.add_card("green", slot=1, serial=SERIAL + 1)
        tokens = [row for row in self.rows("token", "list") if row["kind"] == "piv"]
        self.assertEqual({row["serial"] for row in tokens}, {str(SERIAL), str(SERIAL + 1)})
        self.assertEqual(len({row["id"] for row in tokens}), 2)
        self.assert_done(self.init("--generate", "p256", serial=SERIAL + 1))
        # The one that is enrolled is found by itself.
        self.assert_opens_both_locks()
        self.assertEqual(self.card.touches(), 0)
        enrolled = {row["serial"]: row["enrolled"] for row in self.rows("token", "list") if row["kind"] == "piv"}
        self.assertEqual(enrolled, {str(SERIAL): False, str(SERIAL + 1): True})


class Namesakes(CardCase):
    readers_options = {"drivers": 2, "namesakes": True}

    def test_readers_of_the_very_same_name_are_as_good_as_one(self) -> None:
        # PC/SC knows readers by their names: nobody can reach the second one.
        self.assertEqual(len([row for row in self.rows("token", "list") if row["kind"] == "piv"]), 1)
        self.assert_done(self.init("--generate", "p256"))
        self.assert_opens_both_locks()


class Evidence(CardCase):
    def attested(self) -> str:
        return self.slots()["card"]["attested"]

    def believe(self, *files: object) -> None:
        """Restarts the daemon with roots."""
        self.house.stop_daemon()
        self.house.tokens_config = f"attestation_roots = {json.dumps([str(file) for file in files])}\n"
        self.house.start_daemon()

    def attester(self) -> object:
        path = self.readers.dir / "attester.pem"
        path.write_text(self.readers.run("yubico-piv-tool", "-a", "read-certificate", "-s", "f9").stdout)
        return path

    def test_it_says_how_far_it_was_verified_where_the_key_was_made(self) -> None:
        for algorithm, slot in (("p256", "9d"), ("p384", "82"), ("rsa2048", "83")):
            with self.subTest(algorithm=algorithm):
                self.assert_done(self.init("--slot", slot, "--generate", algorithm))
                self.assertEqual(self.attested(), "self")
                self.house.begin_anew()
        self.assert_done(self.init("--slot", "84", "--generate", "p256"))
        stranger = self.readers.dir / "stranger.pem"
        key = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self.readers.run("openssl", *key, "-subj", "/CN=stranger", "-keyout", "/dev/null", "-out", stranger)
        self.believe(stranger)
        self.assertEqual(self.attested(), "self")
        self.believe(stranger, self.attester())
        self.assertEqual(self.attested(), "rooted")
        # The evidence lies in the vault: the card need not be there.
        self.card.unplug()
        self.assertEqual(self.attested(), "rooted")

    def test_other_keys_and_tokens_have_none(self) -> None:
        self.house.token.tell("plug")
        self.house.must("init", "--label", "card", pin=PIN)
        self.assertEqual(self.attested(), "none")

    def test_roots_that_cannot_be_read_keep_the_daemon_from_starting(self) -> None:
        for content in (b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            with self.assertRaisesRegex(AssertionError, "roots.pem cannot be read"):
                self.believe(self.house.file("roots.pem", content))
        with self.assertRaisesRegex(AssertionError, "absent.pem cannot be read"):
            self.believe(self.house.dir / "absent.pem")


if __name__ == "__main__":
    unittest.main()
