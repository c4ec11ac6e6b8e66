"""Addresses that failed lately, with a clock of the test's own."""

import socket

from mcproxy.net.sockets import SocketAddress
from mcproxy.worker.backends.failing_addresses import FailingAddresses

ADDRESS: SocketAddress = (socket.AF_INET, ("192.0.2.1", 443))


def test_a_failure_is_forgotten() -> None:
    """After 30 s, or by an answer; addresses that never failed are not postponed."""
    failing = FailingAddresses()
    assert not failing.postpones(ADDRESS, 100)
    failing.failed(ADDRESS, 100)
    assert failing.postpones(ADDRESS, 129.9)
    failing.worked(ADDRESS)
    assert not failing.postpones(ADDRESS, 129.9)
    failing.failed(ADDRESS, 200)
    assert not failing.postpones(ADDRESS, 230)


def test_one_dial_finds_out_whether_it_answers_again() -> None:
    """When the time is over; for the others it goes on until that one has told."""
    failing = FailingAddresses()
    failing.failed(ADDRESS, 100)
    assert not failing.postpones(ADDRESS, 131)
    assert failing.postpones(ADDRESS, 131)
    assert failing.postpones(ADDRESS, 160)
    assert not failing.postpones(ADDRESS, 161)


def test_what_is_remembered_is_bounded() -> None:
    """Names whose addresses change for ever do not fill the memory; what is over goes first."""
    failing = FailingAddresses()
    failing.failed(ADDRESS, 100)
    for port in range(5000):
        failing.failed((socket.AF_INET, ("192.0.2.2", port)), 120 + port / 1000)
    assert len(failing.until) <= 1024
    assert failing.postpones((socket.AF_INET, ("192.0.2.2", 4999)), 126)
