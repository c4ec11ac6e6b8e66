"""Checks that are carried out when they are due: the checks themselves are the test's."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from mcproxy.control.health.checker import Checker, Planned
from mcproxy.control.health.probes.probe import Outcome, Probe, Prober
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.resolver import Addresses


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for what was planned more often than in use."""
    monkeypatch.setattr("mcproxy.control.health.checker._LONGEST", 0.05)


GOOD = Outcome(good=True, error="", seconds=0.0)


async def _nowhere(_endpoint: Endpoint) -> Addresses:
    return ()


class Checks(Prober):
    """Checks that end as `answer` says, by port; `running` of them are under way.

    Attributes:
        made: how many have begun, by port.
        ended: results that were told, by port.
    """

    def __init__(self) -> None:
        super().__init__(_nowhere)
        self.made: Counter[int] = Counter()
        self.told: list[tuple[int, int, Outcome]] = []
        self.running = 0
        self.most = 0
        self.answer: Callable[[int], Outcome] = lambda _: GOOD
        self.open = asyncio.Event()
        self.open.set()

    async def run(self, probe: Probe) -> Outcome:
        port = probe.endpoint.port
        self.made[port] += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.open.wait()
            return self.answer(port)
        finally:
            self.running -= 1

    def planned(self, port: int, interval: float = 0.01) -> Planned:
        numbers = iter(range(1, 1_000_000))
        return Planned(
            Probe("tcp", Endpoint("192.0.2.1", port)),
            interval,
            lambda: next(numbers),
            lambda number, outcome: self.told.append((port, number, outcome)),
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what is waited for is in the test's own hands
                await asyncio.sleep(0.01)


def run(test: Callable[[Checks, Checker], Awaitable[None]]) -> None:
    async def main() -> None:
        checks = Checks()
        checker = Checker(checks)
        task = asyncio.ensure_future(checker.run())
        try:
            await test(checks, checker)
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.sleep(0)
        assert checks.running == 0

    asyncio.run(main())


def test_each_endpoint_is_checked_again_and_again_under_new_numbers() -> None:
    async def test(checks: Checks, checker: Checker) -> None:
        for port in (1, 2):
            checker.plan(port, checks.planned(port), soon=True)
        await checks.until(lambda: min(checks.made[1], checks.made[2]) >= 4)
        assert [number for port, number, _ in checks.told if port == 1][:3] == [1, 2, 3]

    run(test)


def test_one_check_of_an_endpoint_is_under_way_at_a_time() -> None:
    async def test(checks: Checks, checker: Checker) -> None:
        checks.open.clear()
        checker.plan(1, checks.planned(1), soon=True)
        await checks.until(lambda: checks.running == 1)
        await asyncio.sleep(0.2)
        assert checks.made[1] == 1
        checks.open.set()
        await checks.until(lambda: checks.made[1] > 2)

    run(test)


def test_no_more_are_under_way_than_descriptors_allow() -> None:
    async def test(checks: Checks, checker: Checker) -> None:
        checker._most = 5
        checks.open.clear()
        for port in range(20):
            checker.plan(port, checks.planned(port), soon=True)
        await checks.until(lambda: checks.running == 5)
        checks.open.set()
        await checks.until(lambda: len(checks.made) == 20)
        assert checks.most == 5

    run(test)


def test_what_is_dropped_or_replaced_is_told_no_more() -> None:
    async def test(checks: Checks, checker: Checker) -> None:
        checks.open.clear()
        for port in (1, 2):
            checker.plan(port, checks.planned(port), soon=True)
        await checks.until(lambda: checks.running == 2)
        checker.drop(1)
        checker.drop(7)  # never there
        checker.plan(2, checks.planned(22), soon=True)
        checks.open.set()
        await checks.until(lambda: checks.made[22] > 1)
        assert {port for port, _, _ in checks.told} == {22}
        assert (checks.made[1], checks.made[2]) == (1, 1)

    run(test)


def test_a_check_that_could_not_be_carried_out_is_not_told_and_made_again() -> None:
    def fail(port: int) -> Outcome:
        if port == 1:
            return Outcome(good=None, error="no descriptors", seconds=0.0)
        raise RuntimeError("an error of our own")

    async def test(checks: Checks, checker: Checker) -> None:
        checks.answer = fail
        for port in (1, 2):
            checker.plan(port, checks.planned(port), soon=True)
        await checks.until(lambda: min(checks.made[1], checks.made[2]) >= 3)
        assert checks.told == []

    run(test)
