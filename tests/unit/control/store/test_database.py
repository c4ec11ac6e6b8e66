"""What may be wrong with the file: nothing is lost, nothing half-written, and the operator is told."""

import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mcproxy.control.store.errors import (
    StoreBusyError,
    StoreError,
    StoreFormatError,
    StoreFullError,
    StoreLostError,
)
from mcproxy.control.store.migrations import LATEST
from mcproxy.control.store.revisions import Revision
from mcproxy.control.store.store import Store
from mcproxy.model.edits.overlay import merge
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.state import State
from tests.support.edits import opened, request, route_edit, run
from tests.support.old_databases import VERSIONS, make_old_database

ROOT = Path(__file__).parents[4]
NOBODY = 65534
EDITS = 300  # as many as fill some pages


def filled(folder: Path) -> Path:
    """Make a database with edits; return its path."""

    async def main() -> None:
        store = await opened(folder)
        await store.mutate(request(), add=[route_edit(f"r{number}") for number in range(EDITS)])
        await store.close()

    run(main())
    return folder / "mc-proxy.db"


def change(path: Path, statement: str) -> None:
    """Do something to the database from outside."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def permissions(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


def test_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    """It and the files beside it, whatever the umask."""
    before = os.umask(0)
    try:

        async def main() -> None:
            store = await opened(tmp_path)
            await store.mutate(request(), add=[route_edit("a")])
            assert permissions(tmp_path) == dict.fromkeys(("mc-proxy.db", "mc-proxy.db-wal", "mc-proxy.db-shm"), 0o600)
            await store.close()

        run(main())
    finally:
        os.umask(before)


def test_mutations_wait_for_the_disk_and_the_journal_is_a_write_ahead_log(tmp_path: Path) -> None:
    """WAL, foreign keys, synchronous FULL after a mutation."""

    async def main() -> None:
        store = await opened(tmp_path)
        await store.mutate(request(), add=[route_edit("a")])

        def pragmas(connection: sqlite3.Connection) -> list[object]:
            names = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        assert await store._database.run(pragmas) == ["wal", 1, 2, 100]
        await store.close()

    run(main())


def cut(path: Path) -> None:
    """Lose the second half."""
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    """Write nonsense over the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xa5" * 8192)


def replace(path: Path) -> None:
    """Make it something else altogether."""
    path.write_bytes(b"This is no database at all. " * 1000)


def nonsense(path: Path) -> None:
    """Make an edit of it that is none."""
    change(path, """UPDATE runtime_edits SET value = '{"backend":"non:sense"}' WHERE key = '[":1","r7"]'""")


def dangle(path: Path) -> None:
    """Let a row refer to one that is not there; a connection checks that only when told to."""
    change(path, "DELETE FROM audit")


@pytest.mark.parametrize("damage", [cut, overwrite, replace, nonsense, dangle])
def test_a_damaged_database_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """The old file is kept as it was, under a name that says when; the store tells where."""
    path = filled(tmp_path)
    damage(path)
    digest = hashlib.sha256(path.read_bytes()).digest()

    async def main() -> None:
        store = await opened(tmp_path, now=1_700_000_000.0)
        assert store.set_aside == tmp_path / "mc-proxy.db.corrupt-20231114T221320Z"
        assert hashlib.sha256(store.set_aside.read_bytes()).digest() == digest
        assert await store.edits() == ()
        await store.mutate(request(), add=[route_edit("a")])
        await store.close()
        store = await opened(tmp_path)
        assert store.set_aside is None
        assert len(await store.edits()) == 1
        await store.close()

    run(main())


def test_two_databases_set_aside_in_one_second_are_both_kept(tmp_path: Path) -> None:
    """The second gets a number."""
    path = tmp_path / "mc-proxy.db"

    async def main() -> None:
        for text in (b"first" * 1000, b"second" * 1000):
            path.write_bytes(text)
            await (await opened(tmp_path)).close()

    run(main())
    kept = sorted(tmp_path.glob("*.corrupt-*"))
    assert [file.name.rpartition("Z")[2] for file in kept] == ["", "-2"]
    assert [file.read_bytes()[:5] for file in kept] == [b"first", b"secon"]


def test_the_journal_of_a_damaged_database_goes_with_it(tmp_path: Path) -> None:
    """What it holds may be all that is left of the last edits, and a new database must never read it."""
    path = tmp_path / "mc-proxy.db"
    path.write_bytes(b"no database" * 1000)
    Path(f"{path}-wal").write_bytes(b"journal" * 1000)

    async def main() -> Path | None:
        store = await opened(tmp_path)
        await store.mutate(request(), add=[route_edit("a")])
        await store.close()
        return store.set_aside

    assert Path(f"{run(main())}-wal").read_bytes() == b"journal" * 1000


def test_damage_that_shows_while_serving_is_told(tmp_path: Path) -> None:
    """As an error of its own, before anything is written; whoever opens it next sets the file aside."""
    path = filled(tmp_path)

    async def main() -> None:
        store = await opened(tmp_path)
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (path.stat().st_size - 4096))
        with pytest.raises(StoreLostError, match=r"mc-proxy\.db: the database was overwritten"):
            await store.edits()
        assert store.lost
        await store.close()
        store = await opened(tmp_path)
        assert store.set_aside is not None
        await store.close()

    run(main())


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (f"PRAGMA user_version = {LATEST + 1}", f"newer mcproxy \\(schema {LATEST + 1}, this one knows {LATEST}\\)"),
        ("PRAGMA application_id = 5", "another program's database"),
    ],
)
def test_a_database_that_is_not_ours_to_touch_is_refused(tmp_path: Path, statement: str, message: str) -> None:
    """Not a byte of it changes, and nothing is set aside."""
    path = filled(tmp_path)
    change(path, statement)
    before = path.read_bytes()

    async def main() -> None:
        with pytest.raises(StoreFormatError, match=message):
            await opened(tmp_path)

    run(main())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["mc-proxy.db"]


def test_another_programs_young_database_is_refused_too(tmp_path: Path) -> None:
    """One without any version."""
    change(tmp_path / "mc-proxy.db", "CREATE TABLE notes (text)")

    async def main() -> None:
        with pytest.raises(StoreFormatError, match="another program's database"):
            await opened(tmp_path)

    run(main())


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    """As a service manager may have made it."""
    (tmp_path / "mc-proxy.db").touch()

    async def main() -> None:
        store = await opened(tmp_path)
        assert store.set_aside is None
        await store.close()

    run(main())


def test_a_full_disk_fails_the_call_and_changes_nothing(tmp_path: Path) -> None:
    """Mutation, revision and record alike; with space again, all goes on."""
    filled(tmp_path)

    async def main() -> None:
        store = await opened(tmp_path)
        (pages,) = await store._database.run(lambda db: db.execute("PRAGMA page_count").fetchone())
        await store._database.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))
        before = (await store.edits(), await store.audit(), await store.history(limit=9), await store.revisions())
        large = [route_edit(f"x{number}") for number in range(200)]
        with pytest.raises(StoreFullError, match=r"mc-proxy.db: the disk is full; nothing was changed"):
            await store.mutate(request(), add=large, remove=[before[0][0].id])
        with pytest.raises(StoreFullError):
            await store.refuse(request(request="x" * 10_000), "no")
        wide = State(settings={f"s{number}": os.urandom(50).hex() for number in range(500)})
        with pytest.raises(StoreFullError):
            await store.record_revision(Revision(1, 1.0, "", "", "", ""), wide, make_plan(State(), wide, {}), keep=9)
        after = (await store.edits(), await store.audit(), await store.history(limit=9), await store.revisions())
        assert after == before
        await store._database.run(lambda db: db.execute("PRAGMA max_page_count = 100000"))
        await store.mutate(request(), add=large)
        assert len(await store.edits()) == EDITS + 200
        await store.close()

    run(main())


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with edits, and another process' connection that is writing to it."""
    with closing(sqlite3.connect(filled(tmp_path), isolation_level=None, check_same_thread=False)) as connection:
        yield connection


def test_a_locked_database_fails_the_call_and_can_still_be_read(tmp_path: Path, locked: sqlite3.Connection) -> None:
    """After the time to wait; when the lock is gone, the same call succeeds."""

    async def main() -> None:
        store = await opened(tmp_path)
        locked.execute("BEGIN IMMEDIATE")
        edits = await store.edits()
        assert len(edits) == EDITS
        with pytest.raises(StoreBusyError, match="another process keeps the database locked; nothing was changed"):
            await store.mutate(request(), remove=[edits[0].id])
        with pytest.raises(StoreBusyError):
            await store.settle(merge(State(), edits, 0.0), 1.0)
        assert await store.edits() == edits
        locked.execute("ROLLBACK")
        await store.mutate(request(), remove=[edits[0].id])
        assert await store.edits() == edits[1:]
        await store.close()

    run(main())


def test_a_lock_that_ends_in_time_is_waited_for(tmp_path: Path, locked: sqlite3.Connection) -> None:
    """The call takes longer, and the loop goes on meanwhile."""

    async def main() -> None:
        store = await opened(tmp_path, busy_timeout=30.0)
        locked.execute("BEGIN IMMEDIATE")
        mutation = asyncio.ensure_future(store.mutate(request(), add=[route_edit("a")]))
        await asyncio.sleep(0.02)
        assert not mutation.done()
        locked.execute("ROLLBACK")
        await mutation
        assert len(await store.edits()) == EDITS + 1
        await store.close()

    run(main())


READ_ONLY = """
import asyncio, os, sys
from pathlib import Path
from tests.support.edits import opened, request, route_edit
from mcproxy.control.store.database import StoreReadOnlyError

async def main(folder):
    store = await opened(folder)
    edits = await store.edits()
    print(len(edits))
    try:
        await store.mutate(request(), add=[route_edit("a")], remove=[edits[0].id])
    except StoreReadOnlyError as error:
        print(error)
    print(await store.edits() == edits, store.set_aside)
    await store.close()

async def expect_refusal(folder):
    try:
        await opened(folder)
    except StoreReadOnlyError as error:
        print(error)

if os.getuid() == 0:
    os.setgid({nobody})
    os.setuid({nobody})
asyncio.run({function}(Path(sys.argv[1])))
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users reach; root's rights know no read-only files, so the tests step down."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o777)
        yield path


def as_nobody(function: str, folder: Path) -> list[str]:
    """Run a function of the program above; return what it prints."""
    program = READ_ONLY.format(nobody=NOBODY, function=function)
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()


def test_a_read_only_database_can_be_read_and_refuses_changes(shared: Path) -> None:
    """The edits that are there go on counting."""
    filled(shared).chmod(0o444)
    count, message, *same = as_nobody("main", shared)
    assert count == str(EDITS)
    assert message.startswith(f"{shared}/mc-proxy.db: the database can't be written; nothing was changed")
    assert same == ["True None"]


def test_a_folder_that_can_not_be_written_is_told(shared: Path) -> None:
    """The message names the file and the setting."""
    shared.chmod(0o555)
    (message,) = as_nobody("expect_refusal", shared)
    assert message == (
        f"{shared}/mc-proxy.db: Permission denied; [database] path must name a file in a folder that mcproxy may write to"
    )


@pytest.mark.parametrize("name", ["nowhere/mc-proxy.db", "folder"])
def test_what_can_not_be_opened_is_told(tmp_path: Path, name: str) -> None:
    """A folder that is missing, or stands in the file's place."""
    (tmp_path / "folder").mkdir()

    async def main() -> None:
        with pytest.raises(StoreError, match=str(tmp_path / name)):
            await Store.open(tmp_path / name, now=0.0)

    run(main())


def test_calls_run_one_after_the_other_in_order(tmp_path: Path) -> None:
    """Many callers at once are no trouble."""

    async def main() -> None:
        store = await opened(tmp_path)
        receipts = await asyncio.gather(*(store.mutate(request(), add=[route_edit(f"r{n}")]) for n in range(40)))
        assert [receipt.edits[0].key[1] for receipt in receipts] == [f"r{n}" for n in range(40)]
        assert [receipt.id for receipt in receipts] == list(range(1, 41))
        assert await store.edits() == tuple(receipt.edits[0] for receipt in receipts)
        await store.close()

    run(main())


def test_a_copy_is_brought_up_to_date_and_the_file_stays_as_it_is(tmp_path: Path) -> None:
    """Beside another control that uses it: edits are there, what is done to the copy is not in the file."""
    path = filled(tmp_path)

    async def main() -> None:
        user = await Store.open(path, now=0.0)
        change(path, f"PRAGMA user_version = {LATEST}")  # another process may write meanwhile
        copy = await Store.open_copy(path)
        assert len(await copy.edits()) == EDITS
        await copy.mutate(request(), remove=[1])
        assert (len(await copy.edits()), len(await user.edits())) == (EDITS - 1, EDITS)
        await copy.close()
        await user.mutate(request(), remove=[2])
        await user.close()
        again = await Store.open(path, now=0.0)
        assert len(await again.edits()) == EDITS - 1
        await again.close()

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_copy_of_an_earlier_schema_leaves_the_file_at_that(tmp_path: Path, version: int) -> None:
    """The control that uses it may have to go on."""
    path = make_old_database(version, tmp_path)
    before = path.read_bytes()

    async def main() -> None:
        copy = await Store.open_copy(path)
        await copy.edits()
        await copy.close()

    run(main())
    assert path.read_bytes() == before


def test_a_copy_of_what_is_no_database_of_this_version_is_refused(tmp_path: Path) -> None:
    """A newer schema, another program's, a damaged one, none at all: nothing is made or moved."""

    async def refused(kind: type[StoreError]) -> str:
        with pytest.raises(kind) as error:
            await Store.open_copy(path)
        return str(error.value)

    path = filled(tmp_path)
    change(path, f"PRAGMA user_version = {LATEST + 1}")
    assert f"newer mcproxy (schema {LATEST + 1}, this one knows {LATEST})" in run(refused(StoreFormatError))
    change(path, f"PRAGMA user_version = {LATEST}")
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = bytes(len(content) - 4096 * 3)
    path.write_bytes(content)
    assert "damaged" in run(refused(StoreError))
    assert [file.name for file in tmp_path.iterdir() if "corrupt" in file.name] == []
    path = tmp_path / "nowhere.db"
    run(refused(StoreError))
    assert not path.exists()
