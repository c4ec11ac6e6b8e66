"""From an upstream's keys to the check of one endpoint."""

import msgspec

from mcproxy.control.health.probes.probe import Probe, Tls
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.model.values import texts


def probe_of(entry: UpstreamEntry, endpoint: EndpointEntry, ca: bytes) -> Probe | None:
    """Return the check of an endpoint, None if its upstream has none.

    Args:
        entry: the upstream.
        endpoint: one of its endpoints.
        ca: what the file of its ``tls.ca`` holds, empty without one.
    """
    upstream = entry.upstream
    check = upstream.check
    if check is None:
        return None
    where = endpoint.endpoint
    if check.port and not where.path:
        where = msgspec.structs.replace(where, port=check.port)
    tls = None if upstream.tls is None else Tls(ca, upstream.tls.server_name or endpoint.name or where.host)
    return Probe(
        check.type,
        where,
        check.timeout,
        tls,
        check.host,
        endpoint.name,
        check.path,
        texts.statuses(check.status),
        check.service,
        upstream.protocol,
        upstream.proxy_protocol_version if upstream.send_proxy_protocol else "",
    )
