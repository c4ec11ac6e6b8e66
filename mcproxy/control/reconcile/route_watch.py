"""Following the routes that fail: workers report, the log and the events tell, and workers learn whose recovery is awaited."""

import asyncio
import time
from collections.abc import Callable, Iterable

from mcproxy.control.counters.counters import Counters
from mcproxy.control.counters.route_health import Sentence
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.events import Events
from mcproxy.control.system.log import logger
from mcproxy.control.workers.supervisor import Workers
from mcproxy.model.state.state import State
from mcproxy.model.values.reasons import Failure
from mcproxy.net import ipc

_INTERVAL = 0.5  # seconds between looks


class RouteWatch:
    """Hears the workers, and says what there is to say."""

    def __init__(self, current: Current, workers: Workers, clock: Callable[[], float] = time.time) -> None:
        self._current = current
        self._workers = workers
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = logger()

    @property
    def _counters(self) -> Counters:
        return self._current.counters

    @property
    def _events(self) -> Events:
        return self._current.events

    @property
    def _state(self) -> State:
        return self._current.applier.state

    def hear(self, report: ipc.Failures) -> None:
        """Take a worker's report."""
        now, health = self._clock(), self._counters.health
        for failed in report.failed:
            route = self._counters.routes.key(failed.route)
            if route in self._state.routes:
                failure = Failure(failed.reason, failed.detail, failed.endpoint)
                self._say(health.failed(route, failure, failed.count, now))
        for index in report.worked:
            route = self._counters.routes.key(index)
            if route is not None:
                health.worked(route, now)
        self._follow()

    async def run(self) -> None:
        """Look at the routes that fail, and keep what was refused, until cancelled."""
        while True:
            self._counters.follow_refusals(time.monotonic())
            await asyncio.sleep(_INTERVAL)
            self.look()

    def look(self) -> None:
        """Say what is due, and tell the workers whose recovery is awaited."""
        health = self._counters.health
        if health.troubles:
            self._say(health.look(self._state.routes.keys(), self._clock()))
        self._follow()

    def _follow(self) -> None:
        """Tell the workers which routes fail, those that serve since a moment too."""
        indices = self._counters.routes.items()
        failing = tuple(indices[route] for route in self._counters.health.failing if route in indices)
        for worker, _ in self._workers.members():
            if worker.generation and worker.followed != failing:
                task = asyncio.get_running_loop().create_task(worker.follow(failing))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _say(self, sentences: Iterable[Sentence]) -> None:
        for one in sentences:
            if one.stage == "more":
                self._log.warning(
                    "more routes fail", routes=one.errors, reason=one.failure.reason, why=_why(one.failure)
                )
                self._publish(f"{one.errors} more routes fail, the last one: {one.failure}")
                continue
            addr, hostname = one.route
            route = self._state.routes.get(one.route)
            backend = "" if route is None else str(route.backend)
            known = {"listener": addr, "route": hostname, "backend": backend}
            name = f"route {addr} {hostname}"
            if one.stage == "recovered":
                self._log.info("route works again", **known, errors=one.errors, seconds=round(one.seconds))
                self._publish(f"{name} works again, after {one.seconds:.0f} s and {_times(one.errors)}")
                continue
            known |= {"reason": one.failure.reason, "endpoint": one.failure.endpoint, "why": _why(one.failure)}
            if one.stage == "fails":
                self._log.warning("route fails", **known)
                self._publish(f"{name} fails: {one.failure}")
            else:
                self._log.warning("route still fails", **known, errors=one.errors, seconds=round(one.seconds))
                self._publish(f"{name} still fails, {_times(one.errors)} more: {one.failure}")

    def _publish(self, message: str) -> None:
        self._events.publish("route", message, self._current.applier.generation)


def _times(number: int) -> str:
    return f"{number:,} failure{'s' if number != 1 else ''}"


def _why(failure: Failure) -> str:
    return failure.detail or failure.reason
