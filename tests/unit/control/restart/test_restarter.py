"""When a restart is refused before anything is done for it."""

import asyncio
import os
from types import SimpleNamespace
from typing import cast

import pytest

from mcproxy.control.parts import Parts
from mcproxy.control.restart.restarter import Restarter
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.ledger import Mutation
from mcproxy.control.system.lock import Lock
from mcproxy.control.workers.orphans import ControlSocket
from mcproxy.errors import PreconditionError

ASKED = Mutation(time=5.0, action="Restart", author="ann", reason="security update")


class Audit:
    """A store that keeps what was refused, or does not answer."""

    def __init__(self, *, broken: bool = False) -> None:
        self.refused: list[tuple[Mutation, str]] = []
        self._broken = broken

    async def refuse(self, mutation: Mutation, detail: str) -> None:
        if self._broken:
            raise StoreError("the disk is full")
        self.refused.append((mutation, detail))


def refused(restarter: Restarter, audit: Audit, why: str) -> None:
    with pytest.raises(PreconditionError, match=why) as told:
        asyncio.run(restarter.restart(ASKED))
    assert audit.refused == [(ASKED, str(told.value))]


def idle(audit: Audit) -> Restarter:
    """Return one that must not touch anything but the audit."""
    parts = SimpleNamespace(current=SimpleNamespace(edits=SimpleNamespace(store=audit)))
    return Restarter(cast(Parts, parts), cast(ControlSocket, None), cast(Lock, None), lambda: None)


def test_process_1_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is that of its container, whoever has taken over."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    audit = Audit()
    refused(idle(audit), audit, "process 1 here")


def test_a_proxy_that_stops_is_not_restarted() -> None:
    audit = Audit()
    restarter = idle(audit)
    asyncio.run(restarter.stop())
    refused(restarter, audit, "stopped already")


def test_a_database_that_does_not_answer_makes_it_no_less_refused() -> None:
    restarter = idle(Audit(broken=True))
    asyncio.run(restarter.stop())
    with pytest.raises(PreconditionError, match="stopped already"):
        asyncio.run(restarter.restart(ASKED))
