"""How looks at the files end, what is doubtful in them, and when one is tried again that could not be made live."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from mcproxy.control.system import log
from mcproxy.errors import ApplyError, ConfigError
from mcproxy.model.config.problems import Problem
from mcproxy.model.state.plan import Plan

FIRST = 1.0
"""Seconds after which it is tried again for the first time; each further time takes twice as long."""
LONGEST = 30.0
"""Seconds that are never exceeded."""


class Reload(msgspec.Struct, frozen=True):
    """How a look at the files ended.

    Attributes:
        time: when, in seconds since the epoch.
        problems: why it failed, a line each; empty when it succeeded.
        plan: what was done.
        generation: that is live since.
        warnings: what is doubtful in the files.
        tries: how often it was tried to make these files live, if that failed and is tried again.
        next_try: when that is, in seconds since the epoch; 0 for never.
    """

    time: float = 0.0
    problems: tuple[str, ...] = ()
    plan: Plan = Plan(())
    generation: int = 0
    warnings: tuple[str, ...] = ()
    tries: int = 0
    next_try: float = 0.0


@contextlib.contextmanager
def surviving_own_mistakes() -> Iterator[None]:
    """Make a failed reload of an unexpected error: a mistake of ours about some file must not end what follows all files.

    Raises:
        ApplyError: in place of it; the log has where it was.
    """
    try:
        yield
    except (ConfigError, ApplyError):
        raise
    except Exception as error:
        log.logger().exception("mcproxy failed to read the files")
        raise ApplyError(f"mcproxy itself failed to read the files ({error!r}); please report it with them") from error


class Retries:
    """Tries again what could not be made live: what keeps it from that, such as an address in use, may pass unseen.

    Attributes:
        tries: how often the same content has failed.
        next_try: when it is tried again, in seconds since the epoch; 0 for never.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called when it is time."""
        self._wake = wake
        self._content = ""
        self._timer: asyncio.TimerHandle | None = None
        self.tries = 0
        self.next_try = 0.0

    def failed(self, content: str) -> None:
        """Try again, after a pause that grows as long as ``content`` is the same."""
        tries = self.tries + 1 if content == self._content else 1
        self.end()
        self._content, self.tries = content, tries
        pause = min(FIRST * 2 ** min(tries - 1, 16), LONGEST)
        self.next_try = time.time() + pause
        self._timer = asyncio.get_running_loop().call_later(pause, self._wake)

    def end(self) -> None:
        """Try nothing again."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._content, self.tries, self.next_try = None, "", 0, 0.0


class Doubts:
    """Tells what is doubtful in the files once, not at every reading; where it stands makes no difference."""

    def __init__(self) -> None:
        self._told: frozenset[tuple[str, str, str]] = frozenset()

    def tell(self, warnings: Sequence[Problem]) -> None:
        """Log those of a reading that were not among those of the reading before."""
        for problem in warnings:
            if _doubt(problem) not in self._told:
                log.tell(problem)
        self._told = frozenset(map(_doubt, warnings))


def _doubt(problem: Problem) -> tuple[str, str, str]:
    return problem.file, problem.key, problem.message
