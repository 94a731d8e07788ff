"""A client and an agent that know only docs/dbus-api.md, on a message bus."""

from __future__ import annotations

import json
import os
import re
import unittest

from jeepney import DBusErrorResponse

from fakes import ACCOUNT, PATIENCE
from house import PIN
from message_bus import MANAGER, NAME, VAULT, Agent, BusCase

OBJECTS = "org.freedesktop.DBus.ObjectManager.GetManagedObjects"
MANAGER1, ACCOUNT1 = "org.rootseal.Manager1", "org.rootseal.Account1"
TOKEN1, VAULT1 = "org.rootseal.Token1", "org.rootseal.Vault1"


class Objects(BusCase):
    def setUp(self) -> None:
        super().setUp()
        self.bus = self.client()

    def listed(self) -> dict[str, tuple[str, dict]]:
        """Path and properties of each object, by its interface."""
        (objects,) = self.bus.call(MANAGER, OBJECTS)
        return {
            interface: (path, {name: value for name, (_, value) in properties.items()})
            for path, interfaces in objects.items()
            for interface, properties in interfaces.items()
        }

    def test_accounts_are_listed_only_while_unlocked(self):
        objects = self.listed()
        self.assertEqual(set(objects), {TOKEN1, ACCOUNT1})
        path, account = objects[ACCOUNT1]
        self.assertEqual((account["Name"], account["AccountId"]), ("prod", ACCOUNT))
        self.assertEqual(account["AccessKeyIds"], [self.house.root.access_key_id])
        self.assertTrue(objects[TOKEN1][1]["Virtual"])
        self.assertTrue(objects[TOKEN1][1]["Enrolled"])

        self.house.must("lock")
        self.assertEqual(set(self.listed()), {TOKEN1})
        with self.assertRaises(DBusErrorResponse):
            self.bus.call(path, "org.freedesktop.DBus.Properties.Get", "ss", ACCOUNT1, "Name")

    def test_locking_and_unlocking_is_told(self):
        path, _ = self.listed()[ACCOUNT1]
        self.bus.of_bus("AddMatch", "s", f"type='signal',sender='{NAME}'")

        def state(word):
            return lambda at, member, body: (
                (at, member) == (VAULT, "PropertiesChanged")
                and body[0] == VAULT1
                and body[1].get("State") == ("s", word)
            )

        def interfaces(wanted):
            return lambda at, member, body: (
                (at, member) == (MANAGER, wanted) and body[0] == path and ACCOUNT1 in body[1]
            )

        self.house.must("lock")
        self.bus.signal(state("locked"))
        self.bus.signal(interfaces("InterfacesRemoved"))
        self.house.must("unlock", pin=PIN)
        self.bus.signal(state("unlocked"))
        self.bus.signal(interfaces("InterfacesAdded"))

    def test_an_option_that_is_none_is_refused(self):
        account, _ = self.listed()[ACCOUNT1]
        calls = (
            (MANAGER, f"{MANAGER1}.CreateVault", "", ()),
            (MANAGER, f"{MANAGER1}.AddAccount", "s", ("new",)),
            (MANAGER, f"{MANAGER1}.RemoveAccount", "s", ("prod",)),
            (MANAGER, f"{MANAGER1}.AddProfile", "s", ("new",)),
            (MANAGER, f"{MANAGER1}.GetCredentials", "s", ("prod-root",)),
            (VAULT, f"{VAULT1}.Unlock", "", ()),
            (account, f"{ACCOUNT1}.ImportAccessKey", "", ()),
            (account, f"{ACCOUNT1}.AddTotp", "", ()),
            (account, f"{ACCOUNT1}.GetTotp", "", ()),
        )
        needed = {
            "AddAccount": {"account_id": ("s", "444455556666")},
            "AddProfile": {"account": ("s", "prod")},
            "AddTotp": {"format": ("s", "base32")},
        }
        # The second one means well, and only its type is wrong.
        for wrong, words in (({"tokn": ("s", "x")}, "tokn"), ({"token": ("u", 1)}, "token")):
            for path, member, before, given in calls:
                name = member.rpartition(".")[2]
                with self.subTest(name, wrong=wrong):
                    read_end, write_end = os.pipe()
                    with_pipe = name in ("GetCredentials", "ImportAccessKey", "AddTotp", "GetTotp")
                    options = needed.get(name, {}) | wrong
                    body = (*given, options) + ((write_end,) if with_pipe else ())
                    signature = f"{before}a{{sv}}{'h' if with_pipe else ''}"
                    with self.assertRaises(DBusErrorResponse) as refused:
                        self.bus.call(path, member, signature, *body)
                    self.assertEqual(refused.exception.name, "org.rootseal.Error.InvalidArgument")
                    self.assertIn(words, refused.exception.data[0])
                    os.close(read_end)
                    os.close(write_end)
        accounts = json.loads(self.house.must("account", "list", "--json"))
        self.assertEqual(len(accounts), 1, "nothing was made on the way")


class Prompts(BusCase):
    """`credentials` as an SDK calls it: no terminal and no PIN file, so only the user's agent can ask."""

    def records(self) -> list[dict]:
        lines = (self.house.data / "audit.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def assert_why(self, words: str) -> None:
        self.assertRegex(words, r"GetSessionToken, 1 h, root of prod \(1111-2222-3333\)")
        self.assertIn(self.house.endpoint, words)
        self.assertRegex(words, rf"for uid {os.getuid()} \(says it is: rootseal, started by python")

    def test_without_an_agent_there_is_nobody_to_ask(self):
        self.assert_refused(self.house.run("credentials", "prod-root"), 4)
        self.assertEqual(self.house.aws.requests(), [])

    def test_the_agent_gives_the_pin_and_the_session_comes(self):
        agent = self.agent(pin=PIN)
        granted = self.house.must("credentials", "prod-root")
        self.assertIn("SessionToken", json.loads(granted))
        signal = agent.wait_for("Prompt")
        self.assertEqual(signal["kind"], "pin")
        self.assert_why(signal["text"])
        asked = agent.wait_for("RequestPin")
        self.assertEqual((asked["failed"], asked["retries"]), (False, 8))
        self.assert_why(asked["text"])
        shown = agent.wait_for("RequestTouch")
        self.assert_why(shown["text"])
        self.assertEqual(shown["token"], asked["token"])
        agent.wait_for("Done")

    def assert_refusal_is_final(self, reason: str) -> None:
        touches, seen = self.house.token.touches(), len(self.records())
        refused = self.house.run("credentials", "prod-root")
        self.assert_refused(refused, 4)
        self.assertEqual(self.house.token.touches(), touches)
        self.assertEqual(self.house.aws.requests(), [])
        (record,) = self.records()[seen:]
        found = record["event"], record["outcome"], record["reason"]
        self.assertEqual(found, ("session", "refused", reason))
        self.assertIn("root of prod", record["what"])

    def test_no_pin_no_session(self):
        agent = self.agent(pin=None)
        self.assert_refusal_is_final("Cancelled")
        agent.wait_for("RequestPin")

    def test_no_consent_no_session(self):
        agent = self.agent(pin=PIN, touch=False)
        self.assert_refusal_is_final("Cancelled")
        agent.wait_for("RequestTouch")

    def test_an_agent_that_left_is_asked_no_more(self):
        agent = Agent(self.bus_address, pin=PIN)
        agent.close()
        self.assert_refusal_is_final("NoPrompt")


if __name__ == "__main__":
    unittest.main()
