"""Files and edits are made live as they change, and what is wrong with them changes nothing."""

import asyncio
import json
import sqlite3
import time
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from mcproxy.control.files import config_file, contents
from mcproxy.control.reconcile import reconciler as module
from mcproxy.control.reconcile.change.request import ChangeRequest
from mcproxy.control.store.errors import StoreBusyError
from mcproxy.control.store.store import Store
from mcproxy.model.edits import requests
from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.state.state import Route, State
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.named_file import read_file
from tests.support import reconcile
from tests.support.certificates import Certificates, Leaf
from tests.support.edits import request
from tests.support.ports import free_port
from tests.support.reconcile import Body, Control, add_route
from tests.support.toml import config, listener, route


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at an invalid file twice, a moment apart."""
    monkeypatch.setattr(module, "_SETTLE", 0.01)
    monkeypatch.setattr(module, "_TRIES", 2)


def text(addr: str, *hostnames: str) -> str:
    return config(listener(addr, *(route(hostname, 9000) for hostname in hostnames)))


def using(folder: Path, body: Body) -> None:
    """Run a test with a control that does not serve yet a file with the route ``file.test``."""
    reconcile.using(folder, lambda addr: text(addr, "file.test"), body)


@asynccontextmanager
async def running(control: Control) -> AsyncIterator[None]:
    """Serve, and follow the file."""
    await control.start()
    async with control.following():
        yield


def l7_edit(file: State, addr: str, hostname: str, leaf: Leaf, **fields: Any) -> Edit:
    """Return an edit that adds a route with a certificate."""
    value = Route(
        addr, hostname, (Endpoint("127.0.0.1", 1),), mode="l7", tls_cert=str(leaf.certificate), tls_key=str(leaf.key)
    )
    return make_edit(file, file, "route", (addr, hostname), value, created=1.0, **fields)


async def keep(control: Control, *edits: Edit) -> None:
    """Put edits into the database, as an earlier control has done, or an administrator does."""
    store = control.edits.store if control.edits.is_open else await Store.open(control.edits.path, now=0.0)
    receipt = await store.mutate(request(time.time()), add=edits)
    if control.edits.is_open:
        control.edits.accepted(receipt, ())
    else:
        await store.close()


async def origin(control: Control) -> str:
    """Return what brought about the live generation."""
    return (await control.edits.store.revisions(limit=1))[0].origin


def test_edits_whose_files_are_broken_do_not_keep_control_from_starting(tmp_path: Path) -> None:
    """They are suspended, with the reason; the rest is served."""

    async def body(control: Control, addr: str) -> None:
        file = config_file.load(control.path).resolution.state
        await keep(control, l7_edit(file, addr, "good.test", good), l7_edit(file, addr, "bad.test", bad))
        await control.start()
        assert control.hostnames() == ["file.test", "good.test"]
        (verdict,) = control.current.merged.suspended
        assert (verdict.edit.key, "can't be read" in verdict.why) == ((addr, "bad.test"), True)
        assert len(control.edits.edits) == 2, "it is kept: the files may come back"
        assert await origin(control) == "start"

    certs = Certificates(tmp_path)
    good, bad = certs.server("good.test"), Leaf(tmp_path / "none.crt", tmp_path / "none.key")
    using(tmp_path, body)


def test_files_that_break_later_suspend_no_edit(tmp_path: Path) -> None:
    """What serves goes on with what was read last: no route may vanish by it, and it is told."""

    async def body(control: Control, addr: str) -> None:
        file = config_file.load(control.path).resolution.state
        await keep(control, l7_edit(file, addr, "edit.test", leaf))
        async with running(control):
            leaf.certificate.write_text("nothing", encoding="utf-8")
            leaf.certificate.unlink()
            assert (await control.reconciler.reload()).problems == ()
            (broken,) = control.reconciler.stand_ins.now
            assert broken.message == f"{leaf.certificate} can't be read: No such file or directory"
            assert control.hostnames() == ["edit.test", "file.test"]
            assert control.current.merged.suspended == ()

    leaf = Certificates(tmp_path).server("edit.test")
    using(tmp_path, body)


def test_edits_that_come_while_the_files_are_read_have_their_files_read_too(tmp_path: Path) -> None:
    """What was read before fits another state than the one that is made live."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        control.path.write_text(text(addr, "file.test", "more.test"), encoding="utf-8")
        loaded, assets = await control.reconciler._load()
        fields = {"hostname": "edit.test", "backend": "127.0.0.1:1", "mode": "l7"}
        fields |= {"tls_cert": str(leaf.certificate), "tls_key": str(leaf.key)}
        await control.changes.change(
            ChangeRequest(action="AddRoute"), lambda view, metadata: requests.add_route(view, metadata, addr, fields)
        )
        async with control.current.lock:
            await control.reconciler._enact(loaded, assets)
        assert control.hostnames() == ["edit.test", "file.test", "more.test"]
        assert control.applier.assets is not None
        assert control.applier.assets.digests.keys() == {str(leaf.certificate), str(leaf.key)}
        assert control.applier.assets.files >= 0

    leaf = Certificates(tmp_path).server("edit.test")
    using(tmp_path, body)


def test_files_that_fit_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload of ten thousand certificates reads each once to make it live."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        control.path.write_text(text(addr, "file.test", "more.test"), encoding="utf-8")
        loaded, assets = await control.reconciler._load()
        monkeypatch.setattr(module, "Assets", None)
        async with control.current.lock:
            await control.reconciler._enact(loaded, assets)
        assert control.hostnames() == ["file.test", "more.test"]
        assert control.applier.assets is assets

    using(tmp_path, body)


def test_a_reload_reads_each_certificate_and_parses_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is checked is what is used, also of files that edits name and of those with includes."""
    read: list[str] = []
    parsed: list[str] = []
    parse = tomllib.loads

    def reading(path: str, limit: int) -> bytes:
        read.append(path)
        return read_file(path, limit)

    def parsing(text: str) -> dict[str, Any]:
        parsed.append(text)
        return parse(text)

    async def body(control: Control, addr: str) -> None:
        options = {"mode": "l7", "tls_cert": str(mine.certificate), "tls_key": str(mine.key)}
        (tmp_path / "more.toml").write_text(listener(other, route("more.test", 9000, **options)), encoding="utf-8")
        control.path.write_text('include = ["more.toml"]\n' + text(addr, "file.test"), encoding="utf-8")
        file = config_file.load(control.path).resolution.state
        await keep(control, l7_edit(file, addr, "edit.test", edited))
        monkeypatch.setattr(contents, "read_file", reading)
        monkeypatch.setattr(tomllib, "loads", parsing)
        await control.edits.open()
        await control.reconciler.start(config_file.load(control.path))
        control.path.write_text('include = ["more.toml"]\n' + text(addr, "file.test", "new.test"), encoding="utf-8")
        read.clear()
        parsed.clear()
        loaded, assets = await control.reconciler._load()
        async with control.current.lock:
            await control.reconciler._enact(loaded, assets)
        assert control.hostnames() == ["edit.test", "file.test", "more.test", "new.test"]
        assert sorted(read) == sorted(str(path) for leaf in (mine, edited) for path in (leaf.certificate, leaf.key))
        assert len(parsed) == 2

    certs = Certificates(tmp_path)
    mine, edited = certs.server("more.test"), certs.server("edit.test")
    other = f"127.0.0.1:{free_port()}"
    using(tmp_path, body)


def test_what_the_file_says_is_live_and_told(tmp_path: Path) -> None:
    """Whoever asks for a reload gets how it ended: the plan, the generation, the warnings."""

    async def body(control: Control, addr: str) -> None:
        began = time.time()
        async with running(control):
            assert began <= control.reconciler.last_success <= time.time()
            control.path.write_text(text(addr, "file.test", "more.test"), encoding="utf-8")
            ended = await control.reconciler.reload()
            assert (ended.generation, ended.problems, ended.warnings) == (2, (), ())
            assert ended.plan.lines() == (f"+ route {addr} more.test -> 127.0.0.1:9000  (mc-proxy.toml:11)",)
            assert control.reconciler.last is ended
            assert await origin(control) == "file"
            unchanged = await control.reconciler.reload()
            assert (unchanged.generation, unchanged.plan.lines()) == (2, ())
            assert control.workers.served == [1, 2]

    using(tmp_path, body)


def test_what_is_doubtful_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not at every reading, wherever it stands; again when it comes again. As JSON its parts are fields."""

    def doubts() -> list[dict[str, object]]:
        lines = map(json.loads, capsys.readouterr().err.splitlines())
        return [line for line in lines if line["level"] == "warning"]

    async def body(control: Control, addr: str) -> None:
        async with running(control):
            plain = text(addr, "file.test") + '[log]\nformat = "json"\n'
            doubtful = plain.replace("[log]", 'tls_cert = "a.pem"\n[log]')
            control.path.write_text(plain, encoding="utf-8")
            await control.reconciler.reload()
            capsys.readouterr()
            control.path.write_text(doubtful, encoding="utf-8")
            await control.reconciler.reload()
            (line,) = doubts()
            assert (line["file"], line["key"]) == (str(control.path), "listeners[0].routes[0].tls_cert")
            assert line["line"] == doubtful[: doubtful.index("tls_cert")].count("\n") + 1
            assert str(line["event"]).endswith(f"warning: {line['key']}: {line['message']}")
            for again in (doubtful, f"# moved\n{doubtful}"):
                control.path.write_text(again, encoding="utf-8")
                await control.reconciler.reload()
            assert doubts() == []
            for again in (plain, doubtful):
                control.path.write_text(again, encoding="utf-8")
                await control.reconciler.reload()
            assert len(doubts()) == 1

    using(tmp_path, body)


def test_a_plan_is_told_with_the_places_of_what_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As fields of JSON lines; what the file says no more has no place."""

    async def body(control: Control, addr: str) -> None:
        async with running(control):
            control.path.write_text(text(addr, "file.test") + '[log]\nformat = "json"\n', encoding="utf-8")
            await control.reconciler.reload()
            capsys.readouterr()
            control.path.write_text(text(addr, "new.test") + '[log]\nformat = "json"\n', encoding="utf-8")
            await control.reconciler.reload()
            lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
            told = {line["action"]: line for line in lines if "action" in line}
            assert {action: line["key"] for action, line in told.items()} == {
                "add": f"route {addr} new.test",
                "remove": f"route {addr} file.test",
            }
            assert (told["add"]["file"], told["add"]["line"] > 1) == (str(control.path), True)
            assert "file" not in told["remove"]

    using(tmp_path, body)


def test_an_invalid_file_changes_nothing(tmp_path: Path) -> None:
    """Every problem is told; the next valid file counts, and one that workers refuse does not."""

    async def body(control: Control, addr: str) -> None:
        async with running(control):
            succeeded = control.reconciler.last_success
            control.path.write_text(text(addr, "file.test").replace("backend", "backends"), encoding="utf-8")
            ended = await control.reconciler.reload()
            assert (ended.generation, ended.plan.lines(), len(ended.problems)) == (1, (), 1)
            event = control.events.recent(1)[0]
            assert (event.kind, event.message) == ("refused", "invalid configuration, nothing changed")
            assert event.lines == ended.problems
            assert control.reconciler.last_success == succeeded
            control.path.write_text(text(addr, "other.test"), encoding="utf-8")
            control.workers.refuse = "no memory"
            ended = await control.reconciler.reload()
            assert (ended.generation, ended.problems) == (1, ("no memory",))
            assert control.events.recent(1)[0].message == "the configuration can't be applied, nothing changed"
            assert control.hostnames() == ["file.test"]
            control.workers.refuse = ""
            assert (await control.reconciler.reload()).problems == ()
            assert control.hostnames() == ["other.test"]
            assert control.reconciler.last_success > succeeded

    using(tmp_path, body)


def test_a_mistake_of_ours_in_reading_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a reload that failed, and the next one may succeed."""

    def failing(*_: object, **__: object) -> None:
        raise KeyError("a key")

    async def body(control: Control, addr: str) -> None:
        async with running(control):
            with monkeypatch.context() as context:
                context.setattr(config_file, "load", failing)
                ended = await control.reconciler.reload()
            assert "mcproxy itself failed to read the files (KeyError('a key'))" in ended.problems[0]
            assert control.hostnames() == ["file.test"]
            control.path.write_text(text(addr, "other.test"), encoding="utf-8")
            assert (await control.reconciler.reload()).problems == ()
            assert control.hostnames() == ["other.test"]

    using(tmp_path, body)


def test_edits_expire_by_themselves(tmp_path: Path) -> None:
    """Without anybody asking, also while the file is invalid."""

    async def body(control: Control, addr: str) -> None:
        async with running(control):
            await control.changes.change(ChangeRequest(action="AddRoute", expires=0.3), add_route(addr, "edit.test"))
            assert control.hostnames() == ["edit.test", "file.test"]
            control.path.write_text("no TOML [", encoding="utf-8")
            assert (await control.reconciler.reload()).problems
            async for event in control.events.watch(100):
                if (event.kind, event.generation) == ("applied", 3):
                    break
            assert control.hostnames() == ["file.test"]
            assert await origin(control) == "expiry"
            assert control.edits.edits == await control.edits.store.edits() == ()
            assert control.reconciler.last.problems

    using(tmp_path, body)


def test_what_is_not_confirmed_in_time_is_undone_and_told(tmp_path: Path) -> None:
    """At the next look; if the database can't, it is tried again later."""

    async def body(control: Control, addr: str) -> None:
        async with running(control):
            await control.changes.change(ChangeRequest(action="AddRoute"), add_route(addr, "a.test"))
            asked = ChangeRequest(action="Rollback", about="generation 1")
            await control.changes.roll_back(asked, 1, 0.0)
            await control.reconciler.reload()
            assert control.hostnames() == ["a.test", "file.test"]
            revisions = await control.edits.store.revisions(limit=4)
            assert [revision.origin for revision in revisions] == ["unconfirmed", "rollback", "api", "start"]
            events = [event.message for event in control.events.recent(10) if event.kind == "confirm"]
            assert events == ["not confirmed in time, undone: Rollback generation 1"]

    using(tmp_path, body)


def test_a_database_that_fails_while_it_is_looked_at_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is followed all the same."""

    async def unconfirmed(_: Store) -> Any:
        raise StoreBusyError("locked")

    async def body(control: Control, addr: str) -> None:
        async with running(control):
            monkeypatch.setattr(Store, "unconfirmed", unconfirmed)
            control.path.write_text(text(addr, "other.test"), encoding="utf-8")
            assert (await control.reconciler.reload()).problems == ()
            assert control.hostnames() == ["other.test"]

    using(tmp_path, body)


def test_a_database_that_opens_late_brings_its_edits_and_its_generations(tmp_path: Path) -> None:
    """The next generation is higher than all of its history; what time alone would do is tried until it opens."""

    async def body(control: Control, addr: str) -> None:
        async with running(control):
            file = control.current.file
            await keep(control, make_edit(file, file, "setting", "proxy.workers", 1, created=1.0))
            store = control.edits.store
            (revision,) = await store.revisions(limit=1)
        await control.edits.close()
        late = Control(control.path)
        with closing(sqlite3.connect(late.edits.path, isolation_level=None)) as connection:
            connection.execute("UPDATE revisions SET generation = 40 WHERE generation = ?", (revision.generation,))
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            control.listeners.release_others(())
            await late.edits.open()
            assert not late.edits.is_open
            await late.reconciler.start(config_file.load(late.path))
            assert late.reconciler._timer is not None
            assert late.reconciler._timer.when() - asyncio.get_running_loop().time() <= module._RETRY
            assert late.applier.generation == 1
            connection.execute("ROLLBACK")
        async with late.following():
            ended = await late.reconciler.reload()
        assert (ended.generation, late.applier.state.settings["proxy.workers"]) == (41, 1)
        await late.close()

    using(tmp_path, body)


def test_the_last_good_state_is_served_as_it_was(tmp_path: Path) -> None:
    """Edits are left alone: that state contains them. The problems of the file are how the look ended."""

    async def body(control: Control, addr: str) -> None:
        await control.edits.open()
        file = config_file.load(control.path).resolution.state
        edit = make_edit(file, file, "setting", "proxy.workers", 1, created=1.0, expires=2.0)
        await keep(control, edit)
        loaded = config_file.load(control.path)
        await control.reconciler.start(loaded, problems=("line 1: wrong",))
        assert control.reconciler.last.problems == ("line 1: wrong",)
        assert control.applier.state.settings["proxy.workers"] == 2
        (verdict,) = control.current.merged.suspended
        assert verdict.why == "the file is invalid, and the last good state is served"
        assert await origin(control) == "last-good"

    using(tmp_path, body)


def test_the_timer_is_set_for_what_comes_first_and_never_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock may be set; and what was due when it was tried, and failed, is not tried at once again."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        reconciler, loop = control.reconciler, asyncio.get_running_loop()

        def left() -> float | None:
            timer = reconciler._timer
            return None if timer is None else timer.when() - loop.time()

        assert left() is None, "nothing ends"
        file = control.current.file
        now = time.time()
        for expires, low, high in (
            (now + 500, 50, 60),
            (now + 30, 20, 30.1),
            (now - 5, -10, 0.1),
        ):
            edit = make_edit(file, file, "setting", "proxy.workers", 1, created=1.0, expires=expires)
            control.current.merged = type(control.current.merged)(file, (edit,))
            await reconciler.follow()
            found = left()
            assert found is not None
            assert low <= found <= high
        await reconciler._set_timer(now)
        found = left()
        assert found is not None
        assert 1 < found <= module._RETRY

        async def next_moment(_: object) -> float | None:
            raise StoreBusyError("locked")

        monkeypatch.setattr(control.edits, "next_moment", next_moment)
        await reconciler._set_timer(now)
        found = left()
        assert found is not None
        assert 1 < found <= module._RETRY
        control.current.loaded = None
        await reconciler.follow()
        assert left() is None

    using(tmp_path, body)
