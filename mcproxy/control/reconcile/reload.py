"""How looks at the files end, what is doubtful in them, and when one is tried again that could not be made live."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

import msgspec

from mcproxy import named_file
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.look import PATIENCE, look
from mcproxy.control.reconcile.events import Events
from mcproxy.control.reconcile.shrinking import content_digest
from mcproxy.control.store.errors import StoreError
from mcproxy.control.system import git_label, log
from mcproxy.errors import ApplyError, ConfigError
from mcproxy.model.config.problems import Problem
from mcproxy.model.fleet.sources import noted
from mcproxy.model.state.plan import Plan

FIRST = 1.0
"""Seconds after which it is tried again for the first time; each further time takes twice as long."""
LONGEST = 30.0
"""Seconds that are never exceeded."""
_ANSWERS = 1.0  # seconds between looks whether a file's server answers again
_LATER = (1.0, 4.0, 15.0, 60.0, 300.0)  # seconds between looks for the commit of files that are in effect already
_GRACE = 0.5  # seconds for what a label needs beside git


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
        failing: the tests that fail in the files that are served: they did at the start, or do since a file that they depend on is another one.
    """

    time: float = 0.0
    problems: tuple[str, ...] = ()
    plan: Plan = Plan(())
    generation: int = 0
    warnings: tuple[str, ...] = ()
    tries: int = 0
    next_try: float = 0.0
    failing: tuple[str, ...] = ()


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


class Asked(msgspec.Struct, frozen=True):
    """What was asked for together: whether content counts that was refused before, and what to call what comes of it."""

    waiting: tuple[asyncio.Future[Reload], ...] = ()
    allow_shrink: bool = False
    label: str = ""

    def answer(self, reload: Reload) -> None:
        """Tell those who wait how it ended."""
        for ended in self.waiting:
            if not ended.done():
                ended.set_result(reload)


NOTHING = Asked()
"""Nobody has asked."""


class Requests:
    """Collects requests for a look at the files until it begins."""

    def __init__(self) -> None:
        self._asked = NOTHING

    def ask(self, *, allow_shrink: bool, label: str) -> asyncio.Future[Reload]:
        """Add a request; return what tells how it ends."""
        ended: asyncio.Future[Reload] = asyncio.get_running_loop().create_future()
        before = self._asked
        self._asked = Asked((*before.waiting, ended), before.allow_shrink or allow_shrink, label or before.label)
        return ended

    def take(self) -> Asked:
        """Return what was asked for until now."""
        asked, self._asked = self._asked, NOTHING
        return asked


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


class Outcome:
    """How looks at the files end: for whoever asks, in the log and among the events.

    Attributes:
        last: the last one.
        last_success: when one succeeded last, in seconds since the epoch.
    """

    def __init__(self, events: Events, generation: Callable[[], int]) -> None:
        """Tell ``events``, with the generation that is live."""
        self._events = events
        self._generation = generation
        self._log = log.logger()
        self.last = Reload()
        self.last_success = 0.0

    def succeeded(self, plan: Plan, doubts: Iterable[object], failing: tuple[str, ...]) -> None:
        """Note that the files are live, what was done for it, what is doubtful in them, and which tests fail."""
        now = time.time()
        self.last = Reload(now, (), plan, self._generation(), tuple(map(str, doubts)), failing=failing)
        self.last_success = now

    def overdue(self) -> None:
        """Tell of a look at the files that is still under way."""
        problem = f"the files are being read for more than {PATIENCE:g} s; what they said before is served"
        self.last = Reload(time.time(), (problem,), generation=self._generation(), failing=self.last.failing)
        self._log.warning(problem)

    def failed(self, error: ConfigError | ApplyError, retries: Retries) -> None:
        """Tell why the files are not live."""
        found: tuple[object, ...] = (error,)
        what = "the configuration can't be applied, nothing changed"
        if isinstance(error, ConfigError):
            what, found = "invalid configuration, nothing changed", error.problems
        problems = tuple(map(str, found))
        generation = self._generation()
        again, tries = problems == self.last.problems, retries.tries
        told = Reload(time.time(), problems, generation=generation, tries=tries, failing=self.last.failing)
        self.last = msgspec.structs.replace(told, next_try=retries.next_try)
        if again and tries > 1:
            return  # it has been told
        for problem in found:
            log.tell(problem)
        self._log.error(what, problems=len(problems), generation=generation)
        self._events.publish("refused", what, generation, problems)


class Hanging:
    """Looks again as soon as a file's server answers that did not."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called then."""
        self._wake = wake
        self._timer: asyncio.TimerHandle | None = None

    def await_answers(self, hanging: frozenset[str] = frozenset()) -> None:
        """Wait for what hangs now; ``hanging`` is what did before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = named_file.hanging()
        if hanging - now:
            self._wake()
        elif now:
            self._timer = asyncio.get_running_loop().call_later(_ANSWERS, self.await_answers, now)


class Doubts:
    """Tells what is doubtful in the files once, not at every reading; where it stands makes no difference."""

    def __init__(self) -> None:
        self._told: frozenset[tuple[str, str, str]] = frozenset()
        self._failing: tuple[str, ...] = ()

    def tell(self, warnings: Sequence[Problem]) -> None:
        """Log those of a reading that were not among those of the reading before."""
        for problem in warnings:
            if _doubt(problem) not in self._told:
                log.tell(problem)
        self._told = frozenset(map(_doubt, warnings))

    def tell_failing(self, tests: Sequence[Problem]) -> tuple[str, ...]:
        """Log the tests that fail in what is served, unless they are those of the time before; return them as lines."""
        failing = tuple(map(str, tests))
        if failing and failing != self._failing:
            for problem in tests:
                log.tell(problem)
            log.logger().error("the configuration is served though tests in it fail", tests=len(failing))
        self._failing = failing
        return failing


class Labels:
    """Knows why the files say what they do: their commit, where git has them."""

    def __init__(self, relabel: Callable[[str, str], Awaitable[int]]) -> None:
        """Have ``relabel`` called with a better label than before, and with that."""
        self._relabel = relabel
        self._told = ""
        self._failed = False
        self._following: asyncio.Task[None] | None = None

    def follow(self, loaded: Loaded, label: str) -> None:
        """Ask again, for some minutes, for a label of files that are not those of their commit, or that git could not give.

        Git writes files before the commit is there, as people do, and may be slow once.
        """
        if loaded.fleet is not None or (
            not label and not self._failed
        ):  # there is none, or these files were in effect before
            return
        if self._following is not None:
            self._following.cancel()
            self._following = None
        if not label or label.endswith(git_label.CHANGED):
            self._following = asyncio.get_running_loop().create_task(self._follow(loaded, label))

    async def _follow(self, loaded: Loaded, label: str) -> None:
        for pause in _LATER:
            await asyncio.sleep(pause)
            found = await self.of(loaded, None)
            if found and not (label and found.endswith(git_label.CHANGED)):
                with contextlib.suppress(StoreError):  # what is wrong with it is told with the next change
                    await self._relabel(found, label)
                label = found
                if not found.endswith(git_label.CHANGED):
                    return

    async def of(self, loaded: Loaded, before: Loaded | None) -> str:
        """Return the label of files that were read; "" for those that are in effect already, and where there is none: why not is told once."""
        self._failed = False
        if before is not None and content_digest(loaded) == content_digest(before):
            return ""
        if loaded.fleet is not None:
            return "" if loaded.document is None else noted(loaded.document)
        files = {source.path: source.text.encode() for source in loaded.sources}
        why = ""
        try:
            return await asyncio.wait_for(look(git_label.label, files), git_label.LIMIT + _GRACE) if files else ""
        except git_label.NoLabelError as error:
            why = str(error)
        except (ApplyError, OSError, TimeoutError):
            why = "the repository around the config file can't be read"
        if why != self._told:
            log.logger().info("what the files say gets no label", why=why)
        self._told, self._failed = why, True
        return ""


def _doubt(problem: Problem) -> tuple[str, str, str]:
    return problem.file, problem.key, problem.message
