"""The admin API of a real proxy in tests, and what its workers really serve."""

import asyncio
import os
import time
from pathlib import Path

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client import Client
from mcproxy.control.store.store import Store
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import merge
from mcproxy.model.state.snapshot import Snapshot, decode
from mcproxy.model.state.state import State
from tests.support.proxy import Proxy

SNAPSHOT = "/memfd:mcproxy-snapshot"


def client(edge: Proxy) -> Client:
    """Return a client of a proxy's Unix socket."""
    return Client(f"unix:{edge.folder / 'mc-proxy.sock'}")


def stored(edge: Proxy) -> tuple[Edit, ...]:
    """Return the runtime edits in a proxy's database."""

    async def read() -> tuple[Edit, ...]:
        store = await Store.open(edge.folder / "mc-proxy.db", now=time.time())
        try:
            return await store.edits()
        finally:
            await store.close()

    return asyncio.run(read())


def wanted(edge: Proxy) -> State:
    """Return what should be in effect: the file as it is now, merged with the edits in the database."""
    text = edge.config.read_text(encoding="utf-8")
    return merge(resolve([Source(str(edge.config), text)]).state, stored(edge), time.time()).state


def served(pid: int) -> State:
    """Return what a worker serves, by the snapshot it holds: its listeners, routes, policies and rules."""
    found: list[Snapshot] = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(link).startswith(SNAPSHOT):  # noqa: PTH115 - these links lead nowhere
                found.append(decode(link.read_bytes()))
        except FileNotFoundError:
            continue  # closed meanwhile
    snapshot = max(found, key=lambda each: each.generation)
    entries = [entry for listener in snapshot.listeners for entry in listener.routes]
    return State(
        {entry.listener.addr: entry.listener for entry in snapshot.listeners},
        {(entry.route.listener, entry.route.hostname): entry.route for entry in entries},
        {
            (policy.listener, policy.hostname, policy.type, policy.value): policy
            for entry in entries
            for policy in entry.policies
        },
    )


def same(state: State, worker: State) -> bool:
    """Tell whether a worker serves the listeners, routes and policies of a state."""
    return (state.listeners, state.routes, state.policies) == (worker.listeners, worker.routes, worker.policies)


def differences(found: pb.GetDriftResponse) -> list[tuple[str, str]]:
    """Return action and target of each difference."""
    return [(each.action, each.target) for each in found.differences]
