"""What a canary says of the document of a rollout: while it is made live, watched, kept or given up."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import msgspec

from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.guard.guard import Guard
from mcproxy.control.guard.trial import Trial
from mcproxy.control.guard.undoing import Undoing
from mcproxy.control.health.endpoint_health import EndpointFacts
from mcproxy.control.reconcile.change.guarding import Follow, Step
from mcproxy.control.reconcile.reload import Reload
from mcproxy.model.fleet.document import Document, Header
from mcproxy.model.fleet.records import CanaryReport, Rollout
from mcproxy.model.fleet.view import FleetView
from mcproxy.policy.fleet.running import Wanted
from tests.support.guard import Guarded, file, to, using

ROLLOUT = Rollout(revision=2, doc=1, watch=30.0, max_errors=0.05, min_requests=10, nodes=("n1",))
TWO = file(to("a.test", 1), to("b.test", 1), watch="0s")
NEXT = file(to("a.test", 2), to("b.test", 1), watch="0s")


def document(revision: int) -> Document:
    return Document(Header(revision=revision, hash=f"{revision}"), b"", revision)


class Site:
    """A guarded control that is a canary of revision 2, and what stands for its fleet.

    Attributes:
        revision: that is live.
        given_up: revisions that were given up.
        last: how the last look at the files ended.
    """

    def __init__(self, guarded: Guarded) -> None:
        self.guarded = guarded
        self.revision = 1
        self.given_up: list[int] = []
        self.last = Reload()
        self.view = FleetView(rollout=ROLLOUT)
        self.wanted = Wanted("canary", document(2))
        self.begin()

    def begin(self) -> None:
        """Have a guard and a trial that know nothing, as of a new control."""
        control = self.guarded.control
        self.trial = Trial(cast("Fleet", self), lambda: self.revision, lambda: self.last, lambda: self.guarded.now)
        self.guarded.guard = Guard(
            control.current,
            Undoing(control.changes, control.reconciler),
            lambda: EndpointFacts(tuple(self.guarded.endpoints)),
            lambda: self.guarded.now,
            self.trial,
        )
        control.current.guard = self

    def give_up(self, revision: int) -> None:
        """As a fleet does."""
        self.given_up.append(revision)
        self.wanted = Wanted("member", document(1))

    def look_ahead(self, step: Step) -> Follow:
        """Let the guard see what a file says as a document of the fleet."""
        return self.guarded.guard.look_ahead(step._replace(origin="fleet", revision=self._coming))

    async def run(self, text: str, revision: int) -> None:
        """Make a document live."""
        self._coming = revision
        await self.guarded.save(text)
        self.revision = revision

    def progress(self) -> tuple[str, str]:
        report = self.trial.report
        return ("", "") if report is None else (report.progress, report.why)


def on_trial(folder: Path, body: Any, text: str = TWO) -> None:
    """Run a test with a canary that runs revision 1."""

    async def started(guarded: Guarded) -> None:
        site = Site(guarded)
        await guarded.later()
        work: Coroutine[Any, Any, None] = body(site)
        await work

    using(folder, text, started)


def test_a_document_under_which_nothing_fails_has_passed(tmp_path: Path) -> None:
    """It is watched for as long as the rollout says, whatever the document says of guarding."""

    async def body(site: Site) -> None:
        assert site.progress() == ("applying", "")
        await site.run(NEXT, 2)
        await site.guarded.later()
        assert site.progress() == ("watching", "")
        site.guarded.count("a.test", good=99, failed=1)
        await site.guarded.later(28)
        assert site.progress() == ("watching", "")
        await site.guarded.later(2)
        assert site.trial.report == CanaryReport(
            revision=2, progress="passed", why="1 of 100 requests failed", answered=100, errors=1
        )
        assert site.guarded.guard.facts().watches == ()
        await site.guarded.later(100)
        assert site.progress()[0] == "passed"
        assert (site.given_up, site.guarded.edits()) == ([], {})

    on_trial(tmp_path, body)


def test_a_document_under_which_requests_fail_is_given_up(tmp_path: Path) -> None:
    """By the limits of the rollout, as a whole, and not by runtime edits: the fleet's document is made live again."""

    async def body(site: Site) -> None:
        await site.run(file(to("a.test", 2), to("b.test", 2), watch="0s"), 2)
        site.guarded.count("a.test", good=8, failed=2)
        await site.guarded.later()
        assert site.given_up == [2]
        report = site.trial.report
        assert report is not None
        assert (report.revision, report.progress, report.answered, report.errors) == (2, "failed", 10, 2)
        assert report.why == f"route {site.guarded.addr} a.test: 2 of 10 requests failed within 1.0 s of generation 2"
        assert site.guarded.edits() == {}
        facts = site.guarded.guard.facts()
        assert (facts.watches, facts.withdrawn) == ((), 1)
        assert await site.guarded.verdicts() == [(2, "withdrawn")]
        await site.guarded.later()
        assert site.trial.report == report, "until the rollout is over"

    on_trial(tmp_path, body)


def test_its_return_is_not_undone(tmp_path: Path) -> None:
    """Where documents are guarded by themselves, what comes back after one that has failed is not."""
    guarded = [file(to("a.test", port), watch="60s") for port in (1, 2, 3)]

    async def body(site: Site) -> None:
        await site.run(guarded[1], 2)
        site.guarded.count("a.test", failed=10)
        await site.guarded.later()
        await site.run(guarded[0], 1)
        assert site.guarded.guard.facts().watches == ()
        site.guarded.count("a.test", failed=10)
        await site.guarded.later()
        assert site.guarded.edits() == {}
        site.view = FleetView()
        await site.guarded.later()
        assert site.trial.report is None
        await site.run(guarded[1], 1)
        assert site.guarded.guard.facts().watches == (), "the same document, with another file of the node's own"
        await site.run(guarded[2], 3)
        assert len(site.guarded.guard.facts().watches) == 1

    on_trial(tmp_path, body, guarded[0])


def test_what_was_failing_before_is_not_blamed_on_it(tmp_path: Path) -> None:
    """The past is that of the node's own routes."""

    async def body(site: Site) -> None:
        site.guarded.count("a.test", good=5, failed=15)
        await site.guarded.later(40)
        await site.run(NEXT, 2)
        site.guarded.count("a.test", good=5, failed=15)
        await site.guarded.later(30)
        assert site.progress()[0] == "passed"

    on_trial(tmp_path, body)


def test_few_requests_are_no_failure_and_told(tmp_path: Path) -> None:
    """A canary without clients passes, and says how little it has seen."""

    async def body(site: Site) -> None:
        await site.run(NEXT, 2)
        site.guarded.count("a.test", failed=3)
        await site.guarded.later(30)
        assert site.progress() == (
            "passed",
            "only 3 of the 10 requests were answered that it takes to judge",
        )

    on_trial(tmp_path, body)


def test_an_edit_meanwhile_does_not_end_it(tmp_path: Path) -> None:
    """Requests that change the same route are not guarded, and the document goes on being judged."""

    async def body(site: Site) -> None:
        await site.run(NEXT, 2)
        await site.run(file(to("a.test", 3), to("b.test", 1), watch="0s"), 2)
        site.guarded.count("a.test", failed=10)
        await site.guarded.later()
        assert site.given_up == [2]

    on_trial(tmp_path, body)


def test_a_document_that_changes_nothing_here_passes_in_time(tmp_path: Path) -> None:
    """There is nothing to judge, and the others still have their time."""

    async def body(site: Site) -> None:
        await site.run(TWO + "\n# other\n", 2)
        await site.guarded.later()
        assert site.progress()[0] == "watching"
        site.guarded.count("a.test", failed=50)
        await site.guarded.later(31)
        assert site.progress()[0] == "passed"

    on_trial(tmp_path, body)


def test_a_document_that_cannot_be_made_live_has_failed(tmp_path: Path) -> None:
    """An error from before it came says nothing about it."""

    async def body(site: Site) -> None:
        site.last = Reload(site.guarded.now - 60, ("doc:1:1: error: old",))
        await site.guarded.later()
        assert site.progress() == ("applying", "")
        site.last = Reload(site.guarded.now, ("doc:7:1: error: tls_cert: a.pem: not there",))
        await site.guarded.later()
        why = "doc:7:1: error: tls_cert: a.pem: not there"
        assert site.trial.report == CanaryReport(revision=2, progress="failed", why=why)
        assert site.given_up == [2]

    on_trial(tmp_path, body)


def test_who_is_no_canary_says_nothing(tmp_path: Path) -> None:
    """A rollout goes on, on other nodes."""

    async def body(site: Site) -> None:
        site.begin()
        site.wanted = Wanted("member", document(1))
        await site.guarded.later()
        assert site.trial.report is None
        site.wanted = Wanted("member", document(2))  # it is live for all by now, and the rollout about to go
        await site.guarded.later()
        assert site.trial.report is None

    on_trial(tmp_path, body)


def test_the_next_control_goes_on(tmp_path: Path) -> None:
    """A watch is kept in the database; where it is not there, all routes are judged, by nothing that was before."""

    async def body(site: Site) -> None:
        await site.run(NEXT, 2)
        await site.guarded.later()
        site.begin()
        await site.guarded.later()
        assert site.progress()[0] == "watching"
        site.guarded.count("b.test", failed=50)  # not of the document
        await site.guarded.later()
        assert site.progress()[0] == "watching"
        await site.guarded.later(30)
        assert site.progress()[0] == "passed"
        site.begin()
        await site.guarded.later()
        assert site.progress()[0] == "watching"
        site.guarded.count("b.test", failed=50)
        await site.guarded.later()
        assert site.given_up == [2]

    on_trial(tmp_path, body)


def test_a_rollout_that_is_over_is_watched_no_more(tmp_path: Path) -> None:
    """Aborted, or live for all: nothing is said of it, and what fails then is not its canary's."""

    async def body(site: Site) -> None:
        await site.run(NEXT, 2)
        await site.guarded.later()
        site.view, site.wanted = FleetView(), Wanted("member", document(1))
        await site.guarded.later()
        assert site.progress() == ("", "")
        assert await site.guarded.verdicts() == [(2, "released")]
        site.guarded.count("a.test", failed=50)
        await site.guarded.later()
        assert site.given_up == []

    on_trial(tmp_path, body)


def test_another_rollout_begins_anew(tmp_path: Path) -> None:
    """What was said of one revision says nothing of the next."""

    async def body(site: Site) -> None:
        await site.run(NEXT, 2)
        site.guarded.count("a.test", failed=10)
        await site.guarded.later()
        assert site.progress()[0] == "failed"
        await site.run(TWO, 1)
        site.view = FleetView(rollout=msgspec.structs.replace(ROLLOUT, revision=3))
        site.wanted = Wanted("canary", document(3))
        await site.guarded.later()
        assert site.progress() == ("applying", "")
        await site.run(NEXT, 3)
        site.guarded.count("a.test", good=10)
        await site.guarded.later(31)
        assert site.progress()[0] == "passed"

    on_trial(tmp_path, body)
