"""Signals end nothing before their handlers are there, and those without a meaning end nothing later."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from mcproxy.net.sockets import split_addr
from tests.conftest import StartProxy
from tests.support.lifecycle import end
from tests.support.load import Load, until
from tests.support.ports import free_port
from tests.support.processes import Processes
from tests.support.proxy import ROOT
from tests.support.toml import config, listener, route

QUIET = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT]


def blocked(pid: int) -> set[int]:
    """Return the signals that a process blocks."""
    mask = int(re.findall(r"SigBlk:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())[0], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


class Pest:
    """Sends signals to every worker as soon as it can be seen, and goes on for as long as it starts."""

    def __init__(self, parent: int) -> None:
        self.seen: dict[int, int] = {}
        self._parent = psutil.Process(parent)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._end.wait(0.001):
            for child in self._parent.children():
                number = self.seen.get(child.pid, 0)
                self.seen[child.pid] = number + 1
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, [*QUIET, signal.SIGINT][number % 5])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


@pytest.fixture
def load() -> Iterator[Load]:
    with Load() as load:
        yield load


def test_control_survives_signals_from_its_first_instruction_on(tmp_path: Path, load: Load) -> None:
    """It holds them back at once, serves, and handles them then: the hang-up is a reload, the second user signal a restart."""
    file = tmp_path / "mc-proxy.toml"
    address = f"127.0.0.1:{free_port()}"
    file.write_text(config(listener(address, route("app.test", load.backend("one"))), workers=1))
    with Processes(tmp_path) as processes:
        process = processes.start(
            *(sys.executable, "-m", "mcproxy", "serve", "--config", str(file)), env={"PYTHONPATH": str(ROOT)}
        )
        until(lambda: set(QUIET) <= blocked(process.pid), "the signals are held")
        assert not process.stderr, "it has not begun to serve"
        for number in QUIET:
            process.signal(number)
        for line in (r"serving .*generation=1 ", "no changes", r"serving .*generation=2 "):
            process.wait_for_line(line, 30, 0, ["stderr"])
        assert process.wait(20) == 0
        assert not load.once(split_addr(address), "app.test").error


def test_workers_survive_signals_from_their_birth_on(proxy: StartProxy, load: Load) -> None:
    """Whoever signals the whole group hits workers that are just starting: none ends, none has to be replaced."""
    text = listener("PORT", route("app.test", load.backend("one")))
    edge = proxy(config(text, workers=1))
    with Pest(edge.pid) as pest:
        edge.save(config(text, workers=3))
        until(lambda: len(edge.workers()) == 3, "the workers have been started")
        edge.wait_for_log(r"generation=2")
        until(lambda: all(count > 20 for count in list(pest.seen.values())), "each was hit often")
    assert len(pest.seen) == 3
    assert sorted(pest.seen) == [worker.pid for worker in edge.workers()]
    assert "was killed" not in edge.stderr
    assert not load.once(("127.0.0.1", edge.port()), "app.test").error
    assert end(edge) == 0


def test_quit_tells_where_the_threads_are_and_goes_on(proxy: StartProxy, load: Load) -> None:
    """In control and in workers alike."""
    edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), workers=1))
    worker = edge.workers()[0]
    edge.signal(signal.SIGQUIT)
    edge.wait_for_log(r'File ".*/mcproxy/control/main\.py"')
    since = edge.mark()
    worker.send_signal(signal.SIGQUIT)
    edge.wait_for_log(r'File ".*/mcproxy/worker/main\.py"', since=since)
    assert not load.once(("127.0.0.1", edge.port()), "app.test").error
    assert [process.pid for process in edge.workers()] == [worker.pid]
    assert end(edge) == 0


def test_the_second_user_signal_is_for_control_alone(proxy: StartProxy, load: Load) -> None:
    """Workers ignore it."""
    edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), workers=1))
    worker = edge.workers()[0]
    worker.send_signal(signal.SIGUSR2)
    assert not load.once(("127.0.0.1", edge.port()), "app.test").error
    assert [process.pid for process in edge.workers()] == [worker.pid]
    assert end(edge) == 0


def test_signals_while_it_ends_do_not_change_how(proxy: StartProxy, load: Load) -> None:
    """The exit status is 0 also when hang-ups come to the very end."""
    edge = proxy(config(listener("PORT", route("app.test", load.backend("one"))), workers=1))
    edge.signal(signal.SIGTERM)
    deadline = time.monotonic() + 20
    while edge.process.returncode is None:
        assert time.monotonic() < deadline
        edge.signal(signal.SIGHUP)
    assert edge.process.returncode == 0


def test_the_unit_leaves_no_core() -> None:
    """A core would hold the private keys."""
    assert "\nLimitCORE=0\n" in (ROOT / "mcproxy/assets/mcproxy.service").read_text()
