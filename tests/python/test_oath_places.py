"""TOTP seeds on several tokens and in the vault, and sessions with a code from wherever there is one."""

from __future__ import annotations

import json
import unittest

from house import PIN
from oath_house import BLUE, GREEN, NAME, OathCase


class SeveralPlaces(OathCase):
    def setUp(self) -> None:
        super().setUp()
        self.green = self.add_green()

    def test_two_tokens_and_the_vault_share_their_spent_codes(self):
        self.assert_done(self.add(BLUE, GREEN, options=("--in-vault",)))
        self.assertEqual(self.places(), (True, [True, True]))
        self.assertEqual((self.on_card(0), self.on_card(1)), ([NAME], [NAME]))
        blue, green = self.token_id(BLUE), self.token_id(GREEN)
        counts = self.house.token.touches(), self.blue.touches(), self.green.touches()
        self.begin_step()
        codes = [self.code()]
        for place in (("--token", blue), ("--token", green), ()):
            codes.append(self.code_after_waiting(*place))
            self.assert_code(codes[-1])
        self.assertEqual(len(set(codes)), len(codes))
        touched = self.house.token.touches(), self.blue.touches(), self.green.touches()
        self.assertEqual(tuple(b - a for a, b in zip(counts, touched, strict=True)), (2, 1, 1))

    def test_whichever_is_plugged_in_is_used(self):
        self.assert_done(self.add(BLUE, GREEN, options=("--in-vault",)))
        used = []
        for leaves in (self.house.token.tell, lambda _: self.blue.unplug(), None):
            counts = self.house.token.touches(), self.blue.touches(), self.green.touches()
            self.begin_step()
            self.assert_code(self.code())
            after = self.house.token.touches(), self.blue.touches(), self.green.touches()
            used.append([b - a for a, b in zip(counts, after, strict=True)])
            if leaves is not None:
                leaves("unplug")
        self.assertEqual(used, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
        self.green.unplug()
        nobody = self.run_it("totp", "code", "prod")
        self.assert_refused(nobody, 5, "demo key|keyslot", str(BLUE), str(GREEN))

    def test_another_token_in_its_reader_is_not_asked(self):
        self.assert_done(self.add(BLUE))
        blue = self.token_id(BLUE)
        self.blue.unplug()
        touches = self.green.touches()
        self.assert_refused(self.run_it("totp", "code", "prod"), 5, str(BLUE))
        self.assert_refused(self.run_it("--token", blue, "totp", "code", "prod"), 5, blue)
        green = self.token_id(GREEN)
        self.assert_refused(self.run_it("--token", green, "totp", "code", "prod"), 5, str(BLUE))
        self.assertEqual(self.green.touches(), touches)

    def test_a_token_is_added_later_and_the_seeds_are_removed_one_by_one(self):
        self.house.must("totp", "add", "prod", "--uri-file", self.uri, pin=PIN)
        self.assert_done(self.add(BLUE))
        self.assert_done(self.add(GREEN))
        self.assertEqual(self.places(), (True, [True, True]))
        touches = self.house.token.touches()
        removed = self.run_it("totp", "remove", "prod", "--from-token", self.token_id(BLUE))
        self.assert_done(removed)
        self.assertEqual(self.places(), (True, [True]))
        self.assertEqual((self.on_card(0), self.on_card(1)), ([], [NAME]))
        self.assertEqual(self.house.token.touches(), touches, "the vault's copy stays")
        again = self.run_it("totp", "remove", "prod", "--from-token", self.token_id(BLUE))
        self.assert_refused(again, 1, str(BLUE))
        self.assert_done(self.run_it("totp", "remove", "prod"))
        self.assertEqual(self.house.token.touches(), touches + 1)
        self.assertEqual((self.on_card(1), self.rows("totp", "list")), ([], []))
        self.assert_refused(self.run_it("totp", "code", "prod"), 1, "no .*TOTP seed")

    def test_a_lost_token_is_forgotten_and_named(self):
        self.assert_done(self.add(BLUE, GREEN))
        self.blue.unplug()
        result = self.run_it("totp", "remove", "prod")
        self.assert_done(result)
        self.assertRegex(result.err, rf"still on .*{BLUE}")
        self.assertNotRegex(result.err, rf"still on .*{GREEN}")
        self.assertEqual((self.on_card(1), self.rows("totp", "list")), ([], []))

    def test_a_token_that_cannot_be_asked_is_neither_forgotten_nor_called_absent(self):
        self.assert_done(self.add(BLUE, GREEN))
        other = self.readers.add_other()
        other.hold()
        before = self.house.vault.read_bytes()
        self.assert_refused(self.run_it("totp", "remove", "prod"), 1, "busy", "try again")
        self.assertEqual(self.house.vault.read_bytes(), before)
        self.assertEqual(self.on_card(1), [NAME])
        # What is on the other one is to be had without it.
        self.begin_step()
        self.assert_code(self.code())
        self.assert_done(self.run_it("totp", "remove", "prod", "--from-token", self.token_id(GREEN)))
        self.assertEqual(self.on_card(1), [])
        self.assert_refused(self.run_it("totp", "code", "prod"), 1, "busy", "try again")
        other.let_go()
        self.code_after_waiting()
        self.assert_done(self.run_it("totp", "remove", "prod"))
        self.assertEqual((self.on_card(0), self.rows("totp", "list")), ([], []))

    def test_a_second_token_that_fails_takes_back_the_first(self):
        self.green.tell("fault none")
        self.assert_done(self.add(BLUE, GREEN))
        steps = self.green.status()["apdus"]
        self.assert_done(self.run_it("totp", "remove", "prod"))
        # The last ones are those of the seed itself: each is a command or its answer.
        for step in range(steps - 5, steps + 1):
            for fault in ("drop-at", "reset") if step in (steps - 3, steps) else ("drop-at",):
                with self.subTest(fault=fault, step=step):
                    self.fail_at(fault, step)
        self.assert_done(self.add(BLUE, GREEN))
        self.assertEqual((self.on_card(0), self.on_card(1)), ([NAME], [NAME]))

    def fail_at(self, fault: str, step: int) -> None:
        self.green.tell(f"fault {fault} {step} card")
        moves = self.readers.moves(1)
        result = self.add(BLUE, GREEN)
        self.assert_refused(result, 5)
        if fault == "drop-at":
            self.green.plug()
        else:
            self.readers.wait_for_card(1, since=moves)
        self.assertEqual(self.on_card(0), [], "the first one's was taken back")
        self.assertEqual(self.rows("totp", "list"), [])
        # It may have the seed if only its answer was lost.
        if left := self.on_card(1):
            self.assertEqual(left, [NAME])
            self.assertRegex(result.err, rf"may still be on .*{GREEN}")
            self.assert_done(self.run_it("--token", self.token_id(GREEN), "oath", "remove", NAME))


class Sessions(OathCase):
    """At the time that it is: the fake AWS looks at it."""

    house_options = {"aws": "fake"}

    def setUp(self) -> None:
        super().setUp()
        self.house.must("key", "import", "prod", self.house.file("k.csv", self.house.root.csv()), pin=PIN)
        self.house.must("profile", "add", "prod-root", "--account", "prod")

    def assert_session(self, *options: object) -> str:
        result = self.run_it(*options, "credentials", "prod-root")
        self.assertTrue(json.loads(self.assert_done(result))["AccessKeyId"].startswith("ASIA"))
        return result.err

    def test_a_seed_on_a_token_is_enough_locked_or_not(self):
        self.assert_done(self.add(BLUE))
        for locked in (False, True):
            with self.subTest(locked=locked):
                self.house.must("lock")
                if not locked:
                    self.house.must("unlock", pin=PIN)
                counts = self.house.token.touches(), self.blue.touches()
                said = self.assert_session()
                self.assertEqual((self.house.token.touches(), self.blue.touches()), (counts[0] + 1, counts[1] + 1))
                self.assertRegex(said, rf"Touch .*{BLUE}: .*GetSessionToken, 1 h, root of prod \(1111-2222-3333\)")
        calls = [(call["action"], call["result"]) for call in self.house.aws.requests()]
        self.assertEqual(calls, [("GetSessionToken", "ok")] * 2)
        recorded = [event for event in self.events() if event["event"] == "session"]
        self.assertEqual([event["outcome"] for event in recorded], ["granted"] * 2)
        self.assertTrue(all(str(BLUE) in event["token"] and "demo key" in event["token"] for event in recorded))

    def test_without_the_token_nobody_is_asked_for_anything(self):
        self.assert_done(self.add(BLUE))
        self.blue.unplug()
        touches = self.house.token.touches()
        self.assert_refused(self.run_it("credentials", "prod-root"), 5, str(BLUE))
        self.assertEqual(self.house.token.touches(), touches)
        self.assertEqual(self.house.aws.requests(), [])

    def test_the_vaults_copy_goes_first_and_a_token_that_is_named_before_it(self):
        self.assert_done(self.add(BLUE, options=("--in-vault",)))
        touches = self.blue.touches()
        self.assert_session()
        self.assertEqual(self.blue.touches(), touches)
        self.house.must("lock")
        self.assert_session("--token", self.token_id())
        self.assertEqual(self.blue.touches(), touches + 1)

    def test_no_touch_of_the_token_signs_nothing(self):
        self.assert_done(self.add(BLUE))
        self.blue.tell("mode never")
        self.assert_refused(self.run_it("credentials", "prod-root"), 4, "touch")
        self.assertEqual(self.house.aws.requests(), [])
        recorded = [event["outcome"] for event in self.events() if event["event"] == "session"]
        self.assertEqual(recorded, ["refused"])


if __name__ == "__main__":
    unittest.main()
