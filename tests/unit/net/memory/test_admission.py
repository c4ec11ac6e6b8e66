"""Connection limits over several workers, each with a cell of its own."""

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from mcproxy.net.memory.admission import Admission, AdmissionLock
from mcproxy.net.memory.shared_memory import SharedMemory
from tests.support.proxy import ROOT

LISTENER = 3
_WORKER = """
import fcntl, sys
from mcproxy.net.memory.admission import Admission, AdmissionLock
from mcproxy.net.memory.shared_memory import SharedMemory
memory = SharedMemory(int(sys.argv[1]))
lock = AdmissionLock(memory)
admission = Admission(memory, lock, 3, int(sys.argv[2]))
{program}
"""


class Workers:
    """The admissions of some workers, as if each were a process: a lock of its own and a slot of its own."""

    def __init__(self, memory: SharedMemory, count: int) -> None:
        self.memory = memory
        memory.use_slot(count)
        self.each = [Admission(memory, AdmissionLock(memory), LISTENER, slot) for slot in range(1, count + 1)]

    def limit(self, limit: int) -> None:
        with self.memory.admission(LISTENER) as cells:
            cells[0] = limit

    def open(self) -> list[int]:
        with self.memory.admission(LISTENER) as cells:
            return list(cells[2 : 1 + self.memory.slots_used()])


@pytest.fixture
def workers() -> Iterator[Workers]:
    memory = SharedMemory.create()
    made = Workers(memory, 4)
    yield made
    made.each.clear()  # they hold views of the memory
    gc.collect()
    memory.close()


def test_the_sum_of_all_workers_is_limited(workers: Workers) -> None:
    """Whoever asks, one more than the limit is refused, and room is made by whoever releases."""
    workers.limit(10)
    first, second, third, _ = workers.each
    assert [worker.admit() for worker in (first, second, third) for _ in range(4)] == [True] * 10 + [False] * 2
    assert workers.open() == [4, 4, 2, 0]
    second.release()
    assert first.admit()
    assert not third.admit()
    assert sum(workers.open()) == 10


def test_without_a_limit_everyone_comes_in_and_is_counted(workers: Workers) -> None:
    """So that a limit which is set later counts those who are there."""
    first, second, *_ = workers.each
    assert all(first.admit() for _ in range(50))
    workers.limit(51)
    assert second.admit()
    assert not second.admit()


def test_a_lowered_limit_drops_nobody_and_a_raised_one_counts_at_once(workers: Workers) -> None:
    """Nobody new comes in until fewer than the new limit are left."""
    first, second, *_ = workers.each
    workers.limit(6)
    assert all(worker.admit() for worker in (first, second) for _ in range(3))
    workers.limit(4)
    for left in (5, 4):
        first.release()
        assert sum(workers.open()) == left
        assert not second.admit()
    first.release()
    assert second.admit()
    assert not second.admit()
    workers.limit(5)
    assert second.admit()
    assert not first.admit()


def test_a_dead_workers_connections_are_forgotten(workers: Workers) -> None:
    """What control folds makes room; the limit itself stays."""
    first, second, *_ = workers.each
    workers.limit(3)
    assert [first.admit(), first.admit(), second.admit(), second.admit()] == [True, True, True, False]
    workers.memory.note_given(LISTENER + 1, 0, 0)
    workers.memory.end_slot(1)
    assert workers.open() == [0, 1, 0, 0]
    assert [second.admit(), second.admit(), second.admit()] == [True, True, False]


def test_workers_that_race_never_exceed_the_limit(workers: Workers) -> None:
    """Threads that admit and release all the time, each with a lock of its own: the sum never passes the limit."""
    workers.limit(5)
    over: list[int] = []

    def work(worker: Admission) -> None:
        for _ in range(1500):
            if worker.admit():
                if sum(workers.open()) > 5:
                    over.append(sum(workers.open()))
                worker.release()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers.each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert over == []
    assert workers.open() == [0, 0, 0, 0]


def start(memory: SharedMemory, program: str, slot: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER.format(program=program), str(memory.fd), str(slot)],
        pass_fds=[memory.fd],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_processes_that_race_admit_exactly_the_limit(workers: Workers) -> None:
    """Three processes take what they get until nothing is left: together it is the limit, and each knows its share."""
    workers.limit(3000)
    program = "sys.stdin.read(1)\nprint(sum(admission.admit() for _ in range(3000)))"
    processes = [start(workers.memory, program, slot) for slot in (1, 2, 3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    shares = [int(process.communicate(timeout=30)[0]) for process in processes]
    assert sum(shares) == 3000
    assert workers.open() == [*shares, 0]


def test_a_process_that_dies_with_the_lock_gives_it_back(workers: Workers) -> None:
    """The kernel releases the lock of a killed worker; nobody waits for it."""
    workers.limit(1)
    with start(
        workers.memory, "fcntl.flock(lock.fd, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()", 1
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        waiting = threading.Thread(target=workers.each[1].admit)
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive(), "the lock was not held"
        process.kill()
        waiting.join(5)
        assert not waiting.is_alive()
    assert workers.open() == [0, 1, 0, 0]
