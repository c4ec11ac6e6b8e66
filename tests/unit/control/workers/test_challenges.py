"""What CAs look for, told to workers."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import msgspec
import pytest

from mcproxy.control.acme.interface import Challenge
from mcproxy.control.files.certificates import Pair
from mcproxy.control.workers import challenges as module
from mcproxy.control.workers.challenges import Challenges
from mcproxy.control.workers.process import WorkerProcess
from mcproxy.control.workers.waiting import Waiting
from mcproxy.errors import ApplyError
from mcproxy.net.told import Pending

ALPN = Challenge("tls-alpn-01", "a.test", "t1", "t1.print", "value", Pair(b"certificate", b"key"))
HTTP = Challenge("http-01", "b.test", "t2", "t2.print", "value")


class Worker:
    """One that acknowledges what it is told, unless it is silent."""

    def __init__(self, desk: "Desk") -> None:
        self.desk = desk
        self.generation = 1
        self.challenged = 0
        self.late = False
        self.silent = False
        self.told: list[Pending] = []

    async def challenge(self, number: int, pending: bytes) -> None:
        self.told.append(msgspec.msgpack.decode(pending, type=Pending))
        if not self.silent:
            self.challenged = number
            self.desk.waiting.look_again()


class Desk:
    """Some workers, and what is told to them."""

    def __init__(self, count: int = 2) -> None:
        self.waiting = Waiting()
        self.workers = [Worker(self) for _ in range(count)]
        self.given_up: list[Worker] = []
        self.tasks: set[asyncio.Task[None]] = set()
        active = cast("list[WorkerProcess]", self.workers)
        self.challenges = Challenges(lambda: active, self.waiting, self.start, self.give_up)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.add(asyncio.get_running_loop().create_task(work))

    def give_up(self, silent: Any) -> None:
        self.given_up += silent
        for worker in self.given_up:
            worker.late = True


def test_every_worker_has_been_told_when_it_returns() -> None:
    """What is added comes beside what is pending, what is withdrawn goes, and what was not pending is no error."""

    async def run() -> None:
        desk = Desk()
        assert desk.challenges.current == (0, b"")
        await desk.challenges.publish([ALPN])
        await desk.challenges.publish([HTTP])
        await desk.challenges.withdraw([ALPN, ALPN])
        await desk.challenges.withdraw([HTTP])
        names, tokens = {"a.test": (b"certificate", b"key")}, {"t2": "t2.print"}
        expected = [Pending(names), Pending(names, tokens), Pending({}, tokens), Pending()]
        assert [worker.told for worker in desk.workers] == [expected, expected]
        number, encoded = desk.challenges.current
        assert number == desk.workers[0].challenged
        assert msgspec.msgpack.decode(encoded, type=Pending) == Pending()

    asyncio.run(run())


def test_of_two_for_a_name_the_later_one_counts_until_it_is_withdrawn() -> None:
    """A try of an operator may meet an order."""

    async def run() -> None:
        desk = Desk(1)
        later = msgspec.structs.replace(ALPN, pair=Pair(b"later", b"key"))
        await desk.challenges.publish([ALPN])
        await desk.challenges.publish([later])
        await desk.challenges.withdraw([later])
        told = [pending.names["a.test"][0] for pending in desk.workers[0].told]
        assert told == [b"certificate", b"later", b"certificate"]

    asyncio.run(run())


def test_a_worker_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others accept in its stead; once it is late nobody waits for it."""
    monkeypatch.setattr(module, "_PATIENCE", 0.01)

    async def run() -> None:
        desk = Desk()
        desk.workers[0].silent = True
        await desk.challenges.publish([ALPN])
        assert desk.given_up == [desk.workers[0]]
        await desk.challenges.withdraw([ALPN])
        assert desk.given_up == [desk.workers[0]]

    asyncio.run(run())


def test_a_worker_that_starts_is_neither_waited_for_nor_given_up() -> None:
    """It may take longer to start than others to answer, and does not accept before it answers."""

    async def run() -> None:
        desk = Desk()
        desk.workers[0].silent = True
        desk.workers[0].generation = 0
        await desk.challenges.publish([ALPN])
        assert desk.given_up == []
        assert len(desk.workers[0].told) == 1

    asyncio.run(run())


def test_if_none_acknowledges_that_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CA that came then would find nothing."""
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    monkeypatch.setattr(module, "_REPLACED", 0.01)

    async def run() -> None:
        desk = Desk(1)
        desk.workers[0].silent = True
        with pytest.raises(ApplyError, match="did not acknowledge the challenges"):
            await desk.challenges.publish([ALPN])

    asyncio.run(run())
