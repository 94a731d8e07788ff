"""Who may open a token's device node: nobody but root, until udev/70-rootseal.rules lets a group in."""

from __future__ import annotations

import contextlib
import grp
import json
import shutil
import stat
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from fakes import ROOT
from hidraw_house import HidrawToken, await_node, next_node
from users import Daemon, as_user

RULE = Path("/etc/udev/rules.d/70-rootseal.rules")
# A keyboard's report descriptor (HID 1.11, appendix B.1, less its LEDs): usage page 1, usage 6, 8 keys at once.
KEYBOARD = bytes.fromhex("05010906a101050719002965150025657508950881 00c0")
UHID_CREATE2 = 11


def may_open(user: str, node: Path) -> bool:
    opened = subprocess.run([*as_user(user), "sh", "-c", f"exec 3<>{node}"], stderr=subprocess.DEVNULL)
    return opened.returncode == 0


def reload_rules() -> None:
    subprocess.run(["udevadm", "control", "--reload"], check=True)


@contextlib.contextmanager
def keyboard():
    """Another HID device than a token."""
    with open("/dev/uhid", "r+b", buffering=0) as uhid:
        about = struct.pack(
            *("<I128s64s64sHHIIII", UHID_CREATE2, b"a keyboard", b"", b"", len(KEYBOARD)),
            *(3, 0x1209, 2, 1, 0),
        )
        uhid.write(about + KEYBOARD.ljust(4096, b"\0"))
        yield


class Rights(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        subprocess.run(["useradd", "--system", "--user-group", "rootseal"], check=True)

    def setUp(self) -> None:
        RULE.unlink(missing_ok=True)
        reload_rules()
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def plug_in(self) -> HidrawToken:
        token = HidrawToken(self.dir, "token", "auto", 1)
        self.addCleanup(token.stop)
        return token

    def install_rule(self) -> None:
        shutil.copy(ROOT / "udev" / RULE.name, RULE)
        reload_rules()

    def daemon_of(self, user: str) -> Daemon:
        daemon = Daemon(user)
        self.addCleanup(daemon.stop)
        return daemon

    def test_without_the_rule_only_root_may(self):
        node = self.plug_in().node
        self.assertEqual(stat.S_IMODE(node.stat().st_mode), 0o600)
        self.assertFalse(may_open("rootseal", node))

    def test_with_the_rule_the_group_may_and_nobody_else(self):
        self.install_rule()
        node = self.plug_in().node
        about = node.stat()
        self.assertEqual((stat.S_IMODE(about.st_mode), grp.getgrgid(about.st_gid).gr_name), (0o660, "rootseal"))
        self.assertTrue(may_open("rootseal", node))
        self.assertFalse(may_open("nobody", node))

    def test_the_rule_opens_no_keyboard(self):
        self.install_rule()
        node = next_node()
        with keyboard():
            await_node(node)
            self.assertFalse(may_open("rootseal", node))
            self.assertTrue(may_open("root", node))

    def test_a_daemon_of_the_group_sees_the_token(self):
        self.install_rule()
        self.plug_in()
        listed = self.daemon_of("rootseal").run("token", "list", "--json")
        self.assertEqual(listed.code, 0)
        self.assertNotIn("may not open", listed.err)
        (token,) = json.loads(listed.out)
        self.assertEqual((token["label"], token["virtual"]), ("token", False))

    def test_a_daemon_that_may_not_open_the_token_names_the_node_and_the_rule(self):
        node = self.plug_in().node
        listed = self.daemon_of("rootseal").run("token", "list", "--json")
        self.assertEqual((listed.code, json.loads(listed.out)), (0, []))
        (line,) = [line for line in listed.err.splitlines() if str(node) in line]
        self.assertIn("udev/70-rootseal.rules", line)
        self.assertNotIn("no security token is plugged in", listed.err)


if __name__ == "__main__":
    unittest.main()
