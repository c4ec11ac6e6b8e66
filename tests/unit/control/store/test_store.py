"""The store: what is accepted is there, whole, and what ends leaves a record."""

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.store import revisions
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.ledger import DuplicateRequestError, NoSuchEditError, Record
from mcproxy.control.store.revisions import Declared, Revision
from mcproxy.control.store.store import Store
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.edits.overlay import merge
from mcproxy.model.history.origins import FileOrigins
from mcproxy.model.state.plan import Plan, make_plan
from mcproxy.model.state.state import Case, Listener, Route, State
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.policy.acme.record import Record as Order
from tests.support.edits import FILE, edits_of_every_kind, opened, request, route_edit, run


def without_ids(edits: tuple[Edit, ...]) -> list[Edit]:
    return [msgspec.structs.replace(edit, id=0) for edit in edits]


def events(records: tuple[Record, ...]) -> list[tuple[str, object]]:
    """Return event and key, the oldest first."""
    return [(record.event, record.edit.key[-1]) for record in reversed(records)]


def test_edits_of_every_kind_survive_a_restart(tmp_path: Path) -> None:
    """Every field of each, with the same types."""
    wanted = edits_of_every_kind()

    async def main() -> None:
        store = await opened(tmp_path)
        receipt = await store.mutate(request(), add=wanted)
        assert without_ids(receipt.edits) == list(wanted)
        assert [edit.id for edit in receipt.edits] == list(range(1, len(wanted) + 1))
        await store.close()
        store = await opened(tmp_path)
        again = await store.edits()
        assert again == receipt.edits
        assert [type(edit.value) for edit in again] == [type(edit.value) for edit in wanted]
        assert store.set_aside is None
        await store.mutate(request(), remove=[edit.id for edit in again])
        assert await store.edits() == ()
        await store.close()

    run(main())


@pytest.mark.parametrize(
    ("value", "why"), [(5000, "workers: must be at most 1024"), (True, "workers: must be an integer")]
)
def test_what_could_not_be_read_again_is_refused(tmp_path: Path, value: int, why: str) -> None:
    """A rollback may bring a value that an earlier version took; its row would make the whole database count as damaged."""

    async def main() -> None:
        store = await opened(tmp_path)
        edit = Edit(kind="setting", key="proxy.workers", value=value, created=1.0)
        with pytest.raises(StoreError, match=f"the runtime edit of setting proxy.workers can't be kept: {why}"):
            await store.mutate(request(), add=[route_edit("a"), edit])
        assert await store.edits() == ()
        await store.close()
        store = await opened(tmp_path)
        assert store.set_aside is None
        await store.close()

    run(main())


def test_ids_are_never_used_again(tmp_path: Path) -> None:
    """History refers to them."""

    async def main() -> None:
        store = await opened(tmp_path)
        first = await store.mutate(request(), add=[route_edit("a")])
        await store.mutate(request(), remove=[first.edits[0].id])
        await store.close()
        store = await opened(tmp_path)
        second = await store.mutate(request(), add=[route_edit("a")])
        assert second.edits[0].id > first.edits[0].id
        assert second.id > first.id
        await store.close()

    run(main())


def test_a_new_edit_of_the_same_resource_replaces_the_old_one(tmp_path: Path) -> None:
    """The old one is in the history, whole."""

    async def main() -> None:
        store = await opened(tmp_path)
        old = (await store.mutate(request(), add=[route_edit("a", 1)])).edits[0]
        new = (await store.mutate(request(5.0, reason="better"), add=[route_edit("a", 2)])).edits[0]
        assert await store.edits() == (new,)
        added, replaced, _ = await store.history()
        assert (added.event, added.edit) == ("added", new)
        assert (replaced.event, replaced.edit, replaced.time, replaced.detail) == ("replaced", old, 5.0, "better")
        assert [record.event for record in await store.history(edit_id=old.id)] == ["replaced", "added"]
        assert await store.history(edit_id=2**70) == ()
        await store.close()

    run(main())


def test_a_request_is_accepted_whole_or_not_at_all(tmp_path: Path) -> None:
    """One edit that is not there: nothing of it happened, not even in the audit."""

    async def main() -> None:
        store = await opened(tmp_path)
        (edit,) = (await store.mutate(request(), add=[route_edit("a")])).edits
        for missing in (99, 0, -1, 2**70):
            with pytest.raises(NoSuchEditError, match=f"no runtime edit {missing}"):
                await store.mutate(request(), add=[route_edit("b")], remove=[edit.id, missing])
        assert await store.edits() == (edit,)
        assert len(await store.audit()) == 1
        assert len(await store.history()) == 1
        await store.close()

    run(main())


def test_the_audit_tells_what_became_of_every_request(tmp_path: Path) -> None:
    """Accepted, refused, withdrawn; newest first, in pages."""

    async def main() -> None:
        store = await opened(tmp_path)
        asked = request(target=":1 a", author="ann", verified=True, reason="r", request_id="q", request="{}")
        accepted = await store.mutate(asked, add=[route_edit("a")])
        await store.refuse(request(author="bob"), "backend: has no port")
        failed = await store.mutate(request(), add=[route_edit("b")])
        await store.withdraw(failed.id, detail="address in use", time=2.0)
        entries = await store.audit()
        assert [(e.outcome, e.detail) for e in entries] == [
            ("withdrawn", "address in use"),
            ("refused", "backend: has no port"),
            ("accepted", ""),
        ]
        assert (entries[2].id, entries[2].mutation) == (accepted.id, asked)
        assert await store.audit(limit=1, before=entries[0].id) == (entries[1],)
        await store.close()

    run(main())


def test_a_withdrawn_request_leaves_the_edits_as_they_were(tmp_path: Path) -> None:
    """What it added goes, what it replaced or reverted returns with its id; both are on record."""

    async def main() -> None:
        store = await opened(tmp_path)
        await store.mutate(request(), add=[route_edit("a"), route_edit("b"), route_edit("c")])
        before = await store.edits()
        receipt = await store.mutate(
            request(), add=[route_edit("a", 2), route_edit("d"), route_edit("d", 2)], remove=[before[1].id]
        )
        await store.withdraw(receipt.id, detail="no", time=2.0)
        assert await store.edits() == before
        assert events(await store.history())[3:] == [
            ("reverted", "b"),
            ("replaced", "a"),
            ("added", "a"),
            ("added", "d"),
            ("replaced", "d"),
            ("added", "d"),
            ("withdrawn", "a"),
            ("withdrawn", "d"),
            ("restored", "b"),
            ("restored", "a"),
        ]
        length = len(await store.history())
        await store.withdraw(receipt.id, detail="again", time=3.0)
        assert len(await store.history()) == length
        await store.close()

    run(main())


def test_withdrawing_does_not_touch_what_came_later(tmp_path: Path) -> None:
    """A newer edit of the same resource stays, also over one that would return."""

    async def main() -> None:
        store = await opened(tmp_path)
        await store.mutate(request(), add=[route_edit("a", 1)])
        receipt = await store.mutate(request(), add=[route_edit("a", 2), route_edit("b")])
        newer = await store.mutate(request(), add=[route_edit("a", 3)])
        await store.withdraw(receipt.id, detail="no", time=2.0)
        assert await store.edits() == newer.edits
        await store.close()

    run(main())


def test_a_retry_finds_the_first_answer(tmp_path: Path) -> None:
    """Also after a restart; the request itself is told, so that another one under the same id is noticed."""

    async def main() -> None:
        store = await opened(tmp_path)
        assert await store.request("q") is None
        asked = request(request_id="q", request='{"hostname":"a"}')
        receipt = await store.mutate(asked, add=[route_edit("a", request_id="q")])
        with pytest.raises(DuplicateRequestError):
            await store.mutate(asked, add=[route_edit("a", request_id="q")])
        found = await store.request("q")
        assert found is not None
        assert (found[0].answer, found[1]) == (None, receipt.edits)
        await store.answer(receipt.id, b"done")
        await store.mutate(request(), add=[route_edit("a", 2)])
        await store.close()
        store = await opened(tmp_path)
        found = await store.request("q")
        assert found is not None
        assert (found[0].id, found[0].mutation, found[0].answer, found[1]) == (
            receipt.id,
            asked,
            b"done",
            receipt.edits,
        )
        await store.close()

    run(main())


def test_only_accepted_requests_use_up_their_id(tmp_path: Path) -> None:
    """Refused and withdrawn ones may come again; requests without an id never meet."""

    async def main() -> None:
        store = await opened(tmp_path)
        await store.refuse(request(request_id="q"), "no")
        receipt = await store.mutate(request(request_id="q"), add=[route_edit("a")])
        await store.answer(receipt.id, b"early")
        await store.withdraw(receipt.id, detail="no", time=2.0)
        assert await store.request("q") is None
        await store.answer(receipt.id, b"late")
        assert (await store.audit(limit=1))[0].answer is None
        await store.mutate(request(request_id="q"), add=[route_edit("a")])
        for _ in range(2):
            await store.mutate(request(), add=[route_edit("b")])
        assert await store.request("") is None
        await store.close()

    run(main())


def test_an_unconfirmed_request_is_remembered_over_a_restart(tmp_path: Path) -> None:
    """Until it is confirmed or withdrawn; the most urgent one in front."""

    async def main() -> None:
        store = await opened(tmp_path)
        late = await store.mutate(request(), add=[route_edit("a")], confirm_by=60.0)
        soon = await store.mutate(request(), add=[route_edit("b")], confirm_by=30.0)
        done = await store.mutate(request(), add=[route_edit("c")], confirm_by=10.0)
        assert await store.confirm(done.id, request(5.0))
        assert not await store.confirm(done.id, request(6.0))
        assert (await store.audit(limit=1))[0].mutation.time == 5.0  # who confirmed is on record
        await store.close()
        store = await opened(tmp_path)
        assert [(e.id, e.confirm_by) for e in await store.unconfirmed()] == [(soon.id, 30.0), (late.id, 60.0)]
        await store.withdraw(soon.id, detail="not confirmed in time", time=30.0)
        assert not await store.confirm(soon.id, request(31.0))
        assert [e.id for e in await store.unconfirmed()] == [late.id]
        assert [edit.key for edit in await store.edits()] == [(":1", "a"), (":1", "c")]
        await store.close()

    run(main())


def test_what_a_merge_finds_is_settled(tmp_path: Path) -> None:
    """Superseded and expired edits go, with the reason on record; orphans remember what they lost."""

    async def main() -> None:
        store = await opened(tmp_path)
        live = State({":1": Listener(":1"), ":2": Listener(":2")}, settings=FILE.settings)
        await store.mutate(request(), add=[route_edit("a"), route_edit("b", expires=5.0)])
        orphan = make_edit(FILE, live, "route", (":2", "c"), Route(":2", "c", (Endpoint("h", 1),)), created=1.0)
        await store.mutate(request(), add=[orphan])
        says = State(FILE.listeners, {(":1", "a"): Route(":1", "a", (Endpoint("h", 9),))}, settings=FILE.settings)
        merged = merge(says, await store.edits(), 5.0)
        await store.settle(merged, 6.0)
        assert await store.edits() == merged.kept
        assert [(edit.key, edit.orphaned, edit.parent) for edit in merged.kept] == [((":2", "c"), True, orphan.parent)]
        ended = [(r.event, r.edit.key[1], r.detail, r.time) for r in await store.history(limit=2)]
        assert ended == [
            ("expired", "b", "its time is over", 6.0),
            ("superseded", "a", "the file declares it now", 6.0),
        ]
        await store.settle(merged, 7.0)
        assert len(await store.history()) == 5
        await store.close()

    run(main())


STATE = State(
    {":1": Listener(":1", trusted_proxies=("::/0",))},
    {(":1", "a"): Route(":1", "a", (Endpoint("h", 1),))},
    settings={"a": 1, "b": 1.0, "c": True, "d": "x", "e": ("y",)},
)


def revision(generation: int, **fields: str) -> Revision:
    return Revision(generation, 1.5, fields.get("origin", "file"), fields.get("author", ""), "ab" * 32, "1 added")


def test_a_revision_comes_back_with_everything(tmp_path: Path) -> None:
    """The whole State with its types, and the plan."""

    async def main() -> None:
        store = await opened(tmp_path)
        plan = make_plan(State(), STATE, {})
        wanted = revision(7, origin="api", author="ann")
        await store.record_revision(wanted, STATE, plan, keep=10)
        await store.close()
        store = await opened(tmp_path)
        assert await store.revisions() == (wanted,)
        found = await store.revision(7)
        assert found is not None
        assert (found.revision, found.state) == (wanted, STATE)
        assert [type(value) for value in found.state.settings.values()] == [int, float, bool, str, tuple]
        told = Plan(tuple(plan.told())).lines()  # without the settings that merely have their default
        assert found.plan == {**msgspec.json.decode(msgspec.json.encode(plan.builtins())), "lines": list(told)}
        for missing in (6, 8, -1, 2**80):
            assert await store.revision(missing) is None
        await store.close()

    run(main())


def test_only_the_last_revisions_are_kept(tmp_path: Path) -> None:
    """As many as asked for, whatever their numbers; fewer after the setting was lowered."""

    async def listed(store: Store) -> list[int]:
        return [r.generation for r in await store.revisions()]

    async def main() -> None:
        store = await opened(tmp_path)
        plan = make_plan(State(), State(), {})
        for generation in (1, 2, 5, 6, 9):
            await store.record_revision(revision(generation), STATE, plan, keep=3)
        assert await listed(store) == [9, 6, 5]
        assert [r.generation for r in await store.revisions(limit=1, before=9)] == [6]
        await store.record_revision(revision(10), STATE, plan, keep=1)
        assert await listed(store) == [10]
        await store.record_revision(revision(11), STATE, plan, keep=0)
        assert await listed(store) == [11]
        await store.close()

    run(main())


def test_the_index_of_changes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, whole generations at once and never the newest's; nothing is left of resources that only they had."""

    def routes(*names: str) -> State:
        return State({":1": Listener(":1")}, {(":1", name): Route(":1", name, ()) for name in names})

    async def main() -> None:
        monkeypatch.setattr("mcproxy.control.store.resource_changes.MOST", 5)
        store = await opened(tmp_path)
        states = [routes("a", "b"), routes("a"), routes("a", "c", "d"), routes(*"abcdefgh")]
        for generation, (before, after) in enumerate(itertools.pairwise([State(), *states]), 1):
            await store.record_revision(revision(generation), after, make_plan(before, after, {}), keep=9)
            since = (await store.past("route", (":1", "a"))).since
            assert since == {1: 1, 2: 1, 3: 2, 4: 4}[generation]
        assert len(await store.revisions()) == 4
        assert (await store.past("route", (":1", "a"))).changes == ()
        assert [by.generation for by, _ in (await store.past("route", (":1", "h"))).changes] == [4]
        await store.close()
        with closing(sqlite3.connect(tmp_path / "mc-proxy.db")) as connection:
            kept = connection.execute("SELECT count(*) FROM changed_resources").fetchone()
            assert kept == connection.execute("SELECT count(*) FROM resource_changes").fetchone() == (5,)

    run(main())


def test_where_files_declare_everything_is_kept_once_for_all_generations_of_them(tmp_path: Path) -> None:
    """And no longer than one of these is there."""
    one, other = (
        FileOrigins(resolve([Source("/f", f'{before}[[listeners]]\naddr = ":1"\n')])) for before in ("", "# more\n")
    )
    assert one.digest != other.digest

    async def main() -> None:
        store = await opened(tmp_path)
        for generation, files in enumerate((one, one, other, other), 1):
            await store.record_revision(
                revision(generation), STATE, Plan(()), keep=3, declared=Declared(files), unkept=None
            )
        assert counted() == 2
        await store.record_revision(revision(5), STATE, Plan(()), keep=2, declared=Declared(other))
        assert counted() == 1
        await store.close()

    def counted() -> int:
        with closing(sqlite3.connect(tmp_path / "mc-proxy.db")) as connection:
            (count,) = connection.execute("SELECT count(*) FROM file_origins").fetchone()
            return int(count)

    run(main())


def test_the_last_changes_of_routes_are_found(tmp_path: Path) -> None:
    """Those of their policies and cases, too, and of no route whose name begins alike; the lines of a plan are read alone."""
    key, other = (":1", "a"), (":1", "a.b")
    first = State({":1": Listener(":1")}, {each: Route(*each, ()) for each in (key, other)})
    second = msgspec.structs.replace(first, cases={(*key, "/x"): Case(*key, "/x")})
    third = msgspec.structs.replace(second, routes={**first.routes, other: Route(*other, (), on_remove="keep")})

    async def main() -> None:
        store = await opened(tmp_path)
        states = [State(), first, second, third]
        for generation, (before, after) in enumerate(itertools.pairwise(states), 1):
            await store.record_revision(revision(generation), after, make_plan(before, after, {}), keep=9)
        found = await store.last_changes([key, other, (":1", "nowhere")])
        assert {each: by.generation for each, by in found.items()} == {key: 2, other: 3}
        assert await store.outline(2) == (revision(2), make_plan(first, second, {}).lines())
        assert await store.outline(4) is await store.outline(2**80) is None
        await store.label(2, "why")
        labelled = await store.revision(2)
        assert labelled is not None
        assert labelled.revision.label == "why"
        assert labelled is await store.revision(2)
        await store.close()

    run(main())


def test_the_index_of_changes_is_used(tmp_path: Path) -> None:
    """However long the history is, blame and the status page look at the rows of their resources alone, and at no whole generation."""

    async def main() -> None:
        store = await opened(tmp_path)
        await store.record_revision(revision(1), STATE, make_plan(State(), STATE, {}), keep=9)
        await store.close()

    run(main())
    asked: list[str] = []
    with closing(sqlite3.connect(tmp_path / "mc-proxy.db")) as connection:
        connection.set_trace_callback(asked.append)
        revisions.past(connection, "route", (":1", "a"))
        revisions.last_changes(connection, [(":1", "a")])
        connection.set_trace_callback(None)
        for query in filter(None, (one if "resource_changes" in one else "" for one in asked)):
            steps = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
            assert [step for step in steps if step.startswith("SCAN") and "CONSTANT" not in step] == [], query
        assert not [one for one in asked if " state" in one or ", plan" in one]
        assert len(asked) >= 4


def test_what_is_kept_of_orders_is_there_for_the_next_control(tmp_path: Path) -> None:
    """Records by name, each once, and when orders were begun within the time that is asked for."""
    record = Order("*.a.test", "ordering", "https://ca.test/order/1", "https://ca.test/dir", 3, 9.5, "why", 1.5, 2.5)

    async def main() -> None:
        store = await opened(tmp_path)
        await store.keep_order(Order("*.a.test"))
        await store.keep_order(record)
        await store.keep_order(Order("b.test"))
        for at in (5.0, 7.0, 6.0):
            await store.count_order(at)
        await store.close()
        store = await opened(tmp_path)
        assert await store.order_records() == (record, Order("b.test"))
        await store.forget_order("b.test")
        await store.forget_order("never.test")
        assert await store.order_records() == (record,)
        assert list(await store.orders_since(5.0)) == [6.0, 7.0]
        assert list(await store.orders_since(0.0)) == [6.0, 7.0], "earlier ones are forgotten"
        await store.close()

    run(main())


@pytest.mark.parametrize(
    ("field", "value"),
    [("failures", "x"), ("failures", -1), ("failures", 10**12), ("next_try", 1e300), ("ari_end", float("inf")), ("ari_start", -1)],
)  # fmt: skip
def test_a_record_that_makes_no_sense_keeps_no_other_from_being_read(tmp_path: Path, field: str, value: object) -> None:
    """Somebody has written into the database: a time that stands in no calendar, a number that no message has room for."""

    async def main() -> None:
        store = await opened(tmp_path)
        await store.keep_order(Order("a.test"))
        await store.keep_order(Order("b.test", failures=2))
        await store.close()
        with closing(sqlite3.connect(tmp_path / "mc-proxy.db")) as connection, connection:
            connection.execute(f"UPDATE acme_orders SET {field} = ? WHERE name = 'a.test'", (value,))
        store = await opened(tmp_path)
        assert await store.order_records() == (Order("b.test", failures=2),)
        await store.close()

    run(main())
