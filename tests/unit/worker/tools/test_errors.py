"""What a worker counts of failures, and what it tells control."""

import pytest

from mcproxy.model.values.reasons import Failure
from mcproxy.net.ipc import Failures
from mcproxy.net.memory.shared_memory import (
    ROUTE_BYTES_SENT,
    ROUTE_ERRORS,
    reason_counter,
    route_counter,
    route_reason_counter,
)
from mcproxy.net.told import RouteFailure
from mcproxy.worker.tools.errors import Errors
from tests.support.fake_wire import Wire

REFUSED = Failure("backend_refused", "connection refused", "10.0.0.5:80")


class Bench:
    """The errors of a worker.

    Attributes:
        told: the reports.
    """

    def __init__(self) -> None:
        self.wire = Wire()
        self.told: list[Failures] = []
        self.errors = Errors(self.wire.loop.as_loop(), self.wire.counters, self.told.append)

    def tells(self) -> list[Failures]:
        """Let the time between reports pass; return those that were made."""
        self.wire.pass_time(0.25)
        told, self.told = self.told, []
        self.errors._report = self.told.append
        return told


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_all_is_counted_and_the_last_failure_told(bench: Bench) -> None:
    """By route, some time later, however many there were."""
    for failure in (Failure("backend_dns"), REFUSED):
        bench.errors.failed(3, failure)
        bench.errors.failed(3, failure)
    bench.errors.refused(0, "no_route")
    counters = bench.wire.counters
    assert counters[route_reason_counter(3, "backend_refused")] == 2
    assert counters[route_counter(3, ROUTE_ERRORS)] == 4
    assert counters[reason_counter(0, "no_route")] == 1
    assert bench.told == []
    assert bench.tells() == [
        Failures((RouteFailure(3, 4, "backend_refused", "connection refused", "10.0.0.5:80"),), ())
    ]
    assert bench.tells() == []


def test_what_clients_broke_off_is_no_failure_of_the_route(bench: Bench) -> None:
    """It is counted alone."""
    bench.errors.failed(3, Failure("client_reset"))
    assert bench.wire.counters[route_reason_counter(3, "client_reset")] == 1
    assert bench.tells() == []


def test_a_backend_that_ends_connections_without_a_byte_fails_if_it_answers_on_none(bench: Bench) -> None:
    """One may be of a client that it refuses: it takes five in a row; other failures in between change nothing."""
    silent = Failure("backend_no_answer", "it closed the connection without a byte")
    for _ in range(4):
        bench.errors.failed(3, silent)
    bench.errors.failed(4, silent)
    assert bench.tells() == []
    bench.wire.counters[route_counter(3, ROUTE_BYTES_SENT)] += 100
    for _ in range(4):
        bench.errors.failed(3, silent)
    assert bench.tells() == []
    bench.errors.failed(3, silent)
    bench.errors.failed(3, silent)
    ((failed,),) = (report.failed for report in bench.tells())
    assert (failed.route, failed.count, failed.reason) == (3, 2, "backend_no_answer")
    assert bench.wire.counters[route_reason_counter(3, "backend_no_answer")] == 10


def test_a_success_is_told_of_a_route_that_is_followed(bench: Bench) -> None:
    """Unless it fails again before the report."""
    bench.errors.failing = frozenset({3, 4})
    for route in (3, 4, 5):
        bench.errors.served(route)
    bench.errors.failed(4, REFUSED)
    assert [(report.worked, [one.route for one in report.failed]) for report in bench.tells()] == [((3,), [4])]


def test_reports_have_a_length(bench: Bench) -> None:
    """However many routes fail at once, and whatever is said of them."""
    for route in range(8):
        bench.errors.failed(route, Failure("bad_response", "x" * 5000, "y" * 5000))
    (report,) = bench.tells()
    assert {len(one.detail) for one in report.failed} == {len(one.endpoint) for one in report.failed} == {300}
    bench.errors._failed = dict.fromkeys(range(120), (1, REFUSED))
    bench.errors.failed(0, REFUSED)
    assert [len(report.failed) for _ in range(4) for report in bench.tells()] == [50, 50, 20]
