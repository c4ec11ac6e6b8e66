"""The admin API's list of endpoints, and how upstreams are."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.resources import provenances_of
from mcproxy.control.admin.server import Caller
from mcproxy.control.reconcile.current import Current
from mcproxy.model.edits import put
from mcproxy.model.state.state import State
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry, entry_name
from mcproxy.model.state.upstream_options import Check
from mcproxy.model.values import durations
from mcproxy.net.memory import endpoints as words
from mcproxy.net.memory.shared_memory import endpoint_counter
from mcproxy.policy.explain.query import Candidate

_TROUBLED = 20  # upstreams that the status names
_WORST = ("down", "panic", "degraded", "ok")
"""Conditions of upstreams, the worst in front."""


class AdminEndpoints:
    """Answers ListEndpoints.

    Attributes:
        unary: the method by its name, as in `admin_server.Handlers`.
    """

    def __init__(self, current: Current) -> None:
        self._current = current
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {"ListEndpoints": self._list_endpoints}

    async def _list_endpoints(self, request: pb.ListEndpointsRequest, _: Caller) -> pb.ListEndpointsResponse:
        current, wanted = self._current, request.upstream
        entries = current.applier.upstreams
        if wanted:
            entries = tuple(entry for entry in entries if entry.name == wanted)
            if not entries:
                put.require(current.applier.state, "upstream", wanted)
        return pb.ListEndpointsResponse(
            generation=current.applier.generation,
            upstreams=statuses(current, entries),
            endpoints=_endpoints(current, entries),
        )


def statuses(current: Current, entries: Sequence[UpstreamEntry]) -> list[pb.UpstreamStatus]:
    """Return how some of the live upstreams are, in their order."""
    state, provenances = current.applier.state, provenances_of(current)
    routes = _routes(state)
    found = []
    for entry in entries:
        ready = [one for one in entry.endpoints if one.state == "ready"]
        usable = sum(_is_usable(current, one) for one in ready)
        named = entry.name in state.upstreams
        own = ("upstream", entry.name) if named else ("route", *entry.name.split(" ", 1))
        message = pb.UpstreamStatus(
            name=entry.name,
            own=not named,
            balance=entry.upstream.balance,
            check=_check(entry.upstream.check),
            endpoints=len(entry.endpoints),
            ready=len(ready),
            usable=usable,
            condition=_condition(len(ready), usable, panic=entry.upstream.panic),
            routes=routes.get(entry.name, 0),
            active=sum(_total(current, one, words.ACTIVE) for one in entry.endpoints),
            provenance=provenances.of(*own),
        )
        found.append(message)
    return found


def add_troubled(response: pb.GetStatusResponse, current: Current) -> None:
    """Add the upstreams that are not well, the worst in front."""
    troubled = [one for one in statuses(current, current.applier.upstreams) if one.condition != "ok"]
    troubled.sort(key=lambda one: _WORST.index(one.condition))
    response.troubled_upstreams.extend(troubled[:_TROUBLED])
    response.troubled_upstreams_total = len(troubled)


def candidates(current: Current) -> list[Candidate]:
    """Return the endpoints of all live upstreams, for explain."""
    states = current.counters.memory.endpoint_states()
    return [
        Candidate(
            upstream=entry.name,
            address=str(one.endpoint),
            state=one.state,
            backup=one.backup,
            verdict=words.VERDICTS[words.verdict(states[one.index])],
            usable=_is_usable(current, one),
        )
        for entry in current.applier.upstreams
        for one in entry.endpoints
    ]


def _endpoints(current: Current, entries: Sequence[UpstreamEntry]) -> Iterator[pb.Endpoint]:
    provenances, state = provenances_of(current), current.applier.state
    states = current.counters.memory.endpoint_states()
    for entry in entries:
        named = entry.name in state.upstreams
        for one in entry.endpoints:
            word = states[one.index]
            own = ("endpoint", entry.name, one.label) if named else ("route", *entry.name.split(" ", 1))
            yield pb.Endpoint(
                upstream=entry.name,
                address=str(one.endpoint),
                label=one.label,
                state=one.state,
                verdict=words.VERDICTS[words.verdict(word)],
                usable=_is_usable(current, one),
                weight=one.weight,
                share=1 - words.withheld(word) / words.FULL_SHARE,
                backup=one.backup,
                max_active=one.max_active,
                active=_total(current, one, words.ACTIVE),
                connections=_total(current, one, words.TAKEN),
                dial_failures=_total(current, one, words.DIAL_FAILURES),
                errors=_total(current, one, words.ERRORS),
                resets=_total(current, one, words.RESETS),
                bytes_received=_total(current, one, words.RECEIVED),
                bytes_sent=_total(current, one, words.SENT),
                provenance=provenances.of(*own),
            )


def _routes(state: State) -> Mapping[str, int]:
    """Return how many routes lead to each upstream."""
    found: dict[str, int] = {}
    for route in state.routes.values():
        if name := entry_name(route):
            found[name] = found.get(name, 0) + 1
    return found


def _is_usable(current: Current, endpoint: EndpointEntry) -> bool:
    return endpoint.state == "ready" and words.is_usable(current.counters.memory.endpoint_states()[endpoint.index])


def _total(current: Current, endpoint: EndpointEntry, counter: int) -> int:
    return current.counters.memory.total(endpoint_counter(endpoint.index, counter))


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
