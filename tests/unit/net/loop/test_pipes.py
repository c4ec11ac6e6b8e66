"""The pool of pipes."""

import errno
import fcntl
import os
from collections.abc import Iterator

import pytest

from mcproxy.net.loop.pipes import Pipe, PipePool
from tests.support.descriptors import open_descriptors

MIB = 1 << 20
LIMIT = 16


@pytest.fixture
def pool() -> Iterator[PipePool]:
    pool = PipePool()
    yield pool
    pool.close()


def acquire_all(pool: PipePool) -> list[Pipe]:
    found = []
    while (pipe := pool.acquire()) is not None:
        found.append(pipe)
    return found


def test_pipe_is_large_and_never_blocks(pool: PipePool) -> None:
    """A pipe holds 1 MiB, refuses more at once instead of waiting, and is not inherited by other programs."""
    pipe = pool.acquire()
    assert pipe is not None
    assert fcntl.fcntl(pipe.write, fcntl.F_GETPIPE_SZ) == MIB
    assert os.write(pipe.write, bytes(2 * MIB)) == MIB
    with pytest.raises(BlockingIOError):
        os.write(pipe.write, b"x")
    assert not os.get_inheritable(pipe.read)
    assert not os.get_inheritable(pipe.write)
    pool.discard(pipe)


def test_at_most_sixteen_and_the_same_ones_again(pool: PipePool) -> None:
    """The seventeenth is refused; one given back is handed out again instead of a new one."""
    pipes = acquire_all(pool)
    assert len(pipes) == LIMIT
    pool.release(pipes[3])
    assert pool.acquire() == pipes[3]
    assert pool.acquire() is None
    for pipe in pipes:
        pool.release(pipe)
    assert sorted(acquire_all(pool)) == sorted(pipes)
    for pipe in pipes:
        pool.release(pipe)


def test_discarded_pipe_makes_room_for_a_new_one(pool: PipePool) -> None:
    """A pipe that is thrown away with bytes in it is closed, and does not count any more."""
    pipes = acquire_all(pool)
    os.write(pipes[0].write, b"left over")
    pool.discard(pipes[0])
    fresh = pool.acquire()
    assert fresh is not None
    with pytest.raises(BlockingIOError):
        os.read(fresh.read, 1)
    for pipe in [fresh, *pipes[1:]]:
        pool.release(pipe)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EMFILE, errno.ENFILE])
def test_refusal_of_the_system_costs_nothing(pool: PipePool, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """No pipe of full size, or no pipe at all: None, nothing stays open, and later ones are granted again."""

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(*((fcntl, "fcntl") if code == errno.EPERM else (os, "pipe2")), refuse)
        for _ in range(2 * LIMIT):
            assert pool.acquire() is None
    assert open_descriptors() == before
    pipes = acquire_all(pool)
    assert len(pipes) == LIMIT
    for pipe in pipes:
        pool.release(pipe)


def test_closed_pool_leaves_no_descriptors() -> None:
    """`close` closes what is not in use, and what is given back before."""
    before = open_descriptors()
    pool = PipePool()
    for pipe in acquire_all(pool):
        pool.release(pipe)
    assert open_descriptors() == before + 2 * LIMIT
    pool.close()
    assert open_descriptors() == before
