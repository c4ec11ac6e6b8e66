"""Incidents, as an operator meets them: the first screens, one line of a log and one metric name the route and the cause of each.

Where there is no route yet it is the listener; of what refuses, the rule or the limit's key.
"""

import contextlib
import functools
import html
import json
import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import tomlkit

from tests.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.ctl import run_ctl
from tests.support.endpoint import get
from tests.support.http_clients import client
from tests.support.l4 import HELLO, wait_for
from tests.support.l7 import l7_route, server_tls, tls_backend
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.settings import listener, route
from tests.support.status_backend import StatusBackend
from tests.support.tls import client_hello

ADDR, SMALL = "127.0.0.1:PORT", "127.0.0.1:PORT_SMALL"
BLOCKED = "127.0.0.9"


class Incident(msgspec.Struct, frozen=True):
    """What is told of one.

    Attributes:
        screen: matches a line of `mcproxyctl status`.
        top: matches a line of `mcproxyctl top`.
        page: matches a line of the status page's alerts, without its tags.
        known: matches what ``/api/status`` says of ``failing``, ``refused`` and ``certificates``, an object a line.
        line: matches a line of control's log, or is a part of one of the access log.
        metric: matches a line of the metrics.
    """

    screen: str
    top: str
    page: str
    known: str
    line: str | dict[str, Any]
    metric: str


def failing(hostname: str, reason: str, why: str) -> Incident:
    """Return what is told of a route whose backend fails."""
    return Incident(
        rf"FAILING  +route 127\.0\.0\.1:\d+ {hostname} -> .*: {reason}: .*{why}",
        rf"127\.0\.0\.1:\d+ +{hostname} .*{reason}: .*{why}",
        rf"{hostname} on 127\.0\.0\.1:\d+ to .*: [1-9] \S {reason}; the last one: {reason}: .*{why}",
        rf'"listener": "127\.0\.0\.1:\d+", "hostname": "{hostname}".*"name": "{reason}".*"last_error": "{reason}: .*{why}',
        rf"route fails .*listener=127\.0\.0\.1:\d+ reason={reason} route={hostname} why='?.*{why}",
        rf'mcproxy_connection_errors_total{{listener="127\.0\.0\.1:\d+",reason="{reason}",route="{hostname}"}} [1-9]',
    )


GRPC = r'mcproxy_grpc_requests_total{grpc_status="14",listener="127\.0\.0\.1:\d+",route="grpc\.test"} [1-9]'
INCIDENTS = {
    "backend down": failing("down.test", "backend_refused", "connection refused"),
    "backend slow": failing("slow.test", "response_timeout", "it sent nothing for 0.3 s"),
    "wrong certificate": failing("cert.test", "backend_certificate", "its certificate expired 3 days ago"),
    "bad response": failing("bad.test", "bad_response", "a chunk size is malformed .*, at byte 47"),
    "gRPC failing": msgspec.structs.replace(failing("grpc.test", "backend_refused", "connection refused"), metric=GRPC),
    "firewall hit": Incident(
        r"127\.0\.0\.1:\d+ .*\d+ \(.*\bip 1\b",
        r"refused: 127\.0\.0\.1:\d+ in the last 5 minutes: 1 \(ip 1\)",
        r"127\.0\.0\.1:\d+: 1 \S ip \(The client's address is in blocked_ips\)",
        r'"listener": "127\.0\.0\.1:\d+", "rules": .*"name": "ip", "count": 1',
        {"route": "", "reason": "ip", "client": BLOCKED},
        r'mcproxy_firewall_blocks_total{listener="127\.0\.0\.1:\d+",reason="ip"} 1',
    ),
    "limit of a request": Incident(
        r"limits hit +1 \(header_bytes 1\)",
        r"limits: \[limits\] in the last 5 minutes: 1 \(header_bytes 1\)",
        r"by \[limits\]: 1 \S header_bytes \(",
        r'"listener": "", "rules": .*"name": "header_bytes", "count": 1',
        {"route": "well.test", "status": 431, "reason": "header_bytes", "path": "/long"},
        r'mcproxy_limits_hit_total{limit="header_bytes"} 1',
    ),
    "limit of a listener": Incident(
        r"127\.0\.0\.1:\d+ .* 1 \(limit 1\)",
        r"refused: 127\.0\.0\.1:\d+ in the last 5 minutes: 1 \(limit 1\)",
        r"127\.0\.0\.1:\d+: 1 \S limit \(The listener's max_connections were open\)",
        r'"listener": "127\.0\.0\.1:\d+", "rules": .*"name": "limit", "count": 1',
        {"listener": SMALL, "reason": "limit"},
        r'mcproxy_connection_errors_total{listener="127\.0\.0\.1:\d+",reason="limit",route=""} 1',
    ),
    "certificate about to expire": Incident(
        r"expires +certificate of route 127\.0\.0\.1:\d+ soon\.test: in 4d23h",
        r"expires: certificate of route 127\.0\.0\.1:\d+ soon\.test: in 4d23h",
        r"soon\.test /.*: expires in 4d23h",
        r'"routes": \["soon\.test"\].*"health": "warning"',
        r"warning: listeners\[0\]\.routes\[\d+\]\.tls_cert: .*expires",
        r'mcproxy_certificate_not_after_seconds{listener="127\.0\.0\.1:\d+",route="soon\.test"} ',
    ),
}


@contextlib.contextmanager
def bad_backend() -> Iterator[int]:
    """Answer each request with a response that is none."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listening.accept()[0] as sock:
                        sock.recv(1 << 16)
                        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def expired_backend(certs: Certificates) -> Iterator[int]:
    """Offer a certificate that has expired."""
    now = datetime.now(UTC)
    leaf = certs.server("backend.test", not_before=now - timedelta(30), not_after=now - timedelta(3, 60))
    context = server_tls(leaf.certificate, leaf.key, "http/1.1")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock = listening.accept()[0]
                    with sock, contextlib.suppress(OSError):
                        context.wrap_socket(sock, server_side=True).close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def ask(address: tuple[str, int], hostname: str, path: str = "/", headers: Any = (), version: str = "http/1.1") -> int:
    with client(version, address, hostname) as opened:
        return opened.request("GET" if version == "http/1.1" else "POST", path, list(headers)).status


def test_each_incident_names_its_route_and_cause(
    proxy: StartProxy, certs: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one proxy, at the same time; a route that is well is named nowhere, and one that is mended works again."""
    soon = certs.server("soon.test", not_after=datetime.now(UTC) + timedelta(5))
    with StatusBackend() as backend, bad_backend() as bad, expired_backend(certs) as expired:
        http = {"backend_protocol": "http/1.1"}
        down = free_port()
        main = listener(
            ADDR,
            [
                route(down, "down.test"),
                l7_route(certs, backend.port, "slow.test", **http),
                l7_route(certs, expired, "cert.test", **tls_backend(certs)),
                l7_route(certs, bad, "bad.test", **http),
                l7_route(certs, free_port(), "grpc.test"),
                l7_route(certs, backend.port, "well.test", **http),
                {
                    **l7_route(certs, backend.port, "soon.test", **http),
                    "tls_cert": str(soon.certificate),
                    "tls_key": str(soon.key),
                },
            ],
        )
        small = listener(SMALL, [route(backend.port, "well.test", idle_timeout="1m")], max_connections=1)
        tables = {
            "log": {"access": "access.log"},
            "proxy": {"workers": 1, "idle_timeout": "300ms"},
            "grpc": {"socket": "mc-proxy.sock"},
            "metrics": {"addr": "127.0.0.1:PORT_M"},
            "firewall": {"blocked_ips": [BLOCKED]},
            "listeners": [main, small],
        }
        served = proxy(tomlkit.dumps(tables))
        monkeypatch.setenv("MCPROXY_CONFIG", str(served.config))
        provoke(served)
        check(served)
        mend(served, down, backend)


def is_reset(hello: bytes, address: tuple[str, int], source: str = "127.0.0.1") -> None:
    with socket.create_connection(address, timeout=10, source_address=(source, 0)) as sock:
        sock.sendall(hello)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def provoke(served: Proxy) -> None:
    address = ("127.0.0.1", served.port())
    is_reset(client_hello("down.test"), address)
    assert ask(address, "slow.test", "/hang") == 504
    assert ask(address, "cert.test") == 502
    assert ask(address, "bad.test") == 502
    assert ask(address, "grpc.test", headers=[("content-type", "application/grpc")], version="h2") == 200
    is_reset(HELLO, address, BLOCKED)
    assert ask(address, "well.test", "/long", [("x", "y" * 33_000)]) == 431
    assert ask(address, "well.test", "/status/200") == 200
    small = ("127.0.0.1", served.port("SMALL"))
    with socket.create_connection(small, timeout=10) as first, socket.create_connection(small, timeout=10) as second:
        first.sendall(client_hello("well.test"))
        active = f'mcproxy_listener_connections_active{{listener="127.0.0.1:{small[1]}"}} 1'
        wait_for(lambda: active in metrics(served))
        second.sendall(client_hello("well.test"))
        with pytest.raises(ConnectionResetError):
            second.recv(1)


def metrics(served: Proxy) -> str:
    return get(served.port("M"), "/metrics").text


def access_lines(served: Proxy) -> list[dict[str, Any]]:
    path = served.folder / "access.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def is_told(served: Proxy, line: str | dict[str, Any]) -> bool:
    """Tell whether a line is in control's log, or in the access log."""
    if isinstance(line, str):
        return re.search(line, served.stderr) is not None
    wanted = {key: served.fill_in(value) if isinstance(value, str) else value for key, value in line.items()}
    return any(
        all(each.get(key) == value or str(each.get(key)).startswith(f"{value}:") for key, value in wanted.items())
        for each in access_lines(served)
    )


def alerts(page: str) -> str:
    """Return the text of the status page's alerts."""
    part = page.partition('<div id="alerts"')[2].partition('<dl id="tiles"')[0]
    return html.unescape(re.sub(r"<[^>]+>", "", part))


def check(served: Proxy) -> None:
    for name, incident in INCIDENTS.items():
        wait_for(functools.partial(is_told, served, incident.line), timeout=10)
        assert re.search(incident.metric, metrics(served)), name
    screen = run_ctl("status").stdout
    top = run_ctl("top", "--once", "--interval", "100ms").stdout
    page = alerts(get(served.port("M"), "/").text)
    known = json.loads(get(served.port("M"), "/api/status").text)
    told = "\n".join(json.dumps(one) for part in ("failing", "refused", "certificates") for one in known[part])
    for name, incident in INCIDENTS.items():
        for wanted, text in (
            (incident.screen, screen),
            (incident.top, top),
            (incident.page, page),
            (incident.known, told),
        ):
            assert re.search(wanted, text), (name, wanted, text)
    for hostname in ("down.test", "slow.test", "cert.test", "bad.test", "grpc.test"):
        assert len(re.findall(rf"route fails .*route={re.escape(hostname)} ", served.stderr)) == 1
    assert len(known["failing"]) == 5
    assert known["health"] == "warning"
    assert "well.test" not in page
    first, blank = top.split("\n\n")[:2]
    assert len(first.splitlines()) == 5, first
    assert all(".test" in row for row in blank.splitlines()[1:6]), "the routes that fail are the first ones"
    assert "FAILING      route 127.0.0.1" in screen
    assert not re.search(r"FAILING .*(well|soon)\.test", screen)


def mend(served: Proxy, down: int, backend: StatusBackend) -> None:
    """Lead the route to a backend that is there: what `explain --probe` says of the other one is why."""
    told = run_ctl("explain", "--sni", "down.test", "--listener", served.fill_in(ADDR), "--probe").stdout
    assert re.search(r"probe +failed +backend_refused: 127\.0\.0\.1:\d+: connection refused", told)
    mark = served.mark()
    served.save(served.config.read_text().replace(f"127.0.0.1:{down}", f"127.0.0.1:{backend.port}"))
    served.wait_for_log("applied", since=mark)
    with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as sock:
        sock.sendall(client_hello("down.test"))
        served.wait_for_log(r"route works again .*errors=1 .*route=down\.test", since=mark, timeout=20)
    assert "down.test" not in run_ctl("status").stdout
