"""The channel between control and a worker, or another control: messages with descriptors over a SEQPACKET socket.

Every message is one packet: MessagePack of the message and a manifest that says, in order, what each passed
descriptor is. A packet whose descriptors do not fit its manifest is refused as a whole and all of them are closed.

The two ends may be of different versions after a restart. What is added to a message has a default, nothing changes its
meaning, and for a message that the receiver does not know it gets `Unknown`; descriptors it does not know are left out.
"""

import array
import os
import socket
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from mcproxy.errors import ChannelError
from mcproxy.net.told import RouteFailure

_PACKET = 1 << 16  # bytes; below any default SO_SNDBUF
DESCRIPTORS_PER_PACKET = 200  # the kernel's limit is 253 (SCM_MAX_FD)


DescriptorKind: TypeAlias = Literal[
    "memory",
    "snapshot",
    "countries",
    "files",
    "access",
    "socket",
    "connections",
    "refusals",
    "channel",
    "lock",
    "control",
    "metrics",
    "native",
    "challenges",
]


class Descriptor(msgspec.Struct, frozen=True, array_like=True):
    """One line of a manifest: what a descriptor is; ``addr`` and ``index`` name a listener's socket."""

    kind: DescriptorKind
    addr: str = ""
    index: int = 0


class Start(msgspec.Struct, frozen=True, tag=True):
    """Control to a fresh worker: the slot it writes its counters to. Passes the shared memory.

    A ``provisional`` worker drains if control ends before it has said `Stay`.
    """

    slot: int
    provisional: bool = False


class Stay(msgspec.Struct, frozen=True, tag=True):
    """Control to a provisional worker: it is to outlive its control from now on, as others do."""


class Sockets(msgspec.Struct, frozen=True, tag=True):
    """Either way: listening sockets, as many packets as it takes, before the `Apply` or `Handover` that needs them."""


class Apply(msgspec.Struct, frozen=True, tag=True):
    """Control to worker: serve this snapshot, on the sockets whose index modulo ``workers`` is ``position``.

    Passes the snapshot, and where the configuration names any, the country database, the other files and the access log; the
    library of the native data path, if the worker is to use that.
    """

    generation: int
    position: int
    workers: int


class AccessLog(msgspec.Struct, frozen=True, tag=True):
    """Control to worker: the access log was opened anew. Passes the file."""


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Control to worker: accept no more, let open connections finish for at most ``seconds``, then exit."""

    seconds: float


class Applied(msgspec.Struct, frozen=True, tag=True):
    """Worker to control: this generation is live here; ``python``: in the Python data path, as the native core can't be used."""

    generation: int
    python: bool = False


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Worker to control: this generation can't be applied here, the last one goes on."""

    generation: int
    error: str


class Owners(msgspec.Struct, frozen=True, tag=True):
    """Control to worker: ``positions[p]`` is the position of the worker that serves the share of ``p``.

    Until the next `Apply`, or the next of these; other than in place while a worker's loop does not turn.
    """

    positions: tuple[int, ...]


class Leaving(msgspec.Struct, frozen=True, tag=True):
    """Worker to control: it drains, told by control or by a signal, and accepts no more."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Control to worker: tell your live connections, those of one listener, route or client if they are named; or close them.

    Attributes:
        number: comes back in the answer.
        limit: how many to describe at most.
        listener, hostname: "" for any.
        client: an address, or an address and its port; "" for any.
        close: seconds that they may go on; 0: they are closed at once, None: they are left alone.
    """

    number: int
    limit: int
    listener: str = ""
    hostname: str = ""
    client: str = ""
    close: float | None = None


class Told(msgspec.Struct, frozen=True, tag=True):
    """Worker to control: the answer to `Ask`. Passes the descriptions, MessagePack of a list of `LiveConnection`.

    ``total`` is how many there are.
    """

    number: int
    total: int


class AskRefusals(msgspec.Struct, frozen=True, tag=True):
    """Control to worker: tell what you have kept of a request, or of a client.

    Attributes:
        number: comes back in the answer.
        id: of the request; "" for any.
        client: the packed address; empty for any.
        limit: how many to tell at most, the newest.
    """

    number: int
    id: str = ""
    client: bytes = b""
    limit: int = 1


class ToldRefusals(msgspec.Struct, frozen=True, tag=True):
    """Worker to control: the answer to `AskRefusals`. Passes them, MessagePack of a list of `KeptRefusal`, the newest first.

    Attributes:
        number: of the question.
        kept: how many it has kept, of all clients.
        since: since when all are kept (seconds since the epoch); older ones may have been pushed out.
        began: when the worker began; what it had kept before is gone with another one.
    """

    number: int
    kept: int
    since: float
    began: float


class Failures(msgspec.Struct, frozen=True, tag=True):
    """Worker to control: what has gone wrong, the last one of each route, and the routes that fail and have served again.

    Told a few times a second at most, and not of every failure: how many there were is counted in the shared memory.
    """

    failed: tuple[RouteFailure, ...]
    worked: tuple[int, ...]


class Failing(msgspec.Struct, frozen=True, tag=True):
    """Control to worker: the indices of all routes that fail, so that it may tell when they serve again."""

    routes: tuple[int, ...]


class Challenges(msgspec.Struct, frozen=True, tag=True):
    """Control to worker: answer these challenges of CAs from now on, and no others. Passes them, MessagePack of `told.Pending`.

    ``number`` comes back in the answer.
    """

    number: int


class Challenged(msgspec.Struct, frozen=True, tag=True):
    """Worker to control: the challenges of this number are answered here, and those of lower ones no more."""

    number: int


class Handover(msgspec.Struct, frozen=True, tag=True):
    """Surviving worker to a new control, after its `Sockets`: who it is. Passes the shared memory and its snapshot.

    ``hash_seed`` is its PYTHONHASHSEED: workers must have the same one for their rate limits to add up; ``leaving`` says
    that it drains already. A control that is replaced sends one of these for each worker, with the channel to it.
    """

    pid: int
    slot: int
    generation: int
    hash_seed: int
    version: str
    leaving: bool = False


class Unknown(msgspec.Struct, frozen=True, tag=True):
    """What is received in the place of a message of another version that this one does not know, by its name; never sent."""

    name: str


class Offer(msgspec.Struct, frozen=True, tag=True):
    """Control to the one that is to replace it, after its `Sockets`: what that needs to serve beside it.

    Passes the shared memory, the snapshot, the lock of the database, the socket for surviving workers, and the
    listening socket of the metrics endpoint if there is one.

    Attributes:
        version, generation, hash_seed: as in `Handover`.
        slots: those of its workers.
        settings: what can't be another there.
        stored, units: of these addresses the service manager holds sockets.
        endpoints: those (upstream, address, state word) that get no new connections, for a control that lays out the memory
            in another way.
        author, verified, reason: who asked for the restart, and why, as the audit has it.
    """

    version: str
    generation: int
    hash_seed: int
    slots: tuple[int, ...]
    settings: dict[str, str]
    stored: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    endpoints: tuple[tuple[str, str, int], ...] = ()
    author: str = ""
    verified: bool = False
    reason: str = ""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """New control to the one it replaces: its own workers serve."""


class Released(msgspec.Struct, frozen=True, tag=True):
    """Control to the one that replaces it, after the `Handover` of each worker: nothing else is in use here any more."""


class Taken(msgspec.Struct, frozen=True, tag=True):
    """New control to the one it replaces: it has taken over, and there is no way back."""


class Serving(msgspec.Struct, frozen=True, tag=True):
    """New control to the one it replaces: its start is complete; nothing is left to do for the other one."""

    version: str
    generation: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """New control to the one it was to replace: it can't, and ends."""

    error: str


_ToWorker: TypeAlias = Start | Stay | Apply | AccessLog | Drain | Owners | Ask | AskRefusals | Failing | Challenges
_OfWorker: TypeAlias = Applied | Refused | Leaving | Handover | Told | ToldRefusals | Failures | Challenged
_OfControls: TypeAlias = Offer | Ready | Released | Taken | Serving | Failed
Message: TypeAlias = Sockets | _ToWorker | _OfWorker | _OfControls | Unknown


class _Packet(msgspec.Struct, frozen=True, array_like=True):
    message: Message
    manifest: tuple[Descriptor, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Packet)


class _ForeignPacket(msgspec.Struct, frozen=True, array_like=True):  # what any two versions have in common
    message: dict[str, Any]
    manifest: tuple[list[Any], ...] = ()


_foreign_decoder = msgspec.msgpack.Decoder(_ForeignPacket)
_KINDS = frozenset(get_args(DescriptorKind))
_NAMES = frozenset(kind.__name__ for kind in get_args(Message)) - {Unknown.__name__}


def send(channel: socket.socket, message: Message, descriptors: Sequence[tuple[Descriptor, int]] = ()) -> None:
    """Send one message; the descriptors stay open here.

    Raises:
        BlockingIOError: the other end does not read.
        OSError: the other end is gone.
    """
    packet = _encoder.encode(_Packet(message, tuple(what for what, _ in descriptors)))
    fds = array.array("i", [fd for _, fd in descriptors])
    channel.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else [], socket.MSG_NOSIGNAL)


def receive(channel: socket.socket) -> tuple[Message, list[tuple[Descriptor, int]]] | None:
    """Receive one message and its descriptors (close-on-exec, now the caller's), or None when the other end is gone.

    Raises:
        BlockingIOError: there is none yet.
        ChannelError: the packet is malformed or does not fit its manifest.
    """
    try:
        data, ancillary, flags, _ = channel.recvmsg(
            _PACKET, socket.CMSG_SPACE(DESCRIPTORS_PER_PACKET * 4), socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionError:
        return None
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    if not data and not fds:
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ChannelError("a packet was cut short")
        message, manifest = _decoded(data)
        if len(manifest) != len(fds):
            raise ChannelError(f"{len(fds)} descriptors came with a manifest of {len(manifest)}")
    except (msgspec.MsgspecError, ChannelError) as error:
        for fd in fds:
            os.close(fd)
        if isinstance(error, ChannelError):
            raise
        raise ChannelError(f"a packet is malformed: {error}") from error
    held = []
    for what, fd in zip(manifest, fds, strict=True):
        if what is None or isinstance(message, Unknown):
            os.close(fd)
        else:
            held.append((what, fd))
    return message, held


def _decoded(data: bytes) -> tuple[Message, Sequence[Descriptor | None]]:
    """Return a packet's message, and what each descriptor is, None where this version does not know; raises MsgspecError."""
    try:
        packet = _decoder.decode(data)
    except msgspec.ValidationError:
        foreign = _foreign_decoder.decode(data)
        return _foreign_message(foreign.message), [_foreign_descriptor(line) for line in foreign.manifest]
    return packet.message, packet.manifest


def _foreign_message(found: dict[str, Any]) -> Message:
    name = found.get("type")
    if isinstance(name, str) and name not in _NAMES:
        return Unknown(name)
    return msgspec.convert(found, Message)  # type: ignore[no-any-return]  # mypy takes no union for a type


def _foreign_descriptor(line: list[Any]) -> Descriptor | None:
    if line and isinstance(line[0], str) and line[0] not in _KINDS:
        return None
    return msgspec.convert(line, Descriptor)


def in_packets(
    descriptors: Sequence[tuple[Descriptor, int]],
) -> list[Sequence[tuple[Descriptor, int]]]:
    """Cut many descriptors into the packets they fit in."""
    step = DESCRIPTORS_PER_PACKET
    return [descriptors[start : start + step] for start in range(0, len(descriptors), step)]
