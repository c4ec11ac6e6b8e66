"""Nodes of a fleet agree about certificates by their store: who orders, what all answer, what the others take over."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from mcproxy.control.acme.interface import Challenge
from mcproxy.control.certificates import shared
from mcproxy.control.certificates.shared import SharedCertificates
from mcproxy.errors import UnavailableError
from mcproxy.model.fleet import keys, orders
from mcproxy.model.fleet.contents import Commit, Committed, Conflict
from mcproxy.model.fleet.orders import Answers, Issued, SharedChallenge
from mcproxy.model.fleet.view import FleetView
from tests.support.fleet_store import MemoryStore, node
from tests.support.pebble import until

ASKED = Challenge("http-01", "a.test", "token", "token.thumbprint", "")


class Played:
    """As much of a node as is asked: it sees what is in a store at once."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self.store, self.name = store, name
        self.node: object = object() if name else None
        self.away = False

    @property
    def view(self) -> FleetView:
        return self.store.view

    async def commit(self, commit: Commit) -> Committed | Conflict:
        if self.away:
            raise UnavailableError("the fleet's store is away")
        if self.store.commit(commit, self.name):
            return Committed(self.store.contents.revision)
        return Conflict(self.store.contents)


class Workers:
    """Keeps what is answered."""

    def __init__(self) -> None:
        self.open: list[Any] = []

    async def publish(self, challenges: Sequence[Any]) -> None:
        self.open += challenges

    async def withdraw(self, challenges: Sequence[Any]) -> None:
        self.open = [each for each in self.open if each not in challenges]


def of(store: MemoryStore, name: str) -> tuple[Any, SharedCertificates, Workers]:
    fleet: Any = Played(store, name)
    workers: Any = Workers()
    return fleet, SharedCertificates(fleet, lambda: workers), workers


def test_one_node_orders_for_a_name() -> None:
    """Until it leaves; the same one may come again, after a restart say."""

    async def run() -> None:
        store = MemoryStore()
        _, first, _ = of(store, "edge-1")
        _, second, _ = of(store, "edge-2")
        assert await first.enter("a.test")
        assert not await second.enter("a.test")
        assert await first.enter("a.test")
        assert await second.enter("b.test")
        await first.leave("a.test")
        assert await second.enter("a.test")
        store.end_lease("edge-2")
        assert await first.enter("a.test")

    asyncio.run(run())


def test_without_a_store_nothing_is_ordered_and_without_a_fleet_everything() -> None:
    """A CA might ask a node that could not be told."""

    async def run() -> None:
        fleet, node_of_fleet, _ = of(MemoryStore(), "edge-1")
        fleet.away = True
        assert not await node_of_fleet.enter("a.test")
        await node_of_fleet.leave("a.test")
        with pytest.raises(UnavailableError):
            await node_of_fleet.publish([ASKED])
        fleet, alone, _ = of(MemoryStore(), "")
        fleet.away = True
        assert await alone.enter("a.test")
        await alone.publish([ASKED])
        await alone.withdraw([ASKED])
        await alone.leave("a.test")
        assert alone.newer("a.test", ["a.test"], "", 0.0) is None
        assert not fleet.store.contents.items

    asyncio.run(run())


def test_a_ca_is_told_to_look_when_all_nodes_answer() -> None:
    """Each says up to what it does; one that never does is not waited for for ever."""

    async def run(patch: pytest.MonkeyPatch) -> None:
        store = MemoryStore()
        store.put(keys.node_key("edge-1"), node("edge-1"))
        store.put(keys.node_key("edge-2"), node("edge-2"))
        _, asking, _ = of(store, "edge-1")
        _, answering, workers = of(store, "edge-2")
        publishing = asyncio.ensure_future(asking.publish([ASKED]))
        await until(lambda: f"{orders.ANSWERS}edge-1" in store.contents.items)
        version = store.contents.version(f"{orders.ANSWERS}edge-1")
        following = asyncio.ensure_future(answering.run())
        poked = asyncio.Event()
        answering.poke = poked.set
        answering.hear()
        async with asyncio.timeout(20):
            await poked.wait()
        assert [(each.kind, each.name, each.token, each.text) for each in workers.open] == [
            ("http-01", "a.test", "token", "token.thumbprint")
        ]
        assert answering.answered == version
        assert not publishing.done()
        store.put(keys.node_key("edge-2"), node("edge-2", answered=version))
        asking.hear()
        async with asyncio.timeout(20):
            await publishing
        await asking.withdraw([ASKED])
        answering.hear()
        await until(lambda: not workers.open)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        patch.setattr(shared, "_PATIENCE", 0.05)
        await asking.publish([ASKED])

    with pytest.MonkeyPatch.context() as patch:
        asyncio.run(run(patch))


def test_what_proves_a_name_by_tls_is_made_by_each_node() -> None:
    """Of the same text; nothing secret has to be told for that."""

    async def run() -> None:
        store = MemoryStore()
        store.put(
            f"{orders.ANSWERS}edge-1",
            msgspec.json.encode(Answers((SharedChallenge("tls-alpn-01", "a.test", "t", "t.x"),))),
        )
        _, answering, workers = of(store, "edge-2")
        following = asyncio.ensure_future(answering.run())
        answering.hear()
        await until(lambda: bool(workers.open))
        following.cancel()
        assert workers.open[0].pair.certificate.startswith(b"-----BEGIN CERTIFICATE")

    asyncio.run(run())


def test_what_is_taken_over_of_another_node() -> None:
    """A certificate that covers what is to be covered, and ends no earlier than one's own."""
    now = time.time()
    store = MemoryStore()
    issued = Issued(node="edge-1", digest="new", not_before=now, not_after=now + 100, names=("a.test", "b.test"))
    store.put(f"{orders.ISSUED}a.test", msgspec.json.encode(issued))
    _, here, _ = of(store, "edge-2")
    assert here.newer("a.test", ["a.test"], "", 0.0) == issued
    assert here.newer("a.test", ["a.test"], "old", now + 50) == issued
    assert here.newer("a.test", ["a.test"], "old", now + 100) == issued
    assert here.newer("a.test", ["a.test"], "own", now + 101) is None
    assert here.newer("a.test", ["a.test"], "new", now + 100) is None
    assert here.newer("a.test", ["a.test", "c.test"], "", 0.0) is None
    assert here.newer("b.test", ["b.test"], "", 0.0) is None
    ended = msgspec.structs.replace(issued, not_after=now - 1)
    store.put(f"{orders.ISSUED}a.test", msgspec.json.encode(ended))
    assert here.newer("a.test", ["a.test"], "", 0.0) is None


def test_nothing_is_kept_of_names_that_no_route_has() -> None:
    """However many they are."""

    async def run() -> None:
        store = MemoryStore()
        names = [f"n{number}.test" for number in range(230)]
        for name in names:
            store.put(f"{orders.ISSUED}{name}", b"{}")
        store.put("doc", b"x")
        _, here, _ = of(store, "edge-1")
        await here.forget([*names, "unknown.test"])
        assert list(store.contents.items) == ["doc"]

    asyncio.run(run())
