"""Standard error that takes nothing, takes it late, or is closed."""

import asyncio
import contextlib
import fcntl
import os
import select
from collections.abc import Iterator

import pytest

from mcproxy.net.log_stream import LogStream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds a page: the end to read, and the blocking end to write."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    os.close(reader)


def read(reader: int) -> str:
    """Return what is in a pipe."""
    found = b""
    while select.select([reader], [], [], 0)[0] and (piece := os.read(reader, 65536)):
        found += piece
    return found.decode()


def test_lines_go_out_whole_and_at_once(pipe: tuple[int, int]) -> None:
    """A line that comes in pieces waits for its end; one longer than a pipe's atomic write goes too."""
    stream = LogStream(pipe[1])
    print("one", 1, file=stream)
    assert read(pipe[0]) == "one 1\n"
    stream.write("two")
    stream.flush()
    assert read(pipe[0]) == ""
    stream.write(" halves\nthird \udc80")
    assert read(pipe[0]) == "two halves\n"
    stream.finish(0)
    assert read(pipe[0]) == "third \\udc80\n"
    stream.write("x" * 6000 + "\n")
    first = read(pipe[0])
    stream.flush()
    assert first + read(pipe[0]) == "x" * 6000 + "\n"
    stream.close()


def test_many_lines_go_out_together(pipe: tuple[int, int]) -> None:
    """At the end, also when something has raised there; what has no room meanwhile goes out before."""
    stream = LogStream(pipe[1], limit=100)
    with contextlib.suppress(KeyError), stream.together():
        stream.write("one\ntwo\n")
        assert read(pipe[0]) == ""
        raise KeyError
    assert read(pipe[0]) == "one\ntwo\n"
    with stream.together():
        for number in range(30):  # ten of them fill the buffer
            stream.write(f"{number:09}\n")
        early = read(pipe[0]).split()
    assert len(early) == 20
    assert early + read(pipe[0]).split() == [f"{number:09}" for number in range(30)]
    stream.write("three\n")
    assert (read(pipe[0]), stream.dropped) == ("three\n", 0)
    stream.close()


def test_what_is_not_taken_waits_and_what_has_no_room_is_counted(pipe: tuple[int, int]) -> None:
    """Nothing waits for the reader; when it reads again it is told how much is missing, at the place."""
    stream = LogStream(pipe[1], limit=1000)
    for number in range(600):  # far more than the pipe and the buffer hold
        stream.write(f"{number:09}\n")
    assert stream.dropped > 0
    lines: list[str] = []
    for _ in range(3):
        lines += read(pipe[0]).split()
        stream.flush()
    assert lines == [f"{number:09}" for number in range(600 - stream.dropped)]
    stream.write("again\n")
    assert read(pipe[0]) == f"mcproxy: {stream.dropped} lines were lost here: standard error took no more\nagain\n"
    stream.close()


def test_what_waits_goes_out_when_the_reader_has_read(pipe: tuple[int, int]) -> None:
    """By itself, in a running loop."""

    async def run() -> str:
        stream = LogStream(pipe[1])
        for number in range(600):
            stream.write(f"{number:09}\n")
        found = ""
        async with asyncio.timeout(20):
            while len(found) < 6000:
                readable = asyncio.Event()
                asyncio.get_running_loop().add_reader(pipe[0], readable.set)
                await readable.wait()
                asyncio.get_running_loop().remove_reader(pipe[0])
                found += read(pipe[0])
        stream.close()
        return found

    assert asyncio.run(run()).split() == [f"{number:09}" for number in range(600)]


def test_the_last_words_are_waited_for_only_so_long(pipe: tuple[int, int]) -> None:
    """A reader that has gone or stopped keeps nobody from ending."""
    stream = LogStream(pipe[1])
    stream.write("x" * 10_000 + "\n")
    stream.finish(0.05)
    assert len(read(pipe[0])) == 4096
    stream.finish(5)
    assert len(read(pipe[0])) == 4096
    stream.close()
