"""Tokens that come and go are told on the bus by themselves: nobody asks, and nothing polls."""

from __future__ import annotations

import json
import os
import signal
import unittest

from jeepney import DBusErrorResponse

from card_house import YKMAN
from cards import Card, Readers
from fakes import PATIENCE
from house import PIN, House, HouseCase, Result
from message_bus import MANAGER, NAME, VAULT, Agent, BusCase, Client, MessageBus

MANAGER1, TOKEN1, VAULT1 = (f"org.rootseal.{name}1" for name in ("Manager", "Token", "Vault"))


class Listener(Client):
    """Only hears: it never makes a call after it has begun to listen."""

    def __init__(self, address: str):
        super().__init__(address)
        self.of_bus("AddMatch", "s", f"type='signal',sender='{NAME}'")

    def added(self, kind: str = "fido") -> tuple[str, dict]:
        """Path and properties of the next token of that kind that comes."""

        def is_one(at, member, body):
            return (at, member) == (MANAGER, "InterfacesAdded") and body[1].get(TOKEN1, {}).get("Kind") == (
                "s",
                kind,
            )

        _, _, (path, interfaces) = self.signal(is_one)
        return path, {name: value for name, (_, value) in interfaces[TOKEN1].items()}

    def removed(self, path: str) -> None:
        self.signal(lambda at, member, body: (at, member) == (MANAGER, "InterfacesRemoved") and body[0] == path)

    def changed(self, at: str, interface: str) -> dict:
        """The properties that the next change at a path names."""
        wanted = (at, "PropertiesChanged")
        _, _, body = self.signal(lambda path, member, body: (path, member) == wanted and body[0] == interface)
        return {name: value for name, (_, value) in body[1].items()}


class OnTheBus(BusCase):
    furnished = False
    house_options = {"aws": "none"}

    def before_the_daemon(self) -> None:
        self.bus = Listener(self.bus_address)
        self.addCleanup(self.bus.close)

    def setUp(self) -> None:
        super().setUp()
        # It is there before the daemon: when it is told, the daemon has looked.
        self.path, _ = self.bus.added()

    def test_a_token_goes_and_comes_back_as_the_same_object(self):
        for _ in range(2):
            self.house.token.tell("unplug")
            self.bus.removed(self.path)
            self.house.token.tell("plug")
            path, properties = self.bus.added()
            self.assertEqual(path, self.path)
            self.assertEqual((properties["Virtual"], properties["Touch"]), (True, "always"))

    def test_one_that_ends_without_a_word_is_missed_when_another_takes_its_place(self):
        self.house.token.stop(signal.SIGKILL)
        self.house.token.start()
        self.house.token.tell("unplug")
        self.bus.removed(self.path)

    def test_enrolling_changes_the_object_and_unplugging_the_keyslot(self):
        self.house.must("init", "--label", "demo key", pin=PIN)
        changed = {}
        while set(changed) != {"Label", "Enrolled"}:
            changed |= self.bus.changed(self.path, TOKEN1)
        self.assertEqual(changed, {"Label": "demo key", "Enrolled": True})
        for order, present in (("unplug", False), ("plug", True)):
            self.house.token.tell(order)
            while True:
                keyslots = self.bus.changed(VAULT, VAULT1).get("Keyslots")
                if keyslots and keyslots[0]["present"] == ("b", present):
                    break

    def test_another_token_does_not_disturb_who_waits_for_a_touch(self):
        self.house.must("init", "--label", "demo key", pin=PIN)
        self.house.must("lock")
        self.house.token.tell("mode demand")
        client = self.house.start("unlock")
        self.house.token.tell("wait-touch")
        other = self.house.add_token("other")
        path, _ = self.bus.added()
        other.tell("unplug")
        self.bus.removed(path)
        self.house.token.tell("touch")
        out, err = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, out), (0, b""), err)
        self.assertEqual(self.house.state(), "unlocked")

    def test_pulling_the_token_ends_who_waits_for_its_touch(self):
        self.house.must("init", "--label", "demo key", pin=PIN)
        self.house.must("lock")
        self.house.token.tell("mode demand")
        client = self.house.start("unlock")
        self.house.token.tell("wait-touch")
        self.house.token.tell("unplug")
        self.bus.removed(self.path)
        out, err = client.communicate(timeout=PATIENCE)
        self.assert_refused(Result(client.returncode, out.decode(), err.decode()), 5, "token")
        self.house.token.tell("mode auto")
        self.house.token.tell("plug")
        self.bus.added()
        self.house.must("unlock", pin=PIN)


class Cards(unittest.TestCase):
    """A daemon on a bus, and a PC/SC service of its own."""

    def setUp(self) -> None:
        self.readers = Readers()
        self.addCleanup(self.readers.close)
        self.bus_process = MessageBus()
        self.addCleanup(self.bus_process.stop)

    def start(self) -> None:
        address = self.bus_process.address
        self.bus = Listener(address)
        self.addCleanup(self.bus.close)
        environment = {"DBUS_SESSION_BUS_ADDRESS": address} | self.readers.environment
        self.house = House(
            aws="none", daemon_options=("--bus", address), daemon_environment=environment
        )
        self.addCleanup(self.house.close)
        # It is there before the daemon: when it is told, the daemon has looked.
        self.bus.added()

    def client(self) -> Client:
        client = Client(self.bus_process.address)
        self.addCleanup(client.close)
        return client

    def test_a_prompt_about_a_tokens_accounts_holds_nobody_up(self):
        self.start()
        self.readers.add_card("blue")
        self.bus.added("oath")
        name = self.readers.reader()
        self.readers.run(YKMAN, "--reader", name, "oath", "access", "change", "--new-password", "hush")
        any_oath = {"kind": ("s", "oath")}
        (path,) = self.client().call(MANAGER, f"{MANAGER1}.FindToken", "a{sv}", any_oath)
        agent = Agent(self.bus_process.address, pin=None)
        self.addCleanup(agent.close)
        agent.go.clear()
        asks = self.client()
        waits = asks.ask(path, f"{TOKEN1}.OathAccounts")
        agent.wait_for("RequestPin")
        others = [self.client() for _ in range(3)]
        found = [other.ask(MANAGER, f"{MANAGER1}.FindToken", "a{sv}", any_oath) for other in others]
        self.client().call(VAULT, f"{VAULT1}.Lock")
        for other, serial in zip(others, found, strict=True):
            self.assertEqual(other.answer(serial), (path,))
        agent.go.set()
        with self.assertRaisesRegex(DBusErrorResponse, "Cancelled"):
            asks.answer(waits)

    def test_a_card_comes_goes_and_outlives_a_restart_of_pcscd(self):
        self.start()
        card = self.readers.add_card("blue")
        path, properties = self.bus.added("piv")
        self.assertEqual(properties["Serial"], "12345678")
        card.unplug()
        self.bus.removed(path)
        card.plug()
        self.assertEqual(self.bus.added("piv")[0], path)
        self.readers.kill()
        self.bus.removed(path)
        self.readers.start()
        self.assertEqual(self.bus.added("piv")[0], path)

    def test_a_pcscd_that_starts_later_is_noticed_with_its_cards(self):
        card = self.readers.add_card("blue")
        self.readers.kill()
        self.start()
        self.readers.start()
        path, _ = self.bus.added("piv")
        card.unplug()
        self.bus.removed(path)

    def test_a_pcscd_that_dies_without_a_word_is_missed(self):
        self.readers.add_card("blue")
        self.start()
        path, _ = self.bus.added("piv")
        os.kill(self.readers.service_pid, signal.SIGKILL)
        self.bus.removed(path)
        self.readers.restart()
        self.bus.added("piv")

    def test_a_card_has_its_name_in_whatever_reader(self):
        first = self.readers.add_card("blue", slot=0, serial=1111)
        self.start()
        path, _ = self.bus.added("piv")
        first.stop()
        self.bus.removed(path)
        self.readers.add_card("blue", slot=1, serial=1111)
        self.assertEqual(self.bus.added("piv")[0], path)


class SameNames(unittest.TestCase):
    def house(self, readers: Readers) -> House:
        house = House(aws="none", daemon_environment=readers.environment)
        self.addCleanup(house.close)
        return house

    def test_of_two_of_one_serial_number_none_passes_for_the_other(self):
        with Readers() as readers:
            house = self.house(readers)
            readers.add_card("blue", slot=0, serial=4711)
            (alone,) = cards_of(house)
            readers.add_card("clone", slot=1, serial=4711)
            ids = {token["id"] for token in cards_of(house)}
            self.assertEqual(len(ids - {alone["id"]}), 2)
            refused = house.run("--token", alone["id"], "init", "--label", "x", pin=PIN)
            self.assertEqual((refused.code, refused.out), (5, ""))

    def test_the_second_reader_of_one_name_is_said_to_be_out_of_reach(self):
        with Readers(drivers=2, namesakes=True) as readers:
            house = self.house(readers)
            readers.add_card("blue", slot=0, serial=4711)
            card = Card(readers, "other", 2, 4712, "auto")
            self.addCleanup(card.stop)
            # PC/SC has no way to wait for it.
            while not (problems := [row for row in problems_of(house) if row["code"] == "namesake"]):
                pass
            self.assertEqual([row["place"] for row in problems], ["reader 3"])
            self.assertEqual([token["serial"] for token in cards_of(house)], ["4711"])


def cards_of(house: House) -> list[dict]:
    return [token for token in json.loads(house.must("token", "list", "--json")) if token["kind"] == "piv"]


def problems_of(house: House) -> list[dict]:
    return json.loads(house.must("status", "--json"))["token_problems"]


class OnASocket(HouseCase):
    """Without a bus nobody is told; whoever asks is answered as ever."""

    furnished = False
    house_options = {"aws": "none"}

    def test_a_private_socket_looks_when_it_is_asked(self):
        self.assertIn("virtual token", self.house.must("token", "list"))
        self.house.token.tell("unplug")
        self.assertEqual(self.house.must("token", "list"), "")


if __name__ == "__main__":
    unittest.main()
