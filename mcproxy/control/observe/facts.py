"""What control knows at one moment, beside what is counted: plain and immutable, for whoever puts it into words."""

from collections.abc import Mapping, Sequence

import msgspec

from mcproxy.control.counters.refusals import Refusals
from mcproxy.control.files.contents import StandIn
from mcproxy.control.guard.facts import GuardFacts
from mcproxy.control.health.endpoint_health import EndpointFacts
from mcproxy.control.store.revisions import Revision
from mcproxy.model.edits.overlay import Difference
from mcproxy.model.state.plan import Plan
from mcproxy.model.state.state import RouteKey, State
from mcproxy.model.values.origins import Key, Origin
from mcproxy.policy.acme.facts import OrderFacts
from mcproxy.policy.fleet.facts import FleetFacts


class WorkerFacts(msgspec.Struct, frozen=True):
    """One worker process: what it serves, 0 before it does; ``leaving`` says that it drains."""

    pid: int
    generation: int
    leaving: bool


class AuthorityFacts(msgspec.Struct, frozen=True):
    """A CA that vouches for clients: its name, and its end in seconds since the epoch."""

    name: str
    not_after: float


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What control knows at one moment. All times are in seconds since the epoch.

    Attributes:
        now: the moment.
        started: when control started.
        reloaded: when the files were read last and what they say was live in the end.
        version: of mcproxy.
        data_path: what relays l4 connections, "native" or "python", and why it is not the former: "" if it is, or was not asked for.
        machine: its name.
        generation: of the live state.
        state: what is live.
        workers: all of them, draining ones included.
        unready: why not every worker serves what it should; nothing when all do.
        problems: why the last reload failed; nothing when it succeeded.
        failing_tests: those that fail in the files that are served.
        failed: when it did.
        stand_ins: broken files that have their last good content in their place.
        expiries: the end of the certificate of each L7 route whose certificate could be read.
        crl_ends: the end of the first of the CRLs by which a route judges clients, of those that do.
        client_cas: the CAs that vouch for the clients of a route that asks for certificates, the one that ends first in front.
        orders: what is known of certificates that are ordered from a CA.
        fleet: what is known of the fleet that this machine is a node of.
        plan: the last one that was applied.
        drift: what is not as the file says.
        revisions: the last generations, newest first.
        store_problems: what is wrong with the database.
        log_lines_dropped: lines of control's log that standard error did not take.
        origins: where each resource comes from: a place in a file, or a runtime edit.
        endpoints: what is known of the endpoints of upstreams.
        guard: what the guard watches, and what it has undone.
        last_errors: what the last failure of each route that has failed was, in words.
        refused: what listeners refused, and which limits were hit, in the last minutes.
    """

    now: float
    started: float
    reloaded: float
    version: str
    machine: str
    generation: int
    state: State
    workers: Sequence[WorkerFacts] = ()
    unready: Sequence[str] = ()
    problems: Sequence[str] = ()
    failing_tests: Sequence[str] = ()
    failed: float | None = None
    stand_ins: Sequence[StandIn] = ()
    expiries: Mapping[RouteKey, float] = {}
    crl_ends: Mapping[RouteKey, float] = {}
    client_cas: Mapping[RouteKey, Sequence[AuthorityFacts]] = {}
    orders: OrderFacts = OrderFacts()
    fleet: FleetFacts = FleetFacts()
    plan: Plan = Plan(())
    drift: Sequence[Difference] = ()
    revisions: Sequence[Revision] = ()
    store_problems: Sequence[str] = ()
    log_lines_dropped: int = 0
    origins: Mapping[Key, Origin] = {}
    endpoints: EndpointFacts = EndpointFacts()
    guard: GuardFacts = GuardFacts()
    last_errors: Mapping[RouteKey, str] = {}
    refused: Refusals = Refusals({}, {})
    data_path: tuple[str, str] = ("python", "")
