"""Which generation was live when, with all that was in effect then: the live one, and those of the history."""

import time
from pathlib import Path
from unittest.mock import patch

import pytest

from mcproxy.control.files import config_file
from mcproxy.control.files.assets import Assets
from mcproxy.control.history.past import at_generation, at_time
from mcproxy.control.store.errors import StoreBusyError
from mcproxy.control.store.store import Store
from mcproxy.errors import NotFoundError
from mcproxy.model.edits.edit import make_edit
from mcproxy.model.state.state import Listener
from mcproxy.model.values.origins import Origin
from tests.support import reconcile
from tests.support.reconcile import Body, Control
from tests.support.toml import config, listener, route


def using(folder: Path, body: Body) -> None:
    """Run a test with a control that does not serve yet a file with one route."""
    reconcile.using(folder, lambda addr: config(listener(addr, route("a.test", 9000))), body)


async def write(control: Control, addr: str, *names: str, label: str = "") -> None:
    """Make live a file with routes of these names."""
    control.path.write_text(config(listener(addr, *(route(name, 9000) for name in names))), encoding="utf-8")
    loaded = config_file.load(control.path)
    merged = control.edits.merge(loaded.resolution.state)
    await control.current.enact(loaded, merged, Assets(merged.state), origin="file", label=label)


def test_every_kept_generation_can_be_asked(tmp_path: Path) -> None:
    """With its state, its label, and where it was declared, also after more lines went before it; those to come can't."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        key = ("route", addr, "a.test")
        first = control.current.resolution.origin(key, "hostname")
        await write(control, addr, "b.test", "a.test", label="3fa9c1 add b")
        for at, names, label in ((1, {"a.test"}, ""), (2, {"a.test", "b.test"}, "3fa9c1 add b")):
            then = await at_generation(control.current, at)
            assert {hostname for _, hostname in then.resolution.state.routes} == names
            assert (then.revision.generation, then.revision.label, then.live) == (at, label, at == 2)
        then = await at_generation(control.current, 1)
        assert then.resolution.origin(key, "hostname") == first
        assert control.current.resolution.origin(key, "hostname") != first
        assert then.resolution.state.settings == control.applier.state.settings
        with pytest.raises(NotFoundError, match="no generation 3 yet; generation 2 is live"):
            await at_generation(control.current, 3)

    using(tmp_path, body)


def test_what_was_live_at_a_time_can_be_asked(tmp_path: Path) -> None:
    """From the moment on in which each generation was live; before the first, and in the future, nothing is known."""

    async def body(control: Control, addr: str) -> None:
        before = time.time()
        await control.start()
        await write(control, addr, "a.test", "b.test")
        first, second = [one.time for one in reversed(await control.edits.store.revisions())]
        found = [(await at_time(control.current, at)).revision.generation for at in (first, second - 0.002, second)]
        assert found == [1, 1, 2]
        with pytest.raises(NotFoundError, match="not in the history"):
            await at_time(control.current, before)
        with pytest.raises(NotFoundError, match="has not come yet"):
            await at_time(control.current, time.time() + 60)

    using(tmp_path, body)


def test_addresses_of_names_make_no_generation_of_their_own(tmp_path: Path) -> None:
    """The workers' number is higher then than that of the history; what was in effect is the same."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        await control.current.follow_names({})
        await control.current.follow_names({})
        assert control.applier.generation == 3
        assert [(await at_generation(control.current, one)).revision.generation for one in (1, 2, 3)] == [1, 1, 1]
        await write(control, addr, "b.test")
        assert [(await at_generation(control.current, one)).revision.generation for one in (1, 2, 3, 4)] == [1, 1, 1, 4]

    using(tmp_path, body)


def test_what_could_not_be_kept_is_not_told_to_have_been_another(tmp_path: Path) -> None:
    """Neither by its number nor by its time; the next generation's plan has what changed since the last one kept."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        with patch.object(Store, "record_revision", side_effect=StoreBusyError("locked")):
            await write(control, addr, "b.test")
            await write(control, addr, "c.test")
            assert (await at_generation(control.current, 3)).resolution.state == control.applier.state
        between = time.time()
        await write(control, addr, "c.test", "d.test")
        for lost in (2, 3):
            with pytest.raises(NotFoundError, match=f"generation {lost} is not in the history"):
                await at_generation(control.current, lost)
        with pytest.raises(NotFoundError, match="not in the history"):
            await at_time(control.current, between)
        (newest, _) = await control.edits.store.revisions()
        detail = await control.edits.store.revision(newest.generation)
        assert detail is not None
        assert [line[:2] + line.split()[3] for line in detail.plan["lines"]] == ["- a.test", "+ c.test", "+ d.test"]
        past = await control.edits.store.past("route", (addr, "c.test"))
        assert ([change.action for _, change in past.changes], past.since, past.gaps) == (["add"], 1, {4: 2})

    using(tmp_path, body)


def test_edits_of_then_are_the_origins_of_what_they_made(tmp_path: Path) -> None:
    """Also when they have ended."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        file = control.current.file
        control.edits.own = (
            make_edit(file, file, "listener", addr, Listener(addr, max_connections=7), created=1.0, author="ann"),
        )
        await write(control, addr, "a.test")
        control.edits.own = ()
        await write(control, addr, "a.test")
        then = await at_generation(control.current, 2)
        assert then.resolution.state.listeners[addr].max_connections == 7
        assert then.resolution.origin(("listener", addr), "max_connections") == Origin("a new edit by ann", 0, 0)

    using(tmp_path, body)


def test_what_is_not_kept_any_more_is_said(tmp_path: Path) -> None:
    """Neither state nor changes: of what is older than the oldest kept nothing is concluded."""

    async def body(control: Control, addr: str) -> None:
        await control.start()
        text = "[database]\nkeep_revisions = 2\n"
        for names in (["b.test"], ["b.test", "c.test"], ["b.test"]):
            routes = listener(addr, *(route(name, 9000) for name in names))
            control.path.write_text(text + config(routes), encoding="utf-8")
            loaded = config_file.load(control.path)
            merged = control.edits.merge(loaded.resolution.state)
            await control.current.enact(loaded, merged, Assets(merged.state), origin="file")
        assert (await at_generation(control.current, 3)).revision.generation == 3
        with pytest.raises(NotFoundError, match="generation 2 is not in the history"):
            await at_generation(control.current, 2)
        store = control.edits.store
        assert (await store.past("route", (addr, "b.test"))).changes == ()
        past = await store.past("route", (addr, "c.test"))
        assert ([(by.generation, one.action) for by, one in past.changes], past.since) == (
            [(4, "remove"), (3, "add")],
            3,
        )

    using(tmp_path, body)
