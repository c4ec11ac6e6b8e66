"""The database's schema, as numbered steps that only ever go forward.

`PRAGMA user_version` holds the number of the last step. Each step is one transaction, its number included, so a process
that dies in the middle leaves the version before. Steps that are released are never changed.
"""

import sqlite3
from collections.abc import Callable

from mcproxy.control.store.revisions import index_older
from mcproxy.control.store.transactions import transaction

APPLICATION_ID = 0x6D637078
"""What tells the database from other programs' (``PRAGMA application_id``, see file(1)): "mcpx"."""


def _adopt(table: str, kind: str) -> tuple[str, str]:
    """Return what makes an edit of each row: its id is the row's, shifted behind those of the kinds before."""
    return (
        f"""INSERT INTO edits (id, kind, reason, created)
            SELECT id + (SELECT coalesce(max(id), 0) FROM edits), '{kind}', 'from an older database',
                CAST(strftime('%s', 'now') AS REAL) FROM {table}""",  # noqa: S608 - table and kind are this module's own words
        f"UPDATE {table} SET edit_id = id + (SELECT coalesce(max(id), 0) FROM edits WHERE kind <> '{kind}')",  # noqa: S608 - likewise
    )


def _gather(kind: str, tables: str, key: str, value: str) -> str:
    """Return what makes a row of `runtime_edits` of each edit of a kind.

    Args:
        kind: of the resources.
        tables: where they are, by the aliases t for their own, r for the routes and l for the listeners.
        key: the columns that are their key.
        value: an expression for the value as JSON.
    """
    common = "base, parent, orphaned, author, reason, created, expires, request_id"
    edits = ", ".join(f"e.{name}" for name in common.split(", "))
    return f"""INSERT INTO runtime_edits (id, kind, key, value, {common})
        SELECT e.id, '{kind}', json_array({key}), iif(e.tombstone, NULL, {value}), {edits}
        FROM {tables} JOIN edits AS e ON e.id = t.edit_id"""  # noqa: S608 - this module's own words


def _flag(column: str) -> str:
    return f"json(iif({column}, 'true', 'false'))"


MIGRATIONS: tuple[tuple[str | Callable[[sqlite3.Connection], None], ...], ...] = (
    # 1: what the first admin API could change
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        "CREATE TABLE listeners (id INTEGER PRIMARY KEY, addr TEXT NOT NULL UNIQUE)",
        """CREATE TABLE routes (
            id INTEGER PRIMARY KEY,
            listener_id INTEGER NOT NULL REFERENCES listeners(id) ON DELETE CASCADE,
            hostname TEXT NOT NULL,
            backend TEXT NOT NULL,
            UNIQUE (listener_id, hostname)
        )""",
        """CREATE TABLE firewall_rules (
            id INTEGER PRIMARY KEY,
            type TEXT NOT NULL CHECK(type IN ('ip','cidr','country')),
            value TEXT NOT NULL,
            UNIQUE (type, value)
        )""",
    ),
    # 2: PROXY protocol and L7
    (
        "ALTER TABLE listeners ADD COLUMN proxy_protocol INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE routes ADD COLUMN mode TEXT NOT NULL DEFAULT 'l4' CHECK(mode IN ('l4','l7'))",
        "ALTER TABLE routes ADD COLUMN tls_cert TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE routes ADD COLUMN tls_key TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE routes ADD COLUMN backend_tls INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE routes ADD COLUMN send_proxy_protocol INTEGER NOT NULL DEFAULT 0",
    ),
    # 3: connection limits
    ("ALTER TABLE listeners ADD COLUMN max_connections INTEGER NOT NULL DEFAULT 0",),
    # 4: L7 policies
    (
        """CREATE TABLE l7_policies (
            id INTEGER PRIMARY KEY,
            route_id INTEGER NOT NULL REFERENCES routes(id) ON DELETE CASCADE,
            type TEXT NOT NULL CHECK(type IN ('block_user_agent','require_header')),
            value TEXT NOT NULL,
            UNIQUE (route_id, type, value)
        )""",
    ),
    # 5: every row becomes a runtime edit. A listener or route without edit_id is none: the file declares it, and it
    # stands here because an edit of one of its children refers to it.
    (
        """CREATE TABLE edits (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL CHECK(kind IN ('setting','rule','listener','route','policy')),
            base TEXT,
            tombstone INTEGER NOT NULL DEFAULT 0,
            parent TEXT,
            orphaned INTEGER NOT NULL DEFAULT 0,
            author TEXT NOT NULL DEFAULT '',
            reason TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL,
            expires REAL,
            request_id TEXT NOT NULL DEFAULT ''
        )""",
        "ALTER TABLE listeners ADD COLUMN trusted_proxies TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE routes ADD COLUMN backend_ca TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE routes ADD COLUMN backend_server_name TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE routes ADD COLUMN backend_protocol TEXT NOT NULL DEFAULT 'auto'",
        "ALTER TABLE routes ADD COLUMN on_remove TEXT NOT NULL DEFAULT 'drain'",
        "CREATE TABLE settings (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, value TEXT NOT NULL)",
        "ALTER TABLE listeners ADD COLUMN edit_id INTEGER REFERENCES edits(id) ON DELETE SET NULL",
        "ALTER TABLE routes ADD COLUMN edit_id INTEGER REFERENCES edits(id) ON DELETE SET NULL",
        "ALTER TABLE firewall_rules ADD COLUMN edit_id INTEGER REFERENCES edits(id) ON DELETE CASCADE",
        "ALTER TABLE l7_policies ADD COLUMN edit_id INTEGER REFERENCES edits(id) ON DELETE CASCADE",
        "ALTER TABLE settings ADD COLUMN edit_id INTEGER REFERENCES edits(id) ON DELETE CASCADE",
        *_adopt("listeners", "listener"),
        *_adopt("routes", "route"),
        *_adopt("firewall_rules", "rule"),
        *_adopt("l7_policies", "policy"),
        *(
            f"CREATE UNIQUE INDEX {table}_edit ON {table}(edit_id)"
            for table in ("listeners", "routes", "firewall_rules", "l7_policies", "settings")
        ),
    ),
    # 6: history of what was live; state and plan are compressed
    (
        """CREATE TABLE revisions (
            generation INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            origin TEXT NOT NULL,
            author TEXT NOT NULL,
            file_sha256 TEXT NOT NULL,
            summary TEXT NOT NULL,
            state BLOB NOT NULL,
            plan BLOB NOT NULL
        )""",
    ),
    # 7: who asked for what, and what became of each edit
    (
        """CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            time REAL NOT NULL,
            action TEXT NOT NULL,
            target TEXT NOT NULL,
            author TEXT NOT NULL,
            verified INTEGER NOT NULL,
            reason TEXT NOT NULL,
            request_id TEXT NOT NULL,
            request TEXT NOT NULL,
            outcome TEXT NOT NULL CHECK(outcome IN ('accepted','refused','withdrawn')),
            detail TEXT NOT NULL DEFAULT '',
            answer BLOB,
            confirm_by REAL
        )""",
        "CREATE UNIQUE INDEX audit_request ON audit(request_id) WHERE request_id <> '' AND outcome = 'accepted'",
        "CREATE INDEX audit_confirm ON audit(confirm_by) WHERE confirm_by IS NOT NULL",
        """CREATE TABLE edit_history (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            edit_id INTEGER NOT NULL,
            event TEXT NOT NULL CHECK(event IN
                ('added','restored','replaced','reverted','superseded','expired','withdrawn')),
            time REAL NOT NULL,
            detail TEXT NOT NULL,
            audit_id INTEGER REFERENCES audit(id),
            edit TEXT NOT NULL
        )""",
        "CREATE INDEX edit_history_edit ON edit_history(edit_id)",
        "CREATE INDEX edit_history_audit ON edit_history(audit_id)",
    ),
    # 8: edits of all kinds in one table, values in the config file's own words. The tables that held them stay as they
    # are, unread: to drop or rebuild `edits` would cascade into the others and empty them (SQLite drops a table by
    # deleting its rows first, and foreign keys can't be switched off in a transaction).
    (
        """CREATE TABLE runtime_edits (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT,
            base TEXT,
            parent TEXT,
            orphaned INTEGER NOT NULL DEFAULT 0,
            author TEXT NOT NULL DEFAULT '',
            reason TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL,
            expires REAL,
            request_id TEXT NOT NULL DEFAULT '',
            UNIQUE (kind, key)
        )""",
        # the ids of edits that have ended are not given again
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'runtime_edits', seq FROM sqlite_sequence WHERE name = 'edits'",
        # every setting that is a fraction is a duration, in seconds
        _gather(
            "setting",
            "settings AS t",
            "t.path",
            """CASE WHEN json_valid(t.value) AND json_type(t.value) = 'real'
                THEN json_quote(rtrim(rtrim(printf('%.3f', json_extract(t.value, '$')), '0'), '.') || 's')
                ELSE t.value END""",
        ),
        _gather("rule", "firewall_rules AS t", "t.type, t.value", "json_object()"),
        _gather(
            "listener",
            "listeners AS t",
            "t.addr",
            f"""json_object(
                'proxy_protocol', {_flag("t.proxy_protocol")},
                'trusted_proxies', json(iif(t.trusted_proxies = '', '[]',
                    '[' || replace(json_quote(t.trusted_proxies), ' ', '","') || ']')),
                'max_connections', t.max_connections)""",
        ),
        _gather(
            "route",
            "routes AS t JOIN listeners AS l ON l.id = t.listener_id",
            "l.addr, t.hostname",
            f"""json_object(
                'backend', t.backend, 'mode', t.mode, 'tls_cert', t.tls_cert, 'tls_key', t.tls_key,
                'backend_tls', {_flag("t.backend_tls")}, 'backend_ca', t.backend_ca,
                'backend_server_name', t.backend_server_name, 'backend_protocol', t.backend_protocol,
                'send_proxy_protocol', {_flag("t.send_proxy_protocol")}, 'on_remove', t.on_remove)""",
        ),
        _gather(
            "policy",
            "l7_policies AS t JOIN routes AS r ON r.id = t.route_id JOIN listeners AS l ON l.id = r.listener_id",
            "l.addr, r.hostname, t.type, t.value",
            "json_object()",
        ),
    ),
    # 9: what generations changed by resource, why they came about, and where everything was declared. Beside the table of
    # revisions, whose columns behind the long ones could not be read without these. Declarations are shared by all
    # generations of the same files; `unkept` is the first generation since the one before that was live and is not here.
    (
        """CREATE TABLE revision_details (
            generation INTEGER PRIMARY KEY,
            label TEXT NOT NULL,
            unkept INTEGER,
            changes INTEGER,
            origins BLOB,
            edits TEXT NOT NULL
        )""",
        "CREATE TABLE file_origins (digest BLOB PRIMARY KEY, packed BLOB NOT NULL)",
        "CREATE TABLE changed_resources (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, UNIQUE (kind, key))",
        """CREATE TABLE resource_changes (
            resource_id INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            change BLOB NOT NULL,
            PRIMARY KEY (resource_id, generation)
        ) WITHOUT ROWID""",
        "CREATE INDEX resource_changes_generation ON resource_changes(generation)",
        index_older,
    ),
    # 10: what the guard watches, and what became of that
    (
        """CREATE TABLE guards (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            generation INTEGER NOT NULL,
            began REAL NOT NULL,
            until REAL NOT NULL,
            watch TEXT NOT NULL
        )""",
        """CREATE TABLE guard_verdicts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            generation INTEGER NOT NULL,
            time REAL NOT NULL,
            outcome TEXT NOT NULL CHECK(outcome IN ('kept','withdrawn','released','stuck')),
            detail TEXT NOT NULL
        )""",
    ),
    # 11: certificates that are ordered: how each name stands, and when orders were begun
    (
        """CREATE TABLE acme_orders (
            name TEXT PRIMARY KEY,
            state TEXT NOT NULL CHECK(state IN ('idle','ordering')),
            url TEXT NOT NULL,
            directory TEXT NOT NULL,
            failures INTEGER NOT NULL,
            next_try REAL NOT NULL,
            error TEXT NOT NULL,
            ari_start REAL NOT NULL,
            ari_end REAL NOT NULL
        ) WITHOUT ROWID""",
        "CREATE TABLE acme_started (id INTEGER PRIMARY KEY, time REAL NOT NULL)",
    ),
)

LATEST = len(MIGRATIONS)


def version(connection: sqlite3.Connection) -> int:
    """Return the number of the last step that the database has behind it."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def migrate(connection: sqlite3.Connection, target: int = LATEST) -> None:
    """Bring the database to a version that is not older than its own; each step is all or nothing."""
    for number in range(version(connection) + 1, target + 1):
        with transaction(connection):
            for step in MIGRATIONS[number - 1]:
                if isinstance(step, str):
                    connection.execute(step)
                else:
                    step(connection)
            connection.execute(f"PRAGMA user_version = {number}")
