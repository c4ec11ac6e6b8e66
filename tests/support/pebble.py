"""Let's Encrypt's test CA, with nonces that it refuses and no authorization used twice, and what answers it on loopback."""

import asyncio
import contextlib
import json
import random
import re
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, Protocol

import msgspec

from mcproxy.control.acme.interface import Bundle, Challenge
from mcproxy.policy.acme.record import Record
from tests.support.certificates import Certificates
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.require import require

EAB_KID = "kid-1"
EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


class Answers:
    """Stands in for the proxy: answers challenges, and keeps what is installed and told."""

    def __init__(self) -> None:
        self.open: list[Challenge] = []
        self.most = 0
        self.installed: dict[str, Bundle] = {}
        self.told: list[tuple[str, str]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._tls = ThreadingTCPServer(("127.0.0.1", 0), self._handshake())
        self._tls.daemon_threads = True
        self.http_port, self.tls_port = self._http.server_address[1], int(self._tls.server_address[1])
        self._threads = [threading.Thread(target=each.serve_forever, args=(0.05,)) for each in (self._http, self._tls)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        for server in (self._http, self._tls):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    async def publish(self, challenges: Sequence[Challenge]) -> None:
        self.open += challenges
        self.most = max(self.most, len(self.open))

    async def withdraw(self, challenges: Sequence[Challenge]) -> None:
        for each in challenges:
            self.open.remove(each)

    async def install(self, name: str, bundle: Bundle) -> None:
        self.installed[name] = bundle

    def tell(self, name: str, message: str) -> None:
        self.told.append((name, message))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = self.headers["Host"].partition(":")[0]
                token = self.path.removeprefix("/.well-known/acme-challenge/")
                found = [
                    each
                    for each in list(answers.open)
                    if (each.kind, each.name, each.token) == ("http-01", host, token)
                ]
                self.send_response(200 if found else 404)
                self.end_headers()
                self.wfile.write(found[0].text.encode() if found else b"")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                return

        return Handler

    def _handshake(self) -> type[BaseRequestHandler]:
        answers = self

        class Handshake(BaseRequestHandler):
            def handle(self) -> None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.set_alpn_protocols(["acme-tls/1"])

                def choose(sock: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
                    for each in list(answers.open):
                        if each.name == name and each.pair is not None:
                            own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                            own.set_alpn_protocols(["acme-tls/1"])
                            _load(own, each.pair.certificate, each.pair.key)
                            sock.context = own
                            return None
                    return int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)

                context.sni_callback = choose
                self.request.settimeout(10)
                with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as sock:
                    sock.recv(1)

        return Handshake


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(key + certificate)
        file.flush()
        context.load_cert_chain(file.name)


class Site(Protocol):
    """What answers the CA."""

    @property
    def http_port(self) -> int:
        """Return where it asks for http-01."""

    @property
    def tls_port(self) -> int:
        """Return where it asks for tls-alpn-01."""


class Pebble:
    """The CA, running.

    Attributes:
        directory: its URL.
        ca: what its directory's certificate is verified by.
    """

    def __init__(
        self,
        processes: Processes,
        folder: Path,
        answers: Site,
        *,
        dns_port: int = 0,
        eab: bool = False,
        address: str = "127.0.0.1",
    ) -> None:
        certificates = Certificates(folder)
        leaf = certificates.server("localhost")
        port = free_port()
        if not dns_port:
            dns_port = free_port()
            names = processes.start(
                require("pebble-challtestsrv"),
                *(
                    "-dns01",
                    f"127.0.0.1:{dns_port}",
                    "-defaultIPv4",
                    address,
                    "-defaultIPv6",
                    "",
                    "-management",
                    f"127.0.0.1:{free_port()}",
                ),
                *("-http01", "", "-https01", "", "-tlsalpn01", ""),
            )
            names.wait_for_port("127.0.0.1", dns_port)
        config: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{port}",
            "certificate": str(leaf.certificate),
            "privateKey": str(leaf.key),
            "httpPort": answers.http_port,
            "tlsPort": answers.tls_port,
            "externalAccountBindingRequired": eab,
        }
        if eab:
            config["externalAccountMACKeys"] = {EAB_KID: EAB_KEY}
        path = folder / "pebble.json"
        path.write_text(json.dumps({"pebble": config}), encoding="utf-8")
        environment = {"PEBBLE_WFE_NONCEREJECT": "30", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_VA_NOSLEEP": "1"}
        self.process: Process = processes.start(
            require("pebble"), "-config", path, "-dnsserver", f"127.0.0.1:{dns_port}", env=environment
        )
        self.process.wait_for_port("127.0.0.1", port)
        self.directory = f"https://localhost:{port}/dir"
        self.ca = certificates.ca

    def issued(self) -> int:
        """Return how many certificates it has issued."""
        return len(re.findall(r"Issued certificate serial", self.process.stdout + self.process.stderr))


class MemoryStore:
    """Keeps records as long as it lives, and in a file where one is named."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.saved: dict[str, Record] = {}
        self.orders: list[float] = []
        if path and path.exists():
            rows, self.orders = msgspec.json.decode(path.read_bytes(), type=tuple[list[Record], list[float]])
            self.saved = {row.name: row for row in rows}

    async def records(self) -> Sequence[Record]:
        return list(self.saved.values())

    async def save(self, record: Record) -> None:
        self.saved[record.name] = record
        self._keep()

    async def forget(self, name: str) -> None:
        self.saved.pop(name, None)
        self._keep()

    async def count_order(self, at: float) -> None:
        self.orders.append(at)
        self._keep()

    async def orders_since(self, at: float) -> Sequence[float]:
        return [each for each in self.orders if each > at]

    def _keep(self) -> None:
        if self.path:
            part = self.path.with_suffix(".part")
            part.write_bytes(msgspec.json.encode((list(self.saved.values()), self.orders)))
            part.rename(self.path)


class TestClock:
    """Runs with the real one, and can be put forward."""

    __test__ = False

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def random(self) -> float:
        return random.random()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, with a deadline."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
