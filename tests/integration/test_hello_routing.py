"""ClientHellos as networks deliver them: in pieces, over records, from real clients; all reach the route they ask for."""

import socket
import time
from collections.abc import Iterator, Sequence

import psutil
import pytest

from tests.conftest import StartProxy
from tests.support.counters import counted
from tests.support.fleet import Fleet
from tests.support.l4 import HELLO, HELLOS, RawBackend, config
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.tls import receive_exactly

pytestmark = pytest.mark.both_data_paths

MLKEM = HELLOS["go1.27_mlkem"]
CHROME = HELLOS["curl_cffi_chrome131"]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def served(fleet: Fleet, port: int) -> Iterator[Proxy]:
    with fleet.serve(config({"l4.test": f"127.0.0.1:{port}"}, client_hello_timeout="5s")) as served:
        yield served


@pytest.fixture
def backend(port: int) -> Iterator[RawBackend]:
    with RawBackend(port=port) as backend:
        yield backend


def cut(data: bytes, *positions: int) -> list[bytes]:
    return [data[start:end] for start, end in zip((0, *positions), (*positions, len(data)), strict=True)]


def send_in_pieces(backend: RawBackend, proxy: Proxy, pieces: Sequence[bytes], pause: float) -> None:
    client = backend.connect(("127.0.0.1", proxy.port()))
    for piece in pieces:
        client.sendall(piece)
        time.sleep(pause)
    server = backend.accept()
    hello = b"".join(pieces)
    assert receive_exactly(server, len(hello)) == hello
    server.sendall(b"seen")
    assert receive_exactly(client, 4) == b"seen"


def test_hello_in_segments_of_one_byte(served: Proxy, backend: RawBackend) -> None:
    """A hello that comes byte by byte is routed, and the backend gets exactly its bytes."""
    send_in_pieces(backend, served, [bytes([byte]) for byte in HELLO], pause=0.001)


@pytest.mark.parametrize("name", ["go1.27_mlkem", "curl_cffi_chrome131", "curl_cffi_firefox135"])
def test_post_quantum_hello_over_several_segments(served: Proxy, backend: RawBackend, name: str) -> None:
    """A real post-quantum hello, larger than an Ethernet segment, is put together from its segments."""
    hello = HELLOS[name]
    assert len(hello) > 1460
    send_in_pieces(backend, served, cut(hello, 1460), pause=0.05)
    send_in_pieces(backend, served, cut(hello, 536, 1072), pause=0.02)


@pytest.mark.parametrize(
    "name", ["mlkem_split_two_records_1200", "grease_mlkem_split_three_records", "split_every_16_bytes"]
)
def test_hello_over_several_records(served: Proxy, backend: RawBackend, name: str) -> None:
    """A hello fragmented over TLS records is routed, in one segment or with the cut inside a record."""
    hello = HELLOS[name]
    send_in_pieces(backend, served, [hello], pause=0)
    send_in_pieces(backend, served, cut(hello, len(hello) // 3, len(hello) - 1), pause=0.02)


@pytest.mark.parametrize("position", [1, 4, 5, 6, 8, 9, 10, 43, 150, len(HELLO) - 1])
def test_hello_cut_anywhere(served: Proxy, backend: RawBackend, position: int) -> None:
    """The rest of a hello wakes the proxy up wherever the first segment ended."""
    send_in_pieces(backend, served, cut(HELLO, position), pause=0.02)


def test_what_follows_the_hello_in_its_segment_is_relayed(served: Proxy, backend: RawBackend) -> None:
    """Bytes behind the hello (early data) stay in order behind it."""
    client = backend.connect(("127.0.0.1", served.port()), HELLO + b"early data")
    server = backend.accept()
    assert receive_exactly(server, len(HELLO) + 10) == HELLO + b"early data"
    client.sendall(b"!")  # a single byte: the wake-up threshold of the hello is gone
    assert receive_exactly(server, 1) == b"!"


def test_single_bytes_pass_after_a_hello_in_pieces(served: Proxy, backend: RawBackend) -> None:
    """The threshold set for the missing part of a hello does not hold back the small messages that follow."""
    client = backend.connect(("127.0.0.1", served.port()), MLKEM[:100])
    time.sleep(0.05)
    client.sendall(MLKEM[100:])
    server = backend.accept()
    assert receive_exactly(server, len(MLKEM)) == MLKEM
    for byte in b"abc":
        client.sendall(bytes([byte]))
        assert receive_exactly(server, 1) == bytes([byte])


def test_incomplete_hellos_cost_no_cpu(served: Proxy, backend: RawBackend) -> None:
    """Fifty clients that stop in the middle of their hellos leave the worker asleep, and are served when they go on."""
    cuts = [1, 5, 9, 100, len(CHROME) - 1]
    clients = [backend.connect(("127.0.0.1", served.port()), CHROME[: cuts[n % len(cuts)]]) for n in range(50)]
    (worker,) = served.workers()
    time.sleep(0.2)  # all are accepted and peeked
    before = worker.cpu_times()
    time.sleep(1)
    after = worker.cpu_times()
    spent = after.user + after.system - before.user - before.system
    assert spent < 0.1, f"{spent} s of CPU in 1 s"
    for number, client in enumerate(clients):
        client.sendall(CHROME[cuts[number % len(cuts)] :])
        server = backend.accept()
        assert receive_exactly(server, len(CHROME)) == CHROME


def test_a_hello_that_drips_costs_one_wake_up_per_threshold(served: Proxy, backend: RawBackend) -> None:
    """A client that sends its hello in tiny segments cannot keep the worker busy: it wakes up for the whole rest."""
    (worker,) = served.workers()
    client = backend.connect(("127.0.0.1", served.port()), CHROME[:9])
    time.sleep(0.1)
    before = switches(worker)
    for position in range(9, len(CHROME) - 1):
        client.sendall(CHROME[position : position + 1])
        if position % 4 == 0:
            time.sleep(0.001)
    # ticks of the worker's own (ten a second) are all that may wake it meanwhile
    assert switches(worker) - before < 150
    client.sendall(CHROME[-1:])
    assert receive_exactly(backend.accept(), len(CHROME)) == CHROME


def switches(process: psutil.Process) -> int:
    """Return how often a process has gone to sleep so far."""
    return process.num_ctx_switches().voluntary


def test_routes_by_exact_wildcard_and_default_name(reloaded: StartProxy) -> None:
    """Exact beats wildcard beats default, also for clients without SNI and on a listener of both families."""
    with RawBackend() as exact, RawBackend() as wild, RawBackend() as default:
        names = {"localhost": exact, "*.co.uk": wild, "*": default}
        served = reloaded(
            config({name: f"127.0.0.1:{backend.port}" for name, backend in names.items()}, addr=":PORT", workers=2)
        )
        for hello, backend in (
            ("plain_good_data_1", exact),  # localhost
            ("minimal_long", wild),  # very.deep.subdomain.example.co.uk
            ("plain_bad_data_1", default),  # lodalhost
            ("python_no_sni", default),
            ("plain_ssl30_request", default),  # no extensions at all
            ("openssl_sni_ipv6_literal", default),
        ):
            for host in ("127.0.0.1", "::1"):
                client, server = backend.join((host, served.port()), HELLOS[hello])
                server.sendall(b"here")
                assert receive_exactly(client, 4) == b"here"
                for sock in (client, server):
                    sock.shutdown(socket.SHUT_WR)
        totals = counted(served)[f":{served.port()}"]
        assert totals.accepted == 12
        assert totals.refused == {}
