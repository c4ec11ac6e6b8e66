"""A restart without a gap: a new control takes over from this one, or this one goes on as if nothing had happened.

The files are read first, so that a restart changes the program and not the configuration. From then on nothing changes
here: the lock of `Current` is held, until the process ends or the restart has failed. `workers/predecessor` draws the rest.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from mcproxy import __version__
from mcproxy.control.parts import Parts
from mcproxy.control.restart.program import command
from mcproxy.control.restart.successor import Successor
from mcproxy.control.store.ledger import Mutation
from mcproxy.control.system import log
from mcproxy.control.system.lock import Lock
from mcproxy.control.system.notify import notify, reloading
from mcproxy.control.workers.orphans import ControlSocket
from mcproxy.errors import McproxyError, PreconditionError
from mcproxy.net import ipc

READY_LIMIT = 20.0
"""Seconds from the start of the new program until it must have taken over."""
_READ_LIMIT = 20.0  # seconds for reading the files before
_COMPLETE_LIMIT = 20.0  # seconds from then to the end of its start; there is no way back


Restarted: TypeAlias = tuple[int, str, int]
"""The new control: its process, the version of its program, and the generation that it has made live."""
_MOST_ENDPOINTS = 1000  # that fit into the offer's packet; those beyond it are checked anew


class Restarter:
    """Restarts, one at a time.

    Attributes:
        handed_over: another control has taken over, and this one is to end.
    """

    def __init__(self, parts: Parts, control_socket: ControlSocket, lock: Lock, end: Callable[[], object]) -> None:
        """Be ready; ``end`` is called when another control has taken over."""
        self._parts = parts
        self._socket = control_socket
        self._lock = lock
        self._end = end
        self._under_way: asyncio.Task[Restarted] | None = None
        self._successor: Successor | None = None
        self._letting_go = False
        self._ending = False
        self._log = log.logger()
        self.handed_over = False

    async def restart(self, asked: Mutation) -> Restarted:
        """Have a new control take over; return when its start is complete. Whoever waits may be cancelled.

        Args:
            asked: who wants it and why, for the audit: the new control puts it on record, or this one as refused.

        Raises:
            PreconditionError: it can't, and this one goes on.
        """
        why = ""
        if self._under_way is not None or self._ending:
            why = "mcproxy is being restarted or stopped already"
        elif os.getpid() == 1:
            why = "mcproxy is process 1 here: its end is that of the container; start a new one instead"
        if why:
            await self._refuse(asked, why)
            raise PreconditionError(why)
        self._under_way = asyncio.get_running_loop().create_task(self._restart(asked))
        self._under_way.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._under_way)

    def on_signal(self) -> None:
        """Begin a restart that nobody waits for; how it ends is in the log."""
        asked = Mutation(time=time.time(), action="Restart", target=f"mcproxy {__version__}", reason="SIGUSR2")
        restart = asyncio.get_running_loop().create_task(self.restart(asked))
        restart.add_done_callback(self._tell)

    async def stop(self) -> None:
        """Begin no other restart, and end one that is under way: undone, unless the new control is about to take over."""
        self._ending = True
        task = self._under_way
        if task is not None:
            if not self._letting_go:
                task.cancel()
            await asyncio.wait([task])

    def pass_on_end(self) -> None:
        """Have the control that has taken over end too: whoever wants this one to end may not know yet of the other."""
        successor, self._successor = self._successor, None
        if successor is not None:
            successor.terminate()

    def _tell(self, done: "asyncio.Task[Restarted]") -> None:
        if not done.cancelled() and isinstance(error := done.exception(), PreconditionError):
            self._log.error(log.relative(str(error)))

    async def _refuse(self, asked: Mutation, why: str) -> None:
        """Put a refused restart on record; that it can't be recorded makes it no less refused."""
        with contextlib.suppress(McproxyError):
            await self._parts.current.edits.store.refuse(asked, why)

    async def _restart(self, asked: Mutation) -> Restarted:
        parts = self._parts
        try:
            await self._read_files()
            await parts.current.lock.acquire()
            try:
                return await self._replaced(asked)
            finally:
                if not self.handed_over:
                    parts.current.lock.release()
        except PreconditionError as error:
            what = "the restart did not complete" if self.handed_over else "not restarted, this mcproxy goes on"
            parts.current.events.publish("restart", what, parts.current.applier.generation, str(error).splitlines())
            self._log.error(what)
            if not self.handed_over:  # else the database is the other one's
                await self._refuse(asked, str(error))
            raise
        finally:
            self._under_way = None
            if self.handed_over:
                self._end()

    async def _read_files(self) -> None:
        try:
            async with asyncio.timeout(_READ_LIMIT):
                last = await self._parts.reconciler.reload()
        except TimeoutError:
            raise PreconditionError("not restarted: the files can't be read in time") from None
        if last.problems:
            raise PreconditionError(
                "not restarted, the configuration is to be corrected first:\n" + "\n".join(last.problems)
            )

    async def _replaced(self, asked: Mutation) -> Restarted:
        parts, arguments = self._parts, command()
        began = time.monotonic()
        self._log.info("restart: starting the new mcproxy", command=" ".join(arguments))
        reloading()
        slots = parts.current.counters.share()
        try:
            self._successor = successor = Successor(arguments, READY_LIMIT)
            await self._offer(successor, slots, asked)
            await successor.hear(ipc.Ready)
            self._letting_go = True
            await self._let_go(successor)
            await successor.hear(ipc.Taken)
            self.handed_over = True
        finally:
            self._letting_go = False
            if not self.handed_over:
                await self._go_on()
        notify(f"MAINPID={successor.pid}")
        self._log.info("another mcproxy has taken over", pid=successor.pid, seconds=round(time.monotonic() - began, 1))
        serving = await successor.hear(ipc.Serving, patience=_COMPLETE_LIMIT)
        return successor.pid, serving.version, serving.generation

    async def _offer(self, successor: Successor, slots: Sequence[int], asked: Mutation) -> None:
        """Offer what another control needs to serve beside this one."""
        parts, applier = self._parts, self._parts.current.applier
        offer = ipc.Offer(
            __version__,
            applier.generation,
            parts.hash_seed,
            tuple(slots),
            parts.at_start,
            tuple(parts.store.stored),
            tuple(parts.store.units),
            tuple((*key, word) for key, word in parts.health.unusable().items())[:_MOST_ENDPOINTS],
            asked.author,
            asked.verified,
            asked.reason,
        )
        descriptors = [
            (ipc.Descriptor("memory"), parts.current.counters.memory.fd),
            (ipc.Descriptor("snapshot"), applier.snapshot),
            (ipc.Descriptor("lock"), self._lock.fd),
            (ipc.Descriptor("control"), self._socket.fileno()),
            *parts.metrics_server.descriptors(),
        ]
        await successor.tell(ipc.Sockets(), parts.listeners.descriptors(), pieces=True)
        await successor.tell(offer, descriptors)

    async def _let_go(self, successor: Successor) -> None:
        """Hand over the workers, and leave the admin API's addresses to the other control."""
        parts, memory = self._parts, self._parts.current.counters.memory.fd
        try:
            async with asyncio.timeout(READY_LIMIT):
                await parts.certificates.pause()  # of two controls one orders
                workers = await parts.workers.hand_over()
                self._socket.look_away()
                await parts.admin_server.leave()
        except TimeoutError:
            raise PreconditionError("the workers or the admin API can't be handed over in time") from None
        for worker, channel in workers:
            handover = ipc.Handover(
                worker.pid, worker.slot, worker.generation, parts.hash_seed, __version__, leaving=worker.leaving
            )
            descriptors = [(ipc.Descriptor("channel"), channel)]
            if worker.shares_memory:
                descriptors.append((ipc.Descriptor("memory"), memory))
            await successor.tell(handover, descriptors)
        await successor.tell(ipc.Released())

    async def _go_on(self) -> None:
        """Do as before again, without the other control."""
        parts = self._parts
        if self._successor is not None:
            await self._successor.kill()
            self._successor = None
        parts.current.counters.unshare(parts.current.applier.state)
        parts.workers.take_back()
        parts.certificates.resume()
        self._socket.watch_again()
        await parts.admin_server.come_back()
        notify("READY=1")
