"""Appending lines without waiting: to files, pipes, sockets and terminals."""

import contextlib
import errno
import os
import pty
import socket
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcproxy.net import line_file
from mcproxy.net.line_file import MAX_LINE, LineFile

LINE = b"x" * 99 + b"\n"
Open = Callable[[int], LineFile]


@pytest.fixture
def opened() -> Iterator[Open]:
    files: list[LineFile] = []

    def open_it(fd: int) -> LineFile:
        files.append(LineFile(fd))
        return files[-1]

    yield open_it
    for file in files:
        file.close()


@contextlib.contextmanager
def standard_output(fd: int) -> Iterator[None]:
    saved = os.dup(1)
    try:
        os.dup2(fd, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def test_a_file_is_appended_to_by_all_that_have_opened_it(tmp_path: Path, opened: Open) -> None:
    """Each write goes to the end, wherever that is by then, and what was there stays; others can't read it."""
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    one, other = (opened(line_file.open_file(str(path))) for _ in range(2))
    assert one.take(b"1\n") == 2
    assert other.take(b"2\n2\n") == 4
    assert one.take(b"3\n") == 2
    assert path.read_bytes() == b"before\n1\n2\n2\n3\n"
    os.close(line_file.open_file(str(tmp_path / "new")))
    assert (tmp_path / "new").stat().st_mode & 0o007 == 0


def test_a_disk_without_room_takes_nothing_and_is_no_error(opened: Open) -> None:
    """The caller may try again."""
    assert opened(os.open("/dev/full", os.O_WRONLY)).take(LINE) == 0


def test_a_full_pipe_takes_whole_lines_and_never_blocks(opened: Open) -> None:
    """Although its descriptor blocks, and stays so for whoever shares it."""
    reader, writer = os.pipe()
    file = opened(writer)
    data = LINE * 2000
    taken = file.take(data)
    assert 0 < taken < len(data)
    assert taken % len(LINE) == 0
    assert file.take(data) < MAX_LINE  # the last page had room for a part of a go at most
    assert os.get_blocking(writer)
    held = b""
    while len(held) < taken:
        held += os.read(reader, 1 << 16)
    assert held[:taken] == data[:taken]
    assert file.take(LINE) == len(LINE)
    os.close(reader)
    assert file.take(LINE) == 0  # nobody reads any more: SIGPIPE is ignored by Python


def test_a_full_socket_takes_whole_lines_and_never_blocks(opened: Open) -> None:
    """A service manager may give standard output as a socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        file = opened(ours.detach())
        data = LINE * 20_000
        taken = file.take(data)
        assert 0 < taken < len(data)
        assert taken % len(LINE) == 0
        held = b""
        while len(held) < taken:
            held += theirs.recv(1 << 16)
        assert held == data[:taken]
        assert file.take(LINE) == len(LINE)


def test_a_pipe_of_an_older_kernel_is_looked_at_first(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which can't be told to write only without waiting."""

    def refuse(*_arguments: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "pwritev", refuse)
    reader, writer = os.pipe()
    file = opened(writer)
    data = LINE * 2000
    taken = file.take(data)
    assert 0 < taken < len(data)
    assert taken % len(LINE) == 0
    assert file.take(data) == 0
    os.close(reader)


def refuse(*_arguments: object) -> int:
    raise PermissionError(errno.EACCES, "permission denied")


def test_a_terminal_that_takes_no_more_makes_nobody_wait(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened anew, so that others' descriptor goes on blocking."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    with standard_output(slave):
        fd = line_file.open_stdout()
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)  # another user's: better said than waited for
            with pytest.raises(PermissionError):
                line_file.open_stdout()
    file = opened(fd)
    assert file.take(LINE) == len(LINE)
    assert os.read(master, 1000) == LINE
    data = LINE * 10_000
    assert 0 < file.take(data) < len(data)
    assert os.get_blocking(slave)
    for each in (master, slave):
        os.close(each)


@pytest.mark.parametrize("kind", ["file", "pipe", "socket"])
def test_standard_output_is_opened_as_what_it_is(kind: str, tmp_path: Path, opened: Open) -> None:
    """A file gets lines at its end, a pipe as well as a socket without waiting; flags of others' descriptor stay."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        reader, writer = os.pipe()
        plain = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
        stdout = {"file": plain, "pipe": writer, "socket": mine.fileno()}[kind]
        with standard_output(stdout):
            fd = line_file.open_stdout()
        assert not os.get_inheritable(fd)
        assert opened(fd).take(LINE) == len(LINE)
        assert os.get_blocking(stdout)
        theirs.setblocking(False)
        reads: dict[str, Callable[[], bytes]] = {
            "file": (tmp_path / "out").read_bytes,
            "pipe": lambda: os.read(reader, 1000),
            "socket": lambda: theirs.recv(1000),
        }
        assert reads[kind]() == LINE
        for each in (reader, writer, plain):
            os.close(each)
