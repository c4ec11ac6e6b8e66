"""A worker process whose control is the test: what it does when control ends."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy.model.state.snapshot import encode, make_snapshot
from mcproxy.net import ipc
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.net.sockets import listen, memory_file
from tests.support import toml
from tests.support.proxy import ROOT


class Control:
    """Control's end of the channel to one worker.

    Attributes:
        worker: its process.
        channel: the channel.
    """

    def __init__(self, path: Path, *, provisional: bool) -> None:
        """Start a worker and have it serve a listener; its next control would listen at ``path``."""
        (sock,) = listen("127.0.0.1:0", 1)
        addr = f"127.0.0.1:{sock.getsockname()[1]}"
        state = toml.state(toml.listener(addr, toml.route("a.test", 9)))
        routes = dict.fromkeys(state.routes, 0)
        snapshot = memory_file("snapshot", encode(make_snapshot(state, 1, {addr: 0}, routes, {addr: 1}, digests={})))
        self.memory = SharedMemory.create()
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(20)
        with theirs, sock:
            self.worker = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mcproxy.worker"),
                    *("--channel", str(theirs.fileno()), "--control", str(path)),
                ],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"},
            )
            ipc.send(self.channel, ipc.Start(1, provisional), [(ipc.Descriptor("memory"), self.memory.fd)])
            ipc.send(self.channel, ipc.Sockets(), [(ipc.Descriptor("socket", addr, 0), sock.fileno())])
            ipc.send(self.channel, ipc.Apply(1, 0, 1), [(ipc.Descriptor("snapshot"), snapshot)])
            os.close(snapshot)
        assert ipc.receive(self.channel) == (ipc.Applied(1), [])

    def close(self) -> None:
        """Kill what is left."""
        self.worker.kill()
        self.worker.wait()
        self.channel.close()
        self.memory.close()


@pytest.fixture
def next_control(short_folder: Path) -> Iterator[socket.socket]:
    """Listen where workers look for their next control."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(short_folder / "a.control"))
        listening.listen()
        listening.settimeout(20)
        yield listening


def test_a_provisional_worker_ends_with_its_control(next_control: socket.socket) -> None:
    """An earlier control's workers still serve, and nobody may look after this one."""
    with contextlib.closing(Control(Path(next_control.getsockname()), provisional=True)) as control:
        control.channel.close()
        assert control.worker.wait(20) == 0


@pytest.mark.parametrize("provisional", [True, False])
def test_one_that_is_to_stay_offers_itself_to_the_next(next_control: socket.socket, *, provisional: bool) -> None:
    """With all that it holds, and says that it does not drain."""
    with contextlib.closing(Control(Path(next_control.getsockname()), provisional=provisional)) as control:
        if provisional:
            ipc.send(control.channel, ipc.Stay())
        control.channel.close()
        with next_control.accept()[0] as channel:
            channel.settimeout(20)
            told = [ipc.receive(channel) for _ in range(2)]
        assert control.worker.poll() is None
    kinds = [[what.kind for what, _ in packet[1]] for packet in told if packet is not None]
    assert kinds == [["socket"], ["memory", "snapshot"]]
    handover = told[1] and told[1][0]
    assert isinstance(handover, ipc.Handover)
    assert (handover.pid, handover.slot, handover.generation, handover.leaving) == (control.worker.pid, 1, 1, False)
    for packet in told:
        for _, fd in packet[1] if packet is not None else ():
            os.close(fd)
