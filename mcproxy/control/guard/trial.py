"""The document of a rollout on trial: what this node, as one of its canaries, says of it to the fleet.

    applying -> watching -> passed
       |           `------> failed    more of the requests that it touches fail than before: judged as every guarded change
       `------------------> failed    it can't be made live here

A node on which it has failed runs the fleet's document again at once, whoever drives the rollout, and whether the store is there or not.
"""

import time
from collections.abc import Callable

import msgspec

from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.reconcile.change.guarding import Step
from mcproxy.control.reconcile.reload import Reload
from mcproxy.control.system import log
from mcproxy.model.fleet.records import CanaryReport, Rollout
from mcproxy.policy.guard.judging import Terms
from mcproxy.policy.guard.watch import Standing


class Trial:
    """Says how the document does.

    Attributes:
        report: that; None where this node is no canary.
        made: revision of the last document that this control has made live as a canary, as the guard has told; 0 for none.
    """

    def __init__(
        self,
        fleet: Fleet,
        revision: Callable[[], int],
        last: Callable[[], Reload],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Ask which ``revision`` of the fleet's document is live here (0 for none), and how the ``last`` look at the files ended."""
        self._fleet = fleet
        self._revision = revision
        self._last = last
        self._clock = clock
        self._since = 0.0
        self._log = log.logger()
        self.report: CanaryReport | None = None
        self.made = 0

    @property
    def live(self) -> Rollout | None:
        """The rollout whose document is live here, and on trial."""
        rollout = self._rollout()
        return rollout if rollout is not None and self._revision() == rollout.revision else None

    def begins(self, step: Step) -> Rollout | None:
        """Return the rollout whose document a step makes live first; None if it does something else."""
        rollout = self._rollout()
        if rollout is None or step.origin != "fleet" or step.revision != rollout.revision:
            return None
        return None if self.made == rollout.revision else rollout

    def goes_forward(self, step: Step) -> bool:
        """Tell whether a step makes a newer document of the fleet live than was: its return is not to be undone."""
        return step.origin == "fleet" and step.revision > self._revision()

    def look(self, *, watched: bool) -> Rollout | None:
        """Say how it stands; return the rollout whose document is live here and ought to be ``watched``, and is not."""
        rollout, report = self._rollout(), self.report
        if rollout is None:
            going_on = self._fleet.view.rollout
            if report is not None and (going_on is None or going_on.revision != report.revision):
                self.report = None
            return None
        if report is None or report.revision != rollout.revision:
            self._since = self._clock()
            report = self.report = CanaryReport(revision=rollout.revision, progress="applying")
        if self._revision() != rollout.revision:
            last = self._last()
            if last.problems and last.time >= self._since:
                self.failed(rollout.revision, last.problems[0])
            return None
        if report.progress != "applying":
            return None
        if watched:
            self.report = msgspec.structs.replace(report, progress="watching")
            return None
        return rollout

    def passed(self, revision: int, standing: Standing, detail: str) -> None:
        """Take note that it was watched for the whole time, and nothing failed."""
        self.report = CanaryReport(
            revision=revision, progress="passed", why=detail, answered=standing.answered, errors=standing.errors
        )

    def failed(self, revision: int, why: str, standing: Standing | None = None) -> None:
        """Take note that it has failed, and run it no more."""
        found = standing or Standing(0, 0)
        self.report = CanaryReport(
            revision=revision, progress="failed", why=why, answered=found.answered, errors=found.errors
        )
        self._log.error(f"revision {revision} of the fleet's document has failed on this node", why=why)
        self._fleet.give_up(revision)

    def _rollout(self) -> Rollout | None:
        """Return the rollout in which this node is a canary."""
        wanted, rollout = self._fleet.wanted, self._fleet.view.rollout
        document = wanted.document
        if (
            wanted.role != "canary"
            or rollout is None
            or document is None
            or document.header.revision != rollout.revision
        ):
            return None
        return rollout


def terms_of(rollout: Rollout) -> Terms:
    """Return by what its document is judged."""
    return Terms(rollout.max_errors, rollout.min_requests)
