"""The house of `tests/python`, in the guest: its tokens hang on the kernel's own HID, by /dev/uhid."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from fakes import ACCOUNT, PATIENCE
from house import PIN, House, HouseCase, Result, VirtualToken


def free_nodes() -> Iterator[Path]:
    """The nodes that the next devices will get, in this order: the kernel gives out the smallest free number."""
    for number in itertools.count():
        if not Path("/sys/class/hidraw", f"hidraw{number}").exists():
            yield Path(f"/dev/hidraw{number}")


def next_node() -> Path:
    return next(free_nodes())


def await_node(node: Path) -> None:
    """Until the kernel has made it, and udev has set its group and mode."""
    subprocess.run(["udevadm", "wait", "--settle", f"--timeout={PATIENCE}", node], check=True)


class HidrawToken(VirtualToken):
    """A virtual token that the kernel takes for one on USB. Its process ending is a real unplug."""

    def wire(self) -> list:
        return ["--uhid", "--label", self.name]

    def foresee_nodes(self) -> None:
        self.node = next_node()

    def start(self) -> None:
        self.foresee_nodes()
        super().start()
        await_node(self.node)


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


class TwoTokens:
    """To be mixed into a case. Both are plugged in all the time; only one is a keyslot."""

    furnished = False

    def only_the_enrolled_one_blinks(self, number: int) -> None:
        """The enrolled one has the first (0) or the second (1) of the two nodes."""
        pair = sorted((self.house.token, self.house.add_token("other")), key=lambda token: token.node)
        ours, stranger = pair[number], pair[1 - number]
        ids = {token["serial"]: token["id"] for token in self.house.tokens() if token["kind"] == "fido"}
        self.house.must("--token", ids[str(ours.serial)], "init", "--label", "demo key", pin=PIN)
        self.house.must("lock")
        for token in pair:
            token.tell("mode demand")
        client = self.house.start("unlock")
        ours.tell("wait-touch")
        self.assertFalse(stranger.status()["waiting"], "the stranger blinks, too")
        ours.tell("touch")
        out, err = client.communicate(timeout=PATIENCE)
        self.assertEqual((client.returncode, out), (0, b""), err)
        self.assertEqual(stranger.touches(), 0)

    def test_the_first_one_is_enrolled(self):
        self.only_the_enrolled_one_blinks(0)

    def test_the_second_one_is_enrolled(self):
        self.only_the_enrolled_one_blinks(1)
