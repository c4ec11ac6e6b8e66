"""Clients of every node of a fleet, which ask all the time, and keep what they are answered."""

import contextlib
import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from tests.support.processes import POLL

_PAUSE = 0.005  # seconds between requests of a client


class NodeClients:
    """A thread for each node and hostname, with one connection after the other."""

    def __init__(self, port: int, addresses: Mapping[str, str], hostnames: tuple[str, ...]) -> None:
        """Ask for hostnames at a port of some addresses, which have the names of nodes."""
        self._port = port
        self._names = tuple(addresses)
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(name, address, hostname))
            for name, address in addresses.items()
            for hostname in hostnames
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def counts(self, hostname: str) -> dict[str, Counter[str]]:
        """Return what each node has answered so far: the body of what is well, else its status or what went wrong."""
        with self._lock:
            found: dict[str, Counter[str]] = {}
            for (name, asked, answer), count in self._counts.items():
                if asked == hostname:
                    found.setdefault(name, Counter())[answer] += count
            return found

    def answered(self, hostname: str, node: str) -> int:
        """Return how many answers a node has given so far."""
        return self.counts(hostname).get(node, Counter()).total()

    def wait(self, look: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + timeout
        while not look():
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
            time.sleep(POLL)

    def wait_more(self, hostname: str, count: int = 5) -> None:
        """Wait until each node has given so many more answers."""
        before = {name: self.answered(hostname, name) for name in self._names}

        def look() -> bool:
            return all(self.answered(hostname, name) >= number + count for name, number in before.items())

        self.wait(look, f"{count} more answers of each node")

    def _ask(self, name: str, address: str, hostname: str) -> None:
        while not self._stopping.is_set():
            connection = http.client.HTTPConnection(address, self._port, timeout=20)
            with contextlib.closing(connection):
                try:
                    while not self._stopping.wait(_PAUSE):
                        connection.request("GET", "/", headers={"Host": hostname})
                        response = connection.getresponse()
                        body = response.read().decode()
                        self._note(name, hostname, body if response.status == 200 else str(response.status))
                except (OSError, http.client.HTTPException) as error:
                    self._note(name, hostname, type(error).__name__)

    def _note(self, name: str, hostname: str, answer: str) -> None:
        with self._lock:
            self._counts[name, hostname, answer] += 1
