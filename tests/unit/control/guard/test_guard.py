"""What is watched, judged, undone and kept: over reloads, edits, and controls that follow each other."""

import time
from pathlib import Path
from typing import Any

import pytest

from mcproxy.control.files import config_file
from mcproxy.control.files.last_good_files import LastGood
from mcproxy.control.guard import guard
from mcproxy.control.guard.undoing import Undoing
from mcproxy.control.health.endpoint_health import EndpointHealth
from mcproxy.control.reconcile.change.guarding import Unguarded
from mcproxy.control.store.errors import StoreBusyError
from mcproxy.control.store.store import Store
from mcproxy.model.edits import put, requests
from tests.support.guard import Guarded, file, to, using
from tests.support.reconcile import ask

TWO = file(to("a.test", 1), to("b.test", 1))


def test_only_what_fails_of_a_reload_is_undone_and_stays_so(tmp_path: Path) -> None:
    """By an edit with author and reason, which the same file leaves alone, and another one ends."""

    async def body(site: Guarded) -> None:
        wrong = file(to("a.test", 2), to("b.test", 2))
        await site.save(wrong)
        site.count("a.test", failed=9)
        await site.later()
        assert site.edits() == {}
        site.count("a.test", failed=1)
        site.count("b.test", good=500)
        await site.later()
        (edit,) = site.edits().values()
        assert (edit.key, edit.author) == ((site.addr, "a.test"), "guard")
        assert edit.reason == "10 of 10 requests failed within 2.0 s of generation 2"
        assert (site.backend("a.test"), site.backend("b.test")) == ("127.0.0.1:1", "127.0.0.1:2")
        (revision,) = await site.control.edits.store.revisions(limit=1)
        assert (revision.origin, revision.author) == ("guard", "guard")
        event = site.control.events.recent(1)[0]
        assert (event.kind, event.message) == (
            "guard",
            f"generation 2 withdrawn by guard: route {site.addr} a.test: {edit.reason}",
        )
        facts = site.guard.facts()
        assert [watch.touched for watch in facts.watches] == [(f"route {site.addr} b.test",)]
        assert (facts.withdrawn, facts.undone is not None) == (1, True)
        await site.save(wrong + "\n# touched\n")
        assert list(site.edits()) == ["a.test"]
        await site.save(file(to("a.test", 3), to("b.test", 2)))
        assert (site.edits(), site.backend("a.test")) == ({}, "127.0.0.1:3")

    using(tmp_path, TWO, body)


def test_what_was_failing_before_is_not_blamed(tmp_path: Path) -> None:
    """The past is that of the same route; what was undone is no past."""

    async def body(site: Guarded) -> None:
        await site.later()
        site.count("a.test", good=5, failed=15)
        site.count("b.test", good=20)
        await site.later(40)
        await site.save(file(to("a.test", 2), to("b.test", 2)))
        site.count("a.test", good=5, failed=15)
        site.count("b.test", failed=20)
        await site.later()
        assert list(site.edits()) == ["b.test"]
        # half of what b.test has done failed, but under what was undone
        await site.save(file(to("a.test", 2), to("b.test", 3)))
        site.count("b.test", good=16, failed=4)
        await site.later()
        assert list(site.edits()) == ["b.test"]

    using(tmp_path, TWO, body)


def test_few_requests_or_good_ones_keep_it(tmp_path: Path) -> None:
    """And it is said which."""

    async def body(site: Guarded) -> None:
        await site.save(file(to("a.test", 2), to("b.test", 1)))
        site.count("a.test", failed=9)
        await site.later(59)
        assert await site.verdicts() == []
        await site.later()
        assert site.guard.facts().last is not None
        assert site.control.events.recent(1)[0].message == (
            "generation 2 kept by guard: only 9 of the 10 requests were answered that it takes to judge"
        )
        site.count("a.test", failed=9)
        await site.later()
        assert (site.edits(), await site.verdicts()) == ({}, [(2, "kept")])
        await site.save(file(to("a.test", 3), to("b.test", 1)))
        site.count("a.test", good=99, failed=1)
        await site.later(61)
        assert site.control.events.recent(1)[0].message.endswith("kept by guard: 1 of 100 requests failed")

    using(tmp_path, TWO, body)


def test_a_further_reload_of_the_same_takes_the_watch_over(tmp_path: Path) -> None:
    """What comes back is what was live before the first of both; the past is the first one's, the requests those since the second."""

    async def body(site: Guarded) -> None:
        await site.later()
        site.count("a.test", good=100)
        await site.later(30)
        await site.save(file(to("a.test", 2), to("b.test", 1)))
        site.count("a.test", failed=9)
        await site.later()
        await site.save(file(to("a.test", 3), to("b.test", 5)))
        site.count("a.test", failed=1)
        await site.later()
        assert site.edits() == {}
        site.count("a.test", failed=9)
        await site.later()
        assert list(site.edits()) == ["a.test"]
        assert (site.backend("a.test"), site.backend("b.test")) == ("127.0.0.1:1", "127.0.0.1:5")
        assert site.edits()["a.test"].reason.endswith("of generation 3")
        assert await site.verdicts() == [(2, "released"), (3, "withdrawn")]

    using(tmp_path, TWO, body)


def test_a_reload_back_to_what_was_ends_the_watch(tmp_path: Path) -> None:
    """There is nothing left to undo."""

    async def body(site: Guarded) -> None:
        await site.save(file(to("a.test", 2), to("b.test", 1)))
        await site.save(TWO)
        assert site.guard.facts().watches == ()
        site.count("a.test", failed=99)
        await site.later()
        assert site.edits() == {}

    using(tmp_path, TWO, body)


def test_an_edit_by_hand_ends_the_watch_and_another_routes_does_not(tmp_path: Path) -> None:
    """Whose errors they are could not be told."""

    async def body(site: Guarded) -> None:
        await site.save(file(to("a.test", 2), to("b.test", 2)))

        async def update(hostname: str) -> None:
            await ask(
                site.control,
                lambda view, terms: requests.update_route(view, terms, site.addr, hostname, {"backend": "127.0.0.1:9"}),
                "UpdateRoute",
            )

        await update("b.test")
        assert [watch.touched for watch in site.guard.facts().watches] == [(f"route {site.addr} a.test",)]
        site.count("b.test", failed=99)
        await site.later()
        assert site.edits()["b.test"].author == "ann"
        await update("a.test")
        assert site.guard.facts().watches == ()
        assert await site.verdicts() == [(2, "released"), (2, "released")]

    using(tmp_path, TWO, body)


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_a_guarded_request_is_withdrawn_as_a_whole_and_what_it_replaced_returns(tmp_path: Path, seconds: float) -> None:
    """The former edit has its author again; the request says until when it is watched."""

    async def body(site: Guarded) -> None:
        async def update(backend: str, guard: float | None) -> float:
            done = await ask(
                site.control,
                lambda view, terms: requests.update_route(view, terms, site.addr, "a.test", {"backend": backend}),
                "UpdateRoute",
                guard=guard,
            )
            return done.guarded_until

        assert await update("127.0.0.1:7", None) == 0.0
        former = site.edits()["a.test"]
        assert await update("127.0.0.1:8", seconds) == pytest.approx(site.now + (seconds or 60.0))
        assert site.backend("a.test") == "127.0.0.1:8"
        site.count("a.test", failed=10)
        await site.later()
        assert site.edits() == {"a.test": former}
        assert site.backend("a.test") == "127.0.0.1:7"
        withdrawn = next(one for one in await site.control.edits.store.audit(limit=9) if one.outcome == "withdrawn")
        assert withdrawn.detail.startswith("10 of 10 requests failed")

    using(tmp_path, file(to("a.test", 1), to("b.test", 1), watch="0s"), body)


def test_two_guarded_requests_of_one_route_are_undone_together(tmp_path: Path) -> None:
    """The newer one first, so that the file's declaration is in effect again."""

    async def body(site: Guarded) -> None:
        async def update(backend: str) -> None:
            await ask(
                site.control,
                lambda view, terms: requests.update_route(view, terms, site.addr, "a.test", {"backend": backend}),
                "UpdateRoute",
                guard=0.0,
            )

        await update("127.0.0.1:7")
        await update("127.0.0.1:8")
        site.count("a.test", failed=10)
        await site.later()
        assert (site.edits(), site.backend("a.test")) == ({}, "127.0.0.1:1")

    using(tmp_path, TWO, body)


def test_the_next_control_goes_on(tmp_path: Path) -> None:
    """With what was watched, its past, its counters and its time; the file that was there is watched no more where it has changed."""

    async def body(site: Guarded) -> None:
        await site.later()
        site.count("b.test", good=8, failed=2)
        await site.later(30)
        await site.save(file(to("a.test", 2), to("b.test", 2)))
        site.count("a.test", failed=5)
        site.count("b.test", good=8, failed=2)
        site.begin()
        site.count("a.test", failed=5)
        await site.later(59)
        assert list(site.edits()) == ["a.test"]
        site.begin()
        assert site.guard.facts().undone is None
        await site.later(2)
        assert (await site.verdicts()) == [(2, "withdrawn"), (2, "kept")]
        facts = site.guard.facts()
        assert facts.watches == ()
        assert facts.undone is not None
        assert facts.undone.outcome == "withdrawn"

    using(tmp_path, TWO, body)


def test_what_changed_while_no_control_ran_is_not_undone(tmp_path: Path) -> None:
    """It is another file's doing by now."""

    async def body(site: Guarded) -> None:
        await site.save(file(to("a.test", 2), to("b.test", 1)))
        site.control.current.guard = Unguarded()
        await site.save(file(to("a.test", 3), to("b.test", 1), watch="0s"))
        site.begin()
        site.count("a.test", failed=99)
        await site.later()
        assert (site.edits(), await site.verdicts()) == ({}, [(2, "released")])

    using(tmp_path, TWO, body)


def test_a_database_that_is_busy_delays_the_undoing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again, also after the watch, and told once."""

    async def body(site: Guarded) -> None:
        await site.save(file(to("a.test", 2), to("b.test", 1)))
        site.count("a.test", failed=10)

        async def busy(*_: object, **__: object) -> None:
            raise StoreBusyError("locked")

        with monkeypatch.context() as patch:
            patch.setattr(Store, "mutate", busy)
            await site.later()
            await site.later(100)
            assert site.edits() == {}
        await site.later(1)
        assert site.edits() == {}
        await site.later(5)
        assert list(site.edits()) == ["a.test"]

    using(tmp_path, TWO, body)


def test_a_removed_route_comes_back_where_its_clients_are_refused(tmp_path: Path) -> None:
    """Judged by the names that nobody serves."""

    async def body(site: Guarded) -> None:
        await site.later()
        site.accept(good=240, no_route=5)
        await site.later(60)
        await site.save(file(to("b.test", 1)))
        site.accept(good=4, no_route=2)
        await site.later()
        assert site.edits() == {}
        site.accept(good=26, no_route=88)
        await site.later(30)
        assert site.backend("a.test") == "127.0.0.1:1"
        assert site.edits()["a.test"].reason.endswith("in place of good answers within 31.0 s of generation 2")

    using(tmp_path, TWO, body)


def test_an_added_route_goes_again_and_a_firewall_opens_again(tmp_path: Path) -> None:
    """A new route has no past; what the firewall refuses is told apart from what routes do."""

    async def body(site: Guarded) -> None:
        rule = '[firewall]\nblocked_cidrs = ["10.0.0.0/8"]\n'
        await site.save(file(to("a.test", 1), to("b.test", 1), to("c.test", 1), head=rule))
        site.count("c.test", failed=10)
        site.accept(cidr=20)
        await site.later()
        assert site.control.hostnames() == ["a.test", "b.test"]
        assert site.control.applier.state.rules == {}
        assert {edit.author for edit in site.control.edits.edits} == {"guard"}

    using(tmp_path, TWO, body)


def test_endpoints_that_go_down_count_without_a_request(tmp_path: Path) -> None:
    """Half of those that could be used, or more, and only if their checks say so."""

    def endpoint(number: int, verdict: str) -> EndpointHealth:
        return EndpointHealth(
            upstream="web",
            address=f"10.0.0.{number}:80",
            label=f"10.0.0.{number}:80",
            verdict=verdict,
            usable=verdict != "down",
            checked=True,
            last_error="404" if verdict == "down" else "",
        )

    async def body(site: Guarded) -> None:
        site.endpoints = [endpoint(1, "up"), endpoint(2, "up"), endpoint(3, "up")]
        await site.save(upstream("/other"))
        site.endpoints = [endpoint(1, "down"), endpoint(2, "up"), endpoint(3, "up")]
        await site.later()
        assert site.edits() == {}
        site.endpoints = [endpoint(1, "down"), endpoint(2, "down"), endpoint(3, "up")]
        await site.later()
        edit = site.edits()["web"]
        assert edit.reason == "checks of 2 endpoints of upstream web fail since generation 2: 10.0.0.2:80: 404"

    def upstream(path: str) -> str:
        addresses = ", ".join(f'"10.0.0.{number}:80"' for number in (1, 2, 3))
        web = f'\n[upstreams.web]\nendpoints = [{addresses}]\ncheck = {{ type = "http", path = "{path}" }}\n'
        return file(to("a.test", 1).replace("127.0.0.1:1", "web"), head=web)

    using(tmp_path, upstream("/healthz"), body)


def test_the_sum_over_a_reload_is_judged_too(tmp_path: Path) -> None:
    """Routes with a request each: no one of them has enough of its own, all together have."""

    async def body(site: Guarded) -> None:
        names = [f"n{number}.test" for number in range(5)]
        await site.save(file(*(to(name, 2) for name in names), to("well.test", 2)))
        for name in names:
            site.count(name, failed=2)
        site.count("well.test", good=9)
        await site.later()
        assert sorted(site.edits()) == names
        assert {edit.reason for edit in site.edits().values()} == {
            "10 of 19 requests failed within 1.0 s of generation 2"
        }

    using(tmp_path, file(*(to(f"n{number}.test", 1) for number in range(5)), to("well.test", 1)), body)


def test_what_can_not_be_brought_back_is_said(tmp_path: Path) -> None:
    """The former certificate is not there any more."""

    async def body(site: Guarded) -> None:
        await site.save(served("gone"))
        page.unlink()
        site.count("a.test", failed=10)
        await site.later()
        assert await site.verdicts() == [(2, "stuck")]
        assert "can't be withdrawn by guard" in site.control.events.recent(1)[0].message
        assert site.guard.facts().watches == ()

    def served(page: str) -> str:
        pages = f'filter = {{ error_pages = {{ "502" = "{page}" }} }}' if page != "gone" else ""
        text = file(to("a.test", 1, mode="l7") + pages + "\n")
        return text.replace('addr = "ADDR"', 'addr = "ADDR"\nprotocol = "http"')

    page = tmp_path / "page.html"
    page.write_text("well")
    using(tmp_path, served(str(page)), body)


def test_time_is_told_to_the_database(tmp_path: Path) -> None:
    """In seconds since the epoch, so that it goes on while nobody is there."""

    async def body(site: Guarded) -> None:
        await site.save(file(to("a.test", 2), to("b.test", 1)))
        (watch,) = await site.control.edits.store.watches()
        assert watch.until - watch.began == 60.0
        assert watch.began == pytest.approx(time.time(), abs=60)
        assert watch.until == site.guard.facts().watches[0].until

    using(tmp_path, TWO, body)


def test_a_guarded_request_of_which_nothing_can_be_watched_says_so(tmp_path: Path) -> None:
    """Settings are not watched; a dry run watches nothing."""

    async def body(site: Guarded) -> None:
        def judge(view: requests.View, terms: requests.EditMetadata) -> requests.Draft:
            return put.put(view, terms, "setting", ("proxy.idle_timeout",), '{"value": "9s"}')

        done = await ask(site.control, judge, "PutResource", guard=0.0)
        assert (done.guarded_until, [one.field for one in done.warnings]) == (0.0, ["options.guard"])
        assert site.guard.facts().watches == ()

    using(tmp_path, TWO, body)


def test_nothing_is_judged_while_something_is_made_live(tmp_path: Path) -> None:
    """Nor after another control has taken over, which holds the lock for good."""

    async def body(site: Guarded) -> None:
        await site.save(file(to("a.test", 2), to("b.test", 1)))
        site.count("a.test", failed=10)
        async with site.control.current.lock:
            await site.later()
            assert site.edits() == {}
        await site.later()
        assert list(site.edits()) == ["a.test"]

    using(tmp_path, TWO, body)


def test_an_edit_that_expires_ends_the_watch(tmp_path: Path) -> None:
    """There is nothing left of the request."""

    async def body(site: Guarded) -> None:
        async with site.control.following():
            await ask(
                site.control,
                lambda view, terms: requests.update_route(view, terms, site.addr, "a.test", {"backend": "127.0.0.1:9"}),
                "UpdateRoute",
                guard=60.0,
                expires=0.2,
            )
            assert site.guard.facts().watches != ()
            while site.edits():
                await site.control.reconciler.reload()
        assert site.guard.facts().watches == ()
        assert (site.backend("a.test"), await site.verdicts()) == ("127.0.0.1:1", [(2, "released")])

    using(tmp_path, TWO, body)


def test_former_contents_of_files_come_back_until_the_file_holds_something_else(tmp_path: Path) -> None:
    """Also for the next control; a further wrong content within the watch changes nothing about what was there before."""
    page = tmp_path / "page.html"

    def served() -> bytes:
        assets = site_of[0].control.applier.assets
        assert assets is not None
        return assets.contents()[str(page)]

    async def renew(site: Guarded, content: str) -> None:
        page.write_text(content)
        await site.save(site.control.path.read_text())

    async def body(site: Guarded) -> None:
        site_of.append(site)
        await renew(site, "wrong")
        assert served() == b"wrong"
        await renew(site, "as wrong")
        site.begin()
        site.count("a.test", failed=10)
        async with site.control.following():
            await site.later()
        assert served() == b"well"
        assert await site.verdicts() == [(2, "released"), (3, "withdrawn")]
        assert site.guard.facts().watches == ()
        (broken,) = site.control.reconciler.stand_ins.now
        assert "withdrawn by guard: 10 of 10 requests failed" in broken.message
        await renew(site, "as wrong")
        assert served() == b"well"
        loaded = config_file.load(site.control.path, last_good=LastGood())
        assert [one.message for one in loaded.stand_ins] == [broken.message]
        await renew(site, "right")
        assert (served(), site.control.reconciler.stand_ins.now) == (b"right", ())
        site.count("a.test", good=10)
        await site.later(61)
        assert left(Path(f"{site.control.edits.path}.files")) == []

    def left(folder: Path) -> list[str]:
        return [name.suffix for name in folder.iterdir() if name.suffix in (".aside", ".withdrawn")]

    site_of: list[Guarded] = []
    page.write_text("well")
    route = to("a.test", 1, mode="l7") + f'filter = {{ error_pages = {{ "502" = "{page}" }} }}\n'
    text = file(route).replace('addr = "ADDR"', 'addr = "ADDR"\nprotocol = "http"')
    using(tmp_path, text, body)


def test_a_mistake_of_the_guard_keeps_nothing_from_being_made_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is logged with where it was, and nothing is watched."""

    def fails(*_: object) -> None:
        raise RuntimeError("oops")

    async def body(site: Guarded) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(guard, "survey", fails)
            await site.save(file(to("a.test", 2), to("b.test", 1)))
        assert (site.backend("a.test"), site.guard.facts().watches) == ("127.0.0.1:2", ())
        with monkeypatch.context() as patch:
            patch.setattr(guard, "taken_over", fails)
            await site.save(file(to("a.test", 3), to("b.test", 1)))
            await site.save(file(to("a.test", 4), to("b.test", 1)))
        assert site.backend("a.test") == "127.0.0.1:4"

    using(tmp_path, TWO, body)
    assert capfd.readouterr().err.count("RuntimeError: oops") == 2


def test_a_reload_may_come_while_something_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is nothing left to end of the watch."""

    async def body(site: Guarded) -> None:
        await site.save(file(to("a.test", 2), to("b.test", 2)))
        site.count("a.test", failed=10)
        undo = Undoing.undo

        async def slow(self: Undoing, *args: Any, **keys: Any) -> bool:
            done = await undo(self, *args, **keys)
            await site.save(file(to("a.test", 3), to("b.test", 3)))
            return done

        with monkeypatch.context() as patch:
            patch.setattr(Undoing, "undo", slow)
            await site.later()
        assert site.backend("a.test") == "127.0.0.1:3"
        (watch,) = site.guard.facts().watches
        assert (watch.generation, len(watch.touched)) == (4, 2)
        assert [one.generation for one in await site.control.edits.store.watches()] == [4]

    using(tmp_path, TWO, body)
