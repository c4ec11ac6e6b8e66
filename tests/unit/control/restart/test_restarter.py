"""When a restart is refused before anything is done for it."""

import asyncio
import os
from typing import cast

import pytest

from mcproxy.control.parts import Parts
from mcproxy.control.restart.restarter import Restarter
from mcproxy.control.system.lock import Lock
from mcproxy.control.workers.orphans import ControlSocket
from mcproxy.errors import PreconditionError


def refused(restarter: Restarter, why: str) -> None:
    with pytest.raises(PreconditionError, match=why):
        asyncio.run(restarter.restart())


def idle() -> Restarter:
    """Return one that must not touch anything."""
    return Restarter(cast(Parts, None), cast(ControlSocket, None), cast(Lock, None), lambda: None)


def test_process_1_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is that of its container, whoever has taken over."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    refused(idle(), "process 1 here")


def test_a_proxy_that_stops_is_not_restarted() -> None:
    restarter = idle()
    asyncio.run(restarter.stop())
    refused(restarter, "stopped already")
