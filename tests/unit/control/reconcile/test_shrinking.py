"""A reload that takes much away is asked for first."""

import asyncio
from pathlib import Path

import pytest

from mcproxy.control.reconcile import reconciler as module
from mcproxy.control.reconcile.reload import Asked, Reload
from mcproxy.model.edits import requests
from tests.support import reconcile
from tests.support.ports import free_port
from tests.support.reconcile import Body, Control, add_route, ask
from tests.support.toml import config, listener, route

MANY = [f"h{number}.test" for number in range(15)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLE", 0.01)
    monkeypatch.setattr(module, "_TRIES", 3)


def text(addr: str, *hostnames: str, head: str = "", **proxy: int) -> str:
    return config(listener(addr, *(route(hostname, 9000) for hostname in hostnames)), head=head, **proxy)


def using(folder: Path, body: Body, *hostnames: str, head: str = "") -> None:
    """Run a test with a control that serves a file, and reads it when it is told to."""

    async def started(control: Control, addr: str) -> None:
        await control.start()
        await body(control, addr)

    reconcile.using(folder, lambda addr: text(addr, *hostnames, head=head), started)


async def again(control: Control, *, allow_shrink: bool = False) -> Reload:
    """Have the files read."""
    await control.reconciler._reconcile(Asked(allow_shrink=allow_shrink))
    return control.reconciler.last


async def save(control: Control, content: str, *, allow_shrink: bool = False) -> Reload:
    """Write the file and have it read."""
    control.path.write_text(content, encoding="utf-8")
    return await again(control, allow_shrink=allow_shrink)


def test_a_file_that_serves_few_of_the_hostnames_is_refused_with_figures_and_command(tmp_path: Path) -> None:
    """What is live stays; the command applies the content that was refused."""

    async def body(control: Control, addr: str) -> None:
        (problem,) = (await save(control, text(addr, *MANY[:3]))).problems
        assert "12 of the 15 hostnames served now would be served by no listener any more" in problem
        assert "mcproxyctl reload --allow-shrink" in problem
        assert control.hostnames() == sorted(MANY)
        assert len((await again(control)).problems) == 1, "asking again is no answer"
        assert (await again(control, allow_shrink=True)).problems == ()
        assert control.hostnames() == sorted(MANY[:3])

    using(tmp_path, body, *MANY)


def test_the_command_applies_no_other_content_than_was_refused(tmp_path: Path) -> None:
    """Neither one that was edited since, nor one that nobody has seen; their figures are told first."""

    async def body(control: Control, addr: str) -> None:
        assert len((await save(control, text(addr, *MANY[:3]), allow_shrink=True)).problems) == 1
        (problem,) = (await save(control, text(addr, *MANY[:2]), allow_shrink=True)).problems
        assert "13 of the 15" in problem
        assert control.hostnames() == sorted(MANY)
        assert (await again(control, allow_shrink=True)).problems == ()
        assert control.hostnames() == sorted(MANY[:2])

    using(tmp_path, body, *MANY)


def test_a_file_that_takes_less_away_is_applied_by_itself(tmp_path: Path) -> None:
    """Half of them, and any number that a wildcard or another listener serves."""

    async def body(control: Control, addr: str) -> None:
        assert (await save(control, text(addr, *MANY[:8]))).problems == ()
        assert (await save(control, text(addr, *MANY))).problems == ()
        assert (await save(control, text(addr, "*.test"))).problems == ()
        assert control.hostnames() == ["*.test"]

    using(tmp_path, body, *MANY)


def test_the_file_can_switch_the_question_off(tmp_path: Path) -> None:
    """Where files are generated, and what takes them away is meant."""

    async def body(control: Control, addr: str) -> None:
        assert (await save(control, text(addr, "other.test", allow_shrink=True))).problems == ()
        assert control.hostnames() == ["other.test"]

    using(tmp_path, body, *MANY)


def test_edits_and_their_end_are_not_judged(tmp_path: Path) -> None:
    """They are somebody's wish."""

    async def body(control: Control, addr: str) -> None:
        for number in range(12):
            await ask(control, add_route(addr, f"edit{number}.test"))
        assert len(control.hostnames()) == 14
        await ask(control, lambda view, _: requests.revert(view, everything=True), "RevertEdit")
        assert control.hostnames() == ["a.test", "b.test"]

    using(tmp_path, body, "a.test", "b.test")


def test_an_edit_expires_though_the_file_is_refused(tmp_path: Path) -> None:
    """The refusal holds up the file alone."""

    async def body(control: Control, addr: str) -> None:
        await ask(control, add_route(addr, "short.test"), expires=0.3)
        control.path.write_text(text(addr, *MANY[:3]), encoding="utf-8")
        async with control.following(), asyncio.timeout(10):
            assert len((await control.reconciler.reload()).problems) == 1
            changed = asyncio.Event()
            control.workers.on_commit = changed.set
            if "short.test" in control.hostnames():
                await changed.wait()
                await control.reconciler.reload()
        assert control.hostnames() == sorted(MANY)

    using(tmp_path, body, *MANY)


@pytest.mark.parametrize("pattern", ["conf.d/*.toml", "conf.d/**/*.toml", "conf.[d]/b.toml"])
def test_includes_that_are_gone_are_no_wish(tmp_path: Path, pattern: str) -> None:
    """The folder may not be mounted; a folder that comes back, or the command, ends it."""

    async def body(control: Control, addr: str) -> None:
        assert control.hostnames() == ["a.test", "b.test"]
        (tmp_path / "conf.d").rename(tmp_path / "away")
        (problem,) = (await again(control)).problems
        assert f"{tmp_path}/{pattern} matched files before and matches none now" in problem
        assert control.hostnames() == ["a.test", "b.test"]
        (tmp_path / "away").rename(tmp_path / "conf.d")
        assert (await again(control)).problems == ()
        (tmp_path / "conf.d" / "b.toml").unlink()
        assert len((await again(control)).problems) == 1
        assert (await again(control, allow_shrink=True)).problems == ()
        assert control.hostnames() == ["a.test"]

    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.toml").write_text(listener(str(free_port()), route("b.test", 9)), encoding="utf-8")
    using(tmp_path, body, "a.test", head=f'include = ["{pattern}"]')


def test_an_include_that_is_taken_out_of_the_file_may_match_nothing(tmp_path: Path) -> None:
    """The file says so."""

    async def body(control: Control, addr: str) -> None:
        (tmp_path / "b.toml").unlink()
        assert (await save(control, text(addr, "a.test"))).problems == ()
        assert control.hostnames() == ["a.test"]

    (tmp_path / "b.toml").write_text(listener(str(free_port()), route("b.test", 9)), encoding="utf-8")
    using(tmp_path, body, "a.test", head='include = ["[b].toml"]')


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    """It is invalid, however few hostnames are served."""

    async def body(control: Control, _: str) -> None:
        (problem,) = (await save(control, "")).problems
        assert "no listener is declared" in problem
        assert control.hostnames() == ["a.test"]

    using(tmp_path, body, "a.test")


@pytest.mark.parametrize("edit", ["deny", "removal"])
def test_a_file_that_lets_nobody_in_together_with_the_edits_is_refused(tmp_path: Path, edit: str) -> None:
    """Though it is right for itself: it had the last client that is allowed, or denies where an edit took that away."""
    allowed = '[firewall]\nallowed_ips = ["192.0.2.1"]'

    async def body(control: Control, addr: str) -> None:
        if edit == "deny":
            await ask(control, lambda view, terms: requests.set_firewall(view, terms, {"default": "deny"}))
            content = text(addr, "a.test")
        else:
            rule = {"type": "allowed_ip", "value": "192.0.2.1"}
            await ask(control, lambda view, terms: requests.remove(view, terms, "rule", rule))
            content = text(addr, "a.test", head=f'{allowed}\ndefault = "deny"')
        (problem,) = (await save(control, content)).problems
        assert "nobody could connect" in problem
        assert (await save(control, text(addr, "a.test", "b.test", head=allowed))).problems == ()
        assert len((await save(control, content)).problems) == 1
        assert (await again(control, allow_shrink=True)).problems == ()

    using(tmp_path, body, "a.test", head=allowed)
