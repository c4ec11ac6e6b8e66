"""Control's supervision of workers, simulated: real `Workers`, processes that are played, time that is virtual.

One number decides everything: when commits come and of what, how long messages take, which workers refuse, freeze, die,
lose an acknowledgement, and when control itself is away. `simulate` checks what must hold after each step, then lets
trouble end, and checks that everything has come to rest on the last state that was taken.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Sequence
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from mcproxy.control.counters.counters import Counters
from mcproxy.control.workers import supervisor
from mcproxy.control.workers.process import Live, WorkerSettings
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import ApplyError
from mcproxy.net import ipc
from mcproxy.net.told import KeptRefusal, LiveConnection
from tests.fuzz.virtual_time import VirtualLoop, run

_MOST_WORKERS = 4
_STEPS = 40
_LONGEST_COMMIT = 90.0  # seconds: the limits of both groups of workers, and a little
_REST = 120.0  # seconds after the last trouble, by which everything is at rest
_HUNG = 20.0  # seconds without a turn before which nobody may be killed


class PlayedWorker:
    """A worker process, and control's view of it (what `WorkerProcess` offers)."""

    def __init__(self, world: "World", position: int, slot: int) -> None:
        # as control sees it
        self.position = position
        self.slot = slot
        self.pid = next(world.pids)
        self.generation = 0
        self.offered = 0
        self.refusal = ""
        self.leaving = False
        self.late = False
        self.shares_memory = True
        self.told: tuple[int, int, list[LiveConnection]] = (0, 0, [])
        self.refusals: tuple[int, ipc.ToldRefusals | None, list[KeptRefusal]] = (0, None, [])
        self.started_at = world.loop.time()
        # as it is
        self.serves = 0
        self.shares: set[int] = set()
        self.alive = True
        self.accepts = False
        self.frozen_at = 0.0  # since when its loop does not turn and control is there, 0.0 if it turns
        self.turned_at = 0.0  # when it turned last before that
        self.frozen = 0.0  # seconds of that while control was there
        self.refused_good = False
        self.doomed = False
        self._world = world
        self._inbox: list[Callable[[], None]] = []
        self._arrival = 0.0

    # What control calls

    async def start(self, _memory: int, live: Live, challenges: tuple[int, bytes], *, provisional: bool) -> None:
        assert not provisional, "there is no other control"
        assert challenges == (0, b""), "nothing is ordered"
        await self.serve(live)

    def serve(self, live: Live) -> Coroutine[Any, Any, None]:
        self.refusal = ""
        self.offered = live.generation
        return self._send_snapshot(live)

    async def _send_snapshot(self, live: Live) -> None:
        refuses = self._world.refuses(live.generation, self)
        self._deliver(lambda: self._apply(live, refuses=refuses))

    async def share(self, owners: Sequence[int]) -> None:
        self._deliver(lambda: self._share(owners))

    async def drain(self, seconds: float) -> None:
        self._deliver(lambda: self._drain(seconds))

    def kill(self) -> None:
        if self.alive:
            if not self.doomed:
                self._world.judge_kill(self)
            self.die("was killed by SIGKILL")

    def dump_stacks(self) -> None:
        self._world.judge_kill(self)
        self.doomed = True

    # What happens to it

    def die(self, how: str) -> None:
        if self.alive:
            self.alive = self.accepts = False
            self._world.after(0.01, lambda: self._world.workers.on_exit(cast("Any", self), how))

    def freeze(self, seconds: float) -> None:
        if not self.frozen_at:
            self.frozen_at = self.turned_at = self._world.loop.time()
            self.frozen = 0.0
            self._world.after(seconds, self._thaw)

    def _thaw(self) -> None:
        self.frozen_at = 0.0
        inbox, self._inbox = self._inbox, []
        for message in inbox:
            message()

    def _deliver(self, message: Callable[[], None]) -> None:
        """Have a message read after a while, behind those before it."""
        self._arrival = max(self._arrival, self._world.loop.time() + self._world.latency())
        self._world.loop.call_at(self._arrival, self._read, message)

    def _read(self, message: Callable[[], None]) -> None:
        if self.frozen_at or self._inbox:
            self._inbox.append(message)
        elif self.alive:
            message()

    def _apply(self, live: Live, *, refuses: bool) -> None:
        if not self.alive or self.leaving:
            return
        if refuses:
            self._say(ipc.Refused(live.generation, "no memory"))
            return
        self.serves, self.accepts, self.shares = live.generation, True, {self.position}
        self._say(ipc.Applied(live.generation))

    def _share(self, owners: Sequence[int]) -> None:
        self.shares = {share for share, owner in enumerate(owners) if owner == self.position}

    def _drain(self, seconds: float) -> None:
        if self.alive:
            self.accepts = False
            self._say(ipc.Leaving())
            self._world.after(min(seconds, 1.0), lambda: self.die("exited with 0"))

    def _say(self, message: ipc.Message) -> None:
        if isinstance(message, ipc.Applied) and self._world.loses():
            return
        self._world.after(self._world.latency(), lambda: self._hear(message))

    def _hear(self, message: ipc.Message) -> None:
        if not self.alive:
            return
        match message:
            case ipc.Applied():
                self.generation = message.generation
            case ipc.Refused() if message.generation == self.offered:
                self.refusal = message.error
            case ipc.Leaving():
                self.leaving = True
        if isinstance(message, ipc.Refused) and message.generation == self._world.workers._committed:
            self.refused_good = True
        self._world.workers.on_message(cast("Any", self), message)


class World:
    """Everything around `Workers`.

    Attributes:
        trouble: whether things go wrong.
        good: the generation that was taken last.
        committing: the one that is being committed, 0 for none.
        away: seconds that control was away.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.loop = VirtualLoop()
        self.pids = itertools.count(1)
        self.everybody: list[PlayedWorker] = []
        self.trouble = True
        self.good = 0
        self.committing = 0
        self.away = 0.0
        self._slots = itertools.count(1)
        self._refused: dict[int, bool] = {}
        self._slow = self.rng.choice((0.01, 0.3, 3.0))
        memory = SimpleNamespace(fd=-1, loop_clock=self._loop_clock)
        counters = SimpleNamespace(
            memory=memory,
            take_slot=lambda: next(self._slots),
            free_slot=lambda _: None,
            free_ended=lambda: None,
            count_restart=lambda: None,
        )
        self.workers = Workers(cast("Counters", counters), WorkerSettings("nowhere", 0))

    def after(self, seconds: float, callback: Callable[[], object]) -> None:
        self.loop.call_later(seconds, callback)

    def latency(self) -> float:
        return self.rng.random() * (self._slow if self.trouble else 0.01)

    def loses(self) -> bool:
        return self.trouble and self.rng.random() < 0.02

    def refuses(self, generation: int, _worker: PlayedWorker) -> bool:
        """Tell whether a worker refuses a generation: what was good once is good for all, others for some or none."""
        if generation not in self._refused:
            self._refused[generation] = self.trouble and self.rng.random() < 0.2
        return generation != self.good and self._refused[generation] and self.rng.random() < 0.7

    def spawn(self, position: int, slot: int, *_: object) -> PlayedWorker:
        if self.trouble and self.rng.random() < 0.05:
            raise OSError("no processes left")
        worker = PlayedWorker(self, position, slot)
        self.everybody.append(worker)
        if self.trouble and self.rng.random() < 0.1:
            self.after(self.rng.random() * 3, lambda: worker.die("exited with 1"))
        return worker

    def judge_kill(self, worker: PlayedWorker) -> None:
        """Nobody is killed but who was silent for long while control was there, refuses what all serve, or never begins."""
        assert not worker.generation or worker.refused_good or self._frozen(worker) >= _HUNG, (
            f"{worker.pid} is killed for nothing"
        )

    def is_away(self, seconds: float) -> None:
        """Control is stopped for a while, or the whole machine is."""
        for worker in self.everybody:
            if worker.frozen_at:
                worker.frozen = self._frozen(worker)
                worker.frozen_at = self.loop.now + seconds
        self.loop.now += seconds
        self.away += seconds

    def _frozen(self, worker: PlayedWorker) -> float:
        return worker.frozen + self.loop.time() - worker.frozen_at if worker.frozen_at else 0.0

    def _loop_clock(self, slot: int) -> int:
        worker = next(each for each in self.everybody if each.slot == slot)
        return int(1000 * (worker.turned_at if worker.frozen_at else self.loop.time()))

    def accepting(self) -> list[PlayedWorker]:
        return [worker for worker in self.everybody if worker.alive and worker.accepts]


def simulate(seed: int) -> None:
    """Play one world to its end; raises AssertionError where something does not hold."""
    world = World(seed)
    clock = SimpleNamespace(monotonic=world.loop.time)
    with (
        mock.patch.object(supervisor, "WorkerProcess", SimpleNamespace(spawn=world.spawn)),
        mock.patch.object(supervisor, "time", clock),
        mock.patch.object(world.workers, "_log", mock.Mock()),
    ):
        run(_play(world), world.loop)


async def _play(world: World) -> None:
    rng = world.rng
    supervision = asyncio.ensure_future(world.workers.supervise())
    committing: asyncio.Task[None] | None = None
    generation = itertools.count(1)
    for _ in range(_STEPS):
        await asyncio.sleep(rng.choice((0.0, 0.1, 1.0, 7.0)))
        _check(world)
        alive = [worker for worker in world.everybody if worker.alive]
        what = rng.randrange(7)
        if what <= 1 and (committing is None or committing.done()):
            committing = asyncio.ensure_future(_commit(world, next(generation), rng.randint(1, _MOST_WORKERS)))
        elif what == 2 and alive:
            rng.choice(alive).die("was killed by SIGSEGV")
        elif what == 3 and alive:
            rng.choice(alive).freeze(rng.choice((1.0, 8.0, 25.0, 60.0)))
        elif what == 4:
            world.is_away(rng.choice((2.0, 9.0, 60.0)))
        _check(world)
    world.trouble = False
    if committing is not None:
        await committing
    while not world.good:
        await _commit(world, next(generation), 2)
    await asyncio.sleep(_REST)
    _check(world)
    await _commit(world, next(generation), rng.randint(1, _MOST_WORKERS))
    await asyncio.sleep(_REST)
    _check_rest(world)
    assert not supervision.done(), supervision.exception()


async def _commit(world: World, generation: int, count: int) -> None:
    live = Live(generation, -1, -1, -1, -1, count, {})
    world.committing = generation
    began = world.loop.time() - world.away
    try:
        await world.workers.commit(live, 1.0)
    except ApplyError:
        assert world.workers._live is None or world.workers._live.generation == world.good
    else:
        world.good = generation
    finally:
        world.committing = 0
    assert world.loop.time() - world.away - began < _LONGEST_COMMIT + _STEPS  # an absence may cost a part of a wait


def _check(world: World) -> None:
    """What must hold at any time."""
    live = world.workers._live
    assert live is None or live.generation in (world.good, world.committing)
    assert len({worker.position for worker in world.workers._active.values()}) == len(world.workers._active)
    for position, worker in world.workers._active.items():
        assert worker.position == position


def _check_rest(world: World) -> None:
    """What must hold when nothing has gone wrong for a while: all serve what was taken last, each share is served once."""
    live = world.workers._live
    assert live is not None
    assert live.generation == world.good
    assert not world.workers.lagging(), world.workers.lagging()
    accepting = world.accepting()
    assert len(accepting) == live.workers, [(each.pid, each.position, each.serves) for each in accepting]
    assert {worker.serves for worker in accepting} == {world.good}
    shares = sorted(share for worker in accepting for share in worker.shares)
    assert shares == list(range(live.workers)), shares
    assert not any(worker.late for worker in accepting)
