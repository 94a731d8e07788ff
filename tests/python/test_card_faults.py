"""Cards that are reset, hang or lie (`test_unplugged` pulls them out), programs that hold them, and a PC/SC service
that comes and goes: one clear sentence, everything as before, and the next try works."""

from __future__ import annotations

import sys
import unittest

from card_house import CardCase
from cards import PIN


class Faults(CardCase):
    def setUp(self) -> None:
        super().setUp()
        self.assert_done(self.init("--generate", "p256"))
        self.furnish()

    def unlock(self):
        return self.house.run("unlock", pin=PIN)

    def steps(self, act) -> int:
        """How many commands and answers an action takes when all goes well."""
        self.card.tell("fault none")
        self.assert_done(act())
        count = self.card.status()["apdus"]
        self.assertGreater(count, 10)
        return count

    def assert_clean(self, result, state: str, before: bytes) -> None:
        self.assertNotEqual(result.code, 0, result)
        self.assertEqual(result.out, "")
        self.assertEqual(len(result.errors()), 1, result)
        self.assertEqual((self.house.state(), self.vault()), (state, before))

    def vault(self) -> bytes:
        return self.house.vault.read_bytes()

    def test_reset_in_the_middle_of_its_transactions(self) -> None:
        self.house.must("lock")
        steps = self.steps(self.unlock)
        self.house.must("lock")
        for step in range(1, steps + 1, 5):
            before, moves = self.vault(), self.readers.moves()
            self.card.tell(f"fault reset {step}")
            with self.subTest(step=step, of=steps):
                self.assert_clean(self.unlock(), "locked", before)
            self.readers.wait_for_card(since=moves)
            if step % 4 == 0:
                self.assert_done(self.unlock())
                self.house.must("lock")
        self.assert_done(self.unlock())

    def test_reset_in_the_middle_of_a_guarded_operation(self) -> None:
        steps = self.steps(self.guarded)
        for step in range(2, steps + 1, steps // 4):
            before, moves = self.vault(), self.readers.moves()
            self.card.tell(f"fault reset {step}")
            with self.subTest(step=step, of=steps):
                self.assert_clean(self.guarded(), "unlocked", before)
            self.readers.wait_for_card(since=moves)
        self.assert_done(self.guarded())

    def test_noise(self) -> None:
        self.house.must("lock")
        before = self.vault()
        self.card.tell("fault garble")
        self.assert_clean(self.unlock(), "locked", before)
        self.assertEqual(self.rows("token", "list"), [])
        self.card.tell("fault none")
        self.assert_opens_both_locks()

    def test_points_off_their_curve(self) -> None:
        self.house.must("lock")
        before = self.vault()
        self.card.tell("fault bad-point")
        self.assert_clean(self.unlock(), "locked", before)
        self.card.tell("fault none")
        self.assert_opens_both_locks()
        # A new key that is none is no keyslot.
        self.house.begin_anew()
        self.card.tell("fault bad-point")
        self.assert_refused(self.init("--slot", "82", "--generate", "p256"), 1, "not valid")
        self.assertEqual(self.house.state(), "absent")

    def test_one_that_answers_no_more(self) -> None:
        self.house.must("lock")
        for fault in ("stop", "keepalive"):
            with self.subTest(fault=fault):
                before = self.vault()
                self.card.tell(f"fault {fault}")
                # The deadline is for the card alone: everybody else is served meanwhile.
                waiting = self.house.start("unlock")
                self.assertEqual(self.house.state(), "locked")
                out, err = waiting.communicate()
                self.assertNotEqual(waiting.returncode, 0, err)
                self.assertEqual((out, self.vault()), (b"", before))
                self.card.unplug()
                self.card.tell("fault none")
                self.card.plug()
                self.assert_opens_both_locks()
                self.house.must("lock")

    def test_one_that_stops_in_the_middle(self) -> None:
        self.card.tell("mode demand")
        waiting = self.house.start("key", "import", "prod", self.house.file("k.csv", self.house.root.csv()))
        self.card.tell("wait-touch")
        self.card.unplug()
        _, err = waiting.communicate()
        self.assertEqual(waiting.returncode, 5, err)
        self.card.tell("mode auto")
        self.card.plug()
        self.assert_opens_both_locks()

    def test_one_that_is_not_touched_when_the_caller_gives_up(self) -> None:
        self.house.must("lock")
        self.card.tell("mode demand")
        waiting = self.house.start("unlock")
        self.card.tell("wait-touch")
        waiting.terminate()
        waiting.communicate()
        self.assertEqual(self.house.state(), "locked")
        # The card goes on blinking until it is touched or pulled: nothing can stop its command.
        self.card.tell("touch")
        self.card.tell("wait-idle")
        self.card.tell("mode auto")
        self.until_listed()
        self.assert_opens_both_locks()


class Others(CardCase):
    def setUp(self) -> None:
        super().setUp()
        self.assert_done(self.init("--generate", "p256"))
        self.furnish()
        self.house.must("lock")

    def test_another_program_has_the_card_to_itself(self) -> None:
        other = self.readers.add_other()
        other.hold()
        self.assert_refused(self.house.run("unlock", pin=PIN), 1, "busy", "try again")
        self.assertEqual(self.house.state(), "locked")
        # It is waited for, for a moment.
        waiting = self.house.start("unlock")
        other.let_go()
        _, err = waiting.communicate()
        self.assertEqual(waiting.returncode, 0, err)
        self.assert_opens_both_locks()

    def test_a_busy_card_is_said_though_another_token_is_there(self) -> None:
        self.house.token.tell("plug")
        other = self.readers.add_other()
        other.hold()
        self.assert_refused(self.house.run("unlock", pin=PIN), 1, "busy", "try again")
        other.let_go()
        self.assert_opens_both_locks()

    def test_another_program_resets_the_card_between_two_operations(self) -> None:
        other = self.readers.add_other()
        for operate in (lambda: self.house.run("unlock", pin=PIN), self.guarded, self.guarded):
            other.reset()
            self.assert_done(operate())
        self.assert_opens_both_locks()

    def test_another_program_may_want_to_reset_the_card_while_a_touch_is_awaited(self) -> None:
        self.house.must("unlock", pin=PIN)
        other = self.readers.add_other()
        self.card.tell("mode demand")
        waiting = self.house.start("key", "import", "prod", self.house.file("k.csv", self.house.root.csv()))
        self.card.tell("wait-touch")
        other.begin("reset")
        self.card.tell("touch")
        out, err = waiting.communicate()
        self.card.tell("mode auto")
        self.assertEqual(waiting.returncode, 0, (out, err))
        other.wait()
        self.assert_opens_both_locks()

    def test_others_find_the_card_without_a_verified_pin(self) -> None:
        self.assert_opens_both_locks()
        agree = "0087119d47" + "7c458200" + "8541" + "04" + "11" * 64
        script = (
            "import sys\n"
            "from smartcard.System import readers\n"
            "reader = next(each for each in readers() if each.name == sys.argv[1])\n"
            "connection = reader.createConnection(); connection.connect()\n"
            "for command in sys.argv[2:]:\n"
            "    print(*['%02x' % byte for byte in connection.transmit(list(bytes.fromhex(command)))[1:]], sep='')\n"
        )
        select = "00a4040005a000000308"
        told = self.readers.run(sys.executable, "-c", script, self.readers.reader(), select, "00200080", agree)
        self.assertEqual(told.stdout.split()[1:], ["63c3", "6982"])


class Service(CardCase):
    def setUp(self) -> None:
        super().setUp()
        self.assert_done(self.init("--generate", "p256"))
        self.furnish()

    def start_again(self) -> None:
        self.readers.start()
        self.readers.wait_for_card()

    def test_absent_stopped_and_started(self) -> None:
        self.house.must("lock")
        self.readers.kill()
        for restarted in (False, True):
            if restarted:
                self.house.restart_daemon()
            self.assertEqual(self.rows("token", "list"), [])
            self.assert_refused(self.house.run("unlock", pin=PIN), 5, "plug")
        self.start_again()
        self.assert_opens_both_locks()
        self.readers.kill()
        self.assert_refused(self.guarded(), 5, "plug")
        self.assertEqual(self.house.state(), "unlocked")
        self.start_again()
        self.assert_opens_both_locks()

    def test_another_kind_of_token_works_without_it(self) -> None:
        self.house.token.tell("plug")
        fido = next(row["id"] for row in self.rows("token", "list") if row["kind"] == "fido")
        pins = [f"--pin-file={token}={self.house.file(token, PIN)}" for token in (fido, self.token_id())]
        self.assert_done(self.house.run(*pins, "--token", fido, "keyslot", "add", "--label", "fido"))
        self.readers.kill()
        self.assert_opens_both_locks()

    def test_stopped_while_the_card_waits_for_a_touch(self) -> None:
        for act in (("unlock",), ("key", "import", "prod", self.house.file("k.csv", self.house.root.csv()))):
            with self.subTest(act=act[0]):
                if act == ("unlock",):
                    self.house.must("lock")
                self.card.tell("mode demand")
                waiting = self.house.start(*act)
                self.card.tell("wait-touch")
                self.readers.kill()
                _, err = waiting.communicate()
                self.assertNotEqual(waiting.returncode, 0, err)
                self.card.tell("mode auto")
                self.start_again()
                self.assert_opens_both_locks()


if __name__ == "__main__":
    unittest.main()
