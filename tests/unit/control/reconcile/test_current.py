"""What is current: changed as a whole, or not at all."""

import hashlib
import re
from pathlib import Path

import pytest

from mcproxy.control.files import config_file
from mcproxy.control.files.assets import Assets
from mcproxy.control.reconcile import current as module
from mcproxy.control.reconcile.services import PreparedService, Service
from mcproxy.control.store.errors import StoreBusyError
from mcproxy.control.store.store import Store
from mcproxy.errors import ApplyError
from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.edits.overlay import Difference, Merged, drift
from mcproxy.model.state.state import Listener, State
from tests.support import reconcile
from tests.support.certificates import Certificates
from tests.support.descriptors import open_descriptors
from tests.support.reconcile import Body, Control
from tests.support.toml import config, listener, route


def using(folder: Path, body: Body, **options: str) -> None:
    """Run a test with a control that does not serve yet a file with one route."""
    reconcile.using(folder, lambda addr: config(listener(addr, route("file.test", 9000, **options))), body)


def limited(file: State, addr: str, limit: int) -> Edit:
    """Return an edit of a listener."""
    return make_edit(file, file, "listener", addr, Listener(addr, max_connections=limit), created=1.0)


async def enact(control: Control, origin: str = "file") -> tuple[str, ...]:
    """Read the file and make it live; return the plan."""
    loaded = config_file.load(control.path)
    merged = control.edits.merge(loaded.resolution.state)
    return (await control.current.enact(loaded, merged, Assets(merged.state), origin=origin)).lines()


class Recording(Service):
    """A service that says what it is told to do."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name = name
        self.told = told
        self.fails = False
        self.changes = True

    async def prepare(self, desired: State) -> PreparedService | None:
        self.told.append(f"prepare {self.name}")
        if self.fails:
            raise ApplyError(f"{self.name} can't be bound")
        return RecordingChange(self.name, self.told) if self.changes else None

    async def stop(self) -> None:
        self.told.append(f"stop {self.name}")


class RecordingChange(PreparedService):
    def __init__(self, name: str, told: list[str]) -> None:
        self.name = name
        self.told = told

    async def commit(self) -> None:
        self.told.append(f"commit {self.name}")

    async def undo(self) -> None:
        self.told.append(f"undo {self.name}")


def test_drift_is_worked_out_once_for_all_who_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics, the status page and status ask again and again; the answer changes with the file or the edits alone."""
    counted: list[object] = []

    def counting(merged: Merged, file: State) -> tuple[Difference, ...]:
        counted.append(file)
        return drift(merged, file)

    async def body(control: Control, addr: str) -> None:
        monkeypatch.setattr(module, "drift", counting)
        await control.start()
        for _ in range(3):
            assert control.current.drift() == ()
        assert len(counted) == 1
        control.edits.own = (limited(control.current.file, addr, 5),)
        await enact(control)
        for _ in range(3):
            (difference,) = control.current.drift()
            assert (difference.kind, difference.key) == ("listener", addr)
        assert len(counted) == 2
        control.edits.own = ()
        await enact(control)
        assert control.current.drift() == ()
        assert len(counted) == 3

    using(tmp_path, body)


def test_services_change_with_the_state_in_order(tmp_path: Path) -> None:
    """They are prepared before the workers are told, and commit after; those that need no change are left alone."""

    async def body(control: Control, _: str) -> None:
        told: list[str] = []
        one, two, three = (Recording(name, told) for name in ("one", "two", "three"))
        two.changes = False
        control.current.services += [one, two, three]
        control.workers.on_commit = lambda: told.append("workers")
        await control.start()
        assert told == ["prepare one", "prepare two", "prepare three", "workers", "commit one", "commit three"]
        told.clear()
        await enact(control)
        assert told == [], "nothing differs"
        await control.current.stop_services()
        assert told == ["stop one", "stop two", "stop three"]

    using(tmp_path, body)


@pytest.mark.parametrize("failing", ["three", "workers"])
def test_what_was_prepared_is_undone_when_the_change_fails(tmp_path: Path, failing: str) -> None:
    """The last first; no descriptor is left, and what is current is what was."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        current = control.current
        before = current.loaded, current.merged, current.plan
        told: list[str] = []
        one, two, three = (Recording(name, told) for name in ("one", "two", "three"))
        current.services += [one, two, three]
        three.fails = failing == "three"
        control.workers.refuse = "workers refuse" if failing == "workers" else ""
        control.edits.own = (limited(current.file, addr, 5),)
        descriptors = open_descriptors()
        with pytest.raises(ApplyError):
            await enact(control)
        prepared = ["prepare one", "prepare two", "prepare three"]
        undone = ["undo three", "undo two", "undo one"]
        assert told == prepared + (undone[1:] if failing == "three" else undone)
        assert open_descriptors() <= descriptors
        assert (current.loaded, current.merged, current.plan) == before

    leaf = Certificates(tmp_path).server("file.test")
    using(tmp_path, body, mode="l7", tls_cert=str(leaf.certificate), tls_key=str(leaf.key))


def test_a_renewed_certificate_is_a_generation_of_its_own(tmp_path: Path) -> None:
    """Though the plan is empty; contents that are as before make none, and are closed."""

    async def body(control: Control, _: str) -> None:
        await control.start()
        live = control.applier.assets
        descriptors = open_descriptors()
        assert await enact(control) == ()
        assert (control.workers.served, control.applier.assets) == ([1], live)
        assert open_descriptors() <= descriptors
        other = certs.server("file.test", "also.test")
        leaf.certificate.write_bytes(other.certificate.read_bytes())
        leaf.key.write_bytes(other.key.read_bytes())
        await enact(control)
        assert control.workers.served == [1, 2]
        (revision, _first) = await control.edits.store.revisions(limit=2)
        assert revision.origin == "certificate"
        events = [(event.kind, event.message) for event in control.events.recent(2)]
        assert events == [("certificate", f"renewed: {leaf.certificate}"), ("certificate", f"renewed: {leaf.key}")]

    certs = Certificates(tmp_path)
    leaf = certs.server("file.test")
    using(tmp_path, body, mode="l7", tls_cert=str(leaf.certificate), tls_key=str(leaf.key))


def test_the_first_plan_says_what_has_changed_since_the_last_time(tmp_path: Path) -> None:
    """Not that everything is new; only where the history knows nothing, it does."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        first = control.current.plan.lines()
        named = f"listener {addr} added, route {addr} file.test added, setting proxy.shutdown_timeout: 10s, and 1 more"
        assert control.current.revision.summary == named, "what the file says alone"
        assert any(line.startswith(f"+ route {addr} file.test") for line in first)
        await control.edits.close()
        control.listeners.release_others(())
        control.path.write_text(
            config(listener(addr, route("file.test", 9000), route("more.test", 9000))), encoding="utf-8"
        )
        again = Control(control.path)
        try:
            await again.start()
            (line,) = again.current.plan.lines()
            assert line.startswith(f"+ route {addr} more.test")
            (event,) = again.events.recent(5)
            assert (event.kind, event.message, event.lines) == ("applied", f"route {addr} more.test added", ())
        finally:
            await again.close()

    using(tmp_path, body)


def test_a_generation_that_can_not_be_kept_is_live_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said, and told among the store's problems."""

    async def fails(*_: object, **__: object) -> None:
        raise StoreBusyError("locked")

    async def body(control: Control, addr: str) -> None:
        await control.start()
        with monkeypatch.context() as patch:
            patch.setattr(Store, "record_revision", fails)
            control.path.write_text(
                config(listener(addr, route("file.test", 9000), route("more.test", 9000))), encoding="utf-8"
            )
            await enact(control)
        assert control.applier.generation == 2
        assert control.edits.error == "locked"
        assert [revision.generation for revision in await control.edits.store.revisions(limit=5)] == [1]

    using(tmp_path, body)


def test_a_generation_is_kept_with_what_brought_it_about(tmp_path: Path) -> None:
    """With the digest of the main file and a summary; as many are kept as the file says."""

    async def body(control: Control, addr: str) -> None:
        (tmp_path / "more.toml").write_text("[log]\nlevel = 'warning'\n", encoding="utf-8")
        file = control.path.read_text(encoding="utf-8")
        control.path.write_text(f'include = ["more.toml"]\n{file}[database]\nkeep_revisions = 2\n', encoding="utf-8")
        await control.start()
        for limit in (5, 6):
            control.edits.own = (limited(control.current.file, addr, limit),)
            await enact(control, "api")
        newest, before = await control.edits.store.revisions(limit=5)
        assert (newest.generation, newest.origin, newest.summary) == (
            3,
            "api",
            f"listener {addr}: max_connections changed",
        )
        assert before.generation == 2
        digest = hashlib.sha256(control.path.read_bytes()).hexdigest()
        assert newest.file_sha256 == digest

    using(tmp_path, body)


def test_a_setting_that_is_taken_at_the_start_is_told_to_wait_for_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others take effect at once."""

    async def body(control: Control, _: str) -> None:
        await control.start()
        capsys.readouterr()
        file = control.path.read_text(encoding="utf-8").replace("workers = 2", "workers = 1")
        control.path.write_text(file + "[database]\npath = 'other.db'\n", encoding="utf-8")
        await enact(control)
        log = capsys.readouterr().err
        assert "proxy.workers" in log
        assert re.findall(r"(\S+) takes effect when mcproxy is stopped and started again", log) == ["database.path"]

    using(tmp_path, body)
