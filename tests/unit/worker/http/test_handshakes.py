"""Failed handshakes in the log: one line for each route and cause in a while, and how many there were since."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from mcproxy.model.values.reasons import Failure
from mcproxy.worker.http import handshakes
from mcproxy.worker.http.handshakes import HandshakeLog


def arrival(index: int) -> Any:
    """Return how a client came to a route: as much as is told of it."""
    route = SimpleNamespace(index=index, entry=SimpleNamespace(route=SimpleNamespace(hostname=f"{index}.test")))
    return SimpleNamespace(route=route, listener=SimpleNamespace(addr=":1"), source=(b"\xc0\0\2\x07", 5))


def test_each_cause_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever makes handshakes fail does not fill the log."""
    now = 100.0
    log = HandshakeLog(lambda: now)
    expired, other = Failure("client_certificate", "its certificate has expired"), Failure("tls_failed", "no version")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            log.failed(arrival(1), expired, "expired")
        log.failed(arrival(1), other, "unsupported_protocol")
        log.failed(arrival(1), Failure("tls_failed", "it left"), "closed")
        log.failed(arrival(2), expired, "expired")
        now += 601
        log.failed(arrival(1), expired, "expired")
    assert caplog.messages == [
        "listener :1: TLS with 192.0.2.7 failed on the route 1.test: its certificate has expired",
        "listener :1: TLS with 192.0.2.7 failed on the route 1.test: no version",
        "listener :1: TLS with 192.0.2.7 failed on the route 2.test: its certificate has expired",
        "listener :1: TLS with 192.0.2.7 failed on the route 1.test: its certificate has expired; 2 more since the last line about this",
    ]


def test_each_detail_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Though metrics have one word for several: who reads of the one would not look for the other."""
    log = HandshakeLog(lambda: 0.0)
    with caplog.at_level(logging.WARNING):
        for detail in ("its certificate is not valid yet", "unsuitable certificate purpose"):
            log.failed(arrival(1), Failure("client_certificate", detail), "invalid")
    assert len(caplog.messages) == 2


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever routes there are, and however often clients go through all of them; what was told long ago makes room."""
    monkeypatch.setattr(handshakes, "_MOST", 3)
    now = 100.0
    log = HandshakeLog(lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            for index in range(10):
                log.failed(arrival(index), Failure("tls_failed"), "other")
        assert len(caplog.messages) == 3
        assert len(log._told) <= 3
        now += 601
        log.failed(arrival(9), Failure("tls_failed"), "other")
    assert "9.test" in caplog.messages[-1]
