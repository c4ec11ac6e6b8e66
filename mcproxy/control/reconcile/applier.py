"""Making a state live: prepare (all that can fail), commit (every worker acknowledges), retire (what is not wanted)."""

import os
from collections.abc import Mapping
from typing import Protocol

import msgspec

from mcproxy.control.counters.counters import Counters
from mcproxy.control.files.assets import Assets
from mcproxy.control.files.look import look
from mcproxy.control.system.data_path import DataPath, Setting, choose
from mcproxy.control.workers.listeners import Listeners, group_size
from mcproxy.control.workers.process import Live
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import ApplyError
from mcproxy.model.state.snapshot import Snapshot, encode, make_snapshot
from mcproxy.model.state.state import State
from mcproxy.model.state.upstream_entries import Answers, UpstreamEntry
from mcproxy.net.sockets import memory_file
from mcproxy.policy.upstreams.choice import table_of


class Watcher(Protocol):
    """Who has to know of the upstreams of every state, before and after it is live."""

    def prepare(self, upstreams: tuple[UpstreamEntry, ...]) -> None:
        """Take note of upstreams that workers will get: their endpoints have indices."""

    def applied(self, upstreams: tuple[UpstreamEntry, ...]) -> None:
        """Take note of upstreams that are live."""


class Applier:
    """Holds the live state and is the only one to change it.

    Attributes:
        state: what is live; empty before the first `apply`.
        assets: the contents of the files that it names; None before the first `apply`.
        upstreams: those that workers have, with the indices of their endpoints.
        data_path: what workers relay by.
        watcher: who has to know of them; None for nobody.
        answers: what names with ``resolve = "all"`` stand for there.
        generation: its number; each attempt has a higher one than all before, whether it succeeded or not.
    """

    def __init__(self, listeners: Listeners, counters: Counters, workers: Workers, generation: int = 0) -> None:
        """Continue after ``generation``, that of an earlier control's workers."""
        self._listeners = listeners
        self._counters = counters
        self._workers = workers
        self._snapshot_fd = -1
        self.state = State()
        self.assets: Assets | None = None
        self.answers: Answers = {}
        self.upstreams: tuple[UpstreamEntry, ...] = ()
        self.data_path = DataPath()
        self.watcher: Watcher | None = None
        self.generation = generation
        self._attempted = generation

    @property
    def snapshot(self) -> int:
        """The descriptor of the live snapshot, -1 before the first `apply`."""
        return self._snapshot_fd

    def listen_at(self, host: str) -> list[str]:
        """Bind listeners that name no address at this one from now on, "" for all; return those that a change leaves elsewhere."""
        if host == self._listeners.host:
            return []
        self._listeners.host = host
        return self._listeners.misplaced()

    async def apply(self, desired: State, assets: Assets, answers: Answers | None = None) -> None:
        """Make ``desired``, with the files it names, live in every worker.

        Args:
            desired: the state.
            assets: the contents of the files it names, which may be those that are live; they stay open as long as they are.
            answers: what names with ``resolve = "all"`` stand for, by their addresses; None for those that are live.

        Raises:
            ApplyError: it could not be made live; what was live before still is, untouched.
        """
        answers = self.answers if answers is None else answers
        generation = self._attempted = self._attempted + 1
        workers = worker_count(desired)
        free = {addr for addr, listener in desired.listeners.items() if listener.freebind}
        bound = self._listeners.bind(desired.listeners, group_size(workers), free)
        snapshot_fd = -1
        data_path = self.data_path
        blind, before = _blind(desired), _blind(self.state)
        self._listeners.accept_at_once(blind | before)
        try:
            setting = msgspec.convert(desired.settings["proxy.data_path"], Setting)
            data_path = await look(choose, setting, self.data_path)
            snapshot = self._snapshot(desired, generation, assets.digests, answers)
            snapshot_fd = _stored(snapshot)
            if self.watcher is not None:
                self.watcher.prepare(snapshot.upstreams)
            self._counters.set_limits(desired)
            groups = {addr: self._listeners[addr] for addr in desired.listeners}
            await self._workers.commit(
                Live(
                    generation,
                    snapshot_fd,
                    assets.countries,
                    assets.files,
                    assets.access,
                    workers,
                    groups,
                    data_path.library,
                ),
                seconds(desired, "proxy.shutdown_timeout"),
            )
        except BaseException:
            if data_path is not self.data_path:
                data_path.close()
            self._listeners.release(bound)
            self._listeners.accept_at_once(before)
            self._counters.retain(self.state, self.answers)
            self._counters.set_limits(self.state)
            if snapshot_fd >= 0:
                os.close(snapshot_fd)
            raise
        self._listeners.release_others(desired.listeners)
        self._listeners.accept_at_once(blind)
        self._counters.retain(desired, answers)
        if self._snapshot_fd >= 0:
            os.close(self._snapshot_fd)
        self._snapshot_fd = snapshot_fd
        if self.data_path is not data_path:
            self.data_path.close()
        self.data_path = data_path
        if self.assets is not None and self.assets is not assets:
            self.assets.close()
        self.assets = assets
        self.state = desired
        self.answers = answers
        self.upstreams = snapshot.upstreams
        if self.watcher is not None:
            self.watcher.applied(self.upstreams)
        self.generation = generation

    def continue_after(self, generation: int) -> None:
        """Number the next generation higher than one that has turned up in the history."""
        self._attempted = max(self._attempted, generation)

    def _snapshot(self, desired: State, generation: int, digests: Mapping[str, str], answers: Answers) -> Snapshot:
        listeners, routes = self._counters.assign(desired)
        return make_snapshot(
            desired,
            generation,
            listeners,
            routes,
            self._listeners.sizes(),
            digests=digests,
            endpoint_indices=self._counters.assign_endpoints(desired, answers),
            answers=answers,
            maglev=table_of,
            filter_indices=self._counters.assign_filters(desired),
        )


def _stored(snapshot: Snapshot) -> int:
    """Return a descriptor of the snapshot, encoded; raises `ApplyError` when there is no memory for it."""
    try:
        return memory_file("mcproxy-snapshot", encode(snapshot))
    except OSError as error:
        raise ApplyError(f"the snapshot can't be stored: {error.strerror}") from error


def _blind(state: State) -> set[str]:
    """Return the addresses of listeners that read nothing of a client before its backend is dialed."""
    return {addr for addr, listener in state.listeners.items() if listener.protocol == "tcp"}


def worker_count(state: State) -> int:
    """Return how many workers a state wants: its setting, or one per CPU this process may use."""
    return msgspec.convert(state.settings["proxy.workers"], int) or len(os.sched_getaffinity(0))


def seconds(state: State, setting: str) -> float:
    """Return a setting that is a time in seconds."""
    return msgspec.convert(state.settings[setting], float)
