"""Who may talk to pcscd: root and the seat's user, until polkit/70-rootseal.rules lets the daemon's user in.

pcscd asks polkit from Debian 13 on. The one of Debian 12 was built without and lets everybody in: there, polkit alone is
asked here, about the actions that pcscd would ask it about.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from fakes import ROOT
from usb_house import UsbToken
from users import Daemon, as_user

RULE = Path("/etc/polkit-1/rules.d/70-rootseal.rules")
ACTIONS = [f"org.debian.pcsc-lite.access_{what}" for what in ("pcsc", "card")]
POLICY = Path("/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy")
PCSCD_ASKS = POLICY.exists()
# As pcscd installs them.
DEFAULTS = "".join(
    f"""<action id="{action}"><description>.</description><message>.</message><defaults>
    <allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>yes</allow_active>
    </defaults></action>"""
    for action in ACTIONS
)


def admitted(user: str) -> set[bool]:
    """Whether polkit lets a process of this user, which is at no seat, take the actions."""
    check = "pkcheck --process $$ --action-id {}"
    commands = ([*as_user(user), "sh", "-c", check.format(action)] for action in ACTIONS)
    return {subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0 for command in commands}


def lists_readers(user: str) -> bool:
    """Whether pcscd answers this user. The one reader of ours has a card."""
    listed = subprocess.run([*as_user(user), "opensc-tool", "--list-readers"], capture_output=True, text=True)
    return "Yubico" in listed.stdout


class Rights(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        subprocess.run(["useradd", "--system", "--user-group", "rootseal"], check=True)
        if not PCSCD_ASKS:
            POLICY.write_text(f"<policyconfig>{DEFAULTS}</policyconfig>")
        cls.dir = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.token = UsbToken(cls.dir, "token", "auto", 12345678)
        cls.addClassCleanup(cls.token.stop)

    def setUp(self) -> None:
        RULE.unlink(missing_ok=True)
        self.restart_polkit()

    def restart_polkit(self) -> None:
        """It sees a change by itself, but nobody hears when: started again it knows."""
        subprocess.run(["systemctl", "restart", "polkit"], check=True)

    def kinds(self, user: str) -> set[str]:
        """What a daemon of this user finds."""
        daemon = Daemon(user)
        self.addCleanup(daemon.stop)
        listed = daemon.run("token", "list", "--json")
        self.assertEqual(listed.code, 0, listed)
        return {token["kind"] for token in json.loads(listed.out)}

    def test_without_the_rule_the_daemons_user_is_refused(self):
        self.assertEqual(admitted("rootseal"), {False})
        self.assertEqual(admitted("root"), {True})
        self.assertEqual(lists_readers("rootseal"), not PCSCD_ASKS)
        self.assertEqual("piv" in self.kinds("rootseal"), not PCSCD_ASKS)

    def test_with_the_rule_that_user_is_let_in_and_nobody_else(self):
        shutil.copy(ROOT / "polkit" / RULE.name, RULE)
        self.restart_polkit()
        self.assertEqual(admitted("rootseal"), {True})
        self.assertEqual(admitted("nobody"), {False})
        self.assertEqual(lists_readers("nobody"), not PCSCD_ASKS)
        self.assertIn("piv", self.kinds("rootseal"))


if __name__ == "__main__":
    unittest.main()
