"""Questions to a token in the middle of somebody's PIN and touch: the token must not forget the PIN over them."""

from __future__ import annotations

import json
import os
import unittest

from fakes import PATIENCE
from house import PIN
from message_bus import MANAGER, VAULT, BusCase


class Between(BusCase):
    enrolled: bool

    def ask_all(self) -> None:
        """Lists the tokens in each way there is, as the plug and the vault say."""
        (tokens,) = self.client().call(MANAGER, "org.rootseal.Manager1.Tokens")
        (token,) = ({name: value for name, (_, value) in token.items()} for token in tokens)
        self.assertEqual((token["enrolled"], token["needs_pin"]), (self.enrolled, True))
        status = json.loads(self.house.must("status", "--json"))
        self.assertEqual([token["enrolled"] for token in status["tokens"]], [self.enrolled])

    def flow(self, touches: int, path: str, member: str, signature: str, *body) -> tuple:
        """A call of which every touch is announced only after such questions, and given after more of them."""
        agent = self.agent(pin=PIN, asleep=("RequestTouch",))
        self.house.token.tell("mode demand")
        client = self.client()
        asked = client.ask(path, member, signature, *body)
        agent.wait_for("RequestPin")
        for _ in range(touches):
            agent.wait_for("RequestTouch")
            self.ask_all()
            agent.wake()
            self.assertEqual(agent.asked.get(timeout=PATIENCE)[0], "Prompt", "the flow goes on")
            self.house.token.tell("wait-touch")
            self.ask_all()
            self.house.token.tell("touch")
        answer = client.answer(asked)
        self.assertNotIn("RequestPin", [member for member, _ in agent.asked.queue], "asked once")
        return answer


class WithVault(Between):
    enrolled = True

    def test_a_code(self):
        (account,) = self.client().call(MANAGER, "org.rootseal.Manager1.FindAccount", "s", "prod")
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        with open(write_end, "wb") as out:
            self.flow(1, account, "org.rootseal.Account1.GetTotp", "a{sv}h", {}, out)
        self.assertRegex(os.read(read_end, 100), rb"^[0-9]{6}$")

    def test_unlocking(self):
        self.house.must("lock")
        self.flow(1, VAULT, "org.rootseal.Vault1.Unlock", "a{sv}", {})
        self.assertEqual(self.house.state(), "unlocked")


class WithoutVault(Between):
    furnished, enrolled = False, False

    def test_a_new_vault(self):
        self.flow(2, MANAGER, "org.rootseal.Manager1.CreateVault", "a{sv}", {})
        self.assertEqual(self.house.state(), "unlocked")


if __name__ == "__main__":
    unittest.main()
