"""What the workers have counted, as good, failed or turned away."""

from typing import Any

import pytest

from mcproxy.control.counters.quantiles import as_histogram
from mcproxy.control.counters.totals import ListenerTotals, RouteTotals
from mcproxy.control.guard.tallies import of_listener, of_route
from mcproxy.model.state.state import Route
from mcproxy.net.memory import histogram
from mcproxy.policy.guard.parts import What
from mcproxy.policy.guard.tally import Tally


@pytest.mark.parametrize(
    ("codes", "errors", "grpc", "tally"),
    [
        ({"200": 7, "304": 2, "101": 1}, {}, {}, Tally(10)),
        ({"404": 3, "403": 2}, {"filter_network": 2}, {}, Tally(0, 0, 5)),
        ({"500": 3, "507": 1}, {}, {}, Tally(0, 4)),
        ({"502": 3}, {"backend_refused": 3}, {}, Tally(0, 3)),
        ({"502": 5}, {"backend_refused": 3}, {}, Tally(0, 5)),
        ({"200": 4, "aborted": 2}, {"backend_error": 2}, {}, Tally(4, 2)),
        ({"503": 2, "500": 1}, {"forward_auth_failed": 2}, {}, Tally(0, 3)),
        ({}, {"tls_failed": 4, "tls_timeout": 1}, {}, Tally(0, 0, 5)),
        ({"200": 5, "aborted": 3}, {"client_reset": 3}, {}, Tally(5, 0, 3)),
        ({"200": 9}, {}, {"0": 4, "14": 2, "12": 1, "none": 1, "5": 1}, Tally(5, 3, 1)),
        ({"200": 2}, {"backend_refused": 2}, {"14": 2}, Tally(0, 2)),
    ],
)
def test_requests_of_l7_routes(
    codes: dict[str, int], errors: dict[str, int], grpc: dict[str, int], tally: Tally
) -> None:
    """An answer of the proxy's own to a failure is one with it, whether gRPC says so or HTTP."""
    responses = {("h2", code): count for code, count in codes.items()}
    counted = RouteTotals(9, 0, 0, 0, sum(codes.values()), responses, {}, errors, grpc)
    assert of_route(counted, Route(":1", "a", mode="l7")) == tally


def test_connections_of_l4_routes() -> None:
    """Those that are open count as good."""
    errors = {"backend_refused": 2, "backend_no_answer": 1, "client_gone": 1, "filter_rate": 1}
    assert of_route(RouteTotals(9, 3, 0, 0, 0, {}, {}, errors), Route(":1", "a")) == Tally(4, 3, 2)


@pytest.mark.parametrize(("what", "turned"), [("names", 3), ("firewall", 4), ("listener", 8)])
def test_connections_of_a_listener(what: What, turned: int) -> None:
    """What was refused for another reason is neither good nor turned away."""
    none: Any = as_histogram([0] * histogram.WORDS)
    errors = {"no_route": 2, "no_sni": 1, "limit": 5, "hello_truncated": 1}
    counted = ListenerTotals(20, 1, errors, {"cidr": 3, "ip": 1}, none, none)
    assert of_listener(counted, what) == Tally(7, 0, turned)
