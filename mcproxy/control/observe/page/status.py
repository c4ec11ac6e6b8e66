"""The state of the whole proxy as people want to see it: plain structs, made by pure functions of what is known.

`Facts` are what control knows at one moment, a `Sample` what the workers have counted; `make_status` turns them into what
the status page shows. Of things that may be many, the most important come first, with the number of those left out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from mcproxy.control.counters.sample import Sample
from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.page.checks import HEALTHS, Check, Health, checks, worst
from mcproxy.control.observe.page.counts import AllCounts, Counted, Counts, ListenerStatus
from mcproxy.control.observe.page.refused import RefusedLately, refused_lately
from mcproxy.control.observe.page.routes import (
    FAILING_SHOWN,
    RouteDetail,
    Routes,
    RouteStatus,
    detail,
    failing,
    list_routes,
)
from mcproxy.control.observe.page.trend import Curves
from mcproxy.control.observe.page.upstreams import UPSTREAMS_SHOWN, UpstreamStatus, list_upstreams
from mcproxy.control.observe.page.view import View
from mcproxy.control.store.guard.watches import Verdict
from mcproxy.control.store.revisions import Revision
from mcproxy.model.edits.overlay import Difference
from mcproxy.model.state.diff import Change
from mcproxy.model.state.plan import Operation, Plan
from mcproxy.model.state.state import RouteKey
from mcproxy.model.values import paths
from mcproxy.policy.acme.facts import CertificateFacts, words

LINES_SHOWN = 60
REFUSED_SHOWN = 5
CERTIFICATES_SHOWN = 30
_DAY = 86_400.0
_NEWS = 3600.0  # seconds for which it is told that something was undone
_SOON = 14  # days; as the warnings of `certificate_checks`
_LATE = 1 / 3  # of what was left when a renewal was due


class Watched(msgspec.Struct, frozen=True):
    """What the page is made of.

    Attributes:
        facts: what control knows.
        now: what the workers have counted.
        before: what they had counted a moment ago, for rates; None where that is not known.
        recent: what they had counted some minutes ago, for what happened lately; None where that is not known.
        curves: the last quarter of an hour.
    """

    facts: Facts
    now: Sample
    before: Sample | None = None
    recent: Sample | None = None
    curves: Curves = Curves()


class CertificateStatus(msgspec.Struct, frozen=True):
    """One certificate: whose it is, when it ends, and what to think of that.

    Attributes:
        path: of its file, or what it covers where it is ordered from a CA.
        routes: hostnames.
        not_after: its end; 0.0 while there is none yet.
        days: what is left.
        health: what to think of it.
        order: what is known of it where it is ordered from a CA, else None.
        words: the same in words.
    """

    path: str
    routes: tuple[str, ...]
    not_after: float
    days: int
    health: Health
    order: CertificateFacts | None = None
    words: str = ""


class DriftStatus(msgspec.Struct, frozen=True):
    """One difference from the file, as a line of a plan, and the edit whose doing it is."""

    line: str
    author: str
    reason: str
    since: float
    expires: float | None
    suspended: str


class GenerationStatus(msgspec.Struct, frozen=True):
    """A generation of the history: what it was, and the first lines of what it changed."""

    revision: Revision
    lines: tuple[str, ...]
    hidden: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the page shows; ``plan_lines`` and others are cut, ``..._hidden`` says by how many.

    Attributes:
        health: the worst of the checks.
        failing: the routes that failed lately, the worst first; ``failing_hidden`` more are left out.
        upstreams: those in trouble first; ``upstreams_hidden`` more are left out.
        ill_count: how many of all upstreams are in trouble.
        refused: what was refused lately, and by which rule; ``refused_hidden`` more are left out.
        detail: the route that was asked for, None if none was, or there is none.
        changed: the generation that changed each route last that is shown, by ``LISTENER HOSTNAME``.
        then: the generation that was asked for, None if none was, or it is not kept.
    """

    facts: Facts
    health: Health
    checks: tuple[Check, ...]
    uptime: float
    counts: AllCounts
    curves: Curves
    listeners: tuple[ListenerStatus, ...]
    failing: tuple[RouteStatus, ...]
    failing_hidden: int
    refused: tuple[RefusedLately, ...]
    refused_hidden: int
    routes: Routes
    detail: RouteDetail | None
    upstreams: tuple[UpstreamStatus, ...]
    upstreams_hidden: int
    ill_count: int
    certificates: tuple[CertificateStatus, ...]
    certificates_hidden: int
    blocks: tuple[Counted, ...]
    policy_blocks: tuple[Counted, ...]
    filter_blocks: tuple[Counted, ...]
    limits_hit: tuple[Counted, ...]
    drift: tuple[DriftStatus, ...]
    drift_hidden: int
    plan_summary: str
    plan_lines: tuple[str, ...]
    plan_hidden: int
    changed: Mapping[str, Revision] = {}
    then: GenerationStatus | None = None

    @property
    def withdrawn(self) -> Verdict | None:
        """What the guard has undone last, or should have, while that is news or its edits are in effect; None for nothing."""
        last = self.facts.guard.undone
        if last is None or not (self.facts.drift or self.facts.now - last.time < _NEWS):
            return None
        return last

    @property
    def route_keys(self) -> list[RouteKey]:
        """The routes that are shown."""
        shown = (*self.routes.shown, *([self.detail.route] if self.detail else ()))
        return [(route.listener, route.hostname) for route in shown]

    @property
    def ill(self) -> tuple[UpstreamStatus, ...]:
        """The upstreams of those shown that are in trouble."""
        return tuple(one for one in self.upstreams if one.health != "good")

    @property
    def expiring(self) -> tuple[CertificateStatus, ...]:
        """The certificates to worry about, as they end soon."""
        ill = (one for one in self.certificates if one.health != "good" and one.not_after)
        return tuple(one for one in ill if one.order is None or one.health == "bad")

    @property
    def unordered(self) -> tuple[CertificateStatus, ...]:
        """Those that can't be ordered, or renewed."""
        return tuple(one for one in self.certificates if one.order is not None and one.order.error)


def make_status(watched: Watched, view: View = View()) -> Status:  # noqa: B008 - immutable
    """Return what is to be shown."""
    facts = watched.facts
    counts = Counts(watched.now, watched.before, watched.recent)
    certificates = _certificates(facts)
    failed = failing(facts, counts)
    upstreams = list_upstreams(facts)
    refused = refused_lately(facts.refused)
    row = checks(facts, failed, refused, _worst(certificates))
    per_listener = Counter(addr for addr, _ in facts.state.routes)
    return Status(
        facts=facts,
        health=worst(row),
        checks=row,
        uptime=max(0.0, facts.now - facts.started),
        counts=counts.all(),
        curves=watched.curves,
        listeners=tuple(counts.listener(one, per_listener[one.addr]) for one in facts.state.listeners.values()),
        failing=failed[:FAILING_SHOWN],
        failing_hidden=max(0, len(failed) - FAILING_SHOWN),
        refused=refused[:REFUSED_SHOWN],
        refused_hidden=max(0, len(refused) - REFUSED_SHOWN),
        routes=list_routes(facts, counts, view),
        detail=detail(facts, counts, view.route) if view.route else None,
        upstreams=upstreams[:UPSTREAMS_SHOWN],
        upstreams_hidden=max(0, len(upstreams) - UPSTREAMS_SHOWN),
        ill_count=sum(one.health != "good" for one in upstreams),
        certificates=certificates[:CERTIFICATES_SHOWN],
        certificates_hidden=max(0, len(certificates) - CERTIFICATES_SHOWN),
        blocks=counts.blocks(),
        policy_blocks=counts.policy_blocks(),
        filter_blocks=counts.filter_blocks_in_all(),
        limits_hit=counts.limits_hit(),
        drift=tuple(map(_drifting, facts.drift[:LINES_SHOWN])),
        drift_hidden=max(0, len(facts.drift) - LINES_SHOWN),
        plan_summary=facts.plan.summary(),
        plan_lines=Plan(facts.plan.operations[:LINES_SHOWN]).lines(),
        plan_hidden=max(0, len(facts.plan.operations) - LINES_SHOWN),
    )


def with_past(
    status: Status, changes: Mapping[RouteKey, Revision], then: tuple[Revision, tuple[str, ...]] | None
) -> Status:
    """Return a status with what is known of the past: which generation changed each route last, and one that was asked for."""
    changed = {" ".join(key): revision for key, revision in changes.items()}
    shown = None
    if then is not None:
        revision, lines = then
        shown = GenerationStatus(revision, lines[:LINES_SHOWN], max(0, len(lines) - LINES_SHOWN))
    return msgspec.structs.replace(status, changed=changed, then=shown)


def _certificates(facts: Facts) -> tuple[CertificateStatus, ...]:
    """Return the certificates of L7 routes, those that are not there yet and the one that ends first in front; of all those in trouble."""
    owners: dict[tuple[float, str], list[str]] = {}
    ordered = {each.name for each in facts.orders.certificates}
    for key, not_after in facts.expiries.items():
        route = facts.state.routes.get(key)
        if route is not None and (route.tls_cert or route.hostname not in ordered):
            owners.setdefault((not_after, ", ".join(paths.each_of(route.tls_cert))), []).append(route.hostname)
    found = [_ordered(each, facts.now) for each in facts.orders.certificates]
    for (not_after, path), hostnames in owners.items():
        days = int((not_after - facts.now) // _DAY)
        health: Health = "bad" if not_after <= facts.now else "warning" if days < _SOON else "good"
        found.append(CertificateStatus(path, tuple(sorted(set(hostnames))), not_after, days, health))
    return tuple(sorted(found, key=lambda one: (not (one.order and one.order.error), one.not_after, one.path)))


def _worst(certificates: Sequence[CertificateStatus]) -> tuple[Health, float] | None:
    """Return health and end of the certificate that most is wrong with, of those that are well of the one that ends first."""
    first = min(
        certificates, key=lambda one: (-HEALTHS.index(one.health), not one.not_after, one.not_after), default=None
    )
    return None if first is None else (first.health, first.not_after)


def _ordered(order: CertificateFacts, now: float) -> CertificateStatus:
    """Return a certificate that is ordered: one of short life is well as long as its renewal is not late."""
    health: Health = "bad" if order.served and order.not_after <= now else "good"
    if health == "good" and (order.error or order.overdue(now) > _LATE):
        health = "warning"
    days = int((order.not_after - now) // _DAY) if order.served else 0
    return CertificateStatus(
        ", ".join(order.names), (order.name,), order.not_after, days, health, order, words(order, now)
    )


def _drifting(difference: Difference) -> DriftStatus:
    """Return a difference as a plan would say it: from what the file declares to what runs, or to what the edit wants."""
    edit = difference.edit
    old, new = difference.declared, edit.value if difference.suspended else difference.effective
    action: Literal["add", "change", "remove"] = "add" if old is None else "remove" if new is None else "change"
    change = Change(action, difference.kind, difference.key, old, new)
    return DriftStatus(
        line=Plan((Operation(change, None, 0),)).lines()[0],
        author=edit.author,
        reason=edit.reason,
        since=edit.created,
        expires=edit.expires,
        suspended=difference.suspended,
    )
