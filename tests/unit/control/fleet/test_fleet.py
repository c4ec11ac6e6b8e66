"""What a node knows of its fleet's store: read anew with every change, kept for when it is away, never concluded from what is missing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from mcproxy.control.fleet import last_known
from mcproxy.control.fleet.fleet import Changed, Fleet
from mcproxy.control.fleet.presence import Presence
from mcproxy.errors import UnavailableError
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit, Committed, Conflict
from mcproxy.model.fleet.records import NodeRecord
from tests.support.fleet_store import node
from tests.support.played_fleet import LISTENER, PlayedStore

HERE = FleetNode(endpoints=("127.0.0.1:1",), node="edge-1")


class Desk:
    """A fleet that follows a played store."""

    def __init__(self, folder: Path) -> None:
        self.database = str(folder / "x.db")
        self.store = PlayedStore()
        self.told: list[str] = []
        self.changes: list[Changed] = []
        self.fleet = Fleet(lambda _: self.store, clock=lambda: 1000.0)
        self.fleet.tell = self.told.append
        self.fleet.changed = self.changes.append

    def text(self) -> str | None:
        """Return the main file of the document that is to be run."""
        document = self.fleet.documents(HERE, self.database)
        return None if document is None else document.sources[0].text

    async def until(self, look: Callable[[], bool]) -> None:
        while not look():  # noqa: ASYNC110 - not all that is waited for is told of
            await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        self.fleet.configure(HERE, self.database)
        task = asyncio.ensure_future(self.fleet.run())
        try:
            await self.fleet.first_look()
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def run(folder: Path, body: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        await body(Desk(folder))

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_push_is_what_is_to_be_run(tmp_path: Path) -> None:
    """And is told as a change of the document; a record of another node is none."""

    async def body(desk: Desk) -> None:
        async with desk.following():
            assert desk.text() is None
            assert desk.told == ["the fleet's store is there", desk.fleet.wanted.problem]
            desk.store.push()
            await desk.until(lambda: desk.text() == LISTENER)
            assert desk.changes == [Changed(document=True, edits=False)]
            desk.store.memory.put(keys.node_key("edge-2"), node("edge-2"))
            desk.store.tell()
            await desk.until(lambda: "edge-2" in desk.fleet.view.nodes)
            assert len(desk.changes) == 1

    run(tmp_path, body)


def test_an_emptied_store_is_no_empty_document(tmp_path: Path) -> None:
    """It is told once, and what was there goes on to be run."""

    async def body(desk: Desk) -> None:
        async with desk.following():
            desk.store.push()
            await desk.until(lambda: desk.text() == LISTENER)
            desk.store.memory.commit(Commit(deletes=tuple(desk.store.memory.contents.items)))
            desk.store.tell()
            await desk.until(lambda: desk.fleet.wanted.role == "keeping")
            assert desk.text() == LISTENER
            assert "is not in its store any more" in desk.told[-1]

    run(tmp_path, body)


def test_what_is_live_is_known_to_the_next_start(tmp_path: Path) -> None:
    """Also while the store is away; what was never live is not, and another fleet's says nothing."""

    async def body(desk: Desk) -> None:
        async with desk.following():
            desk.store.push()
            await desk.until(lambda: desk.text() == LISTENER)
            live = desk.fleet.moment
            desk.store.push(LISTENER.replace("443", "444"))
            await desk.until(lambda: "444" in str(desk.text()))
            desk.fleet.applied(live)
        again = Desk(tmp_path)
        again.store.away = "nobody answers"
        async with again.following():
            assert again.text() == LISTENER
            assert again.fleet.away.startswith("the fleet's store is away since ")
            other = FleetNode(endpoints=HERE.endpoints, node="edge-1", prefix="/other")
            assert again.fleet.documents(other, again.database) is None

    run(tmp_path, body)


def test_a_file_that_is_damaged_is_as_if_there_were_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A start does not fail on it, and says so."""
    place = last_known.place(str(tmp_path / "x.db"))

    async def body(desk: Desk) -> None:
        assert desk.text() is None

    run(tmp_path, body)
    assert not capsys.readouterr().out
    place.write_bytes(b"\x00")
    run(tmp_path, body)
    assert "it is damaged" in capsys.readouterr().out
    place.unlink()
    place.mkdir()
    run(tmp_path, body)
    assert "what was kept of the fleet can't be read" in capsys.readouterr().out


def test_any_damage_is_found(tmp_path: Path) -> None:
    """A document with one wrong bit would be in the way of every start, though the store has a good one."""
    database = str(tmp_path / "x.db")
    store = PlayedStore()
    store.push()
    last_known.save(database, last_known.LastKnown(HERE.prefix, store.memory.contents, 1.0))
    good = last_known.place(database).read_bytes()
    assert last_known.load(database, HERE.prefix) is not None
    for place in range(0, len(good), 7):
        damaged = bytearray(good)
        damaged[place] ^= 1
        last_known.place(database).write_bytes(damaged)
        assert last_known.load(database, HERE.prefix) is None
        last_known.place(database).write_bytes(good[:place])
        assert last_known.load(database, HERE.prefix) is None


def test_what_is_known_is_not_read_again(tmp_path: Path) -> None:
    """Changes that are told after a look that has seen them cost nothing, and a thousand at once are looked at a few times."""

    async def body(desk: Desk) -> None:
        desk.store.every = True
        async with desk.following():
            reads = desk.store.reads
            for number in range(1000):
                desk.store.memory.put("junk", b"%d" % number)
            desk.store.push()
            await desk.until(lambda: desk.text() == LISTENER and desk.store.told == desk.store.memory.contents.revision)
            assert desk.store.reads - reads < 10

    run(tmp_path, body)


def test_changes_are_refused_while_the_store_is_away(tmp_path: Path) -> None:
    """With the time since when, and why; when it is back, what came meanwhile is known."""

    async def body(desk: Desk) -> None:
        async with desk.following():
            desk.store.push()
            await desk.until(lambda: desk.text() == LISTENER)
            desk.store.away = "10.0.0.11:2379: no answer within 2 s"
            desk.store.tell()
            await desk.until(lambda: bool(desk.fleet.away))
            assert desk.fleet.away == "the fleet's store is away since 00:16Z: 10.0.0.11:2379: no answer within 2 s"
            with pytest.raises(UnavailableError, match="away since 00:16Z"):
                await desk.fleet.commit(Commit(puts={"x": b""}))
            desk.store.memory.put('edits/unknown ["x"]', b"{}")
            desk.store.away = ""
            await desk.until(lambda: not desk.fleet.away)
            assert len(desk.fleet.view.problems) == 1
            assert desk.text() == LISTENER

    run(tmp_path, body)


def test_a_store_that_is_full_is_not_away(tmp_path: Path) -> None:
    """It is read on; why it took nothing is told until it does again."""

    async def body(desk: Desk) -> None:
        async with desk.following():
            desk.store.full = True
            with pytest.raises(UnavailableError, match="does not take it: database space exceeded"):
                await desk.fleet.commit(Commit(puts={"x": b""}))
            assert not desk.fleet.away
            assert desk.fleet.trouble == "database space exceeded"
            desk.store.full = False
            assert isinstance(await desk.fleet.commit(Commit(puts={"x": b""})), Committed)
            assert not desk.fleet.trouble

    run(tmp_path, body)


def test_what_can_not_be_told_is_read_anew(tmp_path: Path) -> None:
    """As after a compaction."""

    async def body(desk: Desk) -> None:
        desk.store.lost = True
        async with desk.following():
            desk.store.push()
            await desk.until(lambda: desk.text() == LISTENER)
            assert not desk.store.lost

    run(tmp_path, body)


def test_a_conflict_is_known(tmp_path: Path) -> None:
    """What is there instead counts at once, without another look."""

    async def body(desk: Desk) -> None:
        async with desk.following():
            desk.store.memory.put(keys.node_key("edge-2"), node("edge-2"))
            outcome = await desk.fleet.commit(Commit(compares={keys.node_key("edge-2"): 0}, puts={"x": b""}))
            assert isinstance(outcome, Conflict)
            assert "edge-2" in desk.fleet.view.nodes

    run(tmp_path, body)


def test_clocks_are_compared(tmp_path: Path) -> None:
    """By what nodes have just written; what was there before says nothing."""

    async def body(desk: Desk) -> None:
        desk.store.memory.put(keys.node_key("edge-2"), node("edge-2", time=500.0))
        async with desk.following():
            assert desk.fleet.ahead == {}
            desk.store.memory.put(keys.node_key("edge-2"), node("edge-2", time=1030.0))
            desk.store.tell()
            await desk.until(lambda: desk.fleet.ahead == {"edge-2": 30.0})

    run(tmp_path, body)


def test_a_machine_that_leaves_its_fleet(tmp_path: Path) -> None:
    """It follows the store no more, and has no edits of it."""

    async def body(desk: Desk) -> None:
        async with desk.following():
            desk.store.push()
            await desk.until(lambda: desk.text() == LISTENER)
            desk.fleet.configure(None, desk.database)
            await desk.until(lambda: desk.fleet.store is None)
            assert desk.fleet.edits == ()
            with pytest.raises(UnavailableError, match="no node of a fleet"):
                await desk.fleet.look()

    run(tmp_path, body)


def test_a_node_is_there_as_long_as_it_says_so(tmp_path: Path) -> None:
    """Its record is under a lease, written when it says something new, and gone with the end."""

    async def body(desk: Desk) -> None:
        said = [NodeRecord(node="edge-1", generation=1, since=1.0)]
        presence = Presence(desk.fleet, lambda: said[-1], clock=lambda: 1000.0)
        async with desk.following():
            task = asyncio.ensure_future(presence.run())
            await desk.until(lambda: "edge-1" in desk.fleet.view.nodes)
            assert desk.fleet.view.nodes["edge-1"].time == 1000.0
            version = desk.fleet.view.version(keys.node_key("edge-1"))
            presence.poke()
            said.append(NodeRecord(node="edge-1", generation=2, since=1.0))
            presence.poke()
            await desk.until(lambda: desk.fleet.view.nodes["edge-1"].generation == 2)
            assert desk.fleet.view.version(keys.node_key("edge-1")) == version + 1
            desk.store.leases.clear()
            desk.store.memory.end_lease("edge-1")
            desk.store.tell()
            await desk.until(lambda: "edge-1" not in desk.fleet.view.nodes)
            desk.fleet.lease = 0
            await desk.until(lambda: "edge-1" in desk.fleet.view.nodes)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert keys.node_key("edge-1") not in desk.store.memory.contents.items

    run(tmp_path, body)


def test_two_machines_of_one_name(tmp_path: Path) -> None:
    """Each is told of the other."""

    async def body(desk: Desk) -> None:
        presence = Presence(desk.fleet, lambda: NodeRecord(node="edge-1", since=1.0), clock=lambda: 1000.0)
        async with desk.following():
            task = asyncio.ensure_future(presence.run())
            await desk.until(lambda: "edge-1" in desk.fleet.view.nodes)
            desk.store.memory.put(keys.node_key("edge-1"), node("edge-1", since=2.0))
            desk.store.tell()
            presence.poke()
            await desk.until(lambda: "is the node edge-1 too" in presence.twin)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    run(tmp_path, body)
