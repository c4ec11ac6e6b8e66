"""What backends say when they are dialed: each kind, over loopback."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from mcproxy.control.admin.probe import Finding, Limits, probe, probe_route
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.state import Route
from mcproxy.model.state.upstream_entries import endpoint_keys, upstream_entries
from mcproxy.model.values.endpoint import Endpoint
from tests.support.certificates import Certificates
from tests.support.check_server import backend, demanding
from tests.support.client_ca import ClientCa
from tests.support.l7 import server_tls
from tests.support.ports import free_port

NAME = "backend.test"
QUICK = Limits(connect=5.0, handshake=5.0)


def of(port: int, ca: bytes = b"", limits: Limits = QUICK, **keys: Any) -> Finding:
    """Return what a backend says."""
    route = Route(":8443", "app.test", (Endpoint("127.0.0.1", port),), backend_ca="/ca" if ca else "", **keys)
    (finding,) = probe(route, {"/ca": ca}, "app.test", limits)
    return finding


def test_nothing_is_there() -> None:
    """A port, a socket or a name."""
    port = free_port()
    assert of(port) == Finding(good=False, words=f"backend_refused: 127.0.0.1:{port}: connection refused")
    nowhere = Route(":1", "a.test", (Endpoint(path="/nowhere"), Endpoint("name.invalid", 80)))
    told = [finding.words for finding in probe(nowhere, {}, "", QUICK)]
    assert told[0] == "backend_refused: unix:/nowhere: there is no such socket"
    assert told[1].startswith("backend_dns: name.invalid:80: ")


def test_cleartext_is_connected_to_and_no_more() -> None:
    """Behind a PROXY header, if that is what it expects."""
    got: list[bytes] = []
    with backend(lambda sock: got.append(sock.recv(100))) as port:
        finding = of(port, mode="l7", send_proxy_protocol=True, proxy_protocol_version="v1")
    assert finding.good
    assert finding.words.startswith(f"127.0.0.1:{port}: connected in ")
    assert got == [b"PROXY UNKNOWN\r\n"]


def tls_backend(certs: Certificates, name: str = NAME) -> Callable[[socket.socket], None]:
    leaf = certs.server(name)
    context = server_tls(leaf.certificate, leaf.key, "h2")

    def serve(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(1)

    return serve


def test_tls_is_verified_as_workers_do(certs: Certificates, tmp_path: Path) -> None:
    """With the CA and the name of the route."""
    ca = certs.ca.read_bytes()
    keys: dict[str, Any] = {"mode": "l7", "backend_tls": True, "backend_server_name": NAME}
    with backend(tls_backend(certs)) as port:
        good = of(port, ca, **keys)
    with backend(tls_backend(Certificates(tmp_path, "another CA"))) as port:
        bad = of(port, ca, **keys)
    assert good.good
    assert good.words.endswith(f"; TLSv1.3, its certificate is valid for {NAME}; it speaks h2")
    told = f"backend_certificate: 127.0.0.1:{port}: its certificate is of an unknown CA (another CA)"
    assert bad == Finding(good=False, words=told)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_backend_says_what_it_wants_of_the_certificate_of_the_proxy(
    certs: Certificates, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """In TLS 1.3 behind the handshake, which is waited for; one that says nothing has none to say."""
    ca, stranger = ClientCa(tmp_path), ClientCa(tmp_path, "stranger")
    keys: dict[str, Any] = {"mode": "l7", "backend_tls": True, "backend_server_name": NAME}
    contents = {"/ca": certs.ca.read_bytes()}
    told = {}
    for name, leaf in (("none", None), ("strange", stranger.client("a.test")), ("own", ca.client("a.test"))):
        if leaf is not None:
            own = {"/crt": leaf.certificate.read_bytes(), "/key": leaf.key.read_bytes()}
            contents, keys = {**contents, **own}, {**keys, "backend_cert": "/crt", "backend_key": "/key"}
        with backend(demanding(certs.server(NAME), ca.certificate, version)) as port:
            route = Route(":8443", "app.test", (Endpoint("127.0.0.1", port),), backend_ca="/ca", **keys)
            (told[name],) = probe(route, contents, "app.test", QUICK)
    assert told["own"].good, told
    assert not told["none"].good
    missing = "certificate required" if version == ssl.TLSVersion.TLSv1_3 else "it seems to require a certificate"
    assert f"it refuses the handshake: {missing}" in told["none"].words
    assert told["strange"].words.endswith("it refuses the handshake: unknown ca")


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n") or sock.recv(1 << 16), "it does not speak TLS"),
        (lambda sock: sock.recv(1), "it closed the connection during the TLS handshake"),
    ],
)
def test_a_backend_that_tls_is_passed_through_to_has_to_speak_it(
    serve: Callable[[socket.socket], object], words: str, certs: Certificates
) -> None:
    """What its certificate says is for clients to judge."""
    with backend(serve) as port:
        bad = of(port)
    assert (bad.good, bad.words.partition("; ")[2]) == (False, words)
    with backend(tls_backend(certs, "whoever.test")) as port:
        good = of(port)
    assert good.good
    assert good.words.endswith("; it speaks TLSv1.3")


def test_silence_has_its_time() -> None:
    """A backend that accepts and says nothing."""
    released = threading.Event()
    with backend(lambda _: released.wait(10)) as port:
        finding = of(port, limits=Limits(connect=5.0, handshake=0.2))
        released.set()
    assert (finding.good, finding.words.partition("; ")[2]) == (False, "no TLS handshake in time")


def test_every_endpoint_of_an_upstream_is_dialed_its_own_way(certs: Certificates) -> None:
    """By what the upstream says of TLS and names, not the route; of very many 64."""
    port = free_port()
    text = (
        f"[upstreams.many]\nendpoints = [{', '.join(f'{chr(34)}unix:/nowhere/{number}{chr(34)}' for number in range(66))}]\n"
        f'[upstreams.web]\nendpoints = ["localhost:{port}"]\ntls = {{ server_name = "{NAME}" }}\n'
        '[[listeners]]\naddr = ":1"\n[[listeners.routes]]\nhostname = "a.test"\nbackend = "many"\n'
        '[[listeners.routes]]\nhostname = "b.test"\nbackend = "web"\nmode = "l7"\ntls_cert = "/c"\ntls_key = "/k"\n'
    )
    state = resolve([Source("/mc-proxy.toml", text)]).state
    indices = {key: number for number, key in enumerate(endpoint_keys(state, {}))}
    applier: Any = SimpleNamespace(
        state=state, assets=None, upstreams=upstream_entries(state, indices, {}, {}, lambda _: b"")
    )

    def told(hostname: str) -> list[str]:
        return [each.words for each in asyncio.run(probe_route(state.routes[":1", hostname], applier, "a.test"))]

    many = told("a.test")
    assert many[0] == "backend_refused: unix:/nowhere/0: there is no such socket"
    assert many[-2:] == [
        "backend_refused: unix:/nowhere/63: there is no such socket",
        "2 more endpoints were not dialed",
    ]
    assert len(many) == 65
    with backend(tls_backend(certs)) as listening:
        one = msgspec.structs.replace(
            applier.upstreams[1].endpoints[0], endpoint=Endpoint("127.0.0.1", listening), label=f"localhost:{listening}"
        )
        applier.upstreams = (msgspec.structs.replace(applier.upstreams[1], endpoints=(one,)),)
        (words,) = told("b.test")
    assert words.startswith(f"backend_certificate: 127.0.0.1:{listening}: its certificate is of an unknown CA")
