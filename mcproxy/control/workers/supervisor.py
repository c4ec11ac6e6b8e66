"""The workers: as many as wanted, every one of them serving the live snapshot.

A worker that dies or hangs is replaced at once, and its replacement starts with the live snapshot: starting and
replaying are one path. Workers that are not wanted any more (fewer workers, an earlier control's) drain.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from mcproxy.control.counters.counters import Counters
from mcproxy.control.system.log import logger
from mcproxy.control.workers.challenges import Challenges
from mcproxy.control.workers.process import Live, WorkerProcess, WorkerSettings
from mcproxy.control.workers.questions import Questions
from mcproxy.control.workers.waiting import Waiting
from mcproxy.control.workers.watchdog import INTERVAL, Watchdog
from mcproxy.errors import ApplyError
from mcproxy.net import ipc

_LATE_AFTER = 5.0  # seconds without a turn of a worker's loop until the others accept in its stead
_HUNG_AFTER = 30.0  # seconds without a turn until it is killed
_DUMP_TIME = 0.5  # seconds for a hung worker to write its stacks to the log
_START_LIMIT = 20.0  # seconds for a fresh worker to acknowledge its first snapshot, on a machine that is busy
_ACK_LIMIT = 5.0  # seconds for a worker to acknowledge a snapshot
_EXIT_LIMIT = 0.3  # seconds for workers to exit that have nothing open
_QUICK_DEATH = 2.0  # seconds; a worker that lived shorter is replaced after a growing pause
_LONGEST_PAUSE = 5.0  # seconds


class Workers:
    """Supervises the workers.

    Attributes:
        questions: asks them.
        challenges: those of CAs that they answer.
    """

    def __init__(
        self,
        counters: Counters,
        settings: WorkerSettings,
        tell: Callable[[str], None] = lambda _: None,
        hear: Callable[[ipc.Failures], None] = lambda _: None,
    ) -> None:
        """Start with no worker; ``hear`` gets their reports of failures; ``counters`` gives them slots, ``tell`` is called with a message for each that hangs, ends or is late."""
        self._counters = counters
        self._settings = settings
        self._tell = tell
        self._hear = hear
        self._live: Live | None = None
        self._committed = 0  # the generation that was acknowledged last
        self._active: dict[int, WorkerProcess] = {}
        self._retired: set[WorkerProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = Waiting()
        self._owners: list[int] = []
        self._quick_deaths = 0
        self._stopping = False
        self._handed_over = False
        self.questions = Questions(self._all, self._waiting, self._start_task)
        self.challenges = Challenges(self._active.values, self._waiting, self._start_task, self._go_on_without)
        self._log = logger()

    def pids(self) -> list[int]:
        """Return the processes of the active workers, by position."""
        return [self._active[position].pid for position in sorted(self._active)]

    def members(self) -> list[tuple[WorkerProcess, bool]]:
        """Return all workers, those that drain last, each with whether it does."""
        retired = sorted(self._retired, key=lambda worker: worker.pid)
        return [(self._active[p], False) for p in sorted(self._active)] + [(worker, True) for worker in retired]

    def lagging(self) -> list[str]:
        """Return, in words, why not every worker serves what is live; nothing when all do."""
        live = self._live
        if self._stopping:
            return ["mcproxy is shutting down"]
        if live is None:
            return ["nothing is live yet"]
        reasons = []
        for position in range(live.workers):
            worker = self._active.get(position)
            if worker is None:
                reasons.append(f"worker {position + 1} of {live.workers} is gone, and not replaced yet")
            elif worker.generation != live.generation:
                serves = f"still serves generation {worker.generation}" if worker.generation else "serves nothing yet"
                name = f"worker {position + 1} of {live.workers} (pid {worker.pid})"
                reasons.append(f"{name} {serves}; {live.generation} is wanted")
        return reasons

    def adopt(self, worker: WorkerProcess) -> None:
        """Count in a worker of an earlier control; it serves until `retire_adopted`."""
        self._retired.add(worker)

    def release_adopted(self) -> None:
        """Leave the workers of an earlier control to the next one."""
        for worker in [worker for worker in self._retired if worker.position < 0]:
            self._retired.discard(worker)
            worker.release()

    async def retire_adopted(self, seconds: float) -> None:
        """Drain the workers of an earlier control; return when they accept no more."""
        await self._retire([worker for worker in self._retired if worker.position < 0], seconds)

    def stay(self) -> None:
        """Let workers outlive this control from now on."""
        self._settings = self._settings._replace(provisional=False)
        for worker in self._active.values():
            self._start_task(worker.stay())

    async def hand_over(self) -> list[tuple[WorkerProcess, int]]:
        """Leave all workers to another control; return them with copies of their channels for it."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._handed_over = True
        return [(worker, worker.look_away()) for worker in self._all()]

    def take_back(self) -> None:
        """Supervise the workers again that were handed over."""
        if self._handed_over and self._live is not None:
            self._handed_over = False
            for worker in self._all():
                worker.watch()
            for position in range(self._live.workers):
                self._spawn(position)

    async def commit(self, live: Live, drain_seconds: float) -> None:
        """Have every worker serve ``live``; return when all have acknowledged it.

        Raises:
            ApplyError: a worker refused it; all serve what they served before.
        """
        before, self._live = self._live, live
        positions = range(live.workers)
        started = [position for position in positions if position not in self._active]
        starting = [position for position in positions if position in self._active and self._is_fresh(position)]
        others = [position for position in positions if position not in started and position not in starting]
        self._owners = list(positions)  # each `Apply` gives every worker its own share
        for position in started:
            self._spawn(position)
        try:
            # New workers first: while sockets change hands, two workers may serve one, but never none.
            self._serve(starting, live)
            await self._acknowledged([*started, *starting], _START_LIMIT)
            self._serve(others, live)
            await self._acknowledged(others, _ACK_LIMIT)
        except ApplyError:
            await self._return_to(before)
            raise
        self._committed = live.generation
        self._share()
        surplus = [position for position in self._active if position >= live.workers]
        await self._retire([self._active.pop(position) for position in surplus], drain_seconds)

    def renew_access_log(self) -> None:
        """Let every worker go on in the access log that was opened anew behind the live descriptor."""
        live = self._live
        if live is not None and live.access >= 0:
            for worker in self._all():
                self._start_task(worker.log_to(live.access))

    async def supervise(self) -> None:
        """Give the listening sockets of workers whose loop does not turn to others, kill those that hang; runs until cancelled."""
        watchdog = Watchdog()
        while True:
            await asyncio.sleep(INTERVAL)
            clocks = {w.pid: self._counters.memory.loop_clock(w.slot) for w in self._all() if w.shares_memory}
            if not self._handed_over:
                self._counters.free_ended()
                self._judge(watchdog.look(time.monotonic(), clocks))

    def _judge(self, silent: Mapping[int, float]) -> None:
        """Act on the silence of workers, in seconds by pid."""
        for worker in self._all():
            seconds = silent.get(worker.pid, 0.0)
            if seconds >= (_HUNG_AFTER if worker.generation else _START_LIMIT):
                self._end_hung(worker, seconds)
            elif self._active.get(worker.position) is worker and worker.generation:
                if seconds >= _LATE_AFTER:
                    self._set_late(worker, f"its loop has not turned for {seconds:.0f} s")
                elif worker.late and not seconds:
                    self._catch_up(worker)

    def _end_hung(self, worker: WorkerProcess, seconds: float) -> None:
        self._log.error("worker hangs, killing it", pid=worker.pid, silent_seconds=round(seconds))
        self._tell(f"worker {worker.pid} hangs, killing it")
        worker.dump_stacks()
        asyncio.get_running_loop().call_later(_DUMP_TIME, worker.kill)

    def _set_late(self, worker: WorkerProcess, why: str) -> None:
        if not worker.late:
            worker.late = True
            self._log.warning("worker is late, the others accept in its stead", pid=worker.pid, why=why)
            self._tell(f"worker {worker.pid} is late: {why}; the others accept in its stead")
            self._share()

    def _catch_up(self, worker: WorkerProcess) -> None:
        """Let a worker that turns again accept, as soon as it serves what the others do."""
        live = self._live
        if live is None:
            return
        if worker.generation == live.generation:
            worker.late = False
            self._log.warning("worker is back, it accepts again", pid=worker.pid)
            self._share()
        elif worker.offered != live.generation:
            self._start_task(worker.serve(live))

    def _share(self) -> None:
        """Give the listening sockets of workers that are late to the others, those of the others to themselves."""
        live = self._live
        if live is None:
            return
        able = [p for p in range(live.workers) if (w := self._active.get(p)) is not None and not w.late]
        owners = [
            position if position not in self._active or position in able or not able else able[position % len(able)]
            for position in range(live.workers)
        ]
        if owners != self._owners:
            self._owners = owners
            for position in able:
                self._start_task(self._active[position].share(owners))

    def _serve(self, positions: Iterable[int], live: Live) -> None:
        """Send a snapshot to workers; one that is gone is replaced by one that starts with it, a late one gets it later."""
        for position in positions:
            worker = self._active.get(position)
            if worker is not None and not worker.late:
                self._start_task(worker.serve(live))

    def _is_fresh(self, position: int) -> bool:
        """Tell whether a worker has not acknowledged a snapshot yet."""
        worker = self._active.get(position)
        return worker is None or not worker.generation

    def _serves_live(self, worker: WorkerProcess) -> bool:
        return self._live is not None and worker.generation == self._live.generation

    async def leave(self, seconds: float) -> bool:
        """Let all workers drain without this control, and tell whether any is still there that accepts no more."""
        self._stopping = True
        await self._retire(self._all(), seconds)
        with contextlib.suppress(TimeoutError):
            await self._waiting.until(lambda: not self._all(), _EXIT_LIMIT)
        return bool(self._all())

    async def stop(self, seconds: float) -> None:
        """Drain all workers and return when they are gone, after ``seconds`` and a little at the latest."""
        self._stopping = True
        for worker in self._all():
            await worker.drain(seconds)
        try:
            await self._waiting.until(lambda: not self._all(), seconds + 2)
        except TimeoutError:
            for worker in self._all():
                worker.kill()
            await self._waiting.until(lambda: not self._all(), 5)

    def on_message(self, worker: WorkerProcess, message: ipc.Message) -> None:
        """Handle what a worker says; acknowledgements are noted in the worker itself."""
        if isinstance(message, ipc.Leaving) and not self._stopping and self._active.get(worker.position) is worker:
            self._log.warning("worker was told to leave, replacing it", pid=worker.pid)
            self._tell(f"worker {worker.pid} was told to leave, replacing it")
            self._retired.add(worker)
            self._spawn(worker.position)
        elif (
            isinstance(message, ipc.Refused)
            and worker.offered == message.generation == self._committed != worker.generation
        ):
            self._log.error("worker refuses what the others serve, killing it", pid=worker.pid, error=message.error)
            worker.kill()
        elif isinstance(message, ipc.Failures):
            self._hear(message)
        self._waiting.look_again()

    def on_exit(self, worker: WorkerProcess, how: str) -> None:
        """Keep a dead worker's counts, and replace it if it was wanted."""
        self._counters.free_slot(worker.slot)
        self._retired.discard(worker)
        if self._active.get(worker.position) is worker:
            del self._active[worker.position]
            if not self._stopping:
                self._log.error("worker died, replacing it", pid=worker.pid, how=how)
                self._tell(f"worker {worker.pid} {how}, replacing it")
                self._replace(worker)
        self._waiting.look_again()

    async def _retire(self, workers: list[WorkerProcess], seconds: float) -> None:
        """Drain workers and return when they accept no more, so that no new connection meets what they served."""
        self._retired.update(workers)
        for worker in workers:
            if not worker.leaving:
                await worker.drain(seconds)
        with contextlib.suppress(TimeoutError):  # one that hangs is killed by `supervise`
            await self._waiting.until(lambda: all(w.leaving or w not in self._retired for w in workers), _ACK_LIMIT)

    def _replace(self, worker: WorkerProcess) -> None:
        self._counters.count_restart()
        if time.monotonic() - worker.started_at > _QUICK_DEATH:
            self._quick_deaths = 0
            self._spawn(worker.position)
            return
        self._quick_deaths += 1
        pause = min(_LONGEST_PAUSE, 0.05 * 2**self._quick_deaths)
        asyncio.get_running_loop().call_later(pause, self._spawn, worker.position)

    def _spawn(self, position: int) -> None:
        live = self._live
        if self._stopping or self._handed_over or live is None or position >= live.workers:
            return
        if position in self._active and self._active[position] not in self._retired:
            return  # a reload has filled the place while this start was put off
        try:
            slot = self._counters.take_slot()
            try:
                worker = WorkerProcess.spawn(position, slot, self._settings, self)
            except OSError:
                self._counters.free_slot(slot)
                raise
        except (OSError, ApplyError) as error:
            self._log.error("a worker can't be started, trying again", error=str(error))
            asyncio.get_running_loop().call_later(_LONGEST_PAUSE, self._spawn, position)
            return
        self._active[position] = worker
        memory, challenges = self._counters.memory.fd, self.challenges.current
        self._start_task(worker.start(memory, live, challenges, provisional=self._settings.provisional))

    async def _acknowledged(self, positions: list[int], limit: float) -> None:
        """Wait until workers serve the live snapshot; those that stay silent are killed, and so replaced."""
        live = self._live
        assert live is not None  # noqa: S101 - set by commit

        def missing() -> list[int]:
            return [
                position
                for position in positions
                if (worker := self._active.get(position)) is None or worker.generation != live.generation
            ]

        def settled() -> bool:
            return not missing() or any(self._active[p].refusal for p in missing() if p in self._active)

        def enough() -> bool:
            return settled() or self._somebody_serves(positions)

        try:
            await self._waiting.until(enough, limit)
        except TimeoutError:
            self._go_on_without([self._active[p] for p in missing() if p in self._active])
            try:
                await self._waiting.until(enough, _HUNG_AFTER + _START_LIMIT)
            except TimeoutError:
                raise ApplyError(f"the workers did not acknowledge generation {live.generation} in time") from None
        refusals = [w.refusal for p in missing() if (w := self._active.get(p)) is not None and w.refusal]
        if refusals:
            raise ApplyError(f"a worker refused generation {live.generation}: {refusals[0]}")

    def _go_on_without(self, silent: Iterable[WorkerProcess]) -> None:
        """Have others accept for workers that do not acknowledge; fresh ones have nothing to lose, and are killed."""
        for worker in silent:
            if worker.generation:
                self._set_late(worker, "it does not acknowledge a snapshot")
            else:
                self._log.error("worker does not start, killing it", pid=worker.pid)
                worker.kill()

    def _somebody_serves(self, positions: Iterable[int]) -> bool:
        """Tell whether all of the workers serve what is live, those aside that are late, but not nobody."""
        workers = [self._active.get(position) for position in positions]
        return any(map(self._serves_live, self._active.values())) and all(
            worker is not None and (worker.late or self._serves_live(worker)) for worker in workers
        )

    async def _return_to(self, before: Live | None) -> None:
        refused, self._live = self._live, before
        for position, worker in list(self._active.items()):
            if before is None or position >= before.workers:
                del self._active[position]
                self._retired.add(worker)
                await worker.drain(0)
            elif refused is not None:
                await worker.serve(before)

    def _all(self) -> list[WorkerProcess]:
        return [*self._active.values(), *self._retired]

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
