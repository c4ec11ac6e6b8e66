"""The database is moved, deleted, replaced or locked while the proxy runs: what is acknowledged is not lost."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import grpc
import pytest
import tomlkit

from mcproxy.client import Client, UnavailableError
from tests.conftest import StartProxy
from tests.support.bare_admin import Admin, unix
from tests.support.lifecycle import end
from tests.support.load import until
from tests.support.proxy import Proxy
from tests.support.settings import listener, route

TEXT = tomlkit.dumps(
    {
        "proxy": {"workers": 1, "shutdown_timeout": "1s"},
        "listeners": [listener("127.0.0.1:PORT", [route(9, "app.test")])],
    }
)


def block(admin: Admin, number: int) -> bool:
    """Add a rule; return whether that was acknowledged, after another attempt if the server asks for that."""
    for _ in range(2):
        try:
            admin.call("AddFirewallRule", type="ip", value=f"192.0.2.{number}")
        except grpc.RpcError:
            time.sleep(0.5)  # the database is opened anew
        else:
            return True
    return False


def blocked(admin: Admin) -> list[int]:
    return sorted(int(rule.value.rpartition(".")[2]) for rule in admin.call("GetFirewallRules").rules)


def wait_blocked(admin: Admin, numbers: list[int]) -> None:
    until(lambda: blocked(admin) == numbers, f"{numbers} are in effect")


def restart(edge: Proxy) -> None:
    assert end(edge) == 0
    edge.start()


def database(edge: Proxy) -> Path:
    return edge.folder / "mc-proxy.db"


def backup(edge: Proxy) -> Path:
    """Make a backup as operators do."""
    target = edge.folder / "backup.db"
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(database(edge))) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return target


def move_away(edge: Proxy) -> None:
    for suffix in ("", "-wal", "-shm"):
        name = f"mc-proxy.db{suffix}"
        (edge.folder / name).replace(edge.folder / f"moved{suffix}")


def delete(edge: Proxy) -> None:
    database(edge).unlink()


def delete_journals(edge: Proxy) -> None:
    for suffix in ("-wal", "-shm"):
        (edge.folder / f"mc-proxy.db{suffix}").unlink()


@pytest.mark.parametrize("lose", [move_away, delete, delete_journals])
def test_what_was_acknowledged_is_there_after_the_database_was_lost(
    proxy: StartProxy, lose: Callable[[Proxy], None]
) -> None:
    """The database is made anew with the edits in effect, it is said, and the next start knows all of them."""
    edge = proxy(TEXT)
    with unix(edge) as admin:
        assert block(admin, 1)
        lose(edge)
        refused = admin.refused("AddFirewallRule", type="ip", value="192.0.2.2")
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert "while mcproxy uses it; nothing was changed" in refused.message
        edge.wait_for_log("the database was (moved, deleted|replaced)")
        assert block(admin, 2)
        assert blocked(admin) == [1, 2]
        restart(edge)
        assert blocked(admin) == [1, 2]
        assert end(edge) == 0


def test_a_restored_backup_counts_from_then_on(proxy: StartProxy) -> None:
    """Put there by a rename or written over the file: what it holds is in effect, and what is changed is changed there."""
    edge = proxy(TEXT)
    with unix(edge) as admin:
        ways: tuple[Callable[[Path, Path], object], ...] = (os.replace, shutil.copyfile)
        for number, restore in enumerate(ways, 1):
            assert block(admin, number)
            copy = backup(edge)
            held = blocked(admin)
            assert block(admin, 100 + number)
            restore(copy, database(edge))
            since = edge.mark()
            refused = admin.refused("AddFirewallRule", type="ip", value="192.0.2.200")
            assert "while mcproxy uses it; nothing was changed" in refused.message
            edge.wait_for_log("the database was replaced", since=since)
            wait_blocked(admin, held)
            assert block(admin, 10 + number)
            restart(edge)
            assert blocked(admin) == sorted([*held, 10 + number])
            assert admin.call("GetStatus").database.set_aside == ""


def test_a_locked_database_is_told_to_all_who_ask(proxy: StartProxy) -> None:
    """In time, also to those who come while the first one waits; whoever goes before leaves no error behind."""
    edge = proxy(TEXT)
    with unix(edge) as admin, Client(f"unix:{edge.folder / 'mc-proxy.sock'}", timeout=8.0) as client:
        with closing(sqlite3.connect(database(edge), isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            gone = admin.begin("AddFirewallRule", type="ip", value="192.0.2.1")
            time.sleep(0.5)  # it has begun, and waits for longer than that
            gone.cancel()
            edge.wait_for_log("a request failed after its caller had gone.*database locked")
            calls = [admin.begin("AddFirewallRule", type="ip", value=f"192.0.2.{number}") for number in range(2, 10)]
            with pytest.raises(UnavailableError, match="database locked"):
                client.add_firewall_rule("ip", "192.0.2.20")
            for call in calls:
                with pytest.raises(grpc.RpcError, match="database locked"):
                    call.result(timeout=8)
            connection.execute("ROLLBACK")
        assert block(admin, 30)
        assert blocked(admin) == [30]
    assert end(edge) == 0
    assert "never retrieved" not in edge.stderr
    assert "Traceback" not in edge.stderr
