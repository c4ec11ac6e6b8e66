"""The comparison itself: what counts as failed, what counts as worse, and (at length) that it runs."""

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.failover.__main__ import main
from tests.failover.load import Kind, Traffic
from tests.failover.report import Kill, Kills, table, worse
from tests.support.certificates import Certificates
from tests.support.load import until

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def kills(own: list[Kill], other: list[Kill]) -> Kills:
    return {("h1", "mcproxy"): own, ("h1", "haproxy"): other}


@pytest.mark.parametrize(
    ("own", "other", "found"),
    [
        (Kill(10, 0.02, 1.9), Kill(8, 0.02, 1.8), []),
        (Kill(11, 0.02, 1.9), Kill(8, 0.02, 1.8), ["h1: failed 11, of haproxy 8"]),
        (Kill(30, 0.02, 1.9), Kill(28, 0.01, 1.8), ["h1: last 0.02, of haproxy 0.01"]),
        (Kill(0, 0.0, 2.3), Kill(0, 0.0, 2.0), ["h1: returned 2.3, of haproxy 2"]),
        (Kill(110, 1.09, 2.1), Kill(100, 1.0, 2.0), []),
        (Kill(0, 0.0, 1.0), Kill(50, 3.0, 2.0), []),
    ],
)
def test_worse_by_more_than_a_tenth_and_two_requests(own: Kill, other: Kill, found: list[str]) -> None:
    """Of the medians, at 500 requests a second."""
    bad, good = Kill(999, 9, 9), Kill(0, 0, 0)
    assert worse(kills([bad, own, good], [good, bad, other]), 500) == found


def test_the_table_has_medians_and_extremes() -> None:
    """One line for each kind of clients and proxy."""
    text = table(kills([Kill(3, 0.1, 2), Kill(1, 0.3, 1), Kill(2, 0.2, 3)], [Kill(0, 0, 1)]))
    assert text.splitlines()[2:] == [
        "| h1 | haproxy | 0 (0 to 0) | - | 1.00 s (1.00 to 1.00) |",
        "| h1 | mcproxy | 2 (1 to 3) | 0.20 s (0.10 to 0.30) | 2.00 s (1.00 to 3.00) |",
    ]


@contextmanager
def server(certs: Certificates, *answers: bytes) -> Iterator[int]:
    """Serve HTTP/1.1 over TLS; each request gets the next answer, the last one again and again, b"" ends the connection."""
    left = list(answers)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf = certs.server("l7.test")
    tls.load_cert_chain(leaf.certificate, leaf.key)
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                if not (answer := left.pop(0) if len(left) > 1 else left[0]):
                    break
                writer.write(answer)
        except (OSError, EOFError):
            pass
        writer.transport.abort()

    listening = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_end(listening))
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize("kind", ["h1", "l4"])
def test_what_is_not_answered_by_a_backend_has_failed(kind: Kind, certs: Certificates) -> None:
    """Another status, and a connection that ends; what follows goes on with new connections."""
    with server(certs, FINE, BAD, b"", FINE) as port, Traffic(kind, port, "l7.test", str(certs.ca), 100) as traffic:
        until(lambda: len([one for one in traffic.requests if one.ended]) >= 8, "eight requests")
    told = {request.error for request in traffic.requests}
    assert told > {"", "FailedError: status 503"}
    assert len(told) == 3
    assert len(traffic.failed(0)) == 2
    assert len(traffic.failed(time.monotonic())) == 0
    assert traffic.answered("a", 0) is not None
    assert traffic.answered("b", 0) is None


def test_nothing_that_listens_is_a_failure(certs: Certificates) -> None:
    """Of HTTP/2, too, where all requests of a connection wait for one handshake."""
    with server(certs, FINE) as port:
        pass
    with Traffic("h2", port, "l7.test", str(certs.ca), 100) as traffic:
        until(lambda: len([one for one in traffic.requests if one.ended]) >= 20, "twenty requests")
    assert all("Connection" in request.error for request in traffic.requests)


@pytest.mark.soak
def test_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """One kill of each kind, without a word about who is better."""
    assert main(["--kills", "1", "--rate", "100"]) in (0, 1)
    assert capsys.readouterr().out.count("mcproxy") == 3
