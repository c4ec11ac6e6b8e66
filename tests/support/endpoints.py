"""What a proxy tells of the endpoints of its upstreams."""

import json
from collections.abc import Callable
from typing import Any

from tests.support.endpoint import get
from tests.support.load import until
from tests.support.proxy import Proxy

METRICS = '[metrics]\naddr = "127.0.0.1:PORT_M"\n'


def endpoints(proxy: Proxy) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every endpoint by upstream and address, of a proxy with `METRICS`; none while it does not answer."""
    answer = get(proxy.port("M"), "/api/status")
    if answer.status != 200:
        return {}
    upstreams = json.loads(answer.text)["upstreams"]
    return {(one["name"], end["address"]): end for one in upstreams for end in one["endpoints"]}


def wait_for(proxy: Proxy, upstream: str, address: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until something holds for an endpoint; return what is told of it then."""
    found: dict[str, Any] = {}

    def look() -> bool:
        nonlocal found
        found = endpoints(proxy).get((upstream, address), {})
        return bool(found) and holds(found)

    try:
        until(look, f"{upstream} {address}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {found}\n{proxy.stderr[-4000:]}") from None
    return found


def wait_for_verdict(proxy: Proxy, upstream: str, address: str, verdict: str) -> dict[str, Any]:
    """Wait until an endpoint has a verdict; return what is told of it then."""
    return wait_for(proxy, upstream, address, lambda one: one["verdict"] == verdict)
