"""Backups: what was accepted before is in them, whatever goes on meanwhile."""

import shutil
from pathlib import Path

import pytest

from mcproxy.control.store.errors import StoreError, StoreLostError
from mcproxy.control.store.store import Store
from tests.support.edits import edits_of_every_kind, opened, request, route_edit, run


async def backup(store: Store, to: Path) -> None:
    put(to, b"".join([piece async for piece in store.backup()]))


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_backup_is_a_database_with_all_that_was_accepted(tmp_path: Path) -> None:
    """It stands alone, also where a copy of the file lacks the newest edits, and leaves nothing beside the database."""

    async def main() -> None:
        store = await opened(tmp_path)
        await store.mutate(request(), add=edits_of_every_kind())
        shutil.copy(tmp_path / "mc-proxy.db", tmp_path / "copied.db")
        before = names(tmp_path)
        await backup(store, tmp_path / "restored/mc-proxy.db")
        assert names(tmp_path) == [*before, "restored"]
        await store.mutate(request(), add=[route_edit("later")])
        restored = await opened(tmp_path / "restored")
        assert restored.set_aside is None
        assert (await restored.edits(), await restored.history(), await restored.audit()) == (
            (await store.edits())[:-1],
            (await store.history())[1:],
            (await store.audit())[1:],
        )
        (tmp_path / "copy").mkdir()
        (tmp_path / "copied.db").rename(tmp_path / "copy/mc-proxy.db")
        copied = await opened(tmp_path / "copy")
        assert await copied.edits() == ()  # they were in the journal
        for each in (store, restored, copied):
            await each.close()

    run(main())


def test_what_comes_while_a_backup_is_read_is_not_in_it_and_does_not_wait(tmp_path: Path) -> None:
    """It is a copy of one moment, of any size."""

    async def main() -> None:
        store = await opened(tmp_path)
        await store.mutate(request(reason="x" * 2_000_000), add=[route_edit("first")])
        pieces = store.backup()
        content = [await anext(pieces)]
        await store.mutate(request(), add=[route_edit("second")])
        content += [piece async for piece in pieces]
        assert len(content) > 2
        put(tmp_path / "restored/mc-proxy.db", b"".join(content))
        restored = await opened(tmp_path / "restored")
        assert [edit.key for edit in await restored.edits()] == [(":1", "first")]
        await restored.close()
        await store.close()

    run(main())


def test_a_database_that_can_not_be_copied_is_told(tmp_path: Path) -> None:
    """One that was moved, and one whose folder is gone."""

    async def main() -> None:
        (tmp_path / "folder").mkdir()
        store = await opened(tmp_path / "folder")
        (tmp_path / "folder/mc-proxy.db").rename(tmp_path / "folder/other.db")
        with pytest.raises(StoreLostError, match="was moved or deleted"):
            await anext(store.backup())
        (tmp_path / "folder/other.db").rename(tmp_path / "folder/mc-proxy.db")
        (tmp_path / "folder").rename(tmp_path / "elsewhere")
        with pytest.raises(StoreError):
            await anext(store.backup())
        await store.close()

    run(main())
