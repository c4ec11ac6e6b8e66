"""Files, edits and requests for tests of the store."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from mcproxy.control.store.ledger import Mutation
from mcproxy.control.store.store import Store
from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.state.state import Listener, Policy, Route, Rule, State
from mcproxy.model.values.endpoint import Endpoint
from tests.support.field_values import other_options

T = TypeVar("T")

FILE = State({":1": Listener(":1")}, settings={"proxy.workers": 0, "proxy.idle_timeout": 300.0})
"""What the file says in tests that don't care."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine."""
    return asyncio.run(work)


async def opened(folder: Path, now: float = 0.0, busy_timeout: float = 0.1) -> Store:
    """Open the store of a folder."""
    return await Store.open(folder / "mc-proxy.db", now=now, busy_timeout=busy_timeout)


def route_edit(hostname: str, port: int = 1, **fields: Any) -> Edit:
    """Return a new edit that adds a route."""
    key = (":1", hostname)
    return make_edit(FILE, FILE, "route", key, Route(*key, (Endpoint("h", port),)), created=1.0, **fields)


def request(time: float = 1.0, **fields: Any) -> Mutation:
    """Return a request."""
    return Mutation(time=time, action="Test", **fields)


def edits_of_every_kind() -> tuple[Edit, ...]:
    """Return one edit of each kind, and tombstones, with every field set to something in one of them."""
    route = Route(":1", "*", (Endpoint("::1", 2),), **other_options())
    listener = Listener(":2", proxy_protocol=True, trusted_proxies=("10.0.0.0/8", "::/0"), max_connections=7)
    policy = Policy(":1", "a", "require_header", "X: y z")
    whole: dict[str, Any] = {
        "author": "ann",
        "reason": "why\nnot",
        "created": 1.5,
        "expires": 99.25,
        "request_id": "q",
        "base": "b",
        "parent": "p",
        "orphaned": True,
    }
    plain: dict[str, Any] = {"created": 2.0}
    return (
        Edit(kind="route", key=(":1", "*"), value=route, **whole),
        Edit(kind="listener", key=":2", value=listener, **plain),
        Edit(kind="policy", key=(":1", "a", "require_header", "X: y z"), value=policy, **plain),
        Edit(kind="rule", key=("ip", "::1"), value=Rule("ip", "::1"), **plain),
        Edit(kind="setting", key="proxy.workers", value=4, **plain),
        Edit(kind="setting", key="proxy.idle_timeout", value=5.0, **plain),
        Edit(kind="setting", key="log.level", value="debug", **plain),
        Edit(kind="setting", key="x.flag", value=True, **plain),
        Edit(kind="setting", key="x.list", value=("a", "b"), **plain),
        Edit(kind="listener", key=":1", value=None, **whole),
        Edit(kind="route", key=(":1", "gone"), value=None, **plain),
        Edit(kind="policy", key=(":1", "*", "block_user_agent", "Bot"), value=None, **plain),
        Edit(kind="rule", key=("country", "SE"), value=None, **plain),
        Edit(kind="route", key=(":3", "sock"), value=Route(":3", "sock", (Endpoint(path="/a b,c"),)), **plain),
    )
