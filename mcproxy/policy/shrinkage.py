"""What would be served no more, when one State takes another's place."""

from mcproxy.model.state.state import State
from mcproxy.policy.routing import RouteTable

LEAST = 10
"""Fewer hostnames than this are never too many to lose at once."""


def unserved(before: State, after: State) -> list[str]:
    """Return the hostnames that routes serve before and no listener's routes do after, sorted.

    A wildcard is served where a name below it would be, be it by a shorter wildcard or by ``*``.
    """
    routes: dict[str, list[str]] = {}
    for addr, hostname in after.routes:
        routes.setdefault(addr, []).append(hostname)
    tables = [RouteTable((hostname, True) for hostname in hostnames) for hostnames in routes.values()]
    served = {hostname for _, hostname in after.routes}
    names = {hostname for _, hostname in before.routes} - served
    return sorted(name for name in names if not any(table.find(name) for table in tables))


def too_much(before: State, lost: int) -> bool:
    """Tell whether so many hostnames are more than half of those served before, and at least `LEAST`."""
    return lost >= LEAST and 2 * lost > len({hostname for _, hostname in before.routes})
