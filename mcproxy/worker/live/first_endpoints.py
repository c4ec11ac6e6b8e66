"""Routes to upstreams, each with the first endpoint that is ready."""

import msgspec

from mcproxy.model.state.snapshot import ListenerEntry, RouteEntry, Snapshot
from mcproxy.model.state.upstream_entries import UpstreamEntry

_CARRIED = (
    "send_proxy_protocol",
    "proxy_protocol_version",
    "proxy_protocol_destination",
    "proxy_protocol_tlvs",
    "connect_timeout",
)


def with_endpoints(snapshot: Snapshot) -> tuple[ListenerEntry, ...]:
    """Return the listeners of a snapshot with routes of one endpoint each."""
    upstreams = {entry.name: entry for entry in snapshot.upstreams}
    return tuple(
        msgspec.structs.replace(
            listener,
            routes=tuple(
                _single(entry, upstreams[entry.upstream]) if entry.upstream else entry for entry in listener.routes
            ),
        )
        for listener in snapshot.listeners
    )


def _single(entry: RouteEntry, upstream: UpstreamEntry) -> RouteEntry:
    first = min(upstream.endpoints, key=lambda each: (each.state != "ready", each.backup))
    own = upstream.upstream
    route = msgspec.structs.replace(
        entry.route,
        endpoints=(first.endpoint,),
        backend_tls=own.tls is not None,
        backend_server_name=own.tls.server_name if own.tls else "",
        backend_protocol=own.protocol,
        **{key: getattr(own, key) for key in _CARRIED},
    )
    return msgspec.structs.replace(entry, route=route, ca=upstream.ca)
