"""What tests of the L4 path share: its config, fixed ClientHellos, a backend without TLS, and the final counters."""

import contextlib
import json
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tests.support.processes import Processes, pause_since
from tests.support.proxy import Proxy
from tests.support.tls import receive_exactly

_VECTORS = json.loads((Path(__file__).parents[1] / "data" / "client_hello.json").read_text(encoding="utf-8"))
HELLOS: dict[str, bytes] = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in _VECTORS}
"""Captured and hand-made ClientHellos by name; those of real clients ask for l4.test."""
HELLO = HELLOS["go1.19"]
"""An ordinary hello of one record, for l4.test."""


def listener(addr: str, routes: Mapping[str, str]) -> str:
    """Return the TOML of one listener and its routes (hostname to backend)."""
    tables = [f'[[listeners]]\naddr = "{addr}"']
    tables += [f'[[listeners.routes]]\nhostname = "{name}"\nbackend = "{backend}"' for name, backend in routes.items()]
    return "\n".join([*tables, ""])


def config(routes: Mapping[str, str], *, addr: str = "127.0.0.1:PORT", **settings: str | int) -> str:
    """Return a config of one listener (none without routes); ``settings`` are further keys of ``[proxy]``."""
    keys = {"workers": 1, "shutdown_timeout": "1s", **settings}
    head = ["[log]", 'format = "json"', "[proxy]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""]
    return "\n".join(head) + (listener(addr, routes) if routes else "")


class Totals(msgspec.Struct, frozen=True):
    """What a listener counted over the life of the proxy; ``refused`` is all that did not end as it should."""

    accepted: int
    refused: dict[str, int]


def stop_and_count(proxy: Proxy) -> dict[str, Totals]:
    """End the proxy and return the totals it logs at its end, by listener address; the log must be JSON."""
    assert proxy.stop() == 0, proxy.stderr
    lines = [json.loads(line) for line in proxy.stderr.splitlines() if line.startswith("{")]
    return {
        line["listener"]: Totals(
            line["accepted"], {**(line["refused"] or {}), **(line["failed"] or {}), **(line["broken_off"] or {})}
        )
        for line in lines
        if line["event"] == "totals"
    }


@contextlib.contextmanager
def serve(text: str, files: Mapping[str, str] | None = None) -> Iterator[Proxy]:
    """Serve a config for several tests, with ``files`` beside it, by their names; the proxy is killed at the end."""
    with tempfile.TemporaryDirectory(prefix="mcp-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for file, content in (files or {}).items():
            (folder / file).write_text(content, encoding="utf-8")
        with Processes(folder) as processes, contextlib.closing(Proxy(processes, folder, text)) as proxy:
            proxy.start()
            yield proxy


@contextlib.contextmanager
def full() -> Iterator[socket.socket]:
    """Yield a listening socket whose queue is full: the kernel ignores whoever else wants to connect."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(contextlib.closing(socket.socket()))
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(contextlib.closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(sock.getsockname())
        yield sock


def wait_for(condition: Callable[[], bool], timeout: float = 30) -> None:
    """Wait until a condition holds; the test fails when it does not within ``timeout`` seconds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout, "the awaited state did not come"
        pause_since(began)


def reset(sock: socket.socket) -> None:
    """Close a test's socket so that its peer gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class RawBackend:
    """A listening socket whose connections the test serves itself, byte by byte.

    All sockets that come from it are closed at the end of the ``with`` block.

    Attributes:
        port: the TCP port, 0 for a Unix socket.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, path: Path | None = None) -> None:
        """Listen on a port of ``host`` (0: a free one), or on a Unix socket."""
        self._stack = contextlib.ExitStack()
        family = socket.AF_UNIX if path else socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listening = self.keep(socket.socket(family))
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind(str(path) if path else (host, port))
        self.listening.listen(4096)
        self.listening.settimeout(10)
        self.port = 0 if path else int(self.listening.getsockname()[1])

    def keep(self, sock: socket.socket) -> socket.socket:
        """Close a socket of the test together with this backend's own."""
        return self._stack.enter_context(contextlib.closing(sock))

    def accept(self, timeout: float = 30) -> socket.socket:
        """Return the next connection; ``timeout`` (seconds) also limits each of its operations."""
        sock = self.keep(self.listening.accept()[0])
        sock.settimeout(timeout)
        return sock

    def connect(self, address: tuple[str, int], data: bytes = b"", timeout: float = 30) -> socket.socket:
        """Return a client's connection to ``address``, with ``data`` sent."""
        sock = self.keep(socket.create_connection(address, timeout=timeout))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(data)
        return sock

    def join(self, address: tuple[str, int], hello: bytes = HELLO) -> tuple[socket.socket, socket.socket]:
        """Connect through the proxy at ``address``; return client and backend end, the hello already received."""
        client = self.connect(address, hello)
        backend = self.accept()
        assert receive_exactly(backend, len(hello)) == hello
        return client, backend

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
