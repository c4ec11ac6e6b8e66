"""An endpoint's ``max_active`` over several workers, each with a slot and a lock of its own."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from mcproxy.model.state.upstream_entries import EndpointEntry
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.memory.admission import AdmissionLock
from mcproxy.net.memory.endpoints import ACTIVE, RETRIES_ANSWER, SENT, TAKEN
from mcproxy.net.memory.shared_memory import SharedMemory, endpoint_counter
from mcproxy.worker.live.endpoint import EndpointTools, LiveEndpoint
from tests.support.proxy import ROOT

INDEX = 700
_WORKER = """
import sys
from mcproxy.net.memory.shared_memory import SharedMemory
from tests.unit.worker.live.test_endpoint import endpoint
memory = SharedMemory(int(sys.argv[1]))
made = endpoint(memory, int(sys.argv[2]), 3000)
sys.stdin.read(1)
print(sum(made.admit() for _ in range(3000)))
"""


def endpoint(memory: SharedMemory, slot: int, max_active: int, later: list[Any] | None = None) -> LiveEndpoint:
    """Return an endpoint as the worker of a slot has it; what it puts off is added to ``later``."""
    entry = EndpointEntry(INDEX, Endpoint("192.0.2.1", 80), 1, max_active, "ready", backup=False, label="192.0.2.1:80")
    put_off = [] if later is None else later
    tools = EndpointTools(memory, memory.counter_block(slot), AdmissionLock(memory).fd, put_off.append)
    return LiveEndpoint(tools, entry)


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create()
    memory.use_slot(4)
    memory.note_given(0, 0, INDEX + 1)
    yield memory
    gc.collect()  # endpoints hold views of the memory
    memory.close()


def test_the_sum_of_all_workers_is_limited(memory: SharedMemory) -> None:
    """Whoever asks; room is made by whoever releases, and what was refused does not count as begun."""
    workers = [endpoint(memory, slot, 5) for slot in (1, 2, 3)]
    assert [worker.admit() for worker in workers for _ in range(2)] == [True] * 5 + [False]
    assert workers[0].open_everywhere() == 5
    workers[1].release()
    assert workers[2].admit()
    assert not workers[0].admit()
    for worker in workers:
        worker.write()
    assert memory.total(endpoint_counter(INDEX, TAKEN)) == 6
    del workers, worker


def test_a_dead_workers_share_is_free_when_its_slot_has_ended(memory: SharedMemory) -> None:
    """What others have open stays."""
    dead, alive = endpoint(memory, 1, 3), endpoint(memory, 2, 3)
    assert [dead.admit(), dead.admit(), alive.admit(), alive.admit()] == [True, True, True, False]
    memory.end_slot(1)
    assert [alive.admit(), alive.admit(), alive.admit()] == [True, True, False]
    assert alive.open_everywhere() == 3
    del dead, alive


def test_a_place_of_what_was_broken_off_is_free_a_moment_later(memory: SharedMemory) -> None:
    """The endpoint has to notice that first; without a limit it does not matter."""
    later: list[Any] = []
    limited = endpoint(memory, 1, 1, later)
    assert limited.admit()
    limited.left(RETRIES_ANSWER)
    assert not limited.admit()
    later.pop()()
    assert limited.admit()
    unlimited = endpoint(memory, 2, 0, later)
    assert unlimited.admit()
    unlimited.release_later()
    assert later == []
    unlimited.write()
    with memory.endpoint_cells(INDEX, ACTIVE) as cells:
        assert cells[:3].tolist() == [0, 1, 0]
    del limited, unlimited
    later.clear()


def test_processes_that_race_get_exactly_as_many_as_there_are(memory: SharedMemory) -> None:
    """Three processes take what they get: together it is the limit."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(memory.fd), str(slot)],
            pass_fds=[memory.fd],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for slot in (1, 2, 3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.flush()
    assert sum(int(process.communicate(timeout=60)[0]) for process in processes) == 3000


def test_what_is_counted_is_written_now_and_then(memory: SharedMemory) -> None:
    """Without a limit nobody needs it at once; with one, others see at once what is open, also what was before."""
    tools = EndpointTools(memory, memory.counter_block(1), AdmissionLock(memory).fd, lambda _: None)
    entry = EndpointEntry(INDEX, Endpoint("192.0.2.1", 80), 1, 0, "ready", backup=False, label="192.0.2.1:80")
    made = LiveEndpoint(tools, entry)
    assert made.admit()
    assert made.admit()
    made.sent += 30
    assert memory.total(endpoint_counter(INDEX, TAKEN)) == 0
    tools.write()
    words = [endpoint_counter(INDEX, counter) for counter in (ACTIVE, TAKEN, SENT)]
    assert [memory.total(word) for word in words] == [2, 2, 30]
    made.release()
    tools.write()
    tools.write()
    assert [memory.total(word) for word in words] == [1, 2, 30]
    del made, tools
