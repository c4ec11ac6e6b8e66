"""Connections that get no backend: each is reset in time, and counted once under its own reason."""

import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import msgspec
import pytest

from tests.conftest import StartProxy
from tests.support.counters import counted
from tests.support.fleet import Fleet
from tests.support.l4 import (
    HELLO,
    HELLOS,
    RawBackend,
    Totals,
    config,
    full,
    listener,
    reset,
    wait_for,
)

pytestmark = pytest.mark.both_data_paths

HELLO_LIMIT = 1.0
CONNECT_LIMIT = 1.5
AT_ONCE = BUSY = 5.0  # seconds that a busy machine may take, or take longer; which limit it was says the counter

PROXY_V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 443\r\n"
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)


class Case(msgspec.Struct, frozen=True):
    """A client that is refused.

    Attributes:
        reason: the counter it must go to.
        data: what the client sends.
        within: seconds after its first byte (or its connect, when it sends none) until it must have been reset.
        fin: it half-closes behind ``data``.
        backend: where the route for l4.test leads; a name of `BACKENDS`.
    """

    reason: str
    data: bytes
    within: float = AT_ONCE
    fin: bool = False
    backend: str = "unused"
    not_before: float = 0


CASES = {
    "HTTP": Case("plain_http", b"GET / HTTP/1.1\r\nHost: l4.test\r\n\r\n"),
    "SSH": Case("not_tls", HELLOS["ssh_banner"]),
    "ALERT": Case("not_tls", HELLOS["minimal_alert"]),
    "SSL2": Case("not_tls", HELLOS["plain_ssl20_client_hello"]),
    "SERVERHELLO": Case("bad_hello", HELLOS["handshake_type_server_hello"]),
    "TWONAMES": Case("bad_hello", HELLOS["sni_duplicate_extension"]),
    "LARGE": Case("hello_too_large", HELLOS["hello_40k_three_records"]),
    "DECLARED": Case("hello_too_large", HELLOS["handshake_length_16M"]),
    "PROXY1": Case("unexpected_proxy_header", PROXY_V1 + HELLO),
    "PROXY2": Case("unexpected_proxy_header", PROXY_V2 + HELLO),
    "NOSNI": Case("no_sni", HELLOS["python_no_sni"]),
    "UNKNOWN": Case("no_route", HELLOS["plain_good_data_1"]),
    "TRUNCATED": Case("hello_truncated", HELLO[: len(HELLO) // 2], fin=True),
    "FIVEBYTES": Case("hello_truncated", HELLO[:5], fin=True),
    "PROXYCUT": Case("hello_truncated", PROXY_V1[:4], fin=True),
    "SLOW": Case("hello_timeout", HELLO[:-1], HELLO_LIMIT + BUSY, not_before=HELLO_LIMIT),
    "ONEBYTE": Case("hello_timeout", HELLO[:1], HELLO_LIMIT + BUSY, not_before=HELLO_LIMIT),
    # The kernel holds back a silent client for a second or so (TCP_DEFER_ACCEPT), and the limit counts from accept.
    "SILENT": Case("hello_timeout", b"", HELLO_LIMIT + 2 + BUSY, not_before=HELLO_LIMIT),
    "REFUSED": Case("backend_refused", HELLO, backend="refusing"),
    "NOSOCKET": Case("backend_refused", HELLO, backend="missing"),
    "NODNS": Case("backend_dns", HELLO, CONNECT_LIMIT + BUSY, backend="unknown"),
    "BLACKHOLE": Case("backend_timeout", HELLO, CONNECT_LIMIT + BUSY, backend="full", not_before=CONNECT_LIMIT),
}


class Outcome(msgspec.Struct, frozen=True):
    """How a connection ended for its client, and after how many seconds."""

    end: str
    seconds: float


@pytest.fixture(scope="module")
def ended(fleet: Fleet) -> tuple[Mapping[str, Outcome], Mapping[str, Totals]]:
    """Run all cases at once against one proxy with a listener for each; return the outcomes and the final counters."""
    with ExitStack() as stack:
        unused = stack.enter_context(RawBackend())
        backends = {
            "unused": f"127.0.0.1:{unused.port}",
            "refusing": f"127.0.0.1:{stack.enter_context(bound()).getsockname()[1]}",
            "missing": "unix:/nonexistent/socket",
            "unknown": "no-such-host.invalid:443",
            "full": f"127.0.0.1:{stack.enter_context(full()).getsockname()[1]}",
        }
        text = config(
            {},
            workers=2,
            client_hello_timeout=f"{HELLO_LIMIT:g}s",
            connect_timeout=f"{int(CONNECT_LIMIT * 1000)}ms",
        )
        text += "".join(
            listener(f"127.0.0.1:PORT_{name}", {"l4.test": backends[case.backend]}) for name, case in CASES.items()
        )
        proxy = stack.enter_context(fleet.serve(text))
        ports = {name: proxy.port(name) for name in CASES}
        with ThreadPoolExecutor(len(CASES)) as pool:
            futures = {name: pool.submit(run, case, ports[name]) for name, case in CASES.items()}
            outcomes = {name: future.result() for name, future in futures.items()}
        totals = counted(proxy)
        unused.listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            unused.listening.accept()
        return outcomes, {name: totals[f"127.0.0.1:{port}"] for name, port in ports.items()}


def run(case: Case, port: int) -> Outcome:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        began = time.monotonic()
        try:
            sock.sendall(case.data)
            if case.fin:
                sock.shutdown(socket.SHUT_WR)
            received = sock.recv(1)
        except TimeoutError:
            end = "still open"
        except (ConnectionResetError, BrokenPipeError):
            end = "reset"
        else:
            end = f"received {received!r}" if received else "closed without a reset"
        return Outcome(end, time.monotonic() - began)


def bound() -> socket.socket:
    """Return a socket that is bound and does not listen: whoever connects to it is refused."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


Ended = tuple[Mapping[str, Outcome], Mapping[str, Totals]]


@pytest.mark.parametrize("name", CASES)
def test_refused_client_is_reset_in_time_and_counted_once(ended: Ended, name: str) -> None:
    """The client sees a reset, never a proper end, within the limit; exactly one counter has gone up by one."""
    case = CASES[name]
    outcome, totals = ended[0][name], ended[1][name]
    assert outcome.end == "reset"
    assert case.not_before <= outcome.seconds <= case.within
    assert totals == Totals(accepted=1, refused={case.reason: 1})


def wait_until_reset(sock: socket.socket) -> float:
    """Wait for a reset and return how many seconds it took."""
    began = time.monotonic()
    with pytest.raises(ConnectionResetError):
        sock.recv(1)
    return time.monotonic() - began


@pytest.mark.parametrize("connect_timeout", ["1s", "2s"])
def test_limits_go_on_after_a_backend_timed_out(reloaded: StartProxy, connect_timeout: str) -> None:
    """Clients whose hello came in two segments and whose backend does not answer leave all later limits in force."""
    with full() as blackhole, RawBackend() as peers:
        port = blackhole.getsockname()[1]
        served = reloaded(
            config({"l4.test": f"127.0.0.1:{port}"}, client_hello_timeout="1s", connect_timeout=connect_timeout)
        )
        address = ("127.0.0.1", served.port())
        clients = []
        for _ in range(8):
            clients.append(peers.connect(address, HELLO[:50]))
            time.sleep(0.02)
            clients[-1].sendall(HELLO[50:])
        for client in clients:
            assert wait_until_reset(client) < 3.5
        late = peers.connect(address, HELLO[:50])
        assert wait_until_reset(late) < 2
        totals = counted(served)[f"127.0.0.1:{address[1]}"]
        assert totals == Totals(9, {"backend_timeout": 8, "hello_timeout": 1})


def test_the_next_address_is_tried(reloaded: StartProxy) -> None:
    """A backend name with several addresses is reached on the one that answers (localhost, IPv4 only)."""
    with RawBackend("127.0.0.1") as backend:
        served = reloaded(config({"l4.test": f"localhost:{backend.port}"}))
        for _ in range(3):
            _, server = backend.join(("127.0.0.1", served.port()))
            server.close()


def test_client_that_leaves_while_its_backend_is_dialed(reloaded: StartProxy) -> None:
    """A client that resets during the dial is counted as gone, and nothing waits for its backend any more."""
    with full() as blackhole, RawBackend() as peers:
        served = reloaded(config({"l4.test": f"127.0.0.1:{blackhole.getsockname()[1]}"}, connect_timeout="60s"))
        address = ("127.0.0.1", served.port())
        (worker,) = served.workers()
        before = worker.num_fds()
        client = peers.connect(address, HELLO)
        wait_for(lambda: worker.num_fds() == before + 2)
        reset(client)
        wait_for(lambda: worker.num_fds() == before)
        assert counted(served)[f"127.0.0.1:{address[1]}"] == Totals(1, {"client_gone": 1})


def test_client_that_says_nothing_and_leaves(reloaded: StartProxy) -> None:
    """A port scan (connect, close) is counted as a client that has gone, and costs nothing that lasts."""
    with RawBackend() as backend:
        served = reloaded(config({"*": f"127.0.0.1:{backend.port}"}))
        address = ("127.0.0.1", served.port())
        (worker,) = served.workers()
        before = worker.num_fds()
        for _ in range(20):
            backend.connect(address).close()
        backend.join(address)  # it queued behind them: they have been accepted
        wait_for(lambda: worker.num_fds() == before + 2)
        assert counted(served, still_open=1)[f"127.0.0.1:{address[1]}"] == Totals(21, {"client_gone": 20})
