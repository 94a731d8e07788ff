"""A token that is pulled out in the middle of an operation, in place of any frame or APDU of the conversation; or what
it takes to reach it that goes.

To be mixed into a `HouseCase`: `sweep` does it at one step after another. The error must be clean, everything as it
was before, and the next try must do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from fakes import RootUser
from house import PIN, Result


class Unplugged:
    #: What the steps are counted on: `hid` or `card`.
    interface = "hid"

    def options(self) -> tuple:
        """The client's options that name the token, where that is needed."""
        return ()

    def hands(self):
        """The token's."""
        return self.house.token

    def pull_at(self, step: int) -> None:
        """Has it go in place of that step, counted from now."""
        self.hands().tell(f"fault drop-at {step} {self.interface}")

    def is_gone(self) -> bool:
        return not self.hands().status()["plugged"]

    def leave_alone(self) -> None:
        """Has it stay after all."""
        self.hands().tell("fault none")

    def put_back(self) -> None:
        self.hands().tell("plug")

    def unlocking(self) -> Callable[[], Result]:
        self.house.must("lock")
        return self._operation("unlock")

    def importing(self) -> Callable[[], Result]:
        """A guarded operation that spends no code, so that nobody has to wait for the next one."""
        key = self.house.file("another.csv", RootUser().csv())
        return self._operation("key", "import", "prod", key)

    def _operation(self, *command) -> Callable[[], Result]:
        # Asked for now, where no step is counted.
        options = self.options()
        return lambda: self.house.run(*options, *command, pin=PIN)

    def picture(self) -> tuple:
        """What is to be as before."""
        state = self.house.state()
        return state, self.house.must("key", "list") if state == "unlocked" else None

    def steps_of(self, prepare: Callable) -> int:
        """How many steps the operation takes."""
        operate = prepare()
        self.leave_alone()
        self.assert_done(operate())
        return self.hands().status()["frames" if self.interface == "hid" else "apdus"]

    def sweep(self, prepare: Callable, steps: Iterable[int] | None = None) -> int:
        """Pulls the token out at each of the steps; without them, at every one until the operation is over before.
        `prepare` gets ready for the operation and returns it."""
        for step in steps or itertools.count(1):
            try:
                was_over = self._pull_at(step, prepare)
            except AssertionError as error:
                error.add_note(f"pulled out at step {step}")
                raise
            if was_over:
                self.assertIsNone(steps, f"the operation has no step {step}")
                return step
        return step

    def _pull_at(self, step: int, prepare: Callable) -> bool:
        """Whether the operation was over before."""
        operate, before = prepare(), self.picture()
        self.pull_at(step)
        result = operate()
        if not self.is_gone():
            self.leave_alone()
            self.assert_done(result)
            return True
        if result.code == 0:
            # It was done, and the token had but to be let go.
            self.put_back()
            return False
        self.assert_refused(result, 5, "token")
        self.assertEqual(self.picture(), before)
        self.put_back()
        self.assert_done(operate())
        self.assertNotEqual(self.picture(), before)
        return False
