"""Upstreams and their endpoints: those in trouble first."""

import msgspec

from mcproxy.control.health.endpoint_health import EndpointHealth
from mcproxy.control.observe.facts import Facts
from mcproxy.control.observe.page.checks import Health

UPSTREAMS_SHOWN = 30
ENDPOINTS_SHOWN = 20
"""Of each upstream."""


class UpstreamStatus(msgspec.Struct, frozen=True):
    """One upstream.

    Attributes:
        name: its name.
        health: bad if none of its endpoints is usable, a warning if one is not that the operator has ready.
        usable, total: endpoints that get new connections and requests; and all.
        panicking: whether none is usable that the operator has ready.
        endpoints: those that are shown, in trouble first; ``hidden`` more are left out.
    """

    name: str
    health: Health
    usable: int
    total: int
    panicking: bool
    endpoints: tuple[EndpointHealth, ...]
    hidden: int


def in_trouble(endpoint: EndpointHealth) -> bool:
    """Tell whether checks or traffic keep an endpoint from being used."""
    return endpoint.verdict in ("down", "ejected", "waiting")


def list_upstreams(facts: Facts) -> tuple[UpstreamStatus, ...]:
    """Return all upstreams, those in trouble first, and the others in the order of the file."""
    found: dict[str, list[EndpointHealth]] = {}
    for endpoint in facts.endpoints.endpoints:
        found.setdefault(endpoint.upstream, []).append(endpoint)
    panicking = set(facts.endpoints.panicking)
    listed = [_upstream(name, endpoints, panicking=name in panicking) for name, endpoints in found.items()]
    return tuple(sorted(listed, key=lambda one: ("bad", "warning", "good").index(one.health)))


def _upstream(name: str, endpoints: list[EndpointHealth], *, panicking: bool) -> UpstreamStatus:
    endpoints = sorted(endpoints, key=lambda one: (not in_trouble(one), one.state == "ready"))
    usable = sum(one.usable for one in endpoints)
    health: Health = "bad" if not usable else "warning" if any(map(in_trouble, endpoints)) else "good"
    return UpstreamStatus(
        name,
        health,
        usable,
        len(endpoints),
        panicking,
        tuple(endpoints[:ENDPOINTS_SHOWN]),
        max(0, len(endpoints) - ENDPOINTS_SHOWN),
    )
