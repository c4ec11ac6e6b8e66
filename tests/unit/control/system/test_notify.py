"""What the service manager is told, and that nothing depends on there being one."""

import os
import socket
import time
from pathlib import Path

import pytest

from mcproxy.control.system.notify import notify, reloading
from tests.support.notify import NotifySocket


def test_states_arrive_in_order(monkeypatch: pytest.MonkeyPatch, short_folder: Path) -> None:
    """A reload carries the monotonic time in microseconds, as Type=notify-reload wants it."""
    manager = NotifySocket(short_folder / "notify")
    try:
        monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        reloading()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notify("READY=1")
        assert manager.wait_for("READY=1", 5)
        first, when, last = manager.states()
    finally:
        manager.close()
    assert (first, last) == ("RELOADING=1", "READY=1")
    assert before <= int(when.removeprefix("MONOTONIC_USEC=")) <= after


def test_an_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A leading @ stands for a null byte (sd_notify(3))."""
    name = f"mcproxy-test-{tmp_path.name}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_descriptors_go_along(monkeypatch: pytest.MonkeyPatch, short_folder: Path) -> None:
    """What is to be kept arrives as a descriptor of the same file."""
    manager = NotifySocket(short_folder / "notify")
    try:
        monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
        with (short_folder / "file").open("w") as file:
            notify("FDSTORE=1\nFDNAME=one", [file.fileno()])
            assert manager.wait_for("FDSTORE=1", 5)
            ((name, fd),) = manager.kept()
            assert name == "one"
            assert os.path.sameopenfile(fd, file.fileno())
    finally:
        manager.close()


@pytest.mark.parametrize("address", ["", "/nowhere/notify"])
def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """None is configured, or it has gone away."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")
