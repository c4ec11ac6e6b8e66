"""Names whose every address is an endpoint: answers come from the test, the files and what is live are real."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from mcproxy.control.health.names import MOST, Names, answers_of, endpoints_of
from mcproxy.model.state.snapshot import decode
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.memory import endpoints as words
from mcproxy.net.memory.shared_memory import endpoint_counter
from mcproxy.net.resolver import Addresses, Callback, Resolver
from mcproxy.net.sockets import read_memory_file
from tests.support.reconcile import Control, using

NAME = "web.internal:8080"
CONFIG = """
[proxy]
workers = 1
[upstreams.web]
endpoints = [{ address = "web.internal:8080", resolve = "all", weight = 2 }, "192.0.2.9:8080"]
[[listeners]]
addr = "ADDR"
[[listeners.routes]]
hostname = "a.test"
backend = "web"
"""


def at(*hosts: str) -> Addresses:
    return tuple(
        (int(socket.AF_INET6), (host, 8080, 0, 0)) if ":" in host else (int(socket.AF_INET), (host, 8080))
        for host in hosts
    )


class Asked(Resolver):
    """A resolver whose answers the test gives."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.waiting: list[tuple[str, int, Callback]] = []

    def renew(self, host: str, port: int, callback: Callback) -> None:
        self.waiting.append((host, port, callback))


class World:
    """A control with one name.

    Attributes:
        now: the clock of the names.
    """

    def __init__(self, control: Control) -> None:
        self.control = control
        self.resolver = Asked()
        self.now = 100.0
        self.names = Names(control.current, self.resolver, lambda: self.now)

    async def answer(self, *hosts: str) -> None:
        """Answer what was asked for; without an address the lookup has failed."""
        waiting, self.resolver.waiting = self.resolver.waiting, []
        assert [(host, port) for host, port, _ in waiting] == [("web.internal", 8080)]
        waiting[0][2](at(*hosts))
        await self.names.settle()

    def live(self) -> list[str]:
        """Return the endpoints of the snapshot that is live."""
        snapshot = decode(read_memory_file(self.control.applier.snapshot))
        return [str(entry.endpoint) for entry in snapshot.upstreams[0].endpoints]

    def fail(self, address: str) -> None:
        """Count a failed dial, as a worker."""
        index = self.control.counters.endpoints.items()["web", address]
        with self.control.memory.counter_block(0) as block:
            block[endpoint_counter(index, words.DIAL_FAILURES)] += 1

    def asks(self, seconds: float) -> bool:
        """Let time pass; tell whether the name is asked for then."""
        self.now += seconds
        before = len(self.resolver.waiting)
        self.names.look()
        return len(self.resolver.waiting) > before


def run(folder: Path, test: Callable[[World], Awaitable[None]]) -> None:
    """Run a test with a control that serves `CONFIG`."""

    async def body(control: Control, _addr: str) -> None:
        await control.start()
        await test(World(control))

    using(folder, lambda addr: CONFIG.replace("ADDR", addr), body)


def test_every_address_of_a_name_is_an_endpoint_with_the_keys_of_the_name(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        assert world.live() == [NAME, "192.0.2.9:8080"]
        assert world.asks(0.0)
        await world.answer("192.0.2.2", "192.0.2.1", "2001:db8::1", "192.0.2.1")
        assert world.live() == ["192.0.2.1:8080", "192.0.2.2:8080", "[2001:db8::1]:8080", "192.0.2.9:8080"]
        assert {(one.weight, one.label) for one in world.control.applier.upstreams[0].endpoints[:3]} == {(2, NAME)}
        assert len(await world.control.edits.store.revisions(limit=9)) == 1  # content: no generation of the history
        assert world.control.events.recent(1)[0].message.startswith(f"{NAME} stands for 3 endpoints: +192.0.2.1:8080")

    run(tmp_path, test)


def test_a_name_is_asked_for_every_half_minute_and_sooner_when_a_dial_fails(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        assert world.asks(0.0)
        await world.answer("192.0.2.1")
        assert not world.asks(29.0)
        assert world.asks(1.0)
        await world.answer("192.0.2.1")
        world.fail("192.0.2.1:8080")
        assert not world.asks(0.5)
        assert world.asks(0.5)
        await world.answer("192.0.2.1")
        assert not world.asks(5.0)
        world.fail("192.0.2.9:8080")  # none of the name's
        assert not world.asks(5.0)

    run(tmp_path, test)


def test_answers_are_followed_and_failures_change_nothing(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.asks(0.0)
        await world.answer("192.0.2.1", "192.0.2.2", "192.0.2.3")
        generation = world.control.applier.generation
        world.asks(30.0)
        await world.answer("192.0.2.3", "192.0.2.2", "192.0.2.1")  # in another order
        assert world.control.applier.generation == generation
        world.asks(30.0)
        await world.answer("192.0.2.1", "192.0.2.3")
        assert world.live() == ["192.0.2.1:8080", "192.0.2.3:8080", "192.0.2.9:8080"]
        kept = world.control.counters.endpoints.items()
        world.asks(30.0)
        await world.answer()
        assert world.live() == ["192.0.2.1:8080", "192.0.2.3:8080", "192.0.2.9:8080"]
        assert world.control.counters.endpoints.items() == kept

    run(tmp_path, test)


def test_answers_outlive_a_reload_and_the_control(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.asks(0.0)
        await world.answer("192.0.2.1", "192.0.2.2")
        control = world.control
        control.path.write_text(control.path.read_text().replace("weight = 2", "weight = 3"))
        async with control.following():
            await control.reconciler.reload()
        assert world.live() == ["192.0.2.1:8080", "192.0.2.2:8080", "192.0.2.9:8080"]
        found = answers_of(decode(read_memory_file(control.applier.snapshot)))
        assert found == {NAME: (Endpoint("192.0.2.1", 8080), Endpoint("192.0.2.2", 8080))}

    run(tmp_path, test)


def test_what_can_not_be_made_live_is_tried_again_with_the_next_answer(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.asks(0.0)
        world.control.workers.refuse = "no"
        await world.answer("192.0.2.1")
        assert world.live() == [NAME, "192.0.2.9:8080"]
        world.control.workers.refuse = ""
        world.asks(30.0)
        await world.answer("192.0.2.1")
        assert world.live() == ["192.0.2.1:8080", "192.0.2.9:8080"]

    run(tmp_path, test)


def test_a_name_that_is_not_wanted_any_more_is_not_asked_for(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.asks(0.0)
        control = world.control
        control.path.write_text(control.path.read_text().replace(', resolve = "all"', ""))
        async with control.following():
            await control.reconciler.reload()
        assert not world.asks(60.0)
        await world.answer("192.0.2.1")
        assert world.live() == [NAME, "192.0.2.9:8080"]

    run(tmp_path, test)


def test_more_addresses_than_a_name_may_have_are_left_out() -> None:
    found = endpoints_of(at(*(f"192.0.2.{number}" for number in range(200, 0, -1)), "192.0.2.1"))
    assert len(found) == MOST
    assert (found[0], found[-1]) == (Endpoint("192.0.2.1", 8080), Endpoint("192.0.2.64", 8080))
