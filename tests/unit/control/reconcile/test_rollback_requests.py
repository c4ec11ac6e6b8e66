"""Rollbacks: an earlier generation made live again, for good or until somebody fails to confirm it."""

import time
from pathlib import Path

import pytest

from mcproxy.control.reconcile import changes as module
from mcproxy.control.reconcile.events import ControlEvent
from mcproxy.errors import (
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
)
from mcproxy.model.state.state import State
from tests.support import reconcile
from tests.support.reconcile import Body, Control, add_route, ask, asked, newest
from tests.support.toml import config, listener, route


def using(folder: Path, body: Body) -> None:
    """Run a test with a control that serves one listener with the route ``file.test``."""

    async def started(control: Control, addr: str) -> None:
        await control.start()
        await body(control, addr)

    reconcile.using(folder, lambda addr: config(listener(addr, route("file.test", 9000))), started)


def last(control: Control) -> ControlEvent:
    return control.events.recent(1)[0]


def test_a_rollback_brings_a_generation_back_and_waits_for_its_confirmation(tmp_path: Path) -> None:
    """Another has to wait until then; when it is confirmed, nothing undoes it any more."""

    async def body(control: Control, addr: str) -> None:
        await ask(control, add_route(addr, "a.test"))
        done = await control.changes.roll_back(asked("Rollback"), 1, 60.0)
        assert control.hostnames() == ["file.test"]
        assert done.confirm_by == pytest.approx(time.time() + 60, abs=20)
        (revision,) = await control.edits.store.revisions(limit=1)
        assert revision.origin == "rollback"
        with pytest.raises(PreconditionError, match="another rollback waits"):
            await control.changes.roll_back(asked("Rollback"), 2, 60.0)
        with pytest.raises(NotFoundError, match="no rollback waits"):
            await control.changes.confirm(asked("Confirm"), done.confirm_id + 1)
        assert (await newest(control)).outcome == "refused"
        with pytest.raises(InvalidRequestError):
            await control.changes.confirm(asked("Confirm", wrong=(("author", "too long"),)), 0)
        assert await control.changes.confirm(asked("Confirm"), done.confirm_id) == 3
        entry = await newest(control)
        assert (entry.outcome, entry.mutation.target) == ("accepted", "Rollback a route")
        assert (last(control).kind, last(control).generation) == ("confirm", 3)
        assert await control.edits.store.unconfirmed() == ()
        with pytest.raises(NotFoundError, match="no rollback waits"):
            await control.changes.confirm(asked("Confirm"), 0)
        await control.changes.roll_back(asked("Rollback"), 2, None)
        assert control.hostnames() == ["a.test", "file.test"]
        assert await control.edits.store.unconfirmed() == ()

    using(tmp_path, body)


def test_a_rollback_that_waits_is_confirmed_without_its_number(tmp_path: Path) -> None:
    """There is but one."""

    async def body(control: Control, addr: str) -> None:
        await ask(control, add_route(addr, "a.test"))
        await control.changes.roll_back(asked("Rollback"), 1, 60.0)
        assert await control.changes.confirm(asked("Confirm"), 0) == 3

    using(tmp_path, body)


def test_a_generation_that_is_not_in_the_history_can_not_be_rolled_back_to(tmp_path: Path) -> None:
    """It may have been, but the history is bounded."""

    async def body(control: Control, _: str) -> None:
        with pytest.raises(NotFoundError, match="generation 77 is not in the history"):
            await control.changes.roll_back(asked("Rollback"), 77, None)

    using(tmp_path, body)


def test_a_rollback_that_would_not_give_that_state_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is judged by what file and edits would mean together, before anything is written."""
    judged: list[State] = []

    def check(wanted: State, reached: State, _: object) -> None:
        judged.append(reached)
        raise PreconditionError(f"{len(wanted.routes)} route wanted")

    async def body(control: Control, addr: str) -> None:
        await ask(control, add_route(addr, "a.test"))
        monkeypatch.setattr(module, "check_rollback", check)
        with pytest.raises(PreconditionError, match="1 route wanted"):
            await control.changes.roll_back(asked("Rollback"), 1, None)
        (reached,) = judged
        assert list(reached.routes) == [(addr, "file.test")]
        assert (await newest(control)).outcome == "refused"
        assert control.hostnames() == ["a.test", "file.test"]

    using(tmp_path, body)
