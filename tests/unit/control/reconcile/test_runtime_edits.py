"""The edits of a control: in memory as in the store, also when the store can't be reached."""

import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mcproxy.control.reconcile.runtime_edits import RuntimeEdits
from mcproxy.control.store.errors import StoreBusyError, StoreError, StoreFormatError
from mcproxy.control.store.revisions import Revision
from mcproxy.control.store.store import Store
from mcproxy.model.edits.overlay import Verdict
from mcproxy.model.state.plan import Plan
from mcproxy.model.state.state import Route, State
from mcproxy.model.values.endpoint import Endpoint
from tests.support.edits import FILE, opened, request, route_edit, run

A = (":1", "a")
SAYS_A = State(FILE.listeners, {A: Route(*A, (Endpoint("h", 9),))}, settings=FILE.settings)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep everybody out of the database."""
    with closing(sqlite3.connect(folder / "mc-proxy.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def kept(folder: Path) -> None:
    """Make a database with one edit."""

    async def main() -> None:
        store = await opened(folder)
        await store.mutate(request(), add=[route_edit("a")])
        await store.close()

    run(main())


def using(folder: Path, body: Callable[[RuntimeEdits], Coroutine[Any, Any, None]]) -> None:
    """Run a body with the edits of a folder, which it opens itself."""

    async def main() -> None:
        edits = RuntimeEdits(folder / "mc-proxy.db", busy_timeout=0.05)
        try:
            await body(edits)
        finally:
            await edits.close()

    run(main())


def test_before_the_store_is_open_there_are_no_edits(tmp_path: Path) -> None:
    """And what needs it fails, with the reason."""

    async def body(edits: RuntimeEdits) -> None:
        assert (edits.edits, edits.is_open) == ((), False)
        assert edits.merge(FILE).state == FILE
        assert await edits.last_generation() == 0
        assert await edits.withdraw_unconfirmed() == ()
        with pytest.raises(StoreError, match="not open yet"):
            _ = edits.store
        assert await edits.open()
        assert not await edits.open()
        assert (edits.is_open, edits.error, edits.set_aside) == (True, "", "")

    using(tmp_path, body)


def test_a_database_that_can_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    """It is said once, not at every look; its edits are there as soon as it opens."""
    kept(tmp_path)

    async def body(edits: RuntimeEdits) -> None:
        with locked(tmp_path):
            for _ in range(2):
                assert not await edits.open()
                assert "another process keeps the database locked" in edits.error
                assert edits.edits == ()
            with pytest.raises(StoreError, match="locked"):
                _ = edits.store
        assert await edits.open()
        assert [edit.key for edit in edits.edits] == [A]
        assert edits.error == ""
        assert edits.path == tmp_path / "mc-proxy.db"

    using(tmp_path, body)


def test_what_is_wrong_is_logged_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every few seconds would fill the log."""
    kept(tmp_path)

    async def body(edits: RuntimeEdits) -> None:
        with locked(tmp_path):
            for _ in range(3):
                await edits.open()

    using(tmp_path, body)
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("another process keeps the database locked") == 1


def test_a_store_that_opens_but_can_not_be_read_is_closed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look would else leave a thread and a descriptor behind."""
    kept(tmp_path)
    closed: list[Store] = []
    close = Store.close

    async def edits_of(_: Store) -> Any:
        raise StoreBusyError("locked between")

    async def closing_(store: Store) -> None:
        closed.append(store)
        await close(store)

    async def body(edits: RuntimeEdits) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "edits", edits_of)
            patch.setattr(Store, "close", closing_)
            assert not await edits.open()
            assert (len(closed), edits.is_open) == (1, False)
        assert await edits.open()

    using(tmp_path, body)


def test_another_versions_database_is_the_operators_to_mend(tmp_path: Path) -> None:
    """No waiting helps."""
    kept(tmp_path)
    with closing(sqlite3.connect(tmp_path / "mc-proxy.db")) as connection:
        connection.execute("PRAGMA user_version = 9999")

    async def body(edits: RuntimeEdits) -> None:
        with pytest.raises(StoreFormatError, match="newer mcproxy"):
            await edits.open()

    using(tmp_path, body)


def test_a_damaged_database_is_told_of(tmp_path: Path) -> None:
    """Where it went."""
    (tmp_path / "mc-proxy.db").write_bytes(b"no database" * 100)

    async def body(edits: RuntimeEdits) -> None:
        assert await edits.open()
        assert (edits.error, edits.edits) == ("", ())
        aside.append(edits.set_aside)

    aside: list[str] = []
    using(tmp_path, body)
    assert Path(aside[0]).read_bytes() == b"no database" * 100


def test_what_ends_is_put_on_record(tmp_path: Path) -> None:
    """Here and in the store at once."""
    kept(tmp_path)

    async def body(edits: RuntimeEdits) -> None:
        await edits.open()
        await edits.settle(edits.merge(FILE))
        assert [edit.key for edit in edits.edits] == [A]
        await edits.settle(edits.merge(SAYS_A))
        assert edits.edits == await edits.store.edits() == ()
        assert [record.event for record in await edits.store.history()] == ["superseded", "added"]

    using(tmp_path, body)


def test_what_can_not_be_put_on_record_is_made_up_for(tmp_path: Path) -> None:
    """What has ended stays ended here, also if the file goes back meanwhile; in the end the record has all of it."""
    kept(tmp_path)

    async def body(edits: RuntimeEdits) -> None:
        await edits.open()
        edits.accepted(await edits.store.mutate(request(), add=[route_edit("b", expires=1.0)]), ())
        says_a = edits.merge(SAYS_A)
        assert len(says_a.expired) == len(says_a.superseded) == 1
        with closing(sqlite3.connect(tmp_path / "mc-proxy.db", isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            await edits.settle(msgspec.structs.replace(says_a, expired=(), suspended=(Verdict(says_a.expired[0], ""),)))
            assert [edit.key[1] for edit in edits.edits] == ["b"]
            assert "locked" in edits.error
            await edits.settle(edits.merge(FILE))
            assert edits.edits == ()
            connection.execute("ROLLBACK")
        assert len(await edits.store.edits()) == 2
        await edits.settle(edits.merge(FILE))
        assert edits.error == ""
        assert await edits.store.edits() == ()
        (expired, superseded, *added) = await edits.store.history()
        assert (expired.event, expired.edit.key[1]) == ("expired", "b")
        assert (superseded.event, superseded.detail) == ("superseded", "the file declares it now")
        await edits.settle(edits.merge(FILE))
        assert len(await edits.store.history()) == 2 + len(added)

    using(tmp_path, body)


def test_without_a_store_a_merge_is_settled_in_memory(tmp_path: Path) -> None:
    """There is nothing to keep."""

    async def body(edits: RuntimeEdits) -> None:
        await edits.settle(edits.merge(FILE))
        assert edits.edits == ()

    using(tmp_path, body)


def test_what_the_store_accepted_is_in_effect_and_can_be_withdrawn(tmp_path: Path) -> None:
    """Added, replaced and ended edits; the withdrawal brings back what was before."""
    kept(tmp_path)

    async def body(edits: RuntimeEdits) -> None:
        await edits.open()
        before = edits.edits
        receipt = await edits.store.mutate(request(), add=[route_edit("a", 2), route_edit("b")])
        edits.accepted(receipt, ())
        assert edits.edits == receipt.edits == await edits.store.edits()
        removed = await edits.store.mutate(request(), remove=[receipt.edits[1].id])
        edits.accepted(removed, (receipt.edits[1].id,))
        assert edits.edits == receipt.edits[:1]
        await edits.withdraw(removed.id, "no")
        await edits.withdraw(receipt.id, "no")
        assert edits.edits == before == await edits.store.edits()

    using(tmp_path, body)


def test_edits_without_effect_stay_so_and_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files they name are not right. It is said when that begins, and again with another reason."""
    kept(tmp_path)

    async def body(edits: RuntimeEdits) -> None:
        await edits.open()
        vetted = [edits.vetted]
        edits.suspend({1: "its certificate is gone"})
        assert [*vetted, edits.vetted] == [False, True]
        merged = edits.merge(FILE)
        assert [verdict.why for verdict in merged.suspended] == ["its certificate is gone"]
        await edits.settle(merged)
        await edits.settle(merged)
        assert [edit.id for edit in edits.edits] == [1]
        edits.suspend({1: "its key is gone"})
        await edits.settle(edits.merge(FILE))

    using(tmp_path, body)
    captured = capsys.readouterr()
    told = [
        line
        for line in (captured.out + captured.err).splitlines()
        if "without effect: the runtime edit of route" in line
    ]
    assert [line.partition("why=")[2].strip("'") for line in told] == ["its certificate is gone", "its key is gone"]


def test_time_changes_something_at_the_next_expiry_or_missed_confirmation(tmp_path: Path) -> None:
    """Whichever comes first; what was not confirmed in time is undone, the rest waits on."""
    now = time.time()

    async def body(edits: RuntimeEdits) -> None:
        await edits.open()
        assert await edits.next_moment(edits.merge(FILE)) is None
        expiring = await edits.store.mutate(request(), add=[route_edit("a", expires=now + 500)])
        edits.accepted(expiring, ())
        assert await edits.next_moment(edits.merge(FILE)) == now + 500
        for name, moment in (("b", now - 1), ("c", now + 400)):
            waiting = await edits.store.mutate(request(), add=[route_edit(name)], confirm_by=moment)
            edits.accepted(waiting, ())
        assert await edits.next_moment(edits.merge(FILE)) == now - 1
        assert [entry.confirm_by for entry in await edits.withdraw_unconfirmed()] == [now - 1]
        assert [edit.key[1] for edit in edits.edits] == ["a", "c"]
        assert await edits.next_moment(edits.merge(FILE)) == now + 400
        assert await edits.withdraw_unconfirmed() == ()

    using(tmp_path, body)


def test_the_history_tells_the_last_generation(tmp_path: Path) -> None:
    """So that numbers go on over a restart."""

    async def body(edits: RuntimeEdits) -> None:
        await edits.open()
        assert await edits.last_generation() == 0
        revision = Revision(12, 1.0, "file", "", "", "")
        await edits.store.record_revision(revision, FILE, Plan(()), keep=5)
        assert await edits.last_generation() == 12

    using(tmp_path, body)


@pytest.mark.parametrize("busy", [2, 3])
def test_opening_the_database_at_the_start_is_tried_three_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    """SQLite does not wait for every kind of lock; later, once at each look."""
    tried: list[Path] = []
    real = Store.open

    async def opening(path: Path, **_: object) -> Store:
        tried.append(path)
        if len(tried) <= busy:
            raise StoreBusyError("locked")
        return await real(path, now=0.0)

    async def main() -> None:
        edits = RuntimeEdits(tmp_path / "mc-proxy.db", busy_timeout=1000.0)
        monkeypatch.setattr(Store, "open", opening)
        opens = await edits.open()
        assert opens == (busy < 3)
        assert len(tried) == 3
        if not opens:
            tried.clear()
            assert not await edits.open()
            assert len(tried) == 1
        await edits.close()

    run(main())


def test_a_database_that_was_waited_for_long_enough_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy does not serve before."""
    tried: list[Path] = []

    async def opening(path: Path, **_: object) -> Store:
        tried.append(path)
        raise StoreBusyError("locked")

    async def main() -> None:
        monkeypatch.setattr(Store, "open", opening)
        assert not await RuntimeEdits(tmp_path / "mc-proxy.db", busy_timeout=0.0).open()
        assert len(tried) == 1

    run(main())


def test_a_document_on_trial_ends_no_edit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It may be taken back: an edit that it overrules is without effect meanwhile, which is told once, and over when the document lasts."""
    kept(tmp_path)

    async def body(edits: RuntimeEdits) -> None:
        await edits.open()
        for _ in range(2):
            merged = edits.merge(SAYS_A)
            assert [verdict.edit.key for verdict in merged.superseded] == [A]
            assert merged.state == SAYS_A
            await edits.settle(merged, lasting=False)
        back = edits.merge(FILE)
        assert [edit.key for edit in back.standing] == [A]
        await edits.settle(back)
        assert [edit.key for edit in await edits.store.edits()] == [A]
        await edits.settle(edits.merge(SAYS_A))
        assert (edits.edits, await edits.store.edits()) == ((), ())

    using(tmp_path, body)
    captured = capsys.readouterr()
    told = captured.out + captured.err
    assert told.count("without effect while a document is on trial: the runtime edit of route :1 a") == 1
    assert told.count("superseded: the runtime edit of route :1 a") == 1
