"""Requests to change what runs: done wholly, or not at all, and on record either way."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.reconcile.change.judging import Judge
from mcproxy.control.reconcile.events import ControlEvent
from mcproxy.control.store.errors import StoreBusyError
from mcproxy.control.store.store import Store
from mcproxy.errors import (
    ApplyError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    StaleGenerationError,
)
from mcproxy.model.edits import requests
from tests.support import reconcile
from tests.support.certificates import Certificates
from tests.support.reconcile import Body, Control, add_route, ask, asked, newest
from tests.support.toml import config, listener, route


def using(folder: Path, body: Body) -> None:
    """Run a test with a control that serves one listener with the route ``file.test``."""

    async def started(control: Control, addr: str) -> None:
        await control.start()
        await body(control, addr)

    reconcile.using(folder, lambda addr: config(listener(addr, route("file.test", 9000))), started)


def remove(addr: str, hostname: str) -> Judge:
    """Return what judges the removal of a route."""
    return lambda view, metadata: requests.remove(view, metadata, "route", {"listener": addr, "hostname": hostname})


def last(control: Control) -> ControlEvent:
    return control.events.recent(1)[0]


def test_what_is_asked_is_live_kept_answered_and_told(tmp_path: Path) -> None:
    """The answer says what was done; it is the one a retry gets."""

    async def body(control: Control, addr: str) -> None:
        done = await ask(
            control, add_route(addr, "new.test"), request_id="r1", content="{}", reason="why", verified=True
        )
        assert control.hostnames() == ["file.test", "new.test"]
        assert (done.generation, done.confirm_id, done.confirm_by) == (2, 0, 0.0)
        (edit,) = done.edits
        assert (edit.key, edit.author, edit.reason, edit.request_id) == ((addr, "new.test"), "ann", "why", "r1")
        assert (edit.expires, edit.created == pytest.approx(time.time(), abs=20)) == (None, True)
        assert control.edits.edits == await control.edits.store.edits() == done.edits
        assert done.plan == (f"+ route {addr} new.test -> 127.0.0.1:9001  (edit 1 by ann)",)
        entry = await newest(control)
        assert (entry.outcome, entry.mutation.author, entry.mutation.verified) == ("accepted", "ann", True)
        assert (entry.mutation.action, entry.mutation.target, entry.mutation.reason) == ("AddRoute", "a route", "why")
        (revision,) = await control.edits.store.revisions(limit=1)
        assert (revision.generation, revision.origin, revision.author) == (2, "api", "ann")
        event = last(control)
        assert (event.kind, event.message, event.generation) == ("edit", "AddRoute a route by ann", 2)
        assert await ask(control, add_route(addr, "new.test"), request_id="r1", content="{}") == done
        assert control.workers.served == [1, 2]

    using(tmp_path, body)


def test_a_dry_run_tells_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    """The plan and the edits as they would be; no edit, no record, no event, and its request id stays free."""

    async def body(control: Control, addr: str) -> None:
        before = control.events.recent(9)
        told = await ask(control, add_route(addr, "new.test"), request_id="r1", dry_run=True)
        assert (told.dry_run, told.generation, [edit.id for edit in told.edits]) == (True, 1, [0])
        assert told.plan == (f"+ route {addr} new.test -> 127.0.0.1:9001  (a new edit by ann)",)
        with pytest.raises(NotFoundError):
            await ask(control, remove(addr, "new.test"), "RemoveRoute", dry_run=True)
        with pytest.raises(StaleGenerationError):
            await ask(control, add_route(addr, "new.test"), dry_run=True, expected_generation=7)
        assert control.hostnames() == ["file.test"]
        assert control.edits.edits == await control.edits.store.edits() == ()
        assert await control.edits.store.audit(limit=1) == ()
        assert control.events.recent(9) == before
        assert control.workers.served == [1]
        done = await ask(control, add_route(addr, "new.test"), request_id="r1")
        assert (done.dry_run, control.hostnames()) == (False, ["file.test", "new.test"])
        told = await ask(control, remove(addr, "file.test"), "RemoveRoute", dry_run=True)
        assert [line[:8] for line in told.plan] == ["- route "]
        assert control.hostnames() == ["file.test", "new.test"]

    using(tmp_path, body)


def test_what_the_workers_refuse_is_withdrawn(tmp_path: Path) -> None:
    """Neither the memory nor the database keeps the edit, so nothing makes it live later; the audit says why."""

    async def body(control: Control, addr: str) -> None:
        first = await ask(control, add_route(addr, "first.test"))
        control.workers.refuse = "no memory"
        with pytest.raises(ApplyError, match="no memory"):
            await ask(control, add_route(addr, "second.test"), request_id="r2")
        assert control.hostnames() == ["file.test", "first.test"]
        assert control.edits.edits == await control.edits.store.edits() == first.edits
        entry = await newest(control)
        assert (entry.outcome, entry.detail) == ("withdrawn", "no memory")
        assert last(control).message == "AddRoute a route by ann", "nobody is told of what was not done"
        assert last(control).generation == 2
        control.workers.refuse = ""
        await ask(control, add_route(addr, "second.test"), request_id="r2")
        assert control.hostnames() == ["file.test", "first.test", "second.test"]

    using(tmp_path, body)


def test_a_replaced_edit_comes_back_when_the_new_one_is_refused(tmp_path: Path) -> None:
    """A withdrawal leaves the edits of before."""

    async def body(control: Control, addr: str) -> None:
        before = (await ask(control, add_route(addr, "new.test"))).edits
        control.workers.refuse = "no memory"
        with pytest.raises(ApplyError, match="no memory"):
            await ask(
                control,
                lambda view, metadata: requests.update_route(
                    view, metadata, addr, "new.test", {"backend": "127.0.0.1:9"}
                ),
                "UpdateRoute",
            )
        assert control.edits.edits == await control.edits.store.edits() == before

    using(tmp_path, body)


def test_what_can_not_be_withdrawn_is_still_answered_with_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second failure must not hide the first."""

    async def withdraw(*_: object, **__: object) -> None:
        raise StoreBusyError("locked")

    async def body(control: Control, addr: str) -> None:
        control.workers.refuse = "no memory"
        monkeypatch.setattr(Store, "withdraw", withdraw)
        with pytest.raises(ApplyError, match="no memory"):
            await ask(control, add_route(addr, "new.test"))

    using(tmp_path, body)


def test_children_end_with_the_edit_of_their_parent(tmp_path: Path) -> None:
    """A policy of a route that an edit adds does not wait, suspended, for another route of that name."""

    async def body(control: Control, addr: str) -> None:
        await ask(control, add_route(addr, "other.test"))
        await ask(
            control,
            add_route(addr, "new.test", mode="l7", tls_cert=str(leaf.certificate), tls_key=str(leaf.key)),
        )
        policy = {"type": "block_user_agent", "value": "Bot"}
        await ask(
            control,
            lambda view, metadata: requests.add_policy(view, metadata, addr, "new.test", policy),
            "AddPolicy",
        )
        assert len(control.applier.state.policies) == 1
        await ask(control, remove(addr, "new.test"), "RemoveRoute")
        assert [edit.key[1] for edit in control.edits.edits] == ["other.test"]
        assert await control.edits.store.edits() == control.edits.edits
        assert control.current.merged.suspended == ()
        ended = await control.edits.store.history(limit=2)
        assert {(record.event, record.edit.kind) for record in ended} == {("reverted", "route"), ("reverted", "policy")}

    leaf = Certificates(tmp_path).server("new.test")
    using(tmp_path, body)


def test_files_that_a_request_names_are_read_for_it(tmp_path: Path) -> None:
    """They are not among those that are live."""

    async def body(control: Control, addr: str) -> None:
        before = control.applier.assets
        await ask(control, add_route(addr, "l4.test"))
        assert control.applier.assets is before, "the same files are not read again"
        names = {"tls_cert": str(leaf.certificate), "tls_key": str(leaf.key)}
        await ask(control, add_route(addr, "new.test", mode="l7", **names))
        assert control.applier.assets is not None
        assert control.applier.assets.digests.keys() == set(names.values())

    leaf = Certificates(tmp_path).server("new.test")
    using(tmp_path, body)


def test_files_that_are_wrong_are_told_at_their_keys_and_doubts_as_warnings(tmp_path: Path) -> None:
    """Both are judged of the route that the request is about."""

    async def body(control: Control, addr: str) -> None:
        names = {"tls_cert": str(leaf.certificate), "tls_key": str(leaf.key)}
        with pytest.raises(InvalidRequestError) as caught:
            await ask(control, add_route(addr, "new.test", mode="l7", **{**names, "tls_key": "/none.key"}))
        assert caught.value.violations == (("tls_key", "/none.key can't be read: No such file or directory"),)
        assert await control.edits.store.edits() == ()
        done = await ask(control, add_route(addr, "new.test", mode="l7", **names))
        (warning,) = done.warnings
        assert (warning.field, "does not cover new.test" in warning.message) == ("tls_cert", True)

    leaf = Certificates(tmp_path).server("another.test")
    using(tmp_path, body)


def test_a_request_that_can_not_be_done_is_on_record_and_changes_nothing(tmp_path: Path) -> None:
    """All that is wrong with it is told at once."""

    async def body(control: Control, addr: str) -> None:
        with pytest.raises(NotFoundError, match="there is no route"):
            await ask(control, remove(addr, "none.test"), "RemoveRoute")
        entry = await newest(control)
        assert (entry.outcome, entry.mutation.action) == ("refused", "RemoveRoute")
        assert "there is no route" in entry.detail
        with pytest.raises(InvalidRequestError) as caught:
            await ask(control, add_route(addr, "no name"), wrong=(("options.reason", "too long"),))
        assert [field for field, _ in caught.value.violations] == ["hostname", "options.reason"]
        with pytest.raises(InvalidRequestError) as caught:
            await ask(control, remove(addr, "none.test"), wrong=(("options.reason", "too long"),))
        assert [field for field, _ in caught.value.violations] == ["options.reason"]
        with pytest.raises(InvalidRequestError):
            await ask(control, add_route(addr, "new.test"), wrong=(("options.reason", "too long"),))
        assert control.workers.served == [1]
        assert await control.edits.store.edits() == ()

    using(tmp_path, body)


def test_a_refusal_that_can_not_be_recorded_is_still_that_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's error would hide what is wrong with the request."""

    async def refuse(*_: object) -> None:
        raise StoreBusyError("locked")

    async def body(control: Control, addr: str) -> None:
        monkeypatch.setattr(Store, "refuse", refuse)
        with pytest.raises(NotFoundError):
            await ask(control, remove(addr, "none.test"), "RemoveRoute")

    using(tmp_path, body)


def test_a_generation_that_is_not_live_any_more_is_refused(tmp_path: Path) -> None:
    """Who asks has looked at something else; the live one, and none, are right."""

    async def body(control: Control, addr: str) -> None:
        await ask(control, add_route(addr, "a.test"), expected_generation=1)
        with pytest.raises(StaleGenerationError, match="generation 2 is live, not 1"):
            await ask(control, add_route(addr, "b.test"), expected_generation=1)
        await ask(control, add_route(addr, "b.test"), expected_generation=0)
        assert control.hostnames() == ["a.test", "b.test", "file.test"]

    using(tmp_path, body)


def test_while_the_last_good_state_is_served_nothing_can_be_asked(tmp_path: Path) -> None:
    """The file is to be mended first: edits are judged against what it says."""

    async def body(control: Control, addr: str) -> None:
        assert control.current.loaded is not None
        control.current.loaded = msgspec.structs.replace(control.current.loaded, sources=())
        with pytest.raises(PreconditionError, match="mend the file first"):
            await ask(control, add_route(addr, "a.test"))
        control.current.loaded = None
        with pytest.raises(PreconditionError, match="mend the file first"):
            await ask(control, add_route(addr, "a.test"))

    using(tmp_path, body)


def test_edits_expire_after_the_time_the_request_says(tmp_path: Path) -> None:
    """Counted from when it came."""

    async def body(control: Control, addr: str) -> None:
        (edit,) = (await ask(control, add_route(addr, "a.test"), expires=500.0)).edits
        assert edit.expires == edit.created + 500.0

    using(tmp_path, body)


def test_a_request_id_stands_for_one_request(tmp_path: Path) -> None:
    """Another content, or another action, under it is a mistake of the client."""

    async def body(control: Control, addr: str) -> None:
        await ask(control, add_route(addr, "a.test"), request_id="r1", content="a")
        for action, content in (("AddRoute", "b"), ("RemoveRoute", "a")):
            with pytest.raises(InvalidRequestError) as caught:
                await ask(control, add_route(addr, "b.test"), action, request_id="r1", content=content)
            assert caught.value.violations == (("options.request_id", "r1 was the id of another request"),)
        await ask(control, add_route(addr, "b.test"), request_id="r2", content="a")
        assert control.hostnames() == ["a.test", "b.test", "file.test"]

    using(tmp_path, body)


def test_a_retry_after_control_died_between_writing_and_answering_gets_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edits, and the generation that is live."""

    async def answer(*_: object) -> None:
        raise StoreBusyError("locked")

    async def body(control: Control, addr: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "answer", answer)
            done = await ask(control, add_route(addr, "a.test"), request_id="r1", content="a")
        again = await ask(control, add_route(addr, "a.test"), request_id="r1", content="a")
        assert (again.edits, again.generation, again.plan, again.confirm_id) == (done.edits, 2, (), 0)
        with monkeypatch.context() as patch:
            patch.setattr(Store, "answer", answer)
            rolled = await control.changes.roll_back(asked("Rollback", request_id="r2"), 1, 60.0)
        again = await control.changes.roll_back(asked("Rollback", request_id="r2"), 1, 60.0)
        assert (again.confirm_id, again.generation) == (rolled.confirm_id, 3)
        assert rolled.confirm_id

    using(tmp_path, body)


def test_whoever_asked_may_leave_what_has_begun_is_finished(tmp_path: Path) -> None:
    """A client that hangs up leaves no half-done change behind; control waits for it when it stops."""

    async def body(control: Control, addr: str) -> None:
        await control.changes.finish()
        asking = asyncio.ensure_future(ask(control, add_route(addr, "a.test")))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await control.changes.finish()
        assert control.hostnames() == ["a.test", "file.test"]
        assert not control.changes._under_way

    using(tmp_path, body)


def test_reverting_is_told_from_editing_in_the_history(tmp_path: Path) -> None:
    """The origin of a generation says what kind of request it was."""

    async def body(control: Control, addr: str) -> None:
        await ask(control, add_route(addr, "a.test"))
        await ask(control, lambda view, _: requests.revert(view, everything=True), "RevertEdit")
        (revision,) = await control.edits.store.revisions(limit=1)
        assert (revision.origin, control.hostnames()) == ("revert", ["file.test"])

    using(tmp_path, body)


def test_an_event_names_no_author_when_nobody_said_who_asks(tmp_path: Path) -> None:
    """Without a trailing "by"."""

    async def body(control: Control, addr: str) -> None:
        request = msgspec.structs.replace(asked(), author="")
        await control.changes.change(request, add_route(addr, "a.test"))
        assert last(control).message == "AddRoute a route"

    using(tmp_path, body)
