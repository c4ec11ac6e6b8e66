"""Messages with descriptors over a real SEQPACKET pair."""

import array
import os
import socket
from collections.abc import Iterator

import msgspec
import pytest

from mcproxy.errors import ChannelError
from mcproxy.net import ipc
from mcproxy.net.told import RouteFailure
from tests.support.descriptors import open_descriptors

Pair = tuple[socket.socket, socket.socket]

MESSAGES: list[ipc.Message] = [
    ipc.Start(3),
    ipc.Stay(),
    ipc.Sockets(),
    ipc.Apply(generation=7, position=1, workers=4),
    ipc.Drain(2.5),
    ipc.Applied(7),
    ipc.Refused(8, "listener :8443 came without its sockets"),
    ipc.Owners((0, 2, 2)),
    ipc.AccessLog(),
    ipc.Leaving(),
    ipc.Handover(pid=12, slot=3, generation=7, hash_seed=4_000_000_000, version="0.1.0"),
    ipc.Ask(number=3, limit=1000, listener=":443", hostname="a.test"),
    ipc.Told(number=3, total=2),
    ipc.AskRefusals(number=4, id="0123456789abcdef", client=b"\x7f\0\0\1", limit=10),
    ipc.ToldRefusals(number=4, kept=12, since=1_800_000_000.5, began=1_800_000_000.0),
    ipc.Failures((RouteFailure(7, 2, "backend_refused", "connection refused", "10.0.0.5:80"),), (8, 9)),
    ipc.Failing((7, 9)),
    ipc.Challenges(3),
    ipc.Challenged(3),
    ipc.Offer("0.1.0", generation=7, hash_seed=4_000_000_000, slots=(0, 1, 5), settings={"proxy.user": "edge"}),
    ipc.Ready(),
    ipc.Released(),
    ipc.Taken(),
    ipc.Serving("0.1.0", 8),
    ipc.Failed("mc-proxy.toml:3:1: error: prox: unknown key"),
    ipc.Unknown("Later"),
]


@pytest.fixture
def channel() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def raw(channel: Pair, data: bytes, fds: list[int]) -> None:
    """Send a packet as a broken or foreign peer would."""
    channel[0].sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])


def packet(message: ipc.Message, manifest: list[ipc.Descriptor]) -> bytes:
    return msgspec.msgpack.encode([message, manifest])


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_arrives_as_it_was_sent(channel: Pair, message: ipc.Message) -> None:
    """A round trip of each message, the next one being its own packet."""
    ipc.send(channel[0], message)
    ipc.send(channel[0], ipc.Leaving())
    assert ipc.receive(channel[1]) == (message, [])
    assert ipc.receive(channel[1]) == (ipc.Leaving(), [])


def test_list_of_messages_is_complete() -> None:
    """No message type is left out of the round trip."""
    assert {type(message) for message in MESSAGES} == set(ipc.Message.__args__)


def test_descriptors_arrive_in_the_order_of_the_manifest(channel: Pair) -> None:
    """Each passed descriptor is a copy of the one its manifest line was given with, and is close-on-exec."""
    sent = []
    for number in range(5):
        read, write = os.pipe()
        os.write(write, bytes([number]))
        os.close(write)
        sent.append((ipc.Descriptor("socket", ":8443", number), read))
    ipc.send(channel[0], ipc.Sockets(), sent)
    for _, fd in sent:
        os.close(fd)
    received = ipc.receive(channel[1])
    assert received is not None
    message, descriptors = received
    assert message == ipc.Sockets()
    assert [what for what, _ in descriptors] == [what for what, _ in sent]
    for what, fd in descriptors:
        assert os.read(fd, 2) == bytes([what.index])
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_as_many_descriptors_as_a_packet_takes(channel: Pair) -> None:
    """A full packet arrives whole; more descriptors are cut into packets of that size."""
    many = [(ipc.Descriptor("socket", "127.0.0.1:8443", number), 0) for number in range(450)]
    packets = ipc.in_packets(many)
    assert [len(each) for each in packets] == [200, 200, 50]
    assert [pair for each in packets for pair in each] == many
    ipc.send(channel[0], ipc.Sockets(), packets[0])
    received = ipc.receive(channel[1])
    assert received is not None
    assert [what for what, _ in received[1]] == [what for what, _ in packets[0]]
    for _, fd in received[1]:
        os.close(fd)
    assert ipc.in_packets([]) == []


@pytest.mark.parametrize(("lines", "descriptors"), [(0, 1), (1, 0), (1, 2), (3, 2)])
def test_manifest_that_does_not_fit_is_refused(channel: Pair, lines: int, descriptors: int) -> None:
    """More or fewer descriptors than manifest lines: the whole packet is refused and nothing stays open."""
    before = open_descriptors()
    manifest = [ipc.Descriptor("memory")] * lines
    raw(channel, packet(ipc.Start(1), manifest), [0] * descriptors)
    with pytest.raises(ChannelError, match=f"{descriptors} descriptors came with a manifest of {lines}"):
        ipc.receive(channel[1])
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"not a message",
        msgspec.msgpack.encode([{"type": 7}, [["memory"]]]),
        msgspec.msgpack.encode([{"slot": 1}, [["memory"]]]),
        msgspec.msgpack.encode([{"type": "Start", "slot": "one"}, []]),
        msgspec.msgpack.encode([{"type": "Start", "slot": 1}, [[]]]),
        msgspec.msgpack.encode([{"type": "Start", "slot": 1}, [["memory", 5]]]),
        msgspec.msgpack.encode([{"type": "Unheard"}, [[7]]]),
        packet(ipc.Start(1), [ipc.Descriptor("memory")])[:-3],
    ],
)
def test_malformed_packet_is_refused(channel: Pair, data: bytes) -> None:
    """What is no message, or cut off, is one kind of error; its descriptors are closed."""
    before = open_descriptors()
    raw(channel, data, [0])
    with pytest.raises(ChannelError, match="malformed"):
        ipc.receive(channel[1])
    assert open_descriptors() == before
    ipc.send(channel[0], ipc.Leaving())
    assert ipc.receive(channel[1]) == (ipc.Leaving(), [])


def test_what_a_newer_version_adds_is_no_error(channel: Pair) -> None:
    """An unknown message is told by its name, without its descriptors; unknown fields and descriptors are left out."""
    before = open_descriptors()
    raw(channel, msgspec.msgpack.encode([{"type": "Unheard", "of": [1, {"a": 2}]}, [["gold"], ["memory"]]]), [0, 0])
    assert ipc.receive(channel[1]) == (ipc.Unknown("Unheard"), [])
    assert open_descriptors() == before
    manifest = [["gold", "", 0, "more"], ["socket", ":1", 2, "more"]]
    raw(channel, msgspec.msgpack.encode([{"type": "Start", "slot": 1, "fast": True}, manifest, "more"]), [0, 0])
    received = ipc.receive(channel[1])
    assert received is not None
    message, [(what, fd)] = received
    assert (message, what) == (ipc.Start(1), ipc.Descriptor("socket", ":1", 2))
    os.close(fd)
    assert open_descriptors() == before


def test_packet_larger_than_the_buffer_is_refused(channel: Pair) -> None:
    """A packet that was cut to fit is not taken for whole; its descriptors are closed."""
    before = open_descriptors()
    raw(channel, packet(ipc.Refused(1, "x" * 70_000), [ipc.Descriptor("memory")]), [0])
    with pytest.raises(ChannelError, match="cut short"):
        ipc.receive(channel[1])
    assert open_descriptors() == before


def test_more_descriptors_than_expected_are_refused(channel: Pair) -> None:
    """Descriptors that the kernel had to drop make the packet unusable; those that came are closed."""
    before = open_descriptors()
    count = ipc.DESCRIPTORS_PER_PACKET + 20
    raw(channel, packet(ipc.Sockets(), [ipc.Descriptor("socket")] * count), [0] * count)
    with pytest.raises(ChannelError, match="cut short"):
        ipc.receive(channel[1])
    assert open_descriptors() == before


def test_nothing_yet_and_nothing_more_are_different(channel: Pair) -> None:
    """An empty channel says that there is nothing yet; a closed one, after its last message, that the end came."""
    with pytest.raises(BlockingIOError):
        ipc.receive(channel[1])
    ipc.send(channel[0], ipc.Leaving())
    channel[0].close()
    assert ipc.receive(channel[1]) == (ipc.Leaving(), [])
    assert ipc.receive(channel[1]) is None


def test_end_that_left_messages_unread(channel: Pair) -> None:
    """A peer that died with messages in its queue is gone as well (the kernel tells a reset)."""
    ipc.send(channel[1], ipc.Leaving())
    channel[0].close()
    assert ipc.receive(channel[1]) is None


def test_sending_to_one_who_does_not_read(channel: Pair) -> None:
    """A full channel is told as such, a closed one as an error; neither ends the process by a signal."""
    ours, theirs = channel
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        send_for_ever(ours)
    theirs.close()
    with pytest.raises(ConnectionError):
        ipc.send(ours, ipc.Leaving())


def send_for_ever(channel: socket.socket) -> None:
    while True:
        ipc.send(channel, ipc.Leaving())
