"""Relays that copy: one flow moves so much at most before the others have their turn."""

import pytest

from mcproxy.net.loop.relay import Relay
from tests.support.fake_wire import Peer, Wire

TURN = 1 << 20  # bytes


class Owner:
    """Knows the end of a relay."""

    def __init__(self) -> None:
        self.ends: list[tuple[OSError | None, int, int, bool]] = []

    def on_relay_end(self, error: OSError | None, received: int, sent: int, *, client_first: bool) -> None:
        self.ends.append((error, received, sent, client_first))


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def owner() -> Owner:
    return Owner()


def join(wire: Wire, owner: Owner) -> tuple[Peer, Peer]:
    """Return client and backend of a new relay, which copies: there are no pipes on this wire."""
    client, backend = wire.client("client"), wire.client("backend")
    for peer in (client, backend):
        wire.poller.watch(peer.sock.fileno(), lambda _mask: None)
    Relay(wire.relay_tools, owner, client.sock.as_plain(), backend.sock.as_plain(), (0, 1)).start(0, 0)
    wire.settle()
    return client, backend


def arrive(wire: Wire, peer: Peer, data: bytes) -> None:
    """Let bytes come without a turn of the loop."""
    peer.sock.incoming += data
    wire.poller.tell(peer.sock)


@pytest.mark.parametrize("upload", [True, False])
def test_a_flood_leaves_the_others_their_turns(wire: Wire, owner: Owner, *, upload: bool) -> None:
    """However much has come on one connection, each turn moves a mebibyte of it, and all that is small beside it."""
    flood, far = join(wire, owner)
    if not upload:
        flood, far = far, flood
    client, backend = join(wire, owner)
    arrive(wire, flood, bytes(3 * TURN + 5))
    moved = []
    for number in range(5):
        arrive(wire, client, b"%d" % number)
        wire.poller.run()
        moved.append((len(far.received), bytes(backend.received)))
    assert moved == [
        (TURN, b"0"),
        (2 * TURN, b"01"),
        (3 * TURN, b"012"),
        (3 * TURN + 5, b"0123"),
        (3 * TURN + 5, b"01234"),
    ]
    assert not wire.poller.run()


def test_a_turn_that_was_put_off_ends_with_its_relay(wire: Wire, owner: Owner) -> None:
    """What was to go on is nobody's any more when the other side has reset the connection meanwhile."""
    flood, far = join(wire, owner)
    arrive(wire, flood, bytes(2 * TURN))
    wire.poller.run()
    far.resets()
    assert len(far.received) == TURN
    assert [(type(error), received) for error, received, _, _ in owner.ends] == [(ConnectionResetError, TURN)]
    assert wire.happened() == ["client reset", "backend reset"]
