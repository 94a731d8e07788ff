"""dbus/*.xml, the running programs' own introspection, and docs/dbus-api.md say the same.

`ROOTSEAL_WRITE_XML=1 scripts/test-peers test_introspection` writes dbus/ anew.
"""

from __future__ import annotations

import os
import re
import unittest
import xml.etree.ElementTree as ElementTree

from fakes import PATIENCE, ROOT
from message_bus import AGENT, MANAGER, NAME, VAULT, BusCase, Client

FOLDER = ROOT / "dbus"
PAGE = ROOT / "docs" / "dbus-api.md"
INTERFACES = ("Account1", "Agent1", "Audit1", "Drill1", "Health1", "Manager1", "Operation1", "Policy1", "Token1", "Vault1")
DOCTYPE = """<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
"""


def normalised(interface: ElementTree.Element) -> str:
    """A file of one interface: members by kind and name, one way to write each."""
    members = sorted(interface, key=lambda member: (member.tag, member.get("name")))
    plain = ElementTree.Element("interface", name=interface.get("name"))
    for member in members:
        kept = ElementTree.SubElement(plain, member.tag, dict(sorted(member.attrib.items())))
        for part in member:
            # What a method takes is `in` where nothing is said; a signal's have no direction.
            attributes = dict(sorted(part.attrib.items()))
            if member.tag == "method" and part.tag == "arg":
                attributes.setdefault("direction", "in")
            ElementTree.SubElement(kept, part.tag, attributes)
    node = ElementTree.Element("node")
    node.append(plain)
    ElementTree.indent(node)
    return DOCTYPE + ElementTree.tostring(node, encoding="unicode") + "\n"


def members(text: str) -> dict[str, str]:
    """Each member's kind by its name."""
    interface = ElementTree.fromstring(text).find("interface")
    return {member.get("name"): member.tag for member in interface if member.tag != "annotation"}


def interfaces_at(client: Client, path: str, to: str = NAME) -> dict[str, str]:
    """Ours of an object, by name without its prefix."""
    (text,) = client.call(path, "org.freedesktop.DBus.Introspectable.Introspect", to=to)
    ours = "org.rootseal."
    return {
        interface.get("name").removeprefix(ours): normalised(interface)
        for interface in ElementTree.fromstring(text).findall("interface")
        if interface.get("name").startswith(ours)
    }


class Introspection(BusCase):
    def operation(self) -> str:
        read_end, write_end = os.pipe()
        member = "org.rootseal.Manager1.GetCredentials"
        (reply,) = self.bus.call(MANAGER, member, "sa{sv}h", "prod-root", self.at_fake(), write_end)
        os.close(read_end)
        os.close(write_end)
        return reply["operation"][1]

    def at_fake(self) -> dict:
        return {"endpoint": ("s", self.house.endpoint)}

    def agent_of_the_command_line(self) -> dict[str, str]:
        """Served while the command runs: a touch that does not come holds it."""
        self.house.token.tell("mode demand")
        command = self.house.start("totp", "code", "prod")
        self.house.token.tell("wait-touch")
        (names,) = self.bus.of_bus("ListNames")
        found = {}
        for name in names:
            (pid,) = self.bus.of_bus("GetConnectionUnixProcessID", "s", name)
            if pid == command.pid and name.startswith(":"):
                found |= interfaces_at(self.bus, AGENT, name)
        self.house.token.tell("touch")
        command.communicate(timeout=PATIENCE)
        self.assertEqual(command.returncode, 0)
        return found

    def running(self) -> dict[str, str]:
        """All that is served, as it introspects itself."""
        self.bus = self.client()
        (objects,) = self.bus.call(
            MANAGER, "org.freedesktop.DBus.ObjectManager.GetManagedObjects"
        )
        found = interfaces_at(self.bus, MANAGER) | interfaces_at(self.bus, VAULT)
        for path in [*objects, self.operation()]:
            found |= interfaces_at(self.bus, path)
        return found | self.agent_of_the_command_line()

    def test_the_files_say_what_the_programs_serve(self):
        served = self.running()
        self.assertEqual(tuple(sorted(served)), INTERFACES)
        if os.environ.get("ROOTSEAL_WRITE_XML") == "1":
            FOLDER.mkdir(exist_ok=True)
            for name, text in served.items():
                (FOLDER / f"org.rootseal.{name}.xml").write_text(text)
        files = {path.name for path in FOLDER.iterdir()}
        self.assertEqual(files, {f"org.rootseal.{name}.xml" for name in INTERFACES})
        for name, text in served.items():
            self.assertEqual((FOLDER / f"org.rootseal.{name}.xml").read_text(), text)

    def test_a_private_socket_introspects_the_same(self):
        socket = Client(f"unix:path={self.house.dir}/bus", a_bus=False)
        self.addCleanup(socket.close)
        for path in (MANAGER, VAULT):
            self.assertEqual(interfaces_at(socket, path), interfaces_at(self.client(), path))


class Page(unittest.TestCase):
    def sections(self) -> dict[str, str]:
        """The page's words on each interface."""
        parts = re.split(r"(?m)^## ", PAGE.read_text())
        found = {}
        for part in parts:
            name = re.search(r"`org\.rootseal\.([A-Z][a-z]+1)`", part)
            if name and name[1] not in found and not part.startswith("Errors"):
                found[name[1]] = part
        return found

    def test_the_page_has_every_member_and_no_other(self):
        sections = self.sections()
        self.assertEqual(tuple(sorted(sections)), INTERFACES)
        for name, section in sections.items():
            with self.subTest(name):
                there = members((FOLDER / f"org.rootseal.{name}.xml").read_text())
                quoted = set(re.findall(r"`([A-Z][A-Za-z]+)[`(]", section))
                self.assertLessEqual(set(there), quoted)
                # The first column of a table, calls, and what follows "properties" name members alone.
                named = set(re.findall(r"(?m)^\| .*?`([A-Z][A-Za-z]+)", section))
                named |= set(re.findall(r"`([A-Z][A-Za-z]+)\(", section))
                for properties in re.findall(r"(?m)^(?:.*; p|P)roperties (.*)$", section):
                    named |= set(re.findall(r"`([A-Z][A-Za-z0-9]+)`", properties))
                self.assertEqual(named - set(there), set())

    def test_methods_have_the_arguments_that_the_page_gives(self):
        for name, section in self.sections().items():
            text = (FOLDER / f"org.rootseal.{name}.xml").read_text()
            interface = ElementTree.fromstring(text).find("interface")
            for member in interface.findall("method"):
                with self.subTest(f"{name}.{member.get('name')}"):
                    takes, gives = written(member)
                    found = re.search(rf"`{member.get('name')}\(([^)]*)\)(?: → ([^`]+))?`", section)
                    self.assertIsNotNone(found, "the page does not say how to call it")
                    self.assertEqual((types(found[1]), found[2] or ""), (takes, gives))


def types(arguments: str) -> list[str]:
    """`s name, a{sv}, h out` without the names."""
    return [part.split()[0] for part in arguments.split(",") if part.strip()]


def written(method: ElementTree.Element) -> tuple[list[str], str]:
    ways: dict[str, list[str]] = {"in": [], "out": []}
    for argument in method.findall("arg"):
        ways[argument.get("direction")].append(argument.get("type"))
    return ways["in"], "".join(ways["out"])


if __name__ == "__main__":
    unittest.main()
