"""Checks of endpoints that answer, refuse, lie, and never end."""

import asyncio
import itertools
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.health.probes.connection import MOST
from mcproxy.control.health.probes.probe import Outcome, Probe, Prober, Tls
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.resolver import Addresses
from mcproxy.net.tls import Pair
from mcproxy.wire import http2
from tests.support.certificates import Certificates, Leaf
from tests.support.check_server import Handler, answering, backend, demanding, look_up, run, serving
from tests.support.client_ca import ClientCa

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENT = 60.0  # seconds for what ends by another limit than time


def check(handler: Handler, probe: Probe, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Outcome:
    """Return what a check of a server that handles connections so says; its endpoint replaces that of ``probe``."""

    async def main() -> Outcome:
        async with serving(handler, tls=tls, host=host) as endpoint:
            return await run(msgspec.structs.replace(probe, endpoint=endpoint))

    return asyncio.run(main())


def http(timeout: float = PATIENT, path: str = "/", **fields: object) -> Probe:
    return msgspec.structs.replace(Probe("http", Endpoint(), timeout, path=path), **fields)


def tls_server(leaf: Leaf, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.sleep(PATIENT)


def endless(pieces: Callable[[], "itertools.chain[bytes]"]) -> Handler:
    """Return a handler that sends pieces as fast as they are taken."""

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces():
            writer.write(piece)
            await writer.drain()

    return handler


def test_a_port_that_accepts_is_good() -> None:
    assert check(silent, Probe("tcp", Endpoint())).good is True
    assert check(silent, Probe("tcp", Endpoint()), host="::1").good is True


def test_a_port_where_nothing_listens_refuses() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = asyncio.run(run(Probe("tcp", Endpoint("127.0.0.1", unused.getsockname()[1]))))
    assert (found.good, found.error) == (False, "connection refused")


def test_a_unix_socket_is_checked_alike(short_folder: Path) -> None:
    async def main() -> Outcome:
        async with serving(answering(OK), path=str(short_folder / "a.sock")) as endpoint:
            return await run(http(endpoint=endpoint))

    assert asyncio.run(main()).good is True
    found = asyncio.run(run(Probe("tcp", Endpoint(path=str(short_folder / "none")))))
    assert (found.good, found.error) == (False, "there is no such socket")


def test_a_unix_socket_whose_queue_is_full_is_waited_for(short_folder: Path) -> None:
    path = str(short_folder / "full.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(0)
        listening.setblocking(False)

        async def main() -> tuple[Outcome, Outcome]:
            with socket.socket(socket.AF_UNIX) as first:
                first.connect(path)
                full = await run(Probe("tcp", Endpoint(path=path), 0.2))
                second = asyncio.ensure_future(run(Probe("tcp", Endpoint(path=path), PATIENT)))
                await asyncio.sleep(0)
                listening.accept()[0].close()
                return full, await second

        full, then = asyncio.run(main())
    assert (full.good, full.error) == (False, "timed out after 0.2 s")
    assert then.good is True


@pytest.mark.parametrize(
    ("head", "good", "error"),
    [
        (OK, True, ""),
        (b"HTTP/1.1 399 So so\r\n\r\n", True, ""),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", False, "status 500"),
        (b"HTTP/1.1 103 Hints\r\n\r\n" + OK, True, ""),
        (b"HTTP/1.0 200 OK\r\n\r\n", True, ""),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", False, "its response breaks the rules of HTTP: "),
        (b"", False, "it closed the connection without a response"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False, "it closed the connection without a response"),
    ],
)
def test_a_response_is_judged_by_its_status(head: bytes, good: bool, error: str) -> None:  # noqa: FBT001
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)

    found = check(handler, http())
    assert (found.good, found.error[: len(error)]) == (good, error)
    assert bool(found.error) != found.good


def test_ranges_of_good_statuses_are_kept_to() -> None:
    ranges = ((200, 200), (404, 404))
    for status, good in ((200, True), (201, False), (404, True), (403, False)):
        response = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status
        assert check(answering(response), http(statuses=ranges)).good is good


def test_a_request_asks_what_it_is_told_to() -> None:
    seen: list[bytes] = []
    assert check(answering(OK, seen), http(path="/healthz?full=1", host="app.example.com")).good
    assert check(answering(OK, seen), http()).good
    assert seen[0].startswith(b"GET /healthz?full=1 HTTP/1.1\r\nhost: app.example.com\r\nuser-agent: mcproxy-check\r\n")
    assert re.search(rb"\r\nhost: 127\.0\.0\.1:\d+\r\n", seen[1])


@pytest.mark.parametrize(
    ("version", "header"), [("v1", b"PROXY UNKNOWN\r\n"), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]
)
def test_a_proxy_header_comes_first(version: str, header: bytes) -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(len(header)))
        await answering(OK, seen)(reader, writer)

    assert check(handler, http(proxy_header=version)).good
    assert seen[0] == header
    assert seen[1].startswith(b"GET / ")


def test_a_certificate_is_verified(certs: Certificates, other_certs: Certificates) -> None:
    trusted = Tls(certs.ca.read_bytes(), "app.test")
    leaf = certs.server("app.test", "127.0.0.1")

    def found(server: Leaf, tls: Tls, kind: str = "tls") -> str:
        probe = msgspec.structs.replace(http(), type=kind, tls=tls)
        outcome = check(answering(OK), probe, tls_server(server))
        assert bool(outcome.error) != outcome.good
        return outcome.error

    for kind in ("tls", "http"):
        assert found(leaf, trusted, kind) == ""
        assert found(leaf, Tls(trusted.ca), kind) == ""  # by its address
        assert found(leaf, Tls(trusted.ca, "b.test"), kind).endswith("127.0.0.1, not for b.test")
        assert found(other_certs.server("app.test"), trusted, kind) == "its certificate is of an unknown CA (other CA)"
        assert "CA" in found(leaf, Tls(b"", "app.test"), kind)  # not one of the system's


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_own_certificate_is_judged(certs: Certificates, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """A check of TLS alone hears of it, too, though in TLS 1.3 that is told behind the handshake."""
    ca, stranger = ClientCa(tmp_path), ClientCa(tmp_path, "stranger")

    def found(leaf: Leaf | None) -> str:
        own = None if leaf is None else Pair(leaf.certificate.read_bytes(), leaf.key.read_bytes())
        tls = Tls(certs.ca.read_bytes(), "app.test", own)
        with backend(demanding(certs.server("app.test"), ca.certificate, version)) as port:
            return asyncio.run(run(Probe("tls", Endpoint("127.0.0.1", port), PATIENT, tls))).error

    assert found(ca.client("a.test")) == ""
    assert found(stranger.client("a.test")) == "it refuses the handshake: unknown ca"
    missing = "certificate required" if version == ssl.TLSVersion.TLSv1_3 else "it seems to require a certificate"
    assert found(None).startswith(f"it refuses the handshake: {missing}")


def test_what_speaks_no_tls_is_told(certs: Certificates) -> None:
    tls = Tls(certs.ca.read_bytes(), "app.test")

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def gone(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    assert check(plain, http(tls=tls)).error == "it does not speak TLS"
    assert check(gone, http(tls=tls)).error == "it closed the connection during the TLS handshake"
    assert check(silent, http(0.2, tls=tls)).error == "no TLS handshake within 0.2 s"


def test_what_is_silent_is_noticed_in_time() -> None:
    assert check(silent, http(0.2)).error == "no response within 0.2 s"
    assert check(silent, Probe("grpc", Endpoint(), 0.2)).error == "no response within 0.2 s"


def test_what_drips_is_noticed_in_time() -> None:
    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    assert check(handler, http(0.3)).error == "no response within 0.3 s"


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        (lambda: itertools.repeat(b"x" * 65536), "its response breaks the rules of HTTP"),
        (
            lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"a: b\r\n" * 1000)),
            "its response breaks the rules of HTTP",
        ),
        (lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "its response breaks the rules of HTTP"),
    ],
)
def test_what_never_ends_is_ended(pieces: Callable[[], "itertools.chain[bytes]"], error: str) -> None:
    found = check(endless(pieces), http())
    assert (found.good, found.error[: len(error)]) == (False, error)


def test_a_handshake_that_never_ends_is_ended(certs: Certificates) -> None:
    """Whole records of a handshake message that goes on and on."""
    record = b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + b"\0" * 16380
    found = check(endless(lambda: itertools.chain(itertools.repeat(record))), http(tls=Tls(certs.ca.read_bytes(), "a")))
    assert found.good is False
    assert found.error


@pytest.mark.parametrize(
    ("kind", "frames"),
    [
        ("http", b"\0\0\x08\x06\0\0\0\0\0ABCDEFGH"),  # PING
        ("grpc", b"\0\0\0\x04\0\0\0\0\0"),  # SETTINGS
        ("http", b"\0\x40\0\x09\0\0\0\0\x01" + b"\0" * 16384),  # CONTINUATION
        ("grpc", b"\0\0\0\xfe\0\0\0\0\0"),  # of no known type
    ],
)
def test_what_floods_over_http2_is_ended(kind: str, frames: bytes) -> None:
    settings = b"\0\0\0\x04\0\0\0\0\0"
    pieces = lambda: itertools.chain([settings], itertools.repeat(frames * (MOST // len(frames) // 8 + 1)))  # noqa: E731
    probe = msgspec.structs.replace(http(protocol="h2"), type=kind)
    found = check(endless(pieces), probe)
    assert found.good is False
    assert found.error


def test_what_speaks_no_http2_is_told() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    assert check(handler, http(protocol="h2")).error == "it does not speak HTTP/2"
    assert check(handler, Probe("grpc", Endpoint(), PATIENT)).error == "it does not speak HTTP/2"


def test_alpn_decides_where_both_are_spoken(certs: Certificates) -> None:
    tls = Tls(certs.ca.read_bytes(), "app.test")
    leaf = certs.server("app.test")
    assert check(answering(OK), http(tls=tls), tls_server(leaf, "http/1.1")).good
    assert check(answering(OK), http(tls=tls, protocol="h2"), tls_server(leaf)).good  # as traffic: nothing was chosen
    grpc = msgspec.structs.replace(http(tls=tls), type="grpc")
    assert check(answering(OK), grpc, tls_server(leaf)).error == "it does not offer HTTP/2 by ALPN"


def answering_h2(status: bytes, seen: list[http2.Headers]) -> Handler:
    """Return a handler that answers each request over HTTP/2 with a status."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = http2.engine_type()(client=False, limits=http2.Limits())
        while data := await reader.read(65536):
            for event in server.feed(data, 0.0):
                if isinstance(event, http2.Request):
                    seen.append(event.headers)
                    server.respond(event.stream, [(b":status", status)], end=True)
            writer.write(server.output())

    return handler


@pytest.mark.parametrize("engine", ["ngh2", "h2"])
@pytest.mark.parametrize(("status", "error"), [(b"204", ""), (b"503", "status 503")])
def test_http2_is_spoken_where_the_upstream_says_so(
    engine: http2.EngineName, status: bytes, error: str, certs: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In cleartext, and where ALPN chooses it; by both engines."""
    chosen = http2.engine_type(engine)
    monkeypatch.setattr(http2, "engine_type", lambda: chosen)
    seen: list[http2.Headers] = []
    found = check(answering_h2(status, seen), http(path="/h?x", host="a.test", protocol="h2"))
    assert (found.good, found.error) == (not error, error)
    context = tls_server(certs.server("app.test"), "h2", "http/1.1")
    tls = Tls(certs.ca.read_bytes(), "app.test")
    assert check(answering_h2(status, seen), http(tls=tls), context).error == error
    clear, secure = ({name: value for name, value in headers if name.startswith(b":")} for headers in seen)
    assert clear == {b":method": b"GET", b":scheme": b"http", b":authority": b"a.test", b":path": b"/h?x"}
    assert (secure[b":scheme"], secure[b":path"]) == (b"https", b"/")


def run_at(probe: Probe, *answers: Addresses) -> Outcome:
    async def known(_endpoint: Endpoint) -> Addresses:
        return answers[0]

    return asyncio.run(Prober(known).run(probe))


def test_a_name_is_good_when_one_of_its_addresses_is() -> None:
    async def main() -> tuple[Outcome, Outcome]:
        async with serving(silent) as endpoint:
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                dead = (int(socket.AF_INET), unused.getsockname())
                alive = (int(socket.AF_INET), (endpoint.host, endpoint.port))

                async def both(_endpoint: Endpoint) -> Addresses:
                    return dead, alive

                async def neither(_endpoint: Endpoint) -> Addresses:
                    return dead, dead

                probe = Probe("tcp", Endpoint("name.test", 80), PATIENT)
                return await Prober(both).run(probe), await Prober(neither).run(probe)

    one, none = asyncio.run(main())
    assert one.good is True
    assert (none.good, none.error) == (False, "connection refused")


def test_a_name_without_an_address_is_told() -> None:
    assert run_at(Probe("tcp", Endpoint("name.test", 80)), ()).error == "the name has no address"


def test_a_lookup_takes_no_longer_than_the_check() -> None:
    async def never(_endpoint: Endpoint) -> Addresses:
        await asyncio.sleep(PATIENT)
        return ()

    found = asyncio.run(Prober(never).run(Probe("tcp", Endpoint("name.test", 80), 0.1)))
    assert (found.good, found.error) == (False, "timed out after 0.1 s")


def test_nothing_is_said_of_an_endpoint_when_descriptors_are_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> Outcome:
        def none(*_args: object) -> socket.socket:
            raise OSError(24, "Too many open files")

        loop_probe = run(Probe("tcp", Endpoint("127.0.0.1", 9)))
        monkeypatch.setattr("mcproxy.control.health.probes.connection.socket.socket", none)
        try:
            return await loop_probe
        finally:
            monkeypatch.undo()

    found = asyncio.run(main())
    assert found.good is None
    assert "no descriptors" in found.error


def test_nothing_is_said_of_an_endpoint_while_this_process_stood_still() -> None:
    """A stopped process finds its time over, whatever has come meanwhile."""
    for late, good in ((0.2, False), (9.0, None)):

        async def main() -> Outcome:
            times = iter([0.0])
            async with serving(silent) as endpoint:
                prober = Prober(look_up, lambda: next(times, 0.1 + late))  # noqa: B023 - run at once
                return await prober.run(http(0.1, endpoint=endpoint))

        assert asyncio.run(main()).good is good
