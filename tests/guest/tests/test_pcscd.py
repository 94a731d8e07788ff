"""Who may talk to pcscd: root and the seat's user, until polkit/70-rootseal.rules lets the daemon's user in."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from fakes import ROOT
from users import Daemon, as_user
from usb_house import UsbToken

RULE = Path("/etc/polkit-1/rules.d/70-rootseal.rules")


def lists_readers(user: str) -> bool:
    """Whether pcscd answers this user. The one reader has a card."""
    listed = subprocess.run([*as_user(user), "opensc-tool", "--list-readers"], capture_output=True, text=True)
    return "Yubico" in listed.stdout


class Rights(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        subprocess.run(["useradd", "--system", "--user-group", "rootseal"], check=True)
        cls.dir = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.token = UsbToken(cls.dir, "token", "auto", 12345678)
        cls.addClassCleanup(cls.token.stop)

    def setUp(self) -> None:
        RULE.unlink(missing_ok=True)
        # polkitd sees a rule by itself, but nobody hears when it has: started again it knows.
        self.restart_polkit()

    def restart_polkit(self) -> None:
        subprocess.run(["systemctl", "restart", "polkit"], check=True)

    def install_rule(self) -> None:
        shutil.copy(ROOT / "polkit" / RULE.name, RULE)
        self.restart_polkit()

    def kinds(self, user: str) -> set[str]:
        """What a daemon of this user finds."""
        daemon = Daemon(user)
        self.addCleanup(daemon.stop)
        listed = daemon.run("token", "list", "--json")
        self.assertEqual(listed.code, 0, listed)
        return {token["kind"] for token in json.loads(listed.out)}

    def test_without_the_rule_pcscd_refuses_the_daemons_user(self):
        self.assertFalse(lists_readers("rootseal"))
        self.assertTrue(lists_readers("root"))
        self.assertNotIn("piv", self.kinds("rootseal"))

    def test_with_the_rule_it_serves_that_user_and_nobody_else(self):
        self.install_rule()
        self.assertTrue(lists_readers("rootseal"))
        self.assertFalse(lists_readers("nobody"))
        self.assertIn("piv", self.kinds("rootseal"))


if __name__ == "__main__":
    unittest.main()
