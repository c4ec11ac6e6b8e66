"""The conversation of two controls, from the new one's end."""

import os
import socket
from collections.abc import Iterator

import pytest

from mcproxy.control.workers.predecessor import Predecessor, predecessor
from mcproxy.errors import ApplyError
from mcproxy.net import ipc

OFFER = ipc.Offer("1.0", generation=7, hash_seed=3, slots=(0, 1), settings={"database.path": "/var/a.db"})


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def offer(channel: socket.socket, *kinds: str) -> None:
    """Say what an old control offers: a pipe for each of what it has, sockets where these are needed."""
    sockets = [socket.socket() for _ in range(3)]
    others = {kind: os.memfd_create(kind) for kind in ("memory", "snapshot", "lock")}
    listening = [(ipc.Descriptor("socket", ":443", number), sockets[number].fileno()) for number in range(2)]
    ipc.send(channel, ipc.Sockets(), listening)
    held = {**others, "control": sockets[2].fileno()}
    ipc.send(channel, OFFER, [(ipc.Descriptor(kind), held[kind]) for kind in kinds])  # type: ignore[arg-type]
    for fd in others.values():
        os.close(fd)
    for sock in sockets:
        sock.close()


def test_all_that_is_offered_is_taken(pair: tuple[socket.socket, socket.socket]) -> None:
    """The sockets by listener, and then the workers until there are no more."""
    ours, theirs = pair
    offer(theirs, "memory", "snapshot", "lock", "control")
    earlier = Predecessor(ours)
    assert earlier.offer == OFFER
    assert {addr: len(group) for addr, group in earlier.groups.items()} == {":443": 2}
    told = ipc.Handover(pid=12, slot=1, generation=7, hash_seed=3, version="1.0", leaving=True)
    with socket.socket() as channel:
        ipc.send(theirs, told, [(ipc.Descriptor("channel"), channel.fileno())])
    ipc.send(theirs, ipc.Released())
    (worker,) = earlier.receive_workers()
    assert worker.handover == told
    assert worker.memory == -1
    worker.channel.close()
    assert ipc.receive(theirs) == (ipc.Ready(), [])
    earlier.take()
    assert ipc.receive(theirs) == (ipc.Taken(), [])
    earlier.dismiss("1.1", 8)
    assert ipc.receive(theirs) == (ipc.Serving("1.1", 8), [])
    for sock in (*earlier.groups[":443"], earlier.control):
        sock.close()
    os.close(earlier.lock)


def test_an_offer_without_what_is_needed_is_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    """Before anything is done with the rest."""
    offer(pair[1], "memory", "lock", "control")
    with pytest.raises(ApplyError, match="does not offer its snapshot"):
        Predecessor(pair[0])


def test_one_that_ends_is_not_replaced(pair: tuple[socket.socket, socket.socket]) -> None:
    """Whoever starts the next control starts it as ever: it finds the workers of both."""
    pair[1].close()
    with pytest.raises(ApplyError, match="has ended, or has given up"):
        Predecessor(pair[0])


def test_settings_that_no_restart_can_change_are_compared(pair: tuple[socket.socket, socket.socket]) -> None:
    """The error names both values; settings that are not known to the old control are of no account."""
    ours, theirs = pair
    offer(theirs, "memory", "snapshot", "lock", "control")
    earlier = Predecessor(ours)
    earlier.check({"database.path": "/var/a.db", "proxy.user": "edge"})
    with pytest.raises(ApplyError, match=r"database\.path is '/var/b\.db' in the file and '/var/a\.db' in the mcproxy"):
        earlier.check({"database.path": "/var/b.db"})
    for sock in (*earlier.groups[":443"], earlier.control):
        sock.close()
    for fd in (earlier.lock, earlier.memory, earlier.snapshot):
        os.close(fd)


@pytest.mark.parametrize("value", ["x", "9999"])
def test_a_variable_that_was_set_by_hand_is_told(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """And is not passed on; without it there is nothing to replace."""
    assert predecessor() is None
    monkeypatch.setenv("MCPROXY_RESTART", value)
    with pytest.raises(ApplyError, match="set by mcproxy itself"):
        predecessor()
    assert "MCPROXY_RESTART" not in os.environ
