"""Control's end of a worker's channel."""

import asyncio
import socket
import subprocess
from collections.abc import Awaitable, Callable

import psutil

from mcproxy.control.worker_process import WorkerProcess
from mcproxy.net import ipc


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
        for message in (ipc.Applied(7), ipc.Refused(8, "no memory"), ipc.Leaving()):
            ipc.send(theirs, message)
        while not worker.leaving:
            watcher.heard.clear()
            await watcher.heard.wait()
        assert (worker.generation, worker.refusal) == (7, "no memory")
        assert len(watcher.messages) == 3

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
