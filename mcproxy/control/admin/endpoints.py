"""The admin API's list of endpoints, and how upstreams are."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.canonical import canonical
from mcproxy.control.admin.resources import provenances_of
from mcproxy.control.admin.server import Caller
from mcproxy.control.counters.endpoint_totals import EndpointTotals, endpoint_sums, endpoint_totals
from mcproxy.control.health.endpoint_health import EndpointHealth
from mcproxy.control.reconcile.current import Current
from mcproxy.model.edits import put
from mcproxy.model.state.state import State
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry, entry_name
from mcproxy.model.state.upstream_options import Check
from mcproxy.model.values import durations
from mcproxy.model.values.addresses import parse_upstream_name
from mcproxy.net.memory import endpoints as words
from mcproxy.policy.explain.backend import overdue
from mcproxy.policy.explain.query import Candidate

Health: TypeAlias = Callable[[], Sequence[EndpointHealth]]
"""Returns what is known of the endpoints of all live upstreams."""

_AT_ONCE = 256  # endpoints that are told of before others have their turn
_TROUBLED = 20  # upstreams that the status names
_WORST = ("down", "panic", "degraded", "ok")
"""Conditions of upstreams, the worst in front."""


class AdminEndpoints:
    """Answers ListEndpoints.

    Attributes:
        unary: the method by its name, as in `admin_server.Handlers`.
    """

    def __init__(self, current: Current, health: Health) -> None:
        self._current = current
        self._health = health
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {"ListEndpoints": self._list_endpoints}

    async def _list_endpoints(self, request: pb.ListEndpointsRequest, _: Caller) -> pb.ListEndpointsResponse:
        current, wanted = self._current, request.upstream
        entries = current.applier.upstreams
        if wanted:
            entries = tuple(entry for entry in entries if entry.name == wanted)
            if not entries:
                name = canonical("upstream", wanted, parse_upstream_name)
                put.require(current.applier.state, "upstream", name)
        response = pb.ListEndpointsResponse(
            generation=current.applier.generation, upstreams=_statuses(current, list(_looks(current, entries)))
        )
        for number, message in enumerate(_endpoints(current, entries, self._health())):
            response.endpoints.append(message)
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        return response


def add_troubled(response: pb.GetStatusResponse, current: Current) -> None:
    """Add the upstreams that are not well, the worst in front."""
    troubled = [one for one in _looks(current, current.applier.upstreams) if one.condition != "ok"]
    troubled.sort(key=lambda one: _WORST.index(one.condition))
    response.troubled_upstreams.extend(_statuses(current, troubled[:_TROUBLED]))
    response.troubled_upstreams_total = len(troubled)


class _Look(NamedTuple):
    """How an upstream is: how many endpoints the operator has ready, how many of these are usable, and what that comes to."""

    entry: UpstreamEntry
    ready: int
    usable: int
    condition: str


def _looks(current: Current, entries: Sequence[UpstreamEntry]) -> Iterator[_Look]:
    states = current.counters.memory.endpoint_states()
    for entry in entries:
        ready = [one.index for one in entry.endpoints if one.state == "ready"]
        usable = sum(words.is_usable(states[index]) for index in ready)
        yield _Look(entry, len(ready), usable, _condition(len(ready), usable, panic=entry.upstream.panic))


def _statuses(current: Current, looks: Sequence[_Look]) -> Iterator[pb.UpstreamStatus]:
    state, provenances = current.applier.state, provenances_of(current)
    routes = _routes(state)
    active = endpoint_sums(current.counters.memory, words.ACTIVE, _count([look.entry for look in looks]))
    for entry, ready, usable, condition in looks:
        named = entry.name in state.upstreams
        own = ("upstream", entry.name) if named else ("route", *entry.name.split(" ", 1))
        yield pb.UpstreamStatus(
            name=entry.name,
            own=not named,
            balance=entry.upstream.balance,
            check=_check(entry.upstream.check),
            endpoints=len(entry.endpoints),
            ready=ready,
            usable=usable,
            condition=condition,
            routes=routes.get(entry.name, 0),
            active=sum(active[one.index] for one in entry.endpoints),
            provenance=provenances.of(*own),
        )


def candidates(health: Health) -> list[Candidate]:
    """Return the endpoints of all live upstreams, for explain."""
    names = Candidate.__struct_fields__
    return [Candidate(**{name: getattr(one, name) for name in names}) for one in health()]


def _endpoints(
    current: Current, entries: Sequence[UpstreamEntry], health: Sequence[EndpointHealth]
) -> Iterator[pb.Endpoint]:
    state, provenances, now = current.applier.state, provenances_of(current), time.time()
    indices = [one.index for entry in entries for one in entry.endpoints]
    totals = endpoint_totals(current.counters.memory, indices, _count(entries))
    facts = {one.key: one for one in health}
    for entry in entries:
        named = entry.name in state.upstreams
        for one in entry.endpoints:
            own = ("endpoint", entry.name, one.label) if named else ("route", *entry.name.split(" ", 1))
            known = facts.get((entry.name, str(one.endpoint)))
            if known is not None:  # else it came this very moment
                yield _endpoint(one, entry.upstream.check, known, totals[one.index], provenances.of(*own), now)


def _endpoint(
    entry: EndpointEntry,
    check: Check | None,
    known: EndpointHealth,
    counted: EndpointTotals,
    provenance: pb.Provenance,
    now: float,
) -> pb.Endpoint:
    message = pb.Endpoint(
        **{name: getattr(known, name) for name in _KNOWN},
        overdue=overdue(check, known.last_check, now),
        max_active=entry.max_active,
        active=counted.active,
        connections=counted.taken,
        dial_failures=counted.dial_failures,
        errors=counted.errors,
        resets=counted.resets,
        retries=sum(counted.retries.values()),
        bytes_received=counted.received,
        bytes_sent=counted.sent,
        provenance=provenance,
    )
    if known.since:
        message.since.FromMilliseconds(int(known.since * 1000))
    if known.last_check:
        message.last_check.FromMilliseconds(int(known.last_check * 1000))
        message.check_duration.FromMicroseconds(int(known.check_seconds * 1e6))
    return message


_KNOWN = (
    *("upstream", "address", "label", "state", "verdict", "reason", "usable", "last_error"),
    *("weight", "share", "backup", "ejections"),
)
"""What a message has as it is known."""


def _routes(state: State) -> Mapping[str, int]:
    """Return how many routes lead to each upstream."""
    found: dict[str, int] = {}
    for route in state.routes.values():
        if name := entry_name(route):
            found[name] = found.get(name, 0) + 1
    return found


def _count(entries: Sequence[UpstreamEntry]) -> int:
    """Return a number that all indices of endpoints are below."""
    return max((one.index for entry in entries for one in entry.endpoints), default=-1) + 1


def _condition(ready: int, usable: int, *, panic: bool) -> str:
    if usable:
        return "ok" if usable == ready else "degraded"
    return "panic" if ready and panic else "down"


def _check(check: Check | None) -> str:
    """Return what endpoints are asked, in words; "" for nothing."""
    if check is None:
        return ""
    what = {"http": f" {check.path}", "grpc": f" {check.service}".rstrip()}.get(check.type, "")
    return f"{check.type}{what} every {durations.render(check.interval)}"
