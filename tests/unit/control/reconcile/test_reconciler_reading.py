"""When a file is read: not while it is written, and again before a mistake is told that may be half of a change."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mcproxy.control.files import config_file
from mcproxy.control.files import look as look_module
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.content_checks import broken_edits
from mcproxy.control.files.contents import Contents
from mcproxy.control.files.look import OverdueError
from mcproxy.control.reconcile import reconciler as module
from mcproxy.control.reconcile.change.request import ChangeRequest
from mcproxy.control.reconcile.runtime_edits import RuntimeEdits
from mcproxy.control.store.errors import StoreBusyError
from mcproxy.control.store.store import Store
from mcproxy.model.edits import requests
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.state.state import State
from tests.support import reconcile
from tests.support.certificates import Certificates
from tests.support.reconcile import Body, Control
from tests.support.toml import config, listener, route


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLE", 0.01)
    monkeypatch.setattr(module, "_GLANCE", 0.01)


def text(addr: str, *hostnames: str) -> str:
    return config(listener(addr, *(route(hostname, 9000) for hostname in hostnames)))


def using(folder: Path, body: Body) -> None:
    """Run a test with a control that serves a file with the route ``file.test``, and follows nothing by itself."""

    async def started(control: Control, addr: str) -> None:
        await control.start()
        await body(control, addr)

    reconcile.using(folder, lambda addr: text(addr, "file.test"), started)


def after_load(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> list[int]:
    """Do one step after each time that the file was read; return a list that grows by each time."""
    load, times, waiting = config_file.load, list[int](), list(steps)

    def loading(path: Path, **options: Any) -> Loaded:
        times.append(1)
        try:
            return load(path, **options)
        finally:
            if waiting:
                waiting.pop(0)()

    monkeypatch.setattr(config_file, "load", loading)
    return times


def reads(control: Control) -> Coroutine[Any, Any, None]:
    """Read the files once, and make them live."""
    return control.reconciler._reconcile()


def test_a_mistake_that_is_corrected_at_once_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was written in pieces."""

    async def body(control: Control, addr: str) -> None:
        control.path.write_text("no TOML [", encoding="utf-8")
        times = after_load(monkeypatch, lambda: control.path.write_text(text(addr, "new.test"), encoding="utf-8"))
        await reads(control)
        assert control.reconciler.last.problems == ()
        assert control.hostnames() == ["new.test"]
        assert len(times) == 2

    using(tmp_path, body)


def test_a_mistake_that_stays_is_told_after_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has changed meanwhile, so nothing will; a file that changes all the time is given up on."""

    async def body(control: Control, _: str) -> None:
        control.path.write_text("no TOML [", encoding="utf-8")
        times = after_load(monkeypatch)
        await reads(control)
        assert len(times) == 1
        assert len(control.reconciler.last.problems) == 1

        def more() -> None:
            with control.path.open("a", encoding="utf-8") as file:
                file.write("[")

        times = after_load(monkeypatch, *[more] * 30)
        await reads(control)
        assert len(times) == module._TRIES
        assert len(control.reconciler.last.problems) == 1
        assert control.hostnames() == ["file.test"]

    using(tmp_path, body)


def test_a_missing_file_may_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some editors remove a file before they write it anew."""

    async def body(control: Control, addr: str) -> None:
        control.path.unlink()
        times = after_load(
            monkeypatch,
            lambda: None,
            lambda: control.path.write_text(text(addr, "new.test"), encoding="utf-8"),
        )
        await reads(control)
        assert control.hostnames() == ["new.test"]
        assert len(times) == 3

    using(tmp_path, body)


def test_a_mistake_in_a_file_that_is_included_anew_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not watched before, so its correction may have come unseen."""

    async def body(control: Control, addr: str) -> None:
        (tmp_path / "more.toml").write_text("no TOML [", encoding="utf-8")
        control.path.write_text('include = ["more.toml"]\n' + text(addr, "file.test"), encoding="utf-8")
        times = after_load(monkeypatch)
        await reads(control)
        assert len(times) == 2
        assert len(control.reconciler.last.problems) == 1
        await reads(control)
        assert len(times) == 3, "it is watched now"

    using(tmp_path, body)


def test_what_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked is not what would be used; one that changes all the time counts as it is, and wakes us up."""

    async def body(control: Control, addr: str) -> None:
        control.path.write_text(text(addr, "one.test"), encoding="utf-8")
        times = after_load(monkeypatch, lambda: control.path.write_text(text(addr, "other.test"), encoding="utf-8"))
        await reads(control)
        assert (control.hostnames(), len(times)) == (["other.test"], 2)
        assert not control.reconciler._wake.is_set()

        def more() -> None:
            with control.path.open("a", encoding="utf-8") as file:
                file.write("#")

        times = after_load(monkeypatch, *[more] * 30)
        await reads(control)
        assert control.reconciler.last.problems == ()
        assert len(times) == module._TRIES + 1
        assert control.reconciler._wake.is_set()

    using(tmp_path, body)


def test_a_file_is_not_read_while_somebody_writes_it(tmp_path: Path) -> None:
    """Half of a file may be valid."""

    async def body(control: Control, addr: str) -> None:
        whole = text(addr, "one.test", "two.test")
        half = text(addr, "one.test")
        assert whole.startswith(half)
        with control.path.open("w", encoding="utf-8") as file:
            file.write(half)
            file.flush()
            reading = asyncio.ensure_future(reads(control))
            done, _ = await asyncio.wait([reading], timeout=0.1)
            assert not done
            file.write(whole.removeprefix(half))
        await reading
        assert control.hostnames() == ["one.test", "two.test"]
        assert control.applier.generation == 2

    using(tmp_path, body)


def test_a_writer_that_never_ends_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read as it is, and told of once."""
    monkeypatch.setattr(module, "_PATIENCE", 0.05)

    async def body(control: Control, addr: str) -> None:
        with control.path.open("w", encoding="utf-8") as file:
            for hostname in ("one.test", "two.test"):
                file.seek(0)
                file.write(text(addr, hostname))
                file.flush()
                began = time.monotonic()
                await reads(control)
                assert control.hostnames() == [hostname]
        assert time.monotonic() - began < 20

    using(tmp_path, body)


def test_waking_up_has_everything_read_again_and_systemd_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal wakes the reconciler up; however many do while it reads, it looks once more."""
    told: list[str] = []
    monkeypatch.setattr(module, "reloading", lambda: told.append("RELOADING=1"))
    monkeypatch.setattr(module, "notify", told.append)

    async def body(control: Control, addr: str) -> None:
        control.reconciler._watcher.run = forever  # type: ignore[method-assign]  # nothing else wakes it up
        watching = control.events.watch(0)
        applied = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0)
        async with control.following():
            control.path.write_text(text(addr, "new.test"), encoding="utf-8")
            control.reconciler.wake()
            assert (await applied).kind == "applied"
            assert control.hostnames() == ["new.test"]
            await control.reconciler.reload()
        assert told == ["RELOADING=1", "READY=1"] * 2

    async def forever() -> None:
        await asyncio.Event().wait()

    using(tmp_path, body)


def test_a_look_takes_note_of_what_ends_next(tmp_path: Path) -> None:
    """Also one that finds nothing new, and one that fails."""

    async def body(control: Control, addr: str) -> None:
        reconciler = control.reconciler
        fields = {"hostname": "edit.test", "backend": "127.0.0.1:1"}
        await control.changes.change(
            ChangeRequest(action="AddRoute", expires=50.0),
            lambda view, metadata: requests.add_route(view, metadata, addr, fields),
        )
        for content in (text(addr, "file.test"), text(addr, "new.test"), "no TOML ["):
            assert reconciler._timer is not None
            reconciler._timer.cancel()
            reconciler._timer = None
            control.path.write_text(content, encoding="utf-8")
            await reads(control)
        assert reconciler._timer is not None
        assert control.hostnames() == ["edit.test", "new.test"]

    using(tmp_path, body)


def test_of_the_last_good_state_nothing_ends_while_the_file_is_invalid(tmp_path: Path) -> None:
    """Edits are left alone: that state contains them."""

    async def body(control: Control, addr: str) -> None:
        await control.edits.open()
        loaded = config_file.load(control.path)
        bare = Loaded(loaded.resolution, loaded.files, loaded.patterns)
        await control.reconciler.start(bare, problems=("wrong",))
        control.edits.own = ()
        control.path.write_text("no TOML [", encoding="utf-8")
        merged = control.current.merged
        await reads(control)
        assert control.current.merged is merged
        assert control.current.loaded is bare
        assert control.reconciler._timer is None

    reconcile.using(tmp_path, lambda addr: text(addr, "file.test"), body)


@pytest.mark.parametrize("last_good", [False, True])
def test_a_certificate_that_a_ca_issues_is_served_while_the_file_is_invalid(
    tmp_path: Path, certs: Certificates, *, last_good: bool
) -> None:
    """Also where the file was invalid at the start: else it would end with the mistake still there."""
    leaf = certs.server("a.test")

    async def body(control: Control, addr: str) -> None:
        await control.edits.open()
        loaded = config_file.load(control.path)
        if last_good:
            bare = Loaded(loaded.resolution, loaded.files, loaded.patterns)
            await control.reconciler.start(bare, problems=("wrong",))
        else:
            await control.reconciler.start(loaded)
        path = tmp_path / "acme" / "a.test.pem"
        assert control.applier.assets is not None
        assert control.applier.assets.digests == {str(path): ""}
        control.path.write_text("no TOML [", encoding="utf-8")
        await reads(control)
        path.parent.mkdir()
        path.write_bytes(leaf.key.read_bytes() + leaf.certificate.read_bytes())
        await reads(control)
        assert control.applier.assets.contents() == {str(path): path.read_bytes()}

    def ordered(addr: str) -> str:
        keys = 'hostname = "a.test", mode = "l7", certificate = "acme", respond = "hello"'
        return f'[acme]\n[proxy]\nworkers = 2\n[[listeners]]\naddr = "{addr}"\nroutes = [{{ {keys} }}]\n'

    reconcile.using(tmp_path, ordered, body)


def test_a_database_that_can_not_be_looked_at_has_undone_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history does not say that a missing confirmation brought a generation about."""
    origins: list[str] = []

    async def fails(_: object) -> Any:
        raise StoreBusyError("locked")

    async def body(control: Control, addr: str) -> None:
        enact = control.current.enact

        async def enacting(*args: Any, origin: str, **rest: Any) -> Any:
            origins.append(origin)
            return await enact(*args, origin=origin, **rest)

        monkeypatch.setattr(control.current, "enact", enacting)
        for owner, name in ((RuntimeEdits, "open"), (Store, "unconfirmed")):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, fails)
                await reads(control)
        assert origins == ["file", "file"]

    using(tmp_path, body)


def test_a_look_that_takes_long_is_told_while_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the way the last one ended; when it has ended itself, nothing is told of it any more."""
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    load, goes_on = config_file.load, threading.Event()

    def loading(path: Path, **options: Any) -> Loaded:
        goes_on.wait(20)
        return load(path, **options)

    def timers(control: Control) -> list[asyncio.TimerHandle]:
        scheduled: list[Any] = getattr(asyncio.get_running_loop(), "_scheduled")  # noqa: B009 - of asyncio's own loop
        tell = control.reconciler._outcome.overdue
        return [timer for timer in scheduled if timer._callback == tell and not timer.cancelled()]

    async def body(control: Control, addr: str) -> None:
        monkeypatch.setattr(config_file, "load", loading)
        before = control.reconciler.last
        control.path.write_text(text(addr, "new.test"), encoding="utf-8")
        reading = asyncio.ensure_future(reads(control))
        while control.reconciler.last is before:
            await asyncio.wait([reading], timeout=0.01)
        (problem,) = control.reconciler.last.problems
        assert "the files are being read for more than" in problem
        assert control.reconciler.last.generation == 1
        goes_on.set()
        await reading
        assert (control.reconciler.last.problems, control.hostnames()) == ((), ["new.test"])
        monkeypatch.setattr(module, "PATIENCE", 1000.0)
        await reads(control)
        assert timers(control) == []

    using(tmp_path, body)


def test_edits_whose_files_hang_are_looked_at_until_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look that is given up on has what hung refused at once in the next."""
    looks: list[object] = []

    async def looking(*_: object) -> dict[int, str]:
        looks.append(1)
        if len(looks) <= look_module._TRIES:
            raise OverdueError("hangs")
        return {1: "its file system does not answer"}

    monkeypatch.setattr(look_module, "look", looking)
    broken = asyncio.run(look_module.patiently(broken_edits, Merged(State(), ()), Contents()))
    assert broken == {1: "its file system does not answer"}
