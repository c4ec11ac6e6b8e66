"""The admin API of a real proxy in tests, and what its workers really serve."""

import asyncio
import os
import time
from pathlib import Path

import msgspec

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client import Client
from mcproxy.control.store.store import Store
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import merge
from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.model.state.snapshot import Snapshot, decode
from mcproxy.model.state.state import Filter, State, UpstreamEndpoint
from tests.support.proxy import Proxy

SNAPSHOT = "/memfd:mcproxy-snapshot"
KEYS = FilterOptions.__struct_fields__


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


def snapshot_of(pid: int) -> Snapshot:
    """Return the newest snapshot that a worker holds."""
    found: list[Snapshot] = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(link).startswith(SNAPSHOT):  # noqa: PTH115 - these links lead nowhere
                found.append(decode(link.read_bytes()))
        except FileNotFoundError:
            continue  # closed meanwhile
    return max(found, key=lambda each: each.generation)


def served(pid: int) -> State:
    """Return what a worker serves, by the snapshot it holds, rules and settings aside."""
    snapshot = snapshot_of(pid)
    entries = [entry for listener in snapshot.listeners for entry in listener.routes]
    upstreams = [entry for entry in snapshot.upstreams if " " not in entry.name]  # with one it is a route's own
    return State(
        {entry.listener.addr: entry.listener for entry in snapshot.listeners},
        {(entry.route.listener, entry.route.hostname): entry.route for entry in entries},
        {
            (policy.listener, policy.hostname, policy.type, policy.value): policy
            for entry in entries
            for policy in entry.policies
        },
        upstreams={entry.name: entry.upstream for entry in upstreams},
        endpoints={
            (entry.name, one.label): UpstreamEndpoint(
                upstream=entry.name,
                address=one.label,
                weight=one.weight,
                max_active=one.max_active,
                state=one.state,
                backup=one.backup,
            )
            for entry in upstreams
            for one in entry.endpoints
        },
        filters={
            entry.name: Filter(name=entry.name, **{key: getattr(entry.options, key) for key in KEYS})
            for entry in snapshot.filters
            if entry.key[0] == "filter"
        },
        cases={
            (each.case.listener, each.case.hostname, each.case.match): each.case
            for entry in entries
            for each in entry.cases
        },
    )


def same(state: State, worker: State) -> bool:
    """Tell whether a worker serves a state, rules and settings aside."""
    return msgspec.structs.replace(state, rules={}, settings={}) == worker


def differences(found: pb.GetDriftResponse) -> list[tuple[str, str]]:
    """Return action and target of each difference."""
    return [(each.action, each.target) for each in found.differences]
