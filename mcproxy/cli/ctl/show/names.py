"""The names that only a server knows, for the completion of shells."""

from mcproxy.cli.common.options import OK
from mcproxy.cli.ctl.options import Server


def names(server: Server) -> int:
    """Print listeners with each of their hostnames, and named upstreams with each of their endpoints: three columns, tabs in between."""
    with server.client() as client:
        answer = client.list_listeners()
        routes = client.list_routes().routes
        found = client.list_endpoints()
    own = {upstream.name for upstream in found.upstreams if upstream.own}
    lines = [f"listener\t{row.addr}\t" for row in answer.listeners]
    lines += [f"listener\t{route.listener}\t{route.hostname}" for route in routes]
    lines += [f"upstream\t{row.name}\t" for row in found.upstreams if not row.own]
    lines += dict.fromkeys(
        f"upstream\t{row.upstream}\t{row.label}" for row in found.endpoints if row.upstream not in own
    )
    print("\n".join(lines))
    return OK
