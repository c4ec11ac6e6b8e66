"""What is read of a file that a user names, and what is not waited for."""

import os
import socket
import threading
from pathlib import Path

import pytest

from mcproxy import named_file
from mcproxy.named_file import GivenUpError, NamedFileError, read_file, touching


def test_a_regular_file_is_read_whole_up_to_its_limit(tmp_path: Path) -> None:
    """Also through a link, and one without a size of its own; one byte more is refused."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * 3_000_000)
    link = tmp_path / "link"
    link.symlink_to(file)
    assert read_file(str(link), 3_000_000) == b"x" * 3_000_000
    with pytest.raises(NamedFileError, match="larger than 2 MiB"):
        read_file(file, 2_999_999)
    assert read_file("/proc/self/status").startswith(b"Name:")
    with pytest.raises(NamedFileError, match="larger than 0 MiB"):
        read_file("/proc/self/status", 10)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    """A FIFO's writer goes on waiting for a reader, and nothing waits for a writer."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NamedFileError, match="it is a FIFO, not a regular file"):
        read_file(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
    with pytest.raises(NamedFileError, match="it is a socket"):
        read_file(tmp_path / "socket")
    with pytest.raises(NamedFileError, match="it is a character device"):
        read_file("/dev/zero")
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "missing")


def test_a_path_that_hangs_is_waited_for_by_one_thread_alone() -> None:
    """Others are refused at once, in its folder too when two hang; that ends when the file system answers."""
    release = threading.Event()
    ended: list[str] = []

    def hang(path: str, inside: threading.Event) -> None:
        try:
            with touching(path):
                inside.set()
                release.wait(20)
        except GivenUpError:
            ended.append(path)

    threads = []
    for path in ("/hung/a", "/hung/b"):
        inside = threading.Event()
        threads.append(threading.Thread(target=hang, args=(path, inside)))
        threads[-1].start()
        assert inside.wait(20)
        assert named_file.waits(threads[-1])[0] == path
        with touching("/hung/c"):
            pass
        named_file.give_up(threads[-1])
    assert named_file.hanging() == {"/hung/a", "/hung/b"}
    for path in ("/hung/a", "/hung/c"):
        with pytest.raises(NamedFileError, match="does not answer"), touching(path):
            raise AssertionError
    with touching("/other/a"):
        pass
    release.set()
    for thread in threads:
        thread.join(20)
    assert sorted(ended) == ["/hung/a", "/hung/b"]
    assert named_file.hanging() == set()
    with touching("/hung/a"):
        pass
