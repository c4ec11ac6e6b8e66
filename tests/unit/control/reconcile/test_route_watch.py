"""Reports of workers become lines of the log and events, and every worker learns which routes fail."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from mcproxy.control.counters.route_health import PATIENCE
from mcproxy.control.reconcile.route_watch import RouteWatch
from mcproxy.net.ipc import Failures
from mcproxy.net.memory.shared_memory import route_reason_counter
from mcproxy.net.told import RouteFailure
from tests.support import toml
from tests.support.ports import free_port
from tests.support.reconcile import Control


def config(*hostnames: str) -> str:
    """Return a config with routes on a port that nobody uses."""
    routes = (toml.route(hostname, 80 + number) for number, hostname in enumerate(hostnames))
    return toml.config(toml.listener(f"127.0.0.1:{free_port()}", *routes))


class Watched(Control):
    """Control with two routes, and a clock.

    Attributes:
        now: what it says the time is.
        followed: what the workers were told.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.now = 1000.0
        self.followed: list[tuple[int, ...]] = []
        worker = SimpleNamespace(generation=1, followed=(), follow=self._follow)
        setattr(self.workers, "members", lambda: [(worker, False)])  # noqa: B010 - there are no others
        self._worker = worker
        self.watch = RouteWatch(self.current, self.workers, lambda: self.now)

    async def _follow(self, failing: tuple[int, ...]) -> None:
        self._worker.followed = failing
        self.followed.append(failing)

    def reports(self, route: int, *, worked: bool = False) -> None:
        with self.memory.counter_block(0) as words:
            words[route_reason_counter(route, "backend_refused")] += 0 if worked else 2
        failed = RouteFailure(route, 2, "backend_refused", "connection refused", "10.0.0.5:80")
        self.watch.hear(Failures((), (route,)) if worked else Failures((failed,), ()))


def test_the_way_of_a_route_that_fails(tmp_path: Path) -> None:
    """One line and one event at its first failure and when it works again; it is followed in between."""

    async def play() -> None:
        path = tmp_path / "mc-proxy.toml"
        path.write_text(config("a.test", "b.test"))
        control = Watched(path)
        await control.start()
        try:
            b = control.counters.routes.items()[next(iter(control.applier.state.listeners)), "b.test"]
            addr = next(iter(control.applier.state.listeners))
            with structlog.testing.capture_logs() as lines:
                control.reports(b)
                control.reports(b)
                await asyncio.sleep(0)
                control.reports(99)  # of a route that has just gone
                control.now += 1
                control.watch.look()
                control.reports(b, worked=True)
                control.reports(99, worked=True)
                control.now += PATIENCE
                control.watch.look()
                control.watch.look()
            told = [(line["event"], line["log_level"], line["route"]) for line in lines]
            assert told == [("route fails", "warning", "b.test"), ("route works again", "info", "b.test")]
            first = {key: lines[0][key] for key in ("listener", "backend", "endpoint", "reason", "why")}
            assert first == {
                "listener": addr,
                "backend": "127.0.0.1:81",
                "endpoint": "10.0.0.5:80",
                "reason": "backend_refused",
                "why": "connection refused",
            }
            assert [event.message for event in control.events.recent(9) if event.kind == "route"] == [
                f"route {addr} b.test fails: backend_refused: 10.0.0.5:80: connection refused",
                f"route {addr} b.test works again, after 3 s and 4 failures",
            ]
            await asyncio.sleep(0)
            assert control.followed[0] == (b,)
            assert control.followed[-1] == ()
        finally:
            await control.close()

    asyncio.run(play())


@pytest.mark.parametrize("gone", ["a.test", "b.test"])
def test_a_route_that_is_removed_fails_no_longer(tmp_path: Path, gone: str) -> None:
    """Whatever it was."""

    async def play() -> None:
        path = tmp_path / "mc-proxy.toml"
        path.write_text(config("a.test", "b.test"))
        control = Watched(path)
        await control.start()
        try:
            for index in control.counters.routes.items().values():
                control.reports(index)
            path.write_text(path.read_text().replace(f'"{gone}"', '"new.test"'))
            async with control.following():
                await control.reconciler.reload()
            control.watch.look()
            left = {"a.test", "b.test"} - {gone}
            assert {hostname for _, hostname in control.counters.health.failing} == left
            await asyncio.sleep(0)
            assert len(control.followed[-1]) == 1
        finally:
            await control.close()

    asyncio.run(play())
