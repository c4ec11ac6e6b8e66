"""A database of every earlier version opens, with everything that was in it."""

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mcproxy.control.store.migrations import LATEST, MIGRATIONS, migrate, version
from mcproxy.control.store.revisions import Revision
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import merge
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.model.values.origins import Origin
from tests.support.edits import opened, request, route_edit, run

STATE = zlib.compress(msgspec.msgpack.encode(State({":1": Listener(":1")})))
PLAN = zlib.compress(b'{"summary": "1 added"}')
CHANGED = State(
    {":1": Listener(":1", max_connections=9)}, settings={"proxy.workers": 4, "metrics.allowed_hosts": ("a", "b")}
)
CHANGES = {
    **make_plan(
        State({":1": Listener(":1")}), CHANGED, {("listener", ":1"): Origin("/f/mc-proxy.toml", 3, 1)}
    ).builtins(),
    "lines": [],
}
LATER = [zlib.compress(data) for data in (msgspec.msgpack.encode(CHANGED), msgspec.json.encode(CHANGES))]

# What each version's mcproxy would have written, on top of what the version before had.
ROWS: dict[int, list[str]] = {
    1: [
        "INSERT INTO listeners (id, addr) VALUES (3, ':1'), (8, ':2')",
        "INSERT INTO routes (id, listener_id, hostname, backend) VALUES (3, 3, 'a', 'h:1'), (5, 8, '*', 'unix:/s')",
        "INSERT INTO firewall_rules (type, value) VALUES ('ip', '192.0.2.1')",
    ],
    2: [
        "UPDATE listeners SET proxy_protocol = 1 WHERE addr = ':2'",
        "UPDATE routes SET mode = 'l7', tls_cert = '/c', tls_key = '/k', backend_tls = 1, send_proxy_protocol = 1 WHERE id = 3",
    ],
    3: ["UPDATE listeners SET max_connections = 9 WHERE addr = ':1'"],
    4: ["INSERT INTO l7_policies (id, route_id, type, value) VALUES (1, 3, 'require_header', 'X')"],
    5: [
        """INSERT INTO edits (id, kind, base, tombstone, parent, orphaned, author, reason, created, expires, request_id)
            VALUES (50, 'rule', 'b', 1, NULL, 0, 'ann', 'why', 2.5, 99.0, 'q'),
                (51, 'setting', 'b', 0, NULL, 0, '', '', 3, NULL, '')""",
        "INSERT INTO firewall_rules (type, value, edit_id) VALUES ('ip', '::1', 50)",
        "INSERT INTO settings (path, value, edit_id) VALUES ('proxy.workers', '4', 51)",
    ],
    6: [
        f"INSERT INTO revisions VALUES (4, 1.5, 'api', 'ann', 'ab', '1 added', X'{STATE.hex()}', X'{PLAN.hex()}')",
        f"INSERT INTO revisions VALUES (5, 2.5, 'file', '', 'cd', '1 changed', X'{LATER[0].hex()}', X'{LATER[1].hex()}')",
    ],
    7: [
        """INSERT INTO audit (time, action, target, author, verified, reason, request_id, request, outcome)
            VALUES (1.5, 'AddRoute', ':1 a', 'ann', 1, 'why', 'q', '{}', 'accepted')""",
    ],
    8: [
        """INSERT INTO runtime_edits (kind, key, value, created) VALUES
            ('route', '[":2","b"]', '{"backend":"[::1]:1","on_remove":"keep"}', 4)""",
    ],
    9: [
        "UPDATE revision_details SET label = 'why' WHERE generation = 5",
    ],
    10: [
        "INSERT INTO guard_verdicts (generation, time, outcome, detail) VALUES (4, 2.5, 'kept', 'why')",
    ],
    11: [
        """INSERT INTO acme_orders (name, state, url, directory, failures, next_try, error, ari_start, ari_end)
            VALUES ('a.test', 'ordering', 'https://ca.test/order/1', 'https://ca.test/dir', 2, 9.5, 'why', 0, 0)""",
        "INSERT INTO acme_started (time) VALUES (2.5)",
    ],
}


def older(path: Path, target: int) -> None:
    """Make a database as the mcproxy of a version left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        for number in range(1, target + 1):
            migrate(connection, number)
            for statement in ROWS[number]:
                connection.execute(statement)


def expected(target: int) -> dict[Any, Any]:
    """Return the value of each edit by its key; tombstones are None."""
    l7: dict[str, Any] = {
        "mode": "l7",
        "tls_cert": "/c",
        "tls_key": "/k",
        "backend_tls": True,
        "send_proxy_protocol": True,
    }
    values: dict[Any, Any] = {
        ":1": Listener(":1", max_connections=9 if target >= 3 else 0),
        ":2": Listener(":2", proxy_protocol=target >= 2),
        (":1", "a"): Route(":1", "a", (Endpoint("h", 1),), **(l7 if target >= 2 else {})),
        (":2", "*"): Route(":2", "*", (Endpoint(path="/s"),)),
        ("ip", "192.0.2.1"): Rule("ip", "192.0.2.1"),
    }
    if target >= 4:
        values[":1", "a", "require_header", "X"] = Policy(":1", "a", "require_header", "X")
    if target >= 5:
        values |= {("ip", "::1"): None, "proxy.workers": 4}
    if target >= 8:
        values[":2", "b"] = Route(":2", "b", (Endpoint("::1", 1),), on_remove="keep")
    return values


@pytest.mark.parametrize("target", range(1, LATEST + 1))
def test_every_earlier_version_is_upgraded_with_its_rows(tmp_path: Path, target: int) -> None:
    """Each row is an edit of what no file declared, and the store works on from there."""
    older(tmp_path / "mc-proxy.db", target)

    async def main() -> None:
        store = await opened(tmp_path)
        assert store.set_aside is None
        edits = await store.edits()
        assert {edit.key: edit.value for edit in edits} == expected(target)
        assert len({edit.id for edit in edits}) == len(edits)
        (legacy,) = (edit for edit in edits if edit.key == (":1", "a"))
        assert (legacy.base, legacy.reason, legacy.expires) == (None, "from an older database", None)
        assert legacy.created > 1_600_000_000
        if target >= 6:
            newer = Revision(5, 2.5, "file", "", "cd", "1 changed", "why" if target >= 9 else "")
            assert await store.revisions() == (newer, Revision(4, 1.5, "api", "ann", "ab", "1 added"))
            revision = await store.revision(4)
            assert revision is not None
            assert revision.state == State({":1": Listener(":1")})
            assert revision.resolution.origins == {}
            past = await store.past("listener", (":1",))
            assert (past.since, past.gaps) == (5, {})
            ((by, change),) = past.changes
            assert by == newer
            assert (change.action, change.changed, change.fields) == (
                "change",
                ("max_connections",),
                {"max_connections": 9},
            )
            assert change.place("max_connections") == Origin("/f/mc-proxy.toml", 3, 1)
            ((_, setting),) = (await store.past("setting", ("metrics.allowed_hosts",))).changes
            assert (setting.action, setting.fields) == ("add", {"value": ["a", "b"]})
        if target >= 7:
            (entry,) = await store.audit()
            assert (entry.mutation.author, entry.mutation.verified, entry.mutation.request_id) == ("ann", True, "q")
        (new,) = (await store.mutate(request(), add=[route_edit("a", 2)])).edits
        assert new.id > max(edit.id for edit in edits)
        await store.close()
        store = await opened(tmp_path)
        assert {edit.key: edit.value for edit in await store.edits()} == expected(target) | {new.key: new.value}
        await store.close()

    run(main())


def test_what_an_older_version_kept_yields_to_the_file(tmp_path: Path) -> None:
    """The database was the truth once; now what the file declares is the file's, and the rest goes on as edits."""
    older(tmp_path / "mc-proxy.db", 4)

    async def main() -> None:
        store = await opened(tmp_path)
        listener = Listener(":1", max_connections=1)
        merged = merge(State({":1": listener}), await store.edits(), 0.0)
        assert [verdict.edit.key for verdict in merged.superseded] == [":1"]
        assert merged.state.listeners[":1"] == listener
        assert merged.state.routes.keys() == {(":1", "a"), (":2", "*")}
        assert len(merged.state.policies) == 1
        await store.settle(merged, 1.0)
        assert await store.edits() == merged.kept
        await store.close()

    run(main())


def test_edits_keep_all_they_know_from_version_5_on(tmp_path: Path) -> None:
    """Author, reason, times, base and request."""
    older(tmp_path / "mc-proxy.db", 5)

    async def main() -> None:
        store = await opened(tmp_path)
        (edit,) = (edit for edit in await store.edits() if edit.id == 50)
        assert edit == Edit(
            id=50,
            kind="rule",
            key=("ip", "::1"),
            value=None,
            base="b",
            author="ann",
            reason="why",
            created=2.5,
            expires=99.0,
            request_id="q",
        )
        await store.close()

    run(main())


def test_a_step_that_fails_leaves_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement of it is undone."""
    path = tmp_path / "mc-proxy.db"
    older(path, 4)
    broken = (*MIGRATIONS[:4], (*MIGRATIONS[4], "CREATE TABLE nonsense ("))
    monkeypatch.setattr("mcproxy.control.store.migrations.MIGRATIONS", broken)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema = connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, 5)
        assert version(connection) == 4
        assert connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall() == schema
        monkeypatch.undo()
        migrate(connection)
        assert version(connection) == LATEST


def test_the_columns_of_the_first_versions_are_the_planned_ones(tmp_path: Path) -> None:
    """With their types and defaults; a mode that does not exist is refused by the database itself."""
    older(tmp_path / "mc-proxy.db", 4)
    with closing(sqlite3.connect(tmp_path / "mc-proxy.db", isolation_level=None)) as connection:
        columns = {
            (table, name): (kind, bool(required), default)
            for table in ("listeners", "routes")
            for _, name, kind, required, default, _ in connection.execute(f"PRAGMA table_info({table})")
        }
        flag = ("INTEGER", True, "0")
        text = ("TEXT", True, "''")
        assert columns["listeners", "proxy_protocol"] == flag
        assert columns["listeners", "max_connections"] == flag
        assert columns["routes", "mode"] == ("TEXT", True, "'l4'")
        assert columns["routes", "tls_cert"] == columns["routes", "tls_key"] == text
        assert columns["routes", "backend_tls"] == columns["routes", "send_proxy_protocol"] == flag
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE routes SET mode = 'l8'")
        connection.execute("DELETE FROM listeners WHERE addr = ':1'")
        assert connection.execute("SELECT count(*) FROM l7_policies").fetchone() == (0,)


def test_every_migration_has_rows_to_be_tested_with() -> None:
    """Whoever adds a step adds a version to upgrade from."""
    assert sorted(ROWS) == list(range(1, LATEST + 1))
