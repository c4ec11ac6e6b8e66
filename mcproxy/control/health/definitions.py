"""From an upstream's keys to the check of one endpoint."""

from collections.abc import Mapping

import msgspec

from mcproxy.control.health.probes.probe import Probe, Tls
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.model.values import texts
from mcproxy.net.tls import Pair


def probe_of(entry: UpstreamEntry, endpoint: EndpointEntry, files: Mapping[str, bytes]) -> Probe | None:
    """Return the check of an endpoint, None if its upstream has none.

    Args:
        entry: the upstream.
        endpoint: one of its endpoints.
        files: what those hold that its ``tls`` names, by path.
    """
    upstream = entry.upstream
    check = upstream.check
    if check is None:
        return None
    where = endpoint.endpoint
    if check.port and not where.path:
        where = msgspec.structs.replace(where, port=check.port)
    tls = None
    if (said := upstream.tls) is not None:
        own = Pair(files[said.cert], files[said.key]) if said.cert in files and said.key in files else None
        tls = Tls(files.get(said.ca, b""), said.server_name or endpoint.name or where.host, own)
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
