"""When an HTTP/2 peer is asked whether it is still there."""

from mcproxy.wire.http2 import Liveness

NEVER = float("inf")


def silent() -> Liveness:
    """Return what is known of a peer that has been silent since 100."""
    peer = Liveness()
    peer.silent_since = 100.0
    return peer


def test_a_peer_that_owes_nothing_is_not_asked() -> None:
    """However long it is silent."""
    assert Liveness().due_at() == NEVER


def test_silence_is_doubt_until_the_answer() -> None:
    """Nothing else ends it once a PING was sent, and an answer that nobody asked for says nothing."""
    peer = silent()
    assert peer.due_at() == 110.0
    assert not peer.on_pong()
    assert peer.doubt(110.0)
    assert peer.due_at() == NEVER
    assert not peer.on_message()
    assert peer.on_pong()
    assert peer.doubted_at == 0.0
    assert not peer.on_pong()


def test_two_pings_then_one_in_five_minutes() -> None:
    """Until a message comes: servers of gRPC close over more."""
    peer = silent()
    for now in (110.0, 120.0):
        assert peer.doubt(now)
        assert peer.on_pong()
    assert peer.due_at() == 430.0
    assert peer.doubt(430.0)
    assert peer.on_pong()
    assert peer.due_at() == 740.0
    assert not peer.on_message()
    assert peer.due_at() == 110.0


def test_doubt_without_a_ping_ends_with_a_message() -> None:
    """Where too many PINGs have been sent."""
    peer = silent()
    for now in (110.0, 111.0):
        assert peer.doubt(now)
        assert peer.on_pong()
    assert not peer.doubt(112.0)
    assert peer.due_at() == NEVER
    assert not peer.on_pong()
    assert peer.on_message()
    assert peer.doubted_at == 0.0
