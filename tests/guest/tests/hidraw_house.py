"""The house of `tests/python`, in the guest: its tokens hang on the kernel's own HID, by /dev/uhid."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from fakes import ACCOUNT, PATIENCE
from house import PIN, House, HouseCase, Result, VirtualToken


def next_node() -> Path:
    """The node that the next device will get: the kernel gives out the smallest free number."""
    number = 0
    while Path("/sys/class/hidraw", f"hidraw{number}").exists():
        number += 1
    return Path(f"/dev/hidraw{number}")


def await_node(node: Path) -> None:
    """Until the kernel has made it, and udev has set its group and mode."""
    subprocess.run(["udevadm", "wait", "--settle", f"--timeout={PATIENCE}", node], check=True)


class HidrawToken(VirtualToken):
    """A virtual token that the kernel takes for one on USB. Its process ending is a real unplug."""

    def wire(self) -> list:
        return ["--uhid"]

    def start(self) -> None:
        self.node = next_node()
        super().start()
        await_node(self.node)

    def status(self) -> dict:
        return json.loads(self.tell("status"))


class HidrawHouse(House):
    token_class = HidrawToken

    def sockets(self, *_names: str) -> list[str]:
        return []

    def tokens(self) -> list[dict]:
        return json.loads(self.must("token", "list", "--json"))

    def furnish(self) -> None:
        """A vault with a seed."""
        self.must("init", "--label", "demo key", pin=PIN)
        self.must("account", "add", "prod", "--account-id", ACCOUNT)
        self.must("totp", "add", "prod", "--uri-file", self.file("uri", self.root.uri()), pin=PIN)


class HidrawCase(HouseCase):
    """Emulated, all takes its time: so there is no AWS where none is needed."""

    house_class = HidrawHouse
    house_options = {"aws": "none"}

    def assert_code(self, result: Result) -> None:
        self.assertRegex(self.assert_done(result), r"^[0-9]{6}\n$")
