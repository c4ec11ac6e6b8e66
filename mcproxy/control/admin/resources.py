"""The admin API's list of resources of any kind, and where each of them comes from."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin import messages
from mcproxy.control.admin.messages import Provenances
from mcproxy.control.admin.server import Caller
from mcproxy.control.counters.filter_totals import FilterTotals
from mcproxy.control.reconcile.current import Current
from mcproxy.model.edits import put
from mcproxy.model.state.kinds import name_of, origin_key, parts_of
from mcproxy.model.state.scopes import Scope, filter_name, scope_of
from mcproxy.model.state.state import Case, RouteKey, State
from mcproxy.model.values.origins import Key, Origin

_AT_ONCE = 256  # resources that are told of before others have their turn


class AdminResources:
    """Answers ListResources.

    Attributes:
        unary: the method by its name, as in `admin_server.Handlers`.
    """

    def __init__(self, current: Current) -> None:
        self._current = current
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {"ListResources": self._list_resources}

    async def _list_resources(self, request: pb.ListResourcesRequest, _: Caller) -> pb.ListResourcesResponse:
        current = self._current
        kind, provenances = put.kind_of(request.kind), provenances_of(current)
        found = put.matching(current.merged.state, kind, tuple(request.key))
        response = pb.ListResourcesResponse(generation=current.applier.generation)
        for number, (key, resource) in enumerate(found):
            response.resources.add(
                kind=kind,
                key=parts_of(key),
                target=name_of(kind, key),
                fields_json=msgspec.json.encode(put.plain_fields(kind, key, resource)).decode(),
                provenance=provenances.of(*origin_key(kind, key)),
            )
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        return response


def provenances_of(current: Current) -> messages.Provenances:
    """Return where each resource that is in effect comes from."""
    return messages.Provenances(origins_of(current), current.merged.standing)


def origins_of(current: Current) -> Mapping[Key, Origin]:
    """Return where the files declare each resource."""
    loaded = current.loaded
    return {} if loaded is None else loaded.resolution.origins


class RouteCases:
    """The cases of a state, by route.

    Args:
        state: the state.
        totals: what was counted of them.
    """

    def __init__(self, state: State, totals: FilterTotals) -> None:
        self._state = state
        self._counted = totals.cases
        self._cases: dict[RouteKey, list[Case]] = {}
        for _, case in sorted(state.cases.items()):
            self._cases.setdefault((case.listener, case.hostname), []).append(case)
        self._blocks: dict[RouteKey, dict[str, int]] = {}
        for (addr, hostname, name, stage), count in totals.blocks.items():
            self._blocks.setdefault((addr, hostname), {})[f"{name} ({stage})"] = count

    def add_to(self, message: pb.Route, provenances: Provenances) -> None:
        """Add to a route its filters, its cases, and what was counted of both."""
        key = message.listener, message.hostname
        listener, route = self._state.listeners[message.listener], self._state.routes[key]
        message.filters.extend(_names(scope_of(listener, route)))
        for case in self._cases.get(key, ()):
            message.cases.add(
                match=case.match,
                action=case.action,
                filters=_names(scope_of(listener, route, case)),
                requests=self._counted.get((*key, case.match), 0),
                provenance=provenances.of("case", *key, case.match),
            )
        message.filter_blocks.update(self._blocks.get(key, {}))


def _names(scope: Scope) -> Iterable[str]:
    return map(filter_name, scope)
