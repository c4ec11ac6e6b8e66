"""Upstreams in the workers' shape: every endpoint that can be dialed, each with its index.

A name with ``resolve = "all"`` stands for as many endpoints as it has addresses. Several addresses of a route alone are an
upstream too, with defaults, under the name of the route.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec

from mcproxy.model.state.kinds import key_of, parts_of
from mcproxy.model.state.state import Case, EndpointKey, Route, State, Upstream, UpstreamEndpoint
from mcproxy.model.state.upstream_options import BackendTls, EndpointState
from mcproxy.model.values import addresses
from mcproxy.model.values.endpoint import Endpoint

Answers: TypeAlias = Mapping[str, tuple[Endpoint, ...]]
"""What names with ``resolve = "all"`` stand for, by the address as the file has it."""

_CARRIED = (
    "send_proxy_protocol",
    "proxy_protocol_version",
    "proxy_protocol_destination",
    "proxy_protocol_tlvs",
    "connect_timeout",
)


class EndpointEntry(msgspec.Struct, frozen=True):
    """One endpoint that can be dialed.

    Attributes:
        index: of its counters and its verdict.
        endpoint: where it listens.
        weight, max_active, state, backup: as in the file.
        label: its address as the file has it: the name where a name stands for several of them.
    """

    index: int
    endpoint: Endpoint
    weight: int
    max_active: int
    state: EndpointState
    backup: bool
    label: str

    @property
    def name(self) -> str:
        """The name of which this is one of the addresses, for certificates to have; "" where the file has the address itself."""
        return "" if self.label == str(self.endpoint) else addresses.parse_backend(self.label).host


class UpstreamEntry(msgspec.Struct, frozen=True):
    """An upstream and its endpoints.

    Attributes:
        name: of a named one; of a route's own addresses ``"<listener> <hostname>"``, of a case's these and its match.
        upstream: its keys.
        endpoints: in the order of the file.
        ca: digest of the content of ``tls.ca``, which comes beside the snapshot; "" for none.
        pair: digests of what ``tls.cert`` and ``tls.key`` hold; "" for none.
        maglev: the table of ``source_hash``; empty for the other ways to choose.
    """

    name: str
    upstream: Upstream
    endpoints: tuple[EndpointEntry, ...]
    ca: str = ""
    pair: tuple[str, str] = ("", "")
    maglev: bytes = b""


def entry_name(place: Route | Case) -> str:
    """Return the name of the upstream that a route or case leads to; "" where that is a single address, or none."""
    if place.upstream:
        return place.upstream
    return " ".join(parts_of(key_of(place))) if len(place.endpoints) > 1 else ""


def endpoint_keys(state: State, answers: Answers) -> Iterator[EndpointKey]:
    """Yield the key of every endpoint that can be dialed: the name of its upstream and its address; see `upstream_entries`."""
    for upstream, endpoints in _upstreams(state):
        for _, dialed in _dialed(endpoints, answers):
            yield upstream.name, str(dialed)


def upstream_entries(
    state: State,
    indices: Mapping[EndpointKey, int],
    answers: Answers,
    digests: Mapping[str, str],
    maglev: Callable[[UpstreamEntry], bytes],
) -> tuple[UpstreamEntry, ...]:
    """Return the upstreams of a state.

    Args:
        state: what is to run.
        indices: of every endpoint that `endpoint_keys` tells.
        answers: what names with ``resolve = "all"`` stand for, by their addresses; one without is an endpoint itself.
        digests: what tells one version of a file from another, by path.
        maglev: makes the table of an upstream with ``source_hash``.
    """
    entries = []
    for upstream, endpoints in _upstreams(state):
        entry = UpstreamEntry(
            upstream.name,
            upstream,
            tuple(
                EndpointEntry(
                    indices[upstream.name, str(dialed)],
                    dialed,
                    endpoint.weight,
                    endpoint.max_active,
                    endpoint.state,
                    endpoint.backup,
                    endpoint.address,
                )
                for endpoint, dialed in _dialed(endpoints, answers)
            ),
            digests.get(upstream.tls.ca, "") if upstream.tls else "",
            (digests.get(upstream.tls.cert, ""), digests.get(upstream.tls.key, "")) if upstream.tls else ("", ""),
        )
        if upstream.balance == "source_hash":
            entry = msgspec.structs.replace(entry, maglev=maglev(entry))
        entries.append(entry)
    return tuple(entries)


def _upstreams(state: State) -> Iterator[tuple[Upstream, list[UpstreamEndpoint]]]:
    """Yield every upstream, named or not, with its endpoints."""
    endpoints: dict[str, list[UpstreamEndpoint]] = {name: [] for name in state.upstreams}
    for endpoint in state.endpoints.values():
        endpoints[endpoint.upstream].append(endpoint)
    for name, upstream in state.upstreams.items():
        yield upstream, endpoints[name]
    places: tuple[Route | Case, ...] = (*state.routes.values(), *state.cases.values())
    for place in places:
        if len(place.endpoints) > 1:
            name = entry_name(place)
            route = place if isinstance(place, Route) else state.routes[place.listener, place.hostname]
            own = [UpstreamEndpoint(upstream=name, address=str(endpoint)) for endpoint in place.endpoints]
            yield _upstream_of(name, route), own


def _upstream_of(name: str, route: Route) -> Upstream:
    """Return the upstream of addresses in a route or its cases: defaults, and what the route says of its backend."""
    tls = BackendTls(
        ca=route.backend_ca,
        server_name=route.backend_server_name,
        cert=route.backend_cert,
        key=route.backend_key,
    )
    return Upstream(
        name=name,
        tls=tls if route.mode == "l7" and route.backend_tls else None,
        protocol=route.backend_protocol,
        **{key: getattr(route, key) for key in _CARRIED},
    )


def _dialed(endpoints: Iterable[UpstreamEndpoint], answers: Answers) -> Iterator[tuple[UpstreamEndpoint, Endpoint]]:
    """Yield where the endpoints of an upstream listen, each address once, with what the file says of it."""
    seen: set[Endpoint] = set()
    for endpoint in endpoints:
        found = answers.get(endpoint.address, ()) if endpoint.resolve == "all" else ()
        for dialed in found or (addresses.parse_backend(endpoint.address),):
            if dialed not in seen:
                seen.add(dialed)
                yield endpoint, dialed
