"""Backend names to addresses, without waiting where an answer is at hand.

An answer counts for 30 s. One that is used in the second half of that time is refreshed behind the use, so that a busy
backend never waits for DNS; when a lookup fails, the last answer goes on counting. Lookups run in threads of their
own: a dead DNS server holds up nothing else.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from mcproxy.net.sockets import SocketAddress

_TTL = 30.0  # seconds
_REFRESH_AFTER = 15.0  # seconds
_THREADS = 8

Addresses: TypeAlias = tuple[SocketAddress, ...]
"""Every address of a name, in the order to try them; empty when the lookup failed and nothing is known."""


class Resolver:
    """A cache in front of getaddrinfo(3)."""

    __slots__ = ("_answers", "_executor", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._executor = ThreadPoolExecutor(_THREADS, "resolver")
        self._answers: dict[tuple[str, int], tuple[float, Addresses]] = {}
        self._waiting: dict[tuple[str, int], list[Callable[[Addresses], None]]] = {}

    def lookup(self, host: str, port: int, callback: Callable[[Addresses], None]) -> None:
        """Call back with the addresses of ``host``: at once when they are known, else when the lookup is done."""
        key = host, port
        asked_at, addresses = self._answers.get(key, (0.0, ()))
        age = time.monotonic() - asked_at
        if addresses and age < _TTL:
            if age >= _REFRESH_AFTER and key not in self._waiting:
                self._ask(key)
            callback(addresses)
            return
        if key not in self._waiting:
            self._ask(key)
        self._waiting[key].append(callback)

    def close(self) -> None:
        """Drop the lookups that have not begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _ask(self, key: tuple[str, int]) -> None:
        self._waiting[key] = []
        self._executor.submit(_addresses, *key).add_done_callback(
            lambda future: self._loop.call_soon_threadsafe(self._answer, key, future)
        )

    def _answer(self, key: tuple[str, int], future: Future[Addresses]) -> None:
        if future.cancelled():  # closed meanwhile
            return
        if addresses := future.result():
            self._answers[key] = time.monotonic(), addresses
        else:
            _, addresses = self._answers.get(key, (0.0, ()))
        for callback in self._waiting.pop(key):
            callback(addresses)


def _addresses(host: str, port: int) -> Addresses:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except (OSError, UnicodeError):
        return ()
    return tuple((family, address) for family, _, _, _, address in found)  # type: ignore[misc]  # only AF_INET and AF_INET6 come with SOCK_STREAM
