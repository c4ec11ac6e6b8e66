"""What the database may be like: the proxy serves all the same, changes nothing it can't keep, and says what is wrong."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest
import tomlkit
from google.protobuf.duration_pb2 import Duration

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.store.migrations import LATEST
from mcproxy.model.edits.edit import Edit
from mcproxy.model.state.state import Rule
from tests.conftest import StartProxy
from tests.support.bare_admin import Admin, unix
from tests.support.ctl import run_ctl
from tests.support.edits import opened, request, run
from tests.support.lifecycle import applied, apply, end
from tests.support.load import until
from tests.support.processes import Processes
from tests.support.proxy import ROOT
from tests.support.require import MARK
from tests.support.settings import listener, route

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
KEPT, OTHER = "192.0.2.1", "192.0.2.2"


def text(database: Path | str = "mc-proxy.db", *hostnames: str) -> str:
    tables = {
        "database": {"path": str(database)},
        "proxy": {"workers": 1, "shutdown_timeout": "1s"},
        "listeners": [listener("127.0.0.1:PORT", [route(9, hostname) for hostname in hostnames or ("app.test",)])],
    }
    return tomlkit.dumps(tables)


def block(admin: Admin, address: str) -> pb.Edit:
    """Add a firewall rule by an edit."""
    edit: pb.Edit
    (edit,) = admin.call("AddFirewallRule", type="ip", value=address).edits
    return edit


def blocked(admin: Admin) -> list[str]:
    """Return the addresses that are blocked."""
    return [rule.value for rule in admin.call("GetFirewallRules").rules]


def make_database(path: Path, *addresses: str) -> None:
    """Make a database as an earlier run has left it, with edits that block addresses."""

    async def main() -> None:
        store = await opened(path.parent)
        rules = [Edit(kind="rule", key=("ip", each), value=Rule("ip", each), created=1.0) for each in addresses]
        await store.mutate(request(), add=rules)
        await store.close()

    assert path.name == "mc-proxy.db"
    run(main())


@contextmanager
def locked(path: Path, *, readers_too: bool = False) -> Iterator[None]:
    """Keep writers out of a database, or everybody."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if readers_too:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def test_a_damaged_database_is_set_aside(proxy: StartProxy) -> None:
    """The file alone is served, the damaged one is kept, status and log say so; new edits can be made."""
    edge = proxy(text())
    with unix(edge) as admin:
        block(admin, KEPT)
    assert end(edge) == 0
    database = edge.folder / "mc-proxy.db"
    damaged = b"SQLite format 3\0" + bytes(range(256)) * 40
    database.write_bytes(damaged)
    edge.start()
    with unix(edge) as admin:
        told = admin.call("GetStatus").database
        assert (told.path, told.error) == (str(database), "")
        assert Path(told.set_aside).parent == edge.folder
        assert Path(told.set_aside).read_bytes() == damaged
        assert told.set_aside in edge.wait_for_log("the database was damaged; serving from the file.*").group()
        assert blocked(admin) == []
        assert [each.hostname for each in admin.call("ListRoutes").routes] == ["app.test"]
        block(admin, OTHER)
        assert blocked(admin) == [OTHER]


def test_a_newer_database_is_refused_at_start(processes: Processes, short_folder: Path) -> None:
    """With what to do about it; nothing of it is touched."""
    make_database(short_folder / "mc-proxy.db")
    config = short_folder / "mc-proxy.toml"
    config.write_text(text().replace("PORT", "9"), encoding="utf-8")
    with closing(sqlite3.connect(short_folder / "mc-proxy.db")) as connection:
        connection.execute(f"PRAGMA user_version = {LATEST + 1}")
    before = (short_folder / "mc-proxy.db").read_bytes()
    started = processes.start(
        *(sys.executable, "-m", "mcproxy", "serve", "--config", config), env={"PYTHONPATH": str(ROOT)}
    )
    assert started.wait(60) == 1
    assert f"is of a newer mcproxy (schema {LATEST + 1}, this one knows {LATEST}); upgrade mcproxy" in started.stderr
    assert "Traceback" not in started.stderr
    assert (short_folder / "mc-proxy.db").read_bytes() == before
    assert [file.name for file in short_folder.iterdir() if "corrupt" in file.name] == []


def test_a_locked_database_keeps_nobody_from_serving(proxy: StartProxy, short_folder: Path) -> None:
    """At the start its edits wait until the lock is gone; later only changes fail, and what is live stays."""
    database = short_folder / "mc-proxy.db"
    make_database(database, KEPT)
    with locked(database, readers_too=True):
        edge = proxy(text(database))
        with unix(edge) as admin:
            assert "another process keeps the database locked" in admin.call("GetStatus").database.error
            assert [each.hostname for each in admin.call("ListRoutes").routes] == ["app.test"]
            assert blocked(admin) == []
            assert admin.refused("AddFirewallRule", type="ip", value=OTHER).code is UNAVAILABLE
            assert blocked(admin) == []
        edge.wait_for_log("runtime edits are not in effect, and none can be made")
    with unix(edge) as admin:
        until(lambda: blocked(admin) == [KEPT], "the edit is in effect")
        assert admin.call("GetStatus").database.error == ""
        generation = admin.call("GetStatus").generation
        with locked(database):
            refused = admin.refused("AddFirewallRule", type="ip", value=OTHER)
            assert refused.code is UNAVAILABLE
            assert "another process keeps the database locked; nothing was changed, try again" in refused.message
            assert blocked(admin) == [KEPT]
            assert admin.call("GetStatus").generation == generation
        block(admin, OTHER)
        assert blocked(admin) == [KEPT, OTHER]


@pytest.fixture
def small_disk(short_folder: Path) -> Iterator[Path]:
    """Return the root of a file system of 1 MiB."""
    folder = short_folder / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"{MARK}: leave to mount a small disk ({made.stderr.strip()})")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_fails_the_change_and_no_more(small_disk: Path, proxy: StartProxy) -> None:
    """What was accepted before stays and is live, what is refused is not; with space it works again."""
    edge = proxy(text(small_disk / "mc-proxy.db"))
    with unix(edge) as admin:
        accepted = [KEPT]
        block(admin, KEPT)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        refusals = 0
        for number in range(3, 250):  # the journal may have room for some
            address = f"192.0.2.{number}"
            generation = admin.call("GetStatus").generation
            try:
                block(admin, address)
            except grpc.RpcError:
                refused = admin.refused("AddFirewallRule", type="ip", value=address)
                assert (refused.code, "the disk is full; nothing was changed" in refused.message) == (UNAVAILABLE, True)
                assert admin.call("GetStatus").generation == generation
                refusals += 1
                break
            accepted.append(address)
            assert blocked(admin) == sorted(accepted)
        assert refusals == 1
        assert blocked(admin) == sorted(accepted)
        assert sorted(edit.target.split()[-1] for edit in admin.edits()) == sorted(accepted)
        filler.unlink()
        block(admin, "192.0.2.254")
        assert "192.0.2.254" in blocked(admin)
    assert end(edge) == 0
    edge.start()
    with unix(edge) as admin:
        assert sorted(blocked(admin)) == sorted([*accepted, "192.0.2.254"])


def test_the_last_good_state_is_served_until_the_file_is_mended(proxy: StartProxy) -> None:
    """It is said, no change is taken, and the mended file counts, with the edits there were."""
    edge = proxy(text("mc-proxy.db", "app.test", "old.test"))
    with unix(edge) as admin:
        kept = block(admin, KEPT)
        options = pb.MutationOptions(expires=Duration(seconds=2))
        (ends,) = admin.call("AddFirewallRule", type="ip", value=OTHER, options=options).edits
    assert end(edge) == 0
    edge.save(text("mc-proxy.db", "app.test", "a..b"))
    edge.start("--last-good")
    edge.wait_for_log("invalid configuration, serving the last good state")
    with unix(edge) as admin:
        told = admin.call("GetStatus").last_reload
        assert (told.succeeded, len(told.problems)) == (False, 1)
        assert "listeners[0].routes[1].hostname" in told.problems[0]
        assert [each.hostname for each in admin.call("ListRoutes").routes] == ["app.test", "old.test"]
        assert blocked(admin) == [KEPT, OTHER]
        assert {each.action for each in admin.call("GetDrift").differences} == {"suspended"}
        refused = admin.refused("AddFirewallRule", type="ip", value="192.0.2.3")
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert "mend the file first" in refused.message
        (entry,) = admin.call("ListAudit", limit=1).entries
        assert (entry.outcome, entry.action) == ("refused", "AddFirewallRule")
        until(lambda: time.time() > ends.expires.ToMilliseconds() / 1000, "the time of an edit is over")
        assert admin.refused("Reload").code is grpc.StatusCode.FAILED_PRECONDITION
        assert blocked(admin) == [KEPT, OTHER]
        assert edge.stderr.count("invalid configuration, nothing changed") == 1

        log = apply(edge, text("mc-proxy.db", "app.test", "new.test"))
        assert "old.test" in log
        assert [each.hostname for each in admin.call("ListRoutes").routes] == ["app.test", "new.test"]
        assert blocked(admin) == [KEPT]
        assert [edit.id for edit in admin.edits()] == [kept.id]
        assert admin.call("GetStatus").last_reload.succeeded
        since = edge.mark()
        admin.call("RevertEdit", all=True)
        applied(edge, since)
        assert blocked(admin) == []


def test_without_a_last_good_state_there_is_nothing_to_serve(processes: Processes, short_folder: Path) -> None:
    """The first start of an invalid file fails also with --last-good."""
    config = short_folder / "mc-proxy.toml"
    config.write_text("listeners = 3", encoding="utf-8")
    started = processes.start(
        *(sys.executable, "-m", "mcproxy", "serve", "--last-good", "--config", config), env={"PYTHONPATH": str(ROOT)}
    )
    assert started.wait(60) == 1
    assert "no state was live yet, so there is no last good one" in started.stderr
    assert "Traceback" not in started.stderr


def test_a_backup_is_restored_as_documented(proxy: StartProxy) -> None:
    """All edits that were accepted before are in effect again, none of those that came later."""
    edge = proxy(text())
    addr = f"unix:{edge.folder / 'mc-proxy.sock'}"
    backup, database = edge.folder / "backup.db", edge.folder / "mc-proxy.db"
    with unix(edge) as admin:
        block(admin, KEPT)
        assert run_ctl("backup", str(backup), "--addr", addr).status == 0
        block(admin, OTHER)
        live = database.read_bytes()
        assert blocked(admin) == [KEPT, OTHER]
    assert end(edge) == 0
    for journal in (f"{database}-wal", f"{database}-shm"):
        Path(journal).unlink(missing_ok=True)
    backup.replace(database)
    edge.start()
    with unix(edge) as admin:
        assert blocked(admin) == [KEPT]
        assert admin.call("GetStatus").database.set_aside == ""
        block(admin, OTHER)
    assert end(edge) == 0
    database.write_bytes(live)
    edge.start()
    with unix(edge) as admin:
        assert blocked(admin) == []  # a copy of the live file lacks what was in the journal
