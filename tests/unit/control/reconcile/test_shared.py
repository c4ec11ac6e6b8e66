"""A node of a fleet, made of control's parts with a played store: the document and edits of others are made live as files and edits are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.reconcile.change.judging import Judge
from mcproxy.control.reconcile.shared.settling import Settling
from mcproxy.control.reconcile.shared.standing import Standing
from mcproxy.errors import ApplyError, NotFoundError, PreconditionError, UnavailableError
from mcproxy.model.edits.requests import revert, update_route
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit
from mcproxy.model.fleet.records import FIRST_EDIT, Rollout
from mcproxy.model.state.state import State
from tests.support.played_fleet import PlayedStore
from tests.support.ports import free_port
from tests.support.reconcile import Control, add_route, ask

NODE = '[fleet]\nendpoints = ["127.0.0.1:1"]\nnode = "edge-1"\n'


class Desk:
    """A control that is a node, and another node's view of the store.

    Attributes:
        control: of this node.
        store: what all nodes share.
        addr: of the listener.
    """

    def __init__(self, control: Control, store: PlayedStore) -> None:
        self.control = control
        self.store = store
        self.addr = f"127.0.0.1:{free_port()}"

    def push(self, *hostnames: str, backend: str = "127.0.0.1:1", more: str = "") -> None:
        routes = ", ".join(f'{{ hostname = "{name}", backend = "{backend}" }}' for name in hostnames)
        self.store.push(f'[proxy]\nworkers = 1\n{more}[[listeners]]\naddr = "{self.addr}"\nroutes = [{routes}]\n')

    async def until(self, look: Callable[[], bool]) -> None:
        while not look():  # noqa: ASYNC110 - not all that is waited for is told of
            await asyncio.sleep(0.01)

    async def serves(self, *hostnames: str) -> None:
        """Wait until routes are live, and put on record."""
        await self.until(lambda: self.control.hostnames() == sorted(hostnames))
        async with self.control.current.lock:
            pass

    def elsewhere(self, key: str, value: bytes | None) -> None:
        """Change a key as another node does."""
        self.store.memory.commit(Commit(puts={key: value}) if value is not None else Commit(deletes=(key,)))
        self.store.tell()


Body = Callable[[Desk], Awaitable[None]]


def run(folder: Path, body: Body, *hostnames: str) -> None:
    """Run a test with a node whose fleet has a document with some routes, or none."""
    path = folder / "mc-proxy.toml"
    path.write_text(NODE, encoding="utf-8")

    @contextlib.asynccontextmanager
    async def desk() -> AsyncIterator[Desk]:
        store = PlayedStore()
        fleet = Fleet(lambda _: store)
        control = Control(path, fleet)
        here = Desk(control, store)
        if hostnames:
            here.push(*hostnames)
        following = asyncio.ensure_future(fleet.run())
        try:
            await control.start()
            async with control.following():
                if hostnames:
                    await here.serves(*hostnames)
                yield here
        finally:
            following.cancel()
            await asyncio.wait({following})
            await control.close()

    async def main() -> None:
        async with desk() as here, asyncio.timeout(30):
            await body(here)

    asyncio.run(main())


def update(addr: str, hostname: str) -> Judge:
    return lambda view, metadata: update_route(view, metadata, addr, hostname, {"backend": "127.0.0.1:9"})


async def ask_for(desk: Desk, hostname: str, **fields: Any) -> int:
    done = await ask(desk.control, add_route(desk.addr, hostname), **fields)
    return done.edits[0].id


def test_a_node_waits_for_the_first_document(tmp_path: Path) -> None:
    """It serves nothing until then, and is no wrong configuration."""

    async def body(desk: Desk) -> None:
        assert desk.control.hostnames() == []
        assert desk.control.reconciler.last.problems == ()
        desk.push("a.test")
        await desk.serves("a.test")
        assert desk.control.current.revision.origin == "fleet"
        assert desk.control.current.revision.label == "revision 1"

    run(tmp_path, body)


def test_an_earlier_document_is_a_return(tmp_path: Path) -> None:
    """As after a rollout that failed here: the history calls it by another word, and the guard does not watch it."""

    async def body(desk: Desk) -> None:
        first = desk.store.memory.contents.items[keys.DOC].value
        desk.push("b.test")
        await desk.serves("b.test")
        assert desk.control.current.revision.origin == "fleet"
        desk.elsewhere(keys.DOC, first)
        await desk.serves("a.test")
        assert desk.control.current.revision.origin == "returned"

    run(tmp_path, body, "a.test")


def test_edits_go_with_the_document_that_ends_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other nodes are faster, and remove from the store what it supersedes: until it is live here, the edit is in effect."""

    async def body(desk: Desk) -> None:
        fleet = desk.control.edits.shared.fleet
        await ask(desk.control, update(desk.addr, "a.test"), "UpdateRoute")
        (one,) = desk.store.memory.view.edits
        backends: list[str] = []
        apply = desk.control.applier.apply

        async def noting(desired: State, *args: Any) -> None:
            backends.append(str(desired.routes[desk.addr, "a.test"].endpoints[0]))
            await apply(desired, *args)

        monkeypatch.setattr(desk.control.applier, "apply", noting)
        before = fleet.wanted.document
        desk.push("a.test", "b.test", backend="127.0.0.1:5")
        await desk.until(lambda: fleet.wanted.document != before)
        desk.elsewhere(one.key, None)
        await desk.serves("a.test", "b.test")
        assert backends == ["127.0.0.1:5"]
        assert fleet.edits == ()

    run(tmp_path, body, "a.test")


def test_a_document_that_takes_much_away_was_judged_when_it_was_pushed(tmp_path: Path) -> None:
    """So that no node refuses what the others make live."""

    async def body(desk: Desk) -> None:
        desk.push("only.test")
        await desk.serves("only.test")

    run(tmp_path, body, *(f"{number}.test" for number in range(30)))


def test_a_node_that_starts_late_has_all_that_came_meanwhile(tmp_path: Path) -> None:
    """The document, and the edits that belong to it."""

    async def body(desk: Desk) -> None:
        await ask_for(desk, "b.test")
        desk.push("a.test", "c.test")
        await desk.serves("a.test", "b.test", "c.test")
        fleet = desk.control.edits.shared.fleet
        path = tmp_path / "later"
        path.mkdir()
        (path / "mc-proxy.toml").write_text(NODE.replace("edge-1", "edge-2"), encoding="utf-8")
        later = Fleet(lambda _: desk.store)
        documents = later.documents
        control = Control(path / "mc-proxy.toml", later)
        assert fleet.node is not None
        assert documents(msgspec.structs.replace(fleet.node, node="edge-2"), str(path / "mc-proxy.db")) is None
        later.configure(msgspec.structs.replace(fleet.node, node="edge-2"), str(path / "mc-proxy.db"))
        following = asyncio.ensure_future(later.run())
        try:
            await later.first_look()
            with pytest.raises(ApplyError, match="another process"):  # this test has the address already
                await control.start()
            assert [edit.edit.id for edit in later.edits] == [FIRST_EDIT]
        finally:
            following.cancel()
            await asyncio.wait({following})
            await control.close()

    run(tmp_path, body, "a.test")


def test_a_document_that_is_wrong_here_changes_nothing(tmp_path: Path) -> None:
    """The node says why, and is not what the next start knows."""

    async def body(desk: Desk) -> None:
        live = desk.control.edits.shared.fleet.live
        desk.push("b.test", more="[limits]\nnonsense = 1\n")
        await desk.until(lambda: bool(desk.control.reconciler.last.problems))
        assert desk.control.hostnames() == ["a.test"]
        record = Standing(desk.control.current, desk.control.reconciler).record()
        assert (record.node, record.revision) == ("edge-1", 1)
        assert record.error.startswith("doc:4:1: error: limits.nonsense")
        assert desk.control.edits.shared.fleet.live == live
        with pytest.raises(PreconditionError, match=r"ask another node:\ndoc:4:1: error: limits\.nonsense"):
            await ask_for(desk, "x.test")
        await ask_for(desk, "y.test", node=".")
        assert desk.control.hostnames() == ["a.test", "y.test"]
        desk.push("c.test")
        await desk.serves("c.test", "y.test")
        await desk.until(lambda: not desk.control.reconciler.last.problems)

    run(tmp_path, body, "a.test")


def test_an_edit_is_in_the_store_when_it_is_answered(tmp_path: Path) -> None:
    """With who took it; the database has what became of it, and not the edit itself."""

    async def body(desk: Desk) -> None:
        number = await ask_for(desk, "b.test", reason="why")
        assert number == FIRST_EDIT
        (one,) = desk.store.memory.view.edits
        assert (one.edit.id, one.edit.author, one.edit.reason, one.node) == (number, "ann", "why", "edge-1")
        assert desk.control.hostnames() == ["a.test", "b.test"]
        assert await desk.control.edits.store.edits() == ()
        (record,) = await desk.control.edits.store.history(edit_id=number)
        assert record.event == "added"
        await ask(desk.control, lambda view, _: revert(view, ids=(number,), named="", everything=False), "RevertEdit")
        assert desk.store.memory.view.edits == ()
        assert desk.control.hostnames() == ["a.test"]

    run(tmp_path, body, "a.test")


def test_edits_of_other_nodes_are_live_without_reading_the_document(tmp_path: Path) -> None:
    """They come and go, with their author in the history."""

    async def body(desk: Desk) -> None:
        number = await ask_for(desk, "b.test")
        loaded = desk.control.current.loaded
        key, item = next((k, v) for k, v in desk.store.memory.contents.items.items() if k.startswith(keys.EDITS))
        desk.elsewhere(key, None)
        await desk.serves("a.test")
        desk.elsewhere(key, item.value)
        await desk.serves("a.test", "b.test")
        assert desk.control.current.loaded is loaded
        assert (desk.control.current.revision.origin, desk.control.current.revision.author) == ("api", "ann")
        events = [record.event for record in await desk.control.edits.store.history(edit_id=number)]
        assert events == ["added", "reverted", "added"]

    run(tmp_path, body, "a.test")


def test_an_edit_for_this_node_alone(tmp_path: Path) -> None:
    """It is in the database, and stands over the fleet's; a change of the fleet's own ends it where it was asked for."""

    async def body(desk: Desk) -> None:
        own = await ask_for(desk, "b.test", node="edge-1")
        assert own < FIRST_EDIT
        assert desk.store.memory.view.edits == ()
        with pytest.raises(PreconditionError, match="this is the node edge-1: ask edge-2 itself"):
            await ask_for(desk, "c.test", node="edge-2")
        assert [edit.id for edit in desk.control.edits.edits] == [own]

    run(tmp_path, body, "a.test")


def test_changes_while_the_store_is_away(tmp_path: Path) -> None:
    """Refused, on record, and nothing is begun; for this node alone they are made."""

    async def body(desk: Desk) -> None:
        desk.store.away = "nobody answers"
        desk.store.tell()
        await desk.until(lambda: bool(desk.control.edits.shared.fleet.away))
        with pytest.raises(UnavailableError, match=r"the fleet's store is away since .*: nobody answers"):
            await ask_for(desk, "b.test")
        entry = (await desk.control.edits.store.audit(limit=1))[0]
        assert (entry.outcome, entry.detail.startswith("the fleet's store is away")) == ("refused", True)
        await ask_for(desk, "c.test", node=".")
        assert desk.control.hostnames() == ["a.test", "c.test"]

    run(tmp_path, body, "a.test")


def test_an_edit_that_can_not_be_made_live_is_the_fleets_no_more(tmp_path: Path) -> None:
    """It is withdrawn from the store, too, and what it replaced is there again."""

    async def body(desk: Desk) -> None:
        kept = await ask_for(desk, "b.test")
        desk.control.workers.refuse = "a worker refuses"
        with pytest.raises(Exception, match="a worker refuses"):
            await ask_for(desk, "c.test")
        desk.control.workers.refuse = ""
        assert [one.edit.id for one in desk.store.memory.view.edits] == [kept]
        await desk.serves("a.test", "b.test")

    run(tmp_path, body, "a.test")


def test_somebody_else_was_faster(tmp_path: Path) -> None:
    """The request is judged anew by what is there now: it is done, or refused for a reason that is true."""

    async def body(desk: Desk) -> None:
        number = await ask_for(desk, "b.test")
        key, item = next((k, v) for k, v in desk.store.memory.contents.items.items() if k.startswith(keys.EDITS))
        desk.store.before_commit = lambda: desk.store.memory.put(key, item.value)
        await ask(desk.control, lambda view, _: revert(view, ids=(number,), named="", everything=False), "RevertEdit")
        assert not desk.store.memory.view.edits
        await ask_for(desk, "b.test")
        edit = next(iter(desk.store.memory.view.edits))
        desk.store.before_commit = lambda: desk.store.memory.commit(Commit(deletes=(edit.key,)))
        with pytest.raises(NotFoundError):
            await ask(
                desk.control,
                lambda view, _: revert(view, ids=(edit.edit.id,), named="", everything=False),
                "RevertEdit",
            )

    run(tmp_path, body, "a.test")


def test_what_a_rollout_changes_is_not_edited(tmp_path: Path) -> None:
    """The edit would stand on one of two documents; what both say alike is edited as ever."""

    async def body(desk: Desk) -> None:
        view = desk.store.memory.view
        assert view.doc is not None
        following = desk.store.packed(
            f'[proxy]\nworkers = 1\n[[listeners]]\naddr = "{desk.addr}"\nroutes = [{{ hostname = "a.test", backend = "127.0.0.1:7" }}]\n',
            2,
        )
        rollout = Rollout(revision=2, doc=view.doc.version, nodes=("edge-2",))
        desk.store.memory.commit(Commit(puts={keys.NEXT: following, keys.ROLLOUT: msgspec.json.encode(rollout)}))
        desk.store.tell()
        await desk.until(lambda: desk.control.edits.shared.fleet.view.next is not None)
        await ask_for(desk, "b.test")
        with pytest.raises(PreconditionError, match="the rollout of revision 2 changes"):
            await ask(desk.control, update(desk.addr, "a.test"), "UpdateRoute")

    run(tmp_path, body, "a.test")


def test_edits_that_are_over_are_removed_from_the_store(tmp_path: Path) -> None:
    """By a document that says something else; what is still right stays."""

    async def body(desk: Desk) -> None:
        settling = asyncio.ensure_future(Settling(desk.control.current).run())
        await ask(desk.control, update(desk.addr, "a.test"), "UpdateRoute")
        kept = await ask_for(desk, "b.test")
        desk.push("a.test", backend="127.0.0.1:5")
        await desk.until(lambda: [one.edit.id for one in desk.store.memory.view.edits] == [kept])
        await desk.serves("a.test", "b.test")
        settling.cancel()
        await asyncio.wait({settling})

    run(tmp_path, body, "a.test")
