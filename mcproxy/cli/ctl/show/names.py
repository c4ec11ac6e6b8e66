"""The names that only a server knows, for the completion of shells."""

from mcproxy.cli.common.options import OK
from mcproxy.cli.ctl.options import Server


def names(server: Server) -> int:
    """Print listeners, each with each of its routes' hostnames: kind, address and hostname with tabs in between."""
    with server.client() as client:
        answer = client.list_listeners()
        routes = client.list_routes().routes
    for row in answer.listeners:
        print(f"listener\t{row.addr}\t")
    for route in routes:
        print(f"listener\t{route.listener}\t{route.hostname}")
    return OK
