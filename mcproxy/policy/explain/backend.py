"""How a backend is told about: what it is reached by, and which endpoints of an upstream there are to choose from."""

from collections.abc import Sequence

import msgspec
from msgspec import UnsetType

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.state.state import Route, Upstream
from mcproxy.model.state.upstream_entries import entry_name
from mcproxy.model.state.upstream_options import Check
from mcproxy.model.values import durations
from mcproxy.model.values.figures import clock_time
from mcproxy.policy.explain.query import Candidate, Live
from mcproxy.policy.explain.tables import Tables

_SHOWN = 10  # endpoints of one sort that are named
_MISSED = 3  # checks in a row that are overdue


class Told(msgspec.Struct, frozen=True):
    """What is told of a backend: whether connections get on to it, and the words."""

    reached: bool
    words: str


def backend(route: Route, tables: Tables, live: Live | None) -> Told:
    """Return how the backend of a route is reached, and which endpoint is chosen.

    Args:
        route: of the state.
        tables: of what is served.
        live: what is known of endpoints; None where nothing is.
    """
    state = tables.state
    upstream = state.upstreams.get(route.upstream)
    name = entry_name(route)
    target = (
        f"upstream {name}" if route.upstream else f"{len(route.endpoints)} addresses" if name else str(route.backend)
    )
    listener = state.listeners.get(route.listener)
    what = "all that comes" if listener is not None and listener.protocol == "tcp" else "TLS"
    way, limits = _way(dialed_as(route, upstream), target, what)
    if not name:
        return Told(reached=True, words="; ".join((way, *limits)))
    facts = [_by_whom(each, tables.resolution) for each in _facts(name, route, tables, live)]
    choice = _choice(name, upstream or Upstream(name=name), facts, live)
    return Told(reached=choice.reached, words="; ".join((f"{way}: {choice.words}", *limits)))


def dialed_as(route: Route, upstream: Upstream | None) -> Route:
    """Return a route with what its upstream says of the way to its endpoints, instead of what the route itself says."""
    if upstream is None:
        return route
    tls = upstream.tls
    return msgspec.structs.replace(
        route,
        backend_tls=tls is not None,
        backend_ca="" if tls is None else tls.ca,
        backend_server_name="" if tls is None else tls.server_name,
        backend_cert="" if tls is None else tls.cert,
        backend_key="" if tls is None else tls.key,
        backend_protocol=upstream.protocol,
        **{name: getattr(upstream, name) for name in _ALIKE},
    )


_ALIKE = (
    "send_proxy_protocol",
    "proxy_protocol_version",
    "proxy_protocol_destination",
    "proxy_protocol_tlvs",
    "connect_timeout",
)


def overdue(check: Check | None, last_check: float, now: float) -> bool:
    """Tell whether three checks in a row should have ended since the last one did; all times in seconds, on one clock."""
    return check is not None and last_check > 0 and now - last_check > _MISSED * check.interval + check.timeout


def _way(route: Route, target: str, passed: str) -> tuple[str, tuple[str, ...]]:
    """Return how a target is reached, and the time limits that are its own; ``passed`` is what passes through l4."""
    if route.mode == "l4":
        what = f"{passed} is passed through (l4) to {target}"
    else:
        speaks = {"h2": "HTTP/2", "http/1.1": "HTTP/1.1"}.get(route.backend_protocol)
        if route.backend_tls:
            name = route.backend_server_name or (
                route.endpoints[0].host if len(route.endpoints) == 1 else "the host of each"
            )
            what = f"{target} by {speaks or 'HTTP/2 or HTTP/1.1, as ALPN says,'} over TLS, verified for {name}"
        else:
            what = f"{target} by {speaks or 'HTTP/2 if it answers that, else HTTP/1.1,'} in cleartext"
    if route.send_proxy_protocol:
        what += ", which is told the client's address by a PROXY header"
        if route.proxy_protocol_version != "v2":
            what += f" ({route.proxy_protocol_version})"
        if route.proxy_protocol_destination == "original":
            what += " with the client's original destination"
    own = {"connect_timeout": route.connect_timeout, "idle_timeout": route.idle_timeout}
    limits = [f"{name} {durations.render(value)}" for name, value in own.items() if not isinstance(value, UnsetType)]
    return what, (", ".join(limits),) if limits else ()


def _facts(name: str, route: Route, tables: Tables, live: Live | None) -> Sequence[Candidate]:
    """Return what is known of the endpoints that a route leads to."""
    if live is not None and (known := [each for each in live.endpoints if each.upstream == name]):
        return known
    if not route.upstream:
        return [Candidate(upstream=name, address=str(endpoint)) for endpoint in route.endpoints]
    return [
        Candidate(
            upstream=name, address=each.address, state=each.state, backup=each.backup, usable=each.state == "ready"
        )
        for each in tables.endpoints(name)
    ]


def _by_whom(facts: Candidate, resolution: Resolution) -> Candidate:
    """Return an endpoint with the runtime edit as its reason that has taken it out, if one has."""
    if facts.state == "ready":
        return facts
    origin = resolution.origins.get(("endpoint", facts.upstream, facts.label or facts.address))
    return msgspec.structs.replace(facts, reason="" if origin is None or origin.line else str(origin))


def _choice(name: str, upstream: Upstream, facts: Sequence[Candidate], live: Live | None) -> Told:
    """Return whether an endpoint is chosen, and which there are to choose from."""
    ready = [each for each in facts if each.state == "ready"]
    usable = [each for each in ready if each.usable]
    used = [each for each in usable if not each.backup] or usable
    how = f"{upstream.balance} over {len(used)} of {len(facts)}"
    if not used and ready and upstream.panic:
        used, how = ready, f"panic, none of {name} is usable: {upstream.balance} over {len(ready)} of {len(facts)}"
    if not used:
        why = "no endpoint is ready" if not ready else "no endpoint is usable, and panic = false"
        return Told(reached=False, words="; ".join((f"{why}: refused", *_notes(facts, (), upstream, live))))
    chosen = _listed([each.address for each in used])
    notes = _notes(facts, [each for each in used if each.usable], upstream, live)
    unknown = () if live is not None else ("states unknown",)
    return Told(reached=True, words="; ".join((f"{how}: {chosen}", *notes, *unknown)))


def _notes(facts: Sequence[Candidate], well: Sequence[Candidate], upstream: Upstream, live: Live | None) -> list[str]:
    """Return what keeps endpoints from being chosen, and where what is known of them is old."""
    now = 0.0 if live is None else live.now
    notes = []
    for each in facts:
        parts = [] if each in well else [_why(each, now)]
        if overdue(upstream.check, each.last_check, now):
            parts.append(f"last checked {now - each.last_check:.0f} s ago")
        if parts:
            notes.append(f"{each.address} {', '.join(parts)}")
    if len(notes) > _SHOWN:
        notes[_SHOWN:] = [f"and {len(notes) - _SHOWN} more"]
    return notes


def _why(facts: Candidate, now: float) -> str:
    if facts.state != "ready":
        return f"{facts.state} ({facts.reason})" if facts.reason else facts.state
    if facts.verdict == "waiting":
        return "waits for its first successful check"
    if facts.usable:
        return "backup"
    since = f" since {clock_time(facts.since, now)}" if facts.since else ""
    why = facts.last_error if facts.verdict == "down" else ""
    told = f" ({why or facts.reason})" if why or facts.reason else ""
    return f"{facts.verdict}{since}{told}"


def _listed(addresses: Sequence[str]) -> str:
    more = f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else ""
    return ", ".join(addresses[:_SHOWN]) + more
