"""What could not be made live is tried again, until it is, or the files say something else."""

import asyncio
import contextlib
import socket
import time
from pathlib import Path

import pytest

from mcproxy.control.reconcile import reconciler as module
from mcproxy.control.reconcile import reload
from tests.support import reconcile
from tests.support.ports import free_port
from tests.support.reconcile import Body, Control
from tests.support.toml import config, listener, route


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLE", 0.01)
    monkeypatch.setattr(module, "_TRIES", 2)
    monkeypatch.setattr(reload, "FIRST", 0.02)
    monkeypatch.setattr(reload, "LONGEST", 0.05)


def using(folder: Path, body: Body) -> None:
    """Run a test with a control that serves a file with the route ``a.test``."""

    async def started(control: Control, addr: str) -> None:
        await control.start()
        await body(control, addr)

    reconcile.using(folder, lambda addr: text(addr, "a.test"), started)


def text(addr: str, *hostnames: str, more: str = "") -> str:
    return config(listener(addr, *(route(hostname, 9000) for hostname in hostnames))) + more


def busy() -> tuple[socket.socket, str]:
    """Return a listener that is in the way, and what a file says that wants its address."""
    port = free_port()
    return socket.create_server(("127.0.0.1", port)), listener(f"127.0.0.1:{port}", route("b.test", 9000))


def test_an_address_that_becomes_free_is_used_without_an_edit(tmp_path: Path) -> None:
    """Nothing tells of it, so it is tried; meanwhile status says when."""

    async def body(control: Control, addr: str) -> None:
        other, more = busy()
        control.path.write_text(text(addr, "a.test", more=more), encoding="utf-8")
        async with control.following(), asyncio.timeout(20):
            last = await control.reconciler.reload()
            assert (len(last.problems), last.tries) == (1, 1)
            assert last.next_try
            assert last.next_try - last.time < 1
            applied = asyncio.Event()
            control.workers.on_commit = applied.set
            other.close()
            await applied.wait()
            last = await control.reconciler.reload()
        assert control.hostnames() == ["a.test", "b.test"]
        assert (last.problems, last.tries, last.next_try) == ((), 0, 0.0)

    using(tmp_path, body)


def test_the_next_edit_ends_it(tmp_path: Path) -> None:
    """One that can be made live, one that is invalid, and one that fails for itself begins anew."""

    async def body(control: Control, addr: str) -> None:
        other, more = busy()
        with contextlib.closing(other):
            for content, tries in (
                (text(addr, "a.test", more=more), 1),
                (text(addr, "a.test", more=more), 2),
                (text(addr, "c.test", more=more), 1),
                ("no TOML [", 0),
                (text(addr, "c.test", more=more), 1),
                (text(addr, "d.test"), 0),
            ):
                control.path.write_text(content, encoding="utf-8")
                await control.reconciler._reconcile()
                assert control.reconciler.last.tries == tries
                assert bool(control.reconciler.last.next_try) == bool(tries)
        assert control.hostnames() == ["d.test"]

    using(tmp_path, body)


def test_the_pauses_double_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """1, 2, 4 ... 30 seconds."""
    monkeypatch.setattr(reload, "FIRST", 1.0)
    monkeypatch.setattr(reload, "LONGEST", 30.0)

    async def main() -> list[int]:
        retries = reload.Retries(lambda: None)
        pauses = []
        for _ in range(40):
            retries.failed("content")
            pauses.append(round(retries.next_try - time.time()))
        retries.end()
        return pauses

    pauses = asyncio.run(main())
    assert pauses[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert pauses[-1] == 30
