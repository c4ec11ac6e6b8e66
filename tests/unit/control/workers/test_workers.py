"""Control's end of a worker's channel."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import cast

import psutil

from mcproxy.control.counters.counters import Counters
from mcproxy.control.workers.process import Live, WorkerProcess, WorkerSettings
from mcproxy.control.workers.supervisor import Workers
from mcproxy.net import ipc
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.sockets import read_memory_file


class Watcher:
    def __init__(self) -> None:
        self.messages: list[ipc.Message] = []
        self.heard = asyncio.Event()
        self.gone = asyncio.Event()
        self.how = ""

    def on_message(self, worker: WorkerProcess, message: ipc.Message) -> None:
        self.messages.append(message)
        self.heard.set()

    def on_exit(self, worker: WorkerProcess, how: str) -> None:
        self.how = how
        self.gone.set()


Body = Callable[[WorkerProcess, "subprocess.Popen[bytes]", socket.socket, Watcher], Awaitable[None]]


def with_worker(body: Body) -> None:
    """Run a body with an adopted worker: some process, and the other end of its channel in the test's hands."""

    async def run(process: "subprocess.Popen[bytes]") -> None:
        watcher = Watcher()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            worker = WorkerProcess(-1, 1, process.pid, ours, watcher)
            async with asyncio.timeout(20):
                await body(worker, process, theirs, watcher)
                process.kill()
                await watcher.gone.wait()

    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            asyncio.run(run(process))
        finally:
            process.kill()


def test_what_a_worker_says_is_noted() -> None:
    """Acknowledgement, refusal, leaving."""

    async def body(
        worker: WorkerProcess, process: "subprocess.Popen[bytes]", theirs: socket.socket, watcher: Watcher
    ) -> None:
        worker.offered = 8
        for message in (ipc.Applied(7), ipc.Refused(8, "no memory"), ipc.Leaving()):
            ipc.send(theirs, message)
        while not worker.leaving:
            watcher.heard.clear()
            await watcher.heard.wait()
        assert (worker.generation, worker.refusal) == (7, "no memory")
        assert len(watcher.messages) == 3

    with_worker(body)


def test_a_refusal_counts_for_what_was_sent_last_only() -> None:
    """What comes late of an earlier generation says nothing about the one that was sent since."""

    async def body(
        worker: WorkerProcess, process: "subprocess.Popen[bytes]", theirs: socket.socket, watcher: Watcher
    ) -> None:
        live = Live(generation=8, snapshot=0, countries=-1, files=-1, access=-1, workers=1, groups={})
        worker.refusal = "of generation 6"
        work = worker.serve(live)
        assert (worker.offered, worker.refusal) == (8, "")
        await work
        for message in (ipc.Refused(7, "no memory"), ipc.Leaving()):
            ipc.send(theirs, message)
        while not worker.leaving:
            watcher.heard.clear()
            await watcher.heard.wait()
        assert worker.refusal == ""

    with_worker(body)


def test_a_worker_that_breaks_the_format_is_killed() -> None:
    """Nothing it says can be trusted after that."""

    async def body(
        worker: WorkerProcess, process: "subprocess.Popen[bytes]", theirs: socket.socket, watcher: Watcher
    ) -> None:
        theirs.send(b"nonsense")
        await watcher.gone.wait()
        assert watcher.how
        assert process.wait() == -9

    with_worker(body)


def test_nobody_waits_for_the_channel_of_a_dead_worker() -> None:
    """A worker that reads nothing fills its channel; when it dies, whoever waits to tell it more goes on."""

    async def body(
        worker: WorkerProcess, process: "subprocess.Popen[bytes]", theirs: socket.socket, watcher: Watcher
    ) -> None:
        async def tell() -> None:
            for _ in range(100_000):
                await worker.drain(1)

        waiting = asyncio.create_task(tell())
        await asyncio.sleep(0)
        assert not waiting.done()
        process.kill()
        await watcher.gone.wait()
        await waiting

    with_worker(body)


def test_a_released_worker_lives_on() -> None:
    """It finds its channel closed, and nobody is told of its end."""

    async def body(
        worker: WorkerProcess, process: "subprocess.Popen[bytes]", theirs: socket.socket, watcher: Watcher
    ) -> None:
        worker.release()
        assert ipc.receive(theirs) is None
        assert psutil.Process(process.pid).is_running()
        watcher.gone.set()

    with_worker(body)


def test_who_lags_is_told_in_words() -> None:
    """Each worker that is missing, behind, or not yet at work; nothing when all serve what is live."""
    memory = SharedMemory.create()
    workers = Workers(Counters(memory), WorkerSettings("nowhere", 0))
    assert workers.lagging() == ["nothing is live yet"]
    workers._live = Live(generation=5, snapshot=-1, countries=-1, files=-1, access=-1, workers=4, groups={})
    crew = {place: SimpleNamespace(pid=70 + place, generation=generation) for place, generation in enumerate((5, 4, 0))}
    workers._active = cast("dict[int, WorkerProcess]", crew)
    assert workers.lagging() == [
        "worker 2 of 4 (pid 71) still serves generation 4; 5 is wanted",
        "worker 3 of 4 (pid 72) serves nothing yet; 5 is wanted",
        "worker 4 of 4 is gone, and not replaced yet",
    ]
    crew[3] = SimpleNamespace(pid=73, generation=5)
    for worker in crew.values():
        worker.generation = 5
    assert workers.lagging() == []
    memory.close()


def test_a_fresh_worker_answers_challenges_before_it_accepts() -> None:
    """What is pending comes ahead of what it is to serve; it says when it answers."""

    async def body(
        worker: WorkerProcess, process: "subprocess.Popen[bytes]", theirs: socket.socket, watcher: Watcher
    ) -> None:
        live = Live(generation=8, snapshot=0, countries=-1, files=-1, access=-1, workers=1, groups={})
        await worker.start(0, live, (3, b"pending"))
        received = [ipc.receive(theirs) for _ in range(3)]
        kinds = []
        for each in received:
            assert each is not None
            message, held = each
            kinds.append(type(message))
            for what, fd in held:
                if what.kind == "challenges":
                    assert read_memory_file(fd) == b"pending"
                os.close(fd)
        assert kinds == [ipc.Start, ipc.Challenges, ipc.Apply]
        ipc.send(theirs, ipc.Challenged(3))
        while not worker.challenged:
            watcher.heard.clear()
            await watcher.heard.wait()
        assert worker.challenged == 3

    with_worker(body)
