"""Schema 8, one table for the edits of all kinds: nothing is lost on the way, whatever the version before."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mcproxy.control.store.errors import StoreFormatError
from mcproxy.control.store.migrations import LATEST, MIGRATIONS, migrate, version
from mcproxy.control.store.transactions import transaction
from mcproxy.model.state.state import Listener, Route, State
from mcproxy.model.values.endpoint import Endpoint
from tests.support.edits import opened, request, route_edit, run
from tests.support.old_databases import SINCE_EDITS, VERSIONS, edits_within, make_old_database

HELD_EDITS = ("edits", "settings", "firewall_rules", "listeners", "routes", "l7_policies")


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect as the store does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


def contents(connection: sqlite3.Connection, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}


@pytest.mark.parametrize("old", VERSIONS)
def test_every_edit_of_an_older_database_is_as_it_was(tmp_path: Path, old: int) -> None:
    """All it knows, as the code of then loaded it: kinds, keys, values, tombstones, orphans, expiries, odd characters."""
    make_old_database(old, tmp_path)

    async def main() -> None:
        store = await opened(tmp_path)
        assert store.set_aside is None
        edits = await store.edits()
        wanted = edits_within(old, tmp_path, edits[0].created)
        if old < SINCE_EDITS:  # theirs is the time of the migration, whose statements may have run in different seconds
            edits = tuple(msgspec.structs.replace(edit, created=edits[0].created) for edit in edits)
        assert edits == wanted
        assert [type(edit.value) for edit in edits] == [type(edit.value) for edit in wanted]
        await store.close()

    run(main())


def test_the_old_databases_have_an_edit_of_every_sort(tmp_path: Path) -> None:
    """So that the test above says something."""
    for old in VERSIONS:
        edits = edits_within(old, tmp_path, 0.0)
        kinds = {edit.kind for edit in edits}
        backends = {str(each) for edit in edits if isinstance(edit.value, Route) for each in edit.value.endpoints}
        assert {"rule", "listener", "route"} <= kinds
        assert any(backend.startswith("unix:") for backend in backends)
        assert any(backend.startswith("[") for backend in backends)
        assert ("policy" in kinds) == (old >= 4)
        if old >= SINCE_EDITS:
            assert {edit.kind for edit in edits if edit.value is None} == {"listener", "route", "policy", "rule"}
            assert kinds == {"setting", "rule", "listener", "route", "policy"}
            assert {edit.kind for edit in edits if edit.orphaned} == {"route", "policy"}
            assert any(edit.expires is not None for edit in edits)
            assert any(not (edit.author + edit.reason).isascii() for edit in edits)


@pytest.mark.parametrize("old", VERSIONS)
def test_the_tables_that_held_edits_stay_as_they_are(tmp_path: Path, old: int) -> None:
    """Nothing is destroyed on the way."""
    with connected(make_old_database(old, tmp_path)) as connection:
        migrate(connection, max(old, 7))
        before = contents(connection, *HELD_EDITS)
        migrate(connection)
        assert contents(connection, *HELD_EDITS) == before
        assert version(connection) == LATEST


@pytest.mark.parametrize("old", [each for each in VERSIONS if each >= SINCE_EDITS])
@pytest.mark.parametrize("left", ["all edits", "none"])
def test_ids_of_edits_that_have_ended_are_never_given_again(tmp_path: Path, old: int, left: str) -> None:
    """Also when no edit is left; history and audit refer to them."""
    path = make_old_database(old, tmp_path)
    with connected(path) as connection:
        (last,) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'edits'").fetchone()
        assert last > max(edit.id for edit in edits_within(old, tmp_path, 0.0))
        if left == "none":
            connection.execute("DELETE FROM edits")

    async def main() -> None:
        store = await opened(tmp_path)
        assert (await store.edits() == ()) == (left == "none")
        receipt = await store.mutate(request(), add=[route_edit("new")])
        assert receipt.edits[0].id == last + 1
        await store.close()

    run(main())


def test_history_audit_and_revisions_are_readable_after_it(tmp_path: Path) -> None:
    """An edit in the history is the one that is in effect."""
    make_old_database(7, tmp_path)

    async def main() -> None:
        store = await opened(tmp_path)
        edits = {edit.id: edit for edit in await store.edits()}
        records = await store.history()
        assert {record.edit.id: record.edit for record in records if record.edit.id in edits} == edits
        assert [record.event for record in records[:4]] == ["withdrawn", "added", "reverted", "added"]
        assert {entry.outcome for entry in await store.audit()} == {"accepted", "refused", "withdrawn"}
        revision = await store.revision(2)
        assert revision is not None
        addr = "127.44.7.1:17443"
        assert revision.state == State(
            {addr: Listener(addr)},
            {(addr, "a"): Route(addr, "a", (Endpoint("::1", 1),))},
            settings={"proxy.workers": 1},
        )
        await store.close()

    run(main())


def test_a_rebuilt_table_of_edits_would_lose_them(tmp_path: Path) -> None:
    """Why the step does not lift the limit of kinds in the usual way: dropping the old table deletes what refers to it."""
    path = make_old_database(7, tmp_path)
    with connected(path) as connection:
        before = contents(connection, *HELD_EDITS)
        with transaction(connection):
            (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'edits'").fetchone()
            assert "CHECK(kind IN" in sql
            connection.execute(
                sql.replace("CREATE TABLE edits", "CREATE TABLE rebuilt").replace(
                    "CHECK(kind IN ('setting','rule','listener','route','policy'))", ""
                )
            )
            connection.execute("INSERT INTO rebuilt SELECT * FROM edits")
            connection.execute("PRAGMA foreign_keys = OFF")  # without effect in a transaction
            connection.execute("DROP TABLE edits")
            connection.execute("ALTER TABLE rebuilt RENAME TO edits")
        after = contents(connection, *HELD_EDITS)
        assert after["edits"] == before["edits"]
        for table in ("settings", "firewall_rules", "l7_policies"):
            assert before[table]
            assert after[table] == []
        assert connection.execute("SELECT count(*) FROM routes WHERE edit_id IS NOT NULL").fetchone() == (0,)


DYING = "SELECT die()"


@pytest.mark.parametrize("statements", range(len(MIGRATIONS[7]) + 1))
def test_a_process_killed_in_the_middle_leaves_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statements: int
) -> None:
    """After any of the step's statements; the next start makes the step from the beginning."""
    path = make_old_database(7, tmp_path)
    with connected(path) as connection:
        before = contents(connection, *HELD_EDITS)
    step = (*MIGRATIONS[7][:statements], DYING)
    monkeypatch.setattr("mcproxy.control.store.migrations.MIGRATIONS", (*MIGRATIONS[:7], step))
    pid = os.fork()
    if not pid:
        try:
            with connected(path) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
                migrate(connection)
        finally:
            os._exit(1)  # it must not run the rest of the tests
    monkeypatch.undo()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with connected(path) as connection:
        assert version(connection) == 7
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'runtime_edits'").fetchone() == (0,)
        assert contents(connection, *HELD_EDITS) == before

    async def main() -> None:
        store = await opened(tmp_path)
        assert await store.edits() == edits_within(7, tmp_path, 0.0)
        await store.close()

    run(main())


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [("test", '["api"]', "{}"), ("route", '[":1","a"]', '{"backend":"h:1","novelty":1}')],
)
def test_an_edit_of_a_newer_version_is_neither_read_nor_taken_for_damage(
    tmp_path: Path, kind: str, key: str, value: str
) -> None:
    """A kind or key that is unknown here needs a newer mcproxy; the file stays where it is."""

    async def main() -> None:
        await (await opened(tmp_path)).close()
        with connected(tmp_path / "mc-proxy.db") as connection:
            row = (kind, key, value)
            connection.execute("INSERT INTO runtime_edits (kind, key, value, created) VALUES (?, ?, ?, 1)", row)
        with pytest.raises(StoreFormatError, match=r"of a newer mcproxy: in a runtime edit, .*upgrade mcproxy"):
            await opened(tmp_path)
        with connected(tmp_path / "mc-proxy.db") as connection:
            assert connection.execute("SELECT count(*) FROM runtime_edits").fetchone() == (1,)

    run(main())


def test_keys_written_here_and_by_the_step_are_the_same_texts() -> None:
    """An edit is found by its key as text; SQLite and msgspec write JSON alike, also odd characters."""
    odd = "".join(map(chr, (*range(1, 0x250), 0x2028, 0xFFFD, 0x1F600)))
    with closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute("SELECT json_array(?, ?)", ("a", odd)).fetchone() == (
            msgspec.json.encode(["a", odd]).decode(),
        )
