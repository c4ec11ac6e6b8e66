"""The admin API's socket, from its first moment on."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mcproxy.control.admin import server as module
from mcproxy.control.admin.server import AdminServer
from mcproxy.errors import ApplyError
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.state import State


class Nothing:
    """Handlers that nobody calls."""

    def __init__(self) -> None:
        async def answer(*_: Any) -> None: ...

        class Always(dict[str, Any]):
            def __missing__(self, name: str) -> Any:
                return answer

        self.unary: Any = Always()
        self.streams: Any = Always()


def wanted(folder: Path, socket: str = "a.sock", mode: str = "0600") -> State:
    text = f'[grpc]\nsocket = "{socket}"\nsocket_mode = "{mode}"\n'
    return resolve([Source(str(folder / "m.toml"), text)]).state


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Let files be made for everybody."""
    before = os.umask(0)
    yield
    assert os.umask(before) == 0


def serving(body: Callable[[AdminServer], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        server = AdminServer(Nothing())
        try:
            await body(server)
        finally:
            await server.stop()

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["0600", "0666"])
def test_the_socket_is_bound_for_its_owner_alone(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch, mode: str, open_umask: None
) -> None:
    """Before it gets the mode that the file says; the process's umask is as it was."""
    path = short_folder / "a.sock"
    first: list[int] = []
    chmod = os.chmod

    def watched(name: str, mode: int) -> None:
        first.append(stat.S_IMODE(path.stat().st_mode))
        chmod(name, mode)

    async def body(server: AdminServer) -> None:
        change = await server.prepare(wanted(short_folder, mode=mode))
        assert change is not None
        assert first == [0o600]
        assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
        await change.commit()
        assert await server.prepare(wanted(short_folder, mode=mode)) is None

    monkeypatch.setattr(os, "chmod", watched)
    serving(body)
    assert not path.exists()


def test_what_is_given_up_leaves_nothing(short_folder: Path) -> None:
    """Neither a new socket that was prepared, nor anything of the old one is gone."""

    async def body(server: AdminServer) -> None:
        change = await server.prepare(wanted(short_folder))
        assert change is not None
        await change.commit()
        change = await server.prepare(wanted(short_folder, "b.sock"))
        assert change is not None
        assert (short_folder / "b.sock").exists()
        await change.undo()
        assert not (short_folder / "b.sock").exists()
        (short_folder / "c.sock").write_text("mine", encoding="utf-8")
        with pytest.raises(ApplyError, match="is no socket"):
            await server.prepare(wanted(short_folder, "c.sock"))
        assert (short_folder / "a.sock").exists()
        assert await server.prepare(wanted(short_folder)) is None

    serving(body)


def test_a_socket_can_go_and_come_back(short_folder: Path) -> None:
    """The one that closes does not take the new one's file with it."""

    async def body(server: AdminServer) -> None:
        for name in ("a.sock", "b.sock", "a.sock", "b.sock"):
            change = await server.prepare(wanted(short_folder, name))
            assert change is not None
            await change.commit()
        assert await server.prepare(wanted(short_folder, "b.sock")) is None
        assert (short_folder / "b.sock").is_socket()

    serving(body)
    assert list(short_folder.iterdir()) == []


def serves(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_an_address_that_was_left_is_free_until_the_server_comes_back(short_folder: Path) -> None:
    """Another process can listen there; as long as one does, it is tried again and again."""
    path = short_folder / "a.sock"

    async def body(server: AdminServer) -> None:
        change = await server.prepare(wanted(short_folder))
        assert change is not None
        await change.commit()
        await server.leave()
        assert not path.exists()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            with capture_logs() as log:
                await server.come_back()
            assert "a.sock" in log[0]["event"]
        async with asyncio.timeout(20):
            while not serves(path):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)
        assert await server.prepare(wanted(short_folder)) is None

    serving(body)
    assert list(short_folder.iterdir()) == []


def test_a_server_that_is_just_coming_back_can_stop(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever moment that is, nothing goes on serving afterwards."""
    monkeypatch.setattr(module, "_RETRY", 0.01)
    path = short_folder / "a.sock"

    async def body(server: AdminServer) -> None:
        change = await server.prepare(wanted(short_folder))
        assert change is not None
        await change.commit()
        await server.leave()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            await server.come_back()
        async with asyncio.timeout(20):
            while not serves(path):  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0)

    serving(body)
    assert list(short_folder.iterdir()) == []
