"""Which routes fail, since when and why, and what is to be said of it: once at the first failure, now and then while it lasts, and at the end.

Pure: workers' reports and times (seconds since the epoch) are arguments, sentences are the result. Workers tell of a failure, or that
a route that fails has served again, a few times a second at most; how often it fails the counters in shared memory tell.

A route has recovered when it has served after its last failure, and none came for a while. That while doubles for a route that
fails again soon, so one that fails now and then is told of a few times and not with every request.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.state.state import RouteKey
from mcproxy.model.values.reasons import Failure

STILL = 60.0
"""Seconds from one line to the next of a route that goes on failing."""
PATIENCE = 2.0
"""Seconds without a failure until a route that serves has recovered; doubled up to `STILL` with each relapse."""
_RELAPSE = 600.0  # seconds after which a failure is no relapse any more
_BURST, _WINDOW = 20, 10.0  # routes that are told of by themselves, in so many seconds
MOST = 2000
"""Routes that are followed at a time; those that fail beside them are counted alone."""

Stage: TypeAlias = Literal["fails", "still fails", "recovered", "more"]


class Trouble(msgspec.Struct):
    """What is known of a route that fails, or did.

    Attributes:
        failure: the last one.
        time: when that was.
        since: when the route began to fail, 0.0 once it has recovered.
        worked: when it served last since then, 0.0 if it has not.
        errors: what its counter of failures said when a line was written last.
        began_with: what it said when the route began to fail.
        told: when a line was written last, 0.0 for never.
        patience: see `PATIENCE`.
    """

    failure: Failure
    time: float
    since: float = 0.0
    worked: float = 0.0
    errors: int = 0
    began_with: int = 0
    told: float = 0.0
    patience: float = PATIENCE


class Sentence(msgspec.Struct, frozen=True):
    """Something to be said.

    Attributes:
        stage: what about.
        route: which, ("", "") for ``more``: other routes that fail, too.
        failure: the last one.
        errors: failures since the last line, of ``recovered`` in all; of ``more`` the number of routes.
        seconds: how long it has been failing.
    """

    stage: Stage
    route: RouteKey
    failure: Failure
    errors: int
    seconds: float


class RouteHealth:
    """The troubles of all routes.

    Attributes:
        troubles: by route, those that are over included.
    """

    def __init__(self, errors: Callable[[RouteKey], int]) -> None:
        """``errors`` returns what a route's failures have been counted to."""
        self._errors = errors
        self.troubles: dict[RouteKey, Trouble] = {}
        self._failing: dict[RouteKey, Trouble] = {}
        self._window = 0.0
        self._said = 0
        self._untold: tuple[int, Failure] | None = None

    @property
    def failing(self) -> Mapping[RouteKey, Trouble]:
        """The routes that fail now, the one that began first in front."""
        return self._failing

    def errors_of(self, route: RouteKey) -> int:
        """Return how often a route has failed since it began to."""
        return max(1, self._errors(route) - self._failing[route].began_with)

    def failed(self, route: RouteKey, failure: Failure, count: int, now: float) -> list[Sentence]:
        """Take note of ``count`` failures, of which ``failure`` is the last one."""
        trouble = self.troubles.get(route)
        if trouble is None:
            trouble = self.troubles[route] = Trouble(failure, now)
        elif not trouble.since:
            relapse = now - trouble.time < _RELAPSE
            trouble.patience = min(2 * trouble.patience, STILL) if relapse else PATIENCE
        trouble.failure, trouble.time = failure, now
        if trouble.since or len(self._failing) >= MOST:
            return []
        trouble.since, trouble.worked, trouble.told = now, 0.0, now
        trouble.began_with = max(0, self._errors(route) - count)
        trouble.errors = trouble.began_with + count
        self._failing[route] = trouble
        if now - self._window >= _WINDOW:
            self._window, self._said = now, 0
        self._said += 1
        if self._said > _BURST:
            number = 0 if self._untold is None else self._untold[0]
            self._untold = number + 1, failure
            return []
        return [Sentence("fails", route, failure, count, 0.0)]

    def worked(self, route: RouteKey, now: float) -> None:
        """Take note that a route has served."""
        trouble = self._failing.get(route)
        if trouble is not None:
            trouble.worked = now

    def look(self, live: Collection[RouteKey], now: float) -> list[Sentence]:
        """Return what is to be said by now; forget routes that are not ``live`` any more."""
        said: list[Sentence] = []
        if self._untold is not None and now - self._window >= _WINDOW:
            number, failure = self._untold
            said.append(Sentence("more", ("", ""), failure, number, 0.0))
            self._untold = None
        self._forget(key for key in self.troubles if key not in live)
        for route, trouble in list(self._failing.items()):
            errors = self._errors(route)
            if trouble.worked > trouble.time and now - trouble.time >= trouble.patience:
                count, seconds = self.errors_of(route), now - trouble.since
                trouble.since = 0.0
                del self._failing[route]
                said.append(Sentence("recovered", route, trouble.failure, count, seconds))
            elif errors > trouble.errors and now - trouble.told >= STILL:
                count, trouble.errors, trouble.told = errors - trouble.errors, errors, now
                said.append(Sentence("still fails", route, trouble.failure, count, now - trouble.since))
        return said

    def _forget(self, gone: Iterable[RouteKey]) -> None:
        for route in list(gone):
            del self.troubles[route]
            self._failing.pop(route, None)
