"""A control that orders a certificate and hangs at a chosen moment, to be killed there.

    python -m tests.support.acme_crash SETTINGS

What it publishes is printed (``OPEN``), since the parent answers for it, and says so by a line; ``HERE`` says that the moment has come.
"""

import asyncio
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from mcproxy.control.acme import folder, session
from mcproxy.control.acme.interface import Bundle, Challenge, Terms
from mcproxy.control.acme.manager import Manager
from tests.support.pebble import MemoryStore, TestClock


class _Settings(msgspec.Struct):
    terms: Terms
    name: str
    moment: str


class _Outside:
    def __init__(self, moment: str) -> None:
        self._moment = moment

    async def publish(self, challenges: Sequence[Challenge]) -> None:
        if self._moment == "publish":
            hang("publish")
        print("OPEN", msgspec.json.encode(challenges).decode(), flush=True)
        await asyncio.to_thread(sys.stdin.readline)

    async def withdraw(self, challenges: Sequence[Challenge]) -> None:
        if self._moment == "withdraw":
            hang("withdraw")

    async def install(self, name: str, bundle: Bundle) -> None:
        raise AssertionError(name)

    def tell(self, name: str, message: str) -> None:
        print("TOLD", name, message, flush=True)


def hang(moment: str) -> NoReturn:
    print("HERE", moment, flush=True)
    threading.Event().wait()
    raise AssertionError


def certificate(self: Any, order: Any) -> bytes:
    hang("certificate")


def write(self: Any, name: str, bundle: Bundle) -> None:
    _really_write(self, name, bundle)
    hang("write")


_really_write = folder.Folder.write


async def main(settings: _Settings, store: Path) -> None:
    if settings.moment == "certificate":
        session.Session.certificate = certificate  # type: ignore[method-assign]
    elif settings.moment == "write":
        folder.Folder.write = write  # type: ignore[method-assign]
    manager = Manager(settings.terms, MemoryStore(store), _Outside(settings.moment), TestClock())
    await manager.start()
    await manager.want({settings.name: []})
    await manager.run()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    given = msgspec.json.decode(path.read_bytes(), type=_Settings, dec_hook=lambda kind, value: kind(value))
    asyncio.run(main(given, path.with_name("store.json")))
