"""Which route a request is for: over TLS only that of the connection will do, without TLS any of the listener's."""

from mcproxy.policy.authority import authority_host
from mcproxy.policy.routing import RouteTable
from mcproxy.worker.live.arrival import Arrival
from mcproxy.worker.live.listener import LiveRoute


def choose(arrival: Arrival, authority: bytes, *, draining: bool) -> LiveRoute | None:
    """Return the route that serves an authority on a connection, None if there is none or it is another connection's.

    Args:
        arrival: the connection.
        authority: what the request names; empty where it names nothing.
        draining: whether the connection has been told to end.
    """
    own, listener = arrival.route, arrival.listener
    host = authority_host(authority)
    found = listener.routes.find(host) if host is not None or not authority else None
    if own is None:
        return found if listener.clear else None
    if found is not None and found.entry.route.hostname != own.entry.route.hostname:
        found = None
    if found is None and host is not None and (own.kept or draining):
        # The route is gone from the file, but was to be kept for its open connections; or they are being drained,
        # and what crosses the first GOAWAY is still to be served (RFC 9113 section 6.8).
        found = RouteTable([(own.entry.route.hostname, own)]).find(host)
    # It may have become L4 meanwhile, or one of a listener without TLS.
    return None if found is None or found.tls is None else found


def why_none(arrival: Arrival) -> str:
    """Return why `choose` has found no route, a word of `mcproxy.model.values.reasons`."""
    return "no_route" if arrival.route is None and arrival.listener.clear else "misdirected"


def has_changed(arrival: Arrival) -> bool:
    """Tell whether clients of the listener speak something else by now, so that the connection has no routes any more."""
    return arrival.listener.clear is not (arrival.route is None)
