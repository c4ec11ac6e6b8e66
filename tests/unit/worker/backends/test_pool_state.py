"""What a pool decides, as conversations: what happens, and what is to be done then."""

import pytest

from mcproxy.model.values.reasons import Failure
from mcproxy.worker.backends.backoff import Backoff
from mcproxy.worker.backends.pool_state import MAX_DIALS
from tests.support.played_pool import PlayedBounds, PlayedPool

NO_STREAM = "502 backend_no_stream"


def names(count: int) -> list[str]:
    """Return names of requests."""
    return [f"r{number}" for number in range(count)]


# Finding a connection


def test_one_connection_to_multiplex_on() -> None:
    """All wait for one dial; later ones get its connection at once."""
    pool = PlayedPool()
    assert pool.asks("a", "b") == ["dial 1"]
    assert pool.settles(1, "h2") == ["attach a to 1", "attach b to 1"]
    assert pool.asks("c") == ["attach c to 1"]


def test_a_connection_for_each_request_of_http1() -> None:
    """A dial each, and a connection that has become free is used again."""
    pool = PlayedPool("http/1.1")
    assert pool.asks("a", "b") == ["dial 1 http/1.1", "dial 2 http/1.1"]
    assert pool.settles(2, "http/1.1") == ["attach a to 2"]
    assert pool.settles(1, "http/1.1") == ["attach b to 1"]
    assert pool.answers(1) == []
    assert pool.asks("c") == ["attach c to 1"]


def test_the_connection_used_last_is_used_first() -> None:
    """So that those which are not needed can end."""
    pool = PlayedPool("http/1.1")
    pool.asks("a", "b")
    pool.settles(1, "http/1.1")
    pool.settles(2, "http/1.1")
    pool.answers(2)
    pool.answers(1)
    assert pool.asks("c", "d") == ["attach c to 1", "attach d to 2"]


def test_a_free_connection_serves_who_waits_longest() -> None:
    """And the dial that was made for it then is there for others."""
    pool = PlayedPool("http/1.1")
    pool.asks("a")
    pool.settles(1, "http/1.1")
    assert pool.asks("b", "c") == ["dial 2 http/1.1", "dial 3 http/1.1"]
    assert pool.answers(1) == ["attach b to 1"]
    assert pool.settles(2, "http/1.1") == ["attach c to 2"]
    assert pool.settles(3, "http/1.1") == []
    assert pool.asks("d") == ["attach d to 3"]


def test_a_full_connection_is_joined_by_another() -> None:
    """Those that were refused wait in their order, and for room as well."""
    pool = PlayedPool("h2")
    assert pool.asks("a", "b", "c", "d") == ["dial 1 h2"]
    assert pool.settles(1, "h2", takes=2) == ["attach a to 1", "attach b to 1", "dial 2 h2"]
    assert pool.answers(1) == ["attach c to 1"]
    assert pool.settles(2, "h2", takes=2) == ["attach d to 2"]


def test_a_connection_with_room_again_is_used_again() -> None:
    """Although nobody was waiting any more when the room was told."""
    pool = PlayedPool("h2")
    pool.asks("a", "b")
    pool.settles(1, "h2", takes=1)
    pool.leaves("b")
    assert pool.answers(1) == []
    assert pool.asks("c") == ["attach c to 1"]


def test_who_leaves_is_forgotten() -> None:
    """The connection that was dialed for it is kept for others."""
    pool = PlayedPool("h2")
    pool.asks("a")
    assert pool.leaves("a") == []
    assert pool.settles(1, "h2") == []
    assert pool.asks("b") == ["attach b to 1"]


# What the backend speaks


def test_a_backend_that_closes_on_the_preface_speaks_http1() -> None:
    """One dial finds out, then each request gets a connection; later dials know."""
    pool = PlayedPool()
    assert pool.asks("a", "b") == ["dial 1"]
    assert pool.says_nothing(1) == ["dial 2 http/1.1", "dial 3 http/1.1"]
    assert pool.settles(2, "http/1.1") == ["attach a to 2"]
    assert pool.answers(2) == ["attach b to 2"]
    assert pool.asks("c", "d") == ["dial 4 http/1.1"]  # 3 is on its way


@pytest.mark.parametrize("speaks", ["h2", "http/1.1"])
def test_alpn_tells_once_what_is_spoken(speaks: str) -> None:
    """One dial finds out."""
    pool = PlayedPool(tls=True)
    assert pool.asks("a", "b") == ["dial 1"]
    if speaks == "h2":
        assert pool.settles(1, "h2", takes=1) == ["attach a to 1", "dial 2 h2"]
    else:
        assert pool.settles(1, "http/1.1") == ["attach a to 1", "dial 2 http/1.1"]


def test_a_failed_dial_forgets_the_protocol() -> None:
    """It may be another program that listens next."""
    pool = PlayedPool()
    pool.asks("a")
    pool.says_nothing(1)
    assert pool.fails(2) == ["fail a 502 backend_refused"]
    pool.waits(1)
    assert pool.asks("b") == ["dial 3 again"]


def test_a_configured_protocol_is_never_forgotten() -> None:
    """Nor another one tried."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.fails(1)
    pool.waits(1)
    assert pool.asks("b") == ["dial 2 h2 again"]
    assert pool.says_nothing(2) == ["fail b " + NO_STREAM]


def test_a_protocol_that_is_refused_later_is_found_out_again() -> None:
    """An HTTP/2 backend is replaced by one that speaks HTTP/1.1: the request that meets it is served."""
    pool = PlayedPool()
    pool.asks("a")
    pool.settles(1, "h2")
    pool.answers(1)
    pool.dies(1)
    assert pool.asks("b") == ["dial 2 h2"]
    assert pool.says_nothing(2) == ["dial 3 http/1.1"]


def test_an_unanswered_connection_forgets_the_protocol() -> None:
    """A backend that closed on the preface because it was starting is tried with HTTP/2 again."""
    pool = PlayedPool()
    pool.asks("a")
    pool.says_nothing(1)
    pool.settles(2, "http/1.1")
    assert pool.dies(2) == []
    pool.waits(1)
    assert pool.asks("b") == ["dial 3 again"]


# WebSockets


def test_a_websocket_shares_a_connection_that_takes_it() -> None:
    """RFC 8441."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.settles(1, "h2", websockets=True)
    assert pool.asks("w", websocket=True) == ["attach w to 1"]


def test_a_websocket_gets_a_connection_of_its_own() -> None:
    """Where the multiplexed ones take none; other requests go on there meanwhile."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.settles(1, "h2")
    assert pool.asks("w", "v", websocket=True) == ["dial 2 h2 alone", "dial 3 h2 alone"]
    assert pool.asks("b") == ["attach b to 1"]
    assert pool.settles(2, "http/1.1") == ["attach w to 2"]
    assert pool.settles(3, "http/1.1") == ["attach v to 3"]


def test_a_websocket_and_a_request_wait_together() -> None:
    """Each for a dial of its kind when the multiplexed connection is full and takes no WebSockets."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.settles(1, "h2", takes=1)
    assert pool.asks("w", websocket=True) == ["dial 2 h2 alone"]
    assert pool.asks("b") == ["dial 3 h2"]
    assert pool.settles(2, "http/1.1") == ["attach w to 2"]
    assert pool.settles(3, "h2") == ["attach b to 3"]


def test_the_older_of_both_kinds_gets_a_free_connection() -> None:
    """WebSockets don't wait behind requests that came later, nor the other way about."""
    pool = PlayedPool("http/1.1", bounds=PlayedBounds(backend_connections=1))
    pool.asks("a")
    pool.settles(1, "http/1.1")
    pool.asks("w", websocket=True)
    pool.now += 1
    pool.asks("b")
    assert pool.answers(1) == ["attach w to 1"]
    assert pool.answers(1) == ["attach b to 1"]


# Ends


def test_a_lost_connection_is_replaced_when_somebody_asks() -> None:
    """At once: it has served before."""
    pool = PlayedPool("http/1.1")
    pool.asks("a")
    pool.settles(1, "http/1.1")
    pool.answers(1)
    assert pool.dies(1) == []
    assert not pool.state.connections
    assert pool.asks("b") == ["dial 2 http/1.1"]


def test_a_connection_that_goes_away_gets_no_more() -> None:
    """What is under way there goes on; the next request gets another one at once."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.settles(1, "h2")
    assert pool.goes_away(1) == []
    assert pool.asks("b") == ["dial 2 h2"]
    assert pool.answers(1) == []
    assert pool.dies(1) == []
    assert pool.settles(2, "h2") == ["attach b to 2"]


def test_unused_connections_are_closed() -> None:
    """After a minute, by either version; one in use is not."""
    pool = PlayedPool("http/1.1")
    pool.asks("a", "b")
    pool.settles(1, "http/1.1")
    pool.settles(2, "http/1.1")
    pool.answers(1)
    assert pool.waits(60) == []
    assert pool.waits(1) == ["close 1"]
    assert pool.asks("c") == ["dial 3 http/1.1"]


def test_an_unused_multiplexed_connection_is_closed() -> None:
    """Unless its use was noted."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.settles(1, "h2")
    pool.answers(1)
    pool.waits(59)
    pool.state.multiplexed[0].used_at = pool.now
    assert pool.waits(59) == []
    assert pool.waits(2) == ["close 1"]


def test_a_retired_pool_closes_its_connections() -> None:
    """Idle and busy ones: each ends when what is under way there is done."""
    pool = PlayedPool("http/1.1")
    pool.asks("a", "b")
    pool.settles(1, "http/1.1")
    pool.settles(2, "http/1.1")
    pool.answers(1)
    assert pool.retires() == ["close 1", "close 2"]


@pytest.mark.parametrize("speaks", ["h2", "http/1.1"])
def test_a_retired_pool_serves_who_still_asks(speaks: str) -> None:
    """A route that is kept until its connections end: each connection is closed behind those that waited for it."""
    pool = PlayedPool("h2" if speaks == "h2" else "http/1.1")
    pool.asks("a")
    assert pool.retires() == []
    if speaks == "h2":
        assert pool.settles(1, "h2") == ["attach a to 1", "close 1"]
    else:
        assert pool.settles(1, "http/1.1") == ["attach a to 1"]
        assert pool.answers(1) == ["close 1"]
    assert len(pool.asks("b")) == 1
    assert pool.under_way == {2}


# Dials that bring nothing


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("backend_refused", 502),
        ("backend_dns", 502),
        ("backend_tls", 502),
        ("backend_timeout", 504),
        ("no_resources", 503),
    ],
)
def test_a_failed_dial_fails_those_that_wait(reason: str, status: int) -> None:
    """At once, with its reason."""
    pool = PlayedPool("h2")
    pool.asks("a", "b")
    assert pool.fails(1, reason) == [f"fail a {status} {reason}", f"fail b {status} {reason}"]
    assert not pool.state.waiting


def test_a_dial_on_its_way_keeps_hope() -> None:
    """Only the last one to fail fails those that wait."""
    pool = PlayedPool("http/1.1")
    pool.asks("a", "b")
    assert pool.fails(1) == []
    assert pool.settles(2, "http/1.1") == ["attach a to 2"]
    assert pool.answers(2) == ["dial 3 http/1.1", "attach b to 2"]


def test_a_connection_that_may_become_free_keeps_hope() -> None:
    """A backend that refuses one more connection serves with those it has."""
    pool = PlayedPool("http/1.1")
    pool.asks("a")
    pool.settles(1, "http/1.1")
    pool.asks("b")
    assert pool.fails(2) == []
    assert pool.answers(1)[-1] == "attach b to 1"


def test_hope_ends_after_some_dials() -> None:
    """A request that is not served meanwhile fails with the fifth."""
    pool = PlayedPool("http/1.1")
    pool.asks("a")
    pool.settles(1, "http/1.1")
    pool.asks("b")
    for number, pause in enumerate((0.1, 0.2, 0.4, 0.8), 2):
        assert pool.fails(number) == []
        assert pool.waits(pause + 0.01) == [f"dial {number + 1} http/1.1 again"]
    assert pool.fails(1 + MAX_DIALS) == ["fail b 502 backend_refused"]


def test_after_a_refusal_the_next_dial_waits_a_little() -> None:
    """A tenth of a second: requests that come meanwhile share the next dial."""
    pool = PlayedPool("http/1.1")
    pool.asks("a")
    pool.fails(1)
    assert pool.asks("b", "c") == []
    assert pool.state.wake_at(pool.now) == pytest.approx(pool.now + 0.1)
    assert pool.waits(0.05) == []
    assert pool.waits(0.06) == ["dial 2 http/1.1 again"]
    assert pool.state.wake_at(pool.now) is None
    assert pool.settles(2, "http/1.1") == ["attach b to 2"]
    assert pool.answers(2) == ["dial 3 http/1.1", "attach c to 2"]


def test_a_backend_that_takes_connections_and_says_nothing() -> None:
    """Those that wait fail at once; who comes later waits, a second first, four at most, for one dial."""
    pool = PlayedPool("h2")
    pool.asks("a", "b")
    assert pool.says_nothing(1) == ["fail a " + NO_STREAM, "fail b " + NO_STREAM]
    for number, pause in enumerate((1, 2, 4, 4, 4), 2):
        assert pool.asks(f"r{number}", f"s{number}") == []
        assert pool.waits(pause - 0.01) == []
        assert pool.waits(0.02) == [f"dial {number} h2 again"]
        assert pool.says_nothing(number) == [f"fail r{number} " + NO_STREAM, f"fail s{number} " + NO_STREAM]


def test_a_connection_that_takes_no_stream() -> None:
    """MAX_CONCURRENT_STREAMS = 0: closed, and as good as no connection."""
    pool = PlayedPool("h2")
    pool.asks("a", "b")
    assert pool.settles(1, "h2", takes=0) == ["close 1", "fail a " + NO_STREAM, "fail b " + NO_STREAM]
    assert pool.dies(1) == []
    assert pool.asks("c") == []
    assert pool.waits(0.99) == []
    assert pool.waits(0.02) == ["dial 2 h2 again"]


def test_a_connection_that_takes_no_stream_any_more() -> None:
    """One that has served is kept, and another one dialed; that takes none either."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.settles(1, "h2")
    pool.answers(1)
    pool.limits[1] = 0
    assert pool.asks("b") == ["dial 2 h2"]
    assert pool.settles(2, "h2", takes=0) == ["close 2"]
    assert pool.waits(1.1) == ["dial 3 h2 again"]
    pool.limits[1] = 1
    pool.state.room(1)
    assert pool.decisions() == ["attach b to 1"]


def test_streams_refused_by_going_away_at_once() -> None:
    """GOAWAY that takes no stream: they are tried again after a pause, which doubles."""
    pool = PlayedPool("h2")
    pool.asks("a", "b")
    for number, pause in ((1, 1), (2, 2)):
        assert pool.settles(number, "h2") == [f"attach a to {number}", f"attach b to {number}"]
        assert pool.goes_away(number, untouched=True) == []
        assert pool.asks("a", "b") == []
        assert pool.dies(number) == []
        assert pool.waits(pause - 0.01) == []
        assert pool.waits(0.02) == [f"dial {number + 1} h2 again"]


def test_a_request_is_not_left_waiting_for_a_late_dial() -> None:
    """One whose head came four and a half seconds before the pause ends is answered at once."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.settles(1, "h2")
    pool.goes_away(1, untouched=True)
    pool.asks("a")
    pool.waits(1.01)
    pool.settles(2, "h2")
    pool.goes_away(2, untouched=True)
    assert pool.asks("a") == []
    pool.waits(2.01)
    pool.settles(3, "h2")
    pool.goes_away(3, untouched=True)
    assert pool.asks("a") == ["fail a " + NO_STREAM]


def test_a_request_gets_five_dials_at_most() -> None:
    """However it comes to ask again and again."""
    pool = PlayedPool("h2")
    pool.asks("a")
    for number in range(1, MAX_DIALS):
        pool.settles(number, "h2")
        pool.answers(number)  # so there is no pause
        pool.goes_away(number)
        assert pool.asks("a") == [f"dial {number + 1} h2"]
    pool.settles(MAX_DIALS, "h2")
    pool.goes_away(MAX_DIALS)
    assert [line.split()[:2] for line in pool.asks("a")] == [["fail", "a"]]


def test_connections_that_end_before_a_response() -> None:
    """Requests that fail on their connections make the next dial wait, and nobody else fail."""
    pool = PlayedPool("http/1.1", bounds=PlayedBounds(backend_connections=2))
    pool.asks("a", "b", "c")
    pool.settles(1, "http/1.1")
    pool.settles(2, "http/1.1")
    assert pool.dies(1) == []
    assert pool.dies(2) == []
    assert pool.waits(0.11) == ["dial 3 http/1.1 again"]
    assert pool.settles(3, "http/1.1") == ["attach c to 3"]


def test_a_client_that_gives_up_makes_nobody_wait() -> None:
    """Its HTTP/1.1 connection has to be broken off, which says nothing about the backend."""
    pool = PlayedPool()
    pool.asks("a", "b")
    pool.says_nothing(1)
    pool.settles(2, "http/1.1")
    pool.settles(3, "http/1.1")
    assert pool.dies(2, by_us=True) == []
    assert pool.asks("c") == ["dial 4 http/1.1"]


def test_an_unused_connection_that_goes_away_makes_nobody_wait() -> None:
    """Whoever wanted it has left: it had nothing to take."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.leaves("a")
    pool.settles(1, "h2")
    pool.goes_away(1, untouched=True)
    pool.dies(1)
    assert pool.asks("b") == ["dial 2 h2"]


def test_a_request_that_makes_the_backend_go_away() -> None:
    """GOAWAY with an error: the pause is the brief one, and there is none while another connection serves."""
    pool = PlayedPool("h2")
    pool.asks("a")
    pool.settles(1, "h2")
    pool.goes_away(1, untouched=True, orderly=False)
    pool.dies(1)
    assert pool.asks("b") == []
    assert pool.waits(0.11) == ["dial 2 h2 again"]
    pool.settles(2, "h2", takes=1)
    pool.answers(2)
    pool.asks("c", "d")
    pool.settles(3, "h2", takes=1)
    pool.goes_away(3, untouched=True, orderly=False)
    pool.dies(3)
    assert pool.asks("e") == ["dial 4 h2"]


def test_one_request_that_kills_its_connection_makes_nobody_wait() -> None:
    """While another connection has shown that the backend is well."""
    pool = PlayedPool("http/1.1")
    pool.asks("a", "b")
    pool.settles(1, "http/1.1")
    pool.settles(2, "http/1.1")
    pool.answers(1)
    pool.dies(2)
    assert pool.asks("c", "d") == ["attach c to 1", "dial 3 http/1.1"]
    pool.dies(1)
    pool.settles(3, "http/1.1")
    pool.dies(3)
    assert pool.asks("e") == []
    assert pool.waits(0.11) == ["dial 4 http/1.1 again"]


def test_a_hundred_dials_that_fail_together_are_one_failure() -> None:
    """The pause is the first one."""
    pool = PlayedPool("http/1.1")
    pool.asks(*names(100))
    for number in range(1, 100):
        assert pool.fails(number) == []
    assert len(pool.fails(100)) == 100
    assert pool.asks("a") == []
    assert pool.waits(0.11) == ["dial 101 http/1.1 again"]


def test_after_a_pause_the_first_response_frees_the_dials() -> None:
    """One dial first; when it has brought a response there is one for each request."""
    pool = PlayedPool("http/1.1")
    pool.asks("a")
    pool.fails(1)
    pool.asks("b", "c", "d")
    assert pool.waits(0.11) == ["dial 2 http/1.1 again"]
    pool.settles(2, "http/1.1")
    assert pool.answers(2) == ["dial 3 http/1.1", "dial 4 http/1.1", "attach c to 2"]


def test_a_slow_first_response_holds_nobody_up() -> None:
    """A connection that lasts for a pause lets the others dial."""
    pool = PlayedPool("http/1.1")
    pool.asks("a")
    pool.fails(1)
    pool.asks("b", "c", "d")
    pool.waits(0.11)
    assert pool.settles(2, "http/1.1") == ["attach b to 2"]
    assert pool.waits(0.11) == ["dial 3 http/1.1 again", "dial 4 http/1.1 again"]


def test_two_pools_of_one_backend_share_its_pauses() -> None:
    """Each client of a backend with PROXY headers has a pool; one dial of theirs is made after a pause."""
    backoff = Backoff(lambda: 0.5)
    one, two = PlayedPool("h2", backoff=backoff), PlayedPool("h2", backoff=backoff)
    one.asks("a")
    one.says_nothing(1)
    assert one.asks("b") == []
    assert two.asks("c") == []
    assert one.waits(1.01) == ["dial 2 h2 again"]
    assert two.waits(1.01) == []
    assert two.state.wake_at(two.now) == pytest.approx(two.now + 0.1)
    one.settles(2, "h2")
    one.answers(2)
    assert two.waits(0.1) == ["dial 1 h2"]


def test_a_request_of_another_pool_is_answered_in_time() -> None:
    """If that pool's dial takes too long."""
    backoff = Backoff(lambda: 0.5)
    one, two = PlayedPool("h2", backoff=backoff), PlayedPool("h2", backoff=backoff)
    one.asks("a")
    one.says_nothing(1)
    one.asks("b")
    two.asks("c")
    one.waits(1.01)
    assert two.waits(4.4) == []
    assert two.waits(0.2) == ["fail c " + NO_STREAM]


# Bounds


def test_connections_have_a_bound() -> None:
    """More requests wait for those there are, and each that has to is counted."""
    pool = PlayedPool("http/1.1", bounds=PlayedBounds(backend_connections=2))
    assert pool.asks("a", "b") == ["dial 1 http/1.1", "dial 2 http/1.1"]
    assert pool.asks("c", "d") == ["count backend_connections"] * 2
    pool.settles(1, "http/1.1")
    pool.settles(2, "http/1.1")
    assert pool.answers(1) == ["attach c to 1"]
    assert pool.dies(2) == ["dial 3 http/1.1"]


def test_clients_with_few_requests_have_the_last_connections_and_come_first() -> None:
    """An eighth of all; whoever has many under way waits for others, and is served as soon as these do not wait."""
    pool = PlayedPool("http/1.1", bounds=PlayedBounds(backend_connections=8))
    many = [f"m{number}" for number in range(10)]
    assert len([line for line in pool.asks(*many, modest=False) if line.startswith("dial")]) == 7
    assert pool.asks("f0") == []
    assert pool.settles(1, "http/1.1") == ["attach f0 to 1"]
    for number in range(2, 8):
        assert pool.settles(number, "http/1.1") == [f"attach m{number - 2} to {number}"]
    assert pool.asks("f1") == ["dial 8 http/1.1"]
    assert pool.settles(8, "http/1.1") == ["attach f1 to 8"]
    assert pool.answers(8) == []
    assert pool.asks("f2") == ["attach f2 to 8"]
    assert pool.asks("f3") == ["count backend_connections"]
    assert pool.answers(3) == ["attach f3 to 3"]
    assert pool.dies(8) == []
    assert pool.dies(1) == ["dial 9 http/1.1"]
    assert pool.settles(9, "http/1.1") == ["attach m6 to 9"]


def test_those_with_many_requests_leave_room_to_wait_for_others() -> None:
    """The bound counts for those with few alone, as long as they do not reach it themselves."""
    pool = PlayedPool("http/1.1", bounds=PlayedBounds(backend_connections=1, backend_waiting=2))
    pool.asks("a")
    pool.settles(1, "http/1.1")
    assert pool.asks("m0", "m1", "m2", modest=False)[-1] == "fail m2 503 backend_waiting"
    assert pool.asks("f0", "f1") == ["count backend_connections"] * 2
    assert pool.asks("f2")[-1] == "fail f2 503 backend_waiting"
    assert pool.answers(1) == ["attach f0 to 1"]


def test_a_lost_connection_makes_room_for_a_dial() -> None:
    """At the bound, whoever waits gets it."""
    pool = PlayedPool("http/1.1", bounds=PlayedBounds(backend_connections=1))
    pool.asks("a", "b", "c")
    pool.settles(1, "http/1.1")
    assert pool.answers(1) == ["attach b to 1"]
    assert pool.dies(1) == ["dial 2 http/1.1"]
    assert pool.settles(2, "http/1.1") == ["attach c to 2"]


def test_those_that_wait_have_a_bound() -> None:
    """One more is answered at once, with the reason, and counted."""
    pool = PlayedPool("http/1.1", bounds=PlayedBounds(backend_connections=1, backend_waiting=2))
    pool.asks("a")
    pool.settles(1, "http/1.1")
    assert pool.asks("b", "c") == ["count backend_connections"] * 2
    assert sorted(pool.asks("d")) == [
        "count backend_connections",
        "count backend_waiting",
        "fail d 503 backend_waiting",
    ]
    assert pool.answers(1) == ["attach b to 1"]


def test_those_that_wait_for_a_pause_have_the_same_bound() -> None:
    """A backend that is down collects no more requests."""
    pool = PlayedPool("h2", bounds=PlayedBounds(backend_waiting=2))
    pool.asks("a")
    pool.says_nothing(1)
    assert pool.asks("b", "c") == []
    assert pool.asks("d") == ["count backend_waiting", "fail d 503 backend_waiting"]


def test_waiting_for_the_first_dial_has_no_bound() -> None:
    """Any number of requests may come while it is on its way."""
    pool = PlayedPool("h2", bounds=PlayedBounds(backend_waiting=2))
    assert pool.asks(*names(50)) == ["dial 1 h2"]
    assert len(pool.settles(1, "h2")) == 50


def test_who_fails_and_leaves_at_once_is_not_answered() -> None:
    """The first answer may end the second one's client."""
    pool = PlayedPool("h2")
    pool.asks("a", "b")
    pool.state.failed(pool.dials[1], Failure("backend_refused"), pool.now)
    pool.state.abandon(pool.known["b"])
    assert pool.decisions() == ["fail a 502 backend_refused"]


# Connections that one client keeps to itself


def test_a_connection_that_was_given_serves_the_other_pool_alone() -> None:
    """It is proven there, used there again when it is free, and its end is told there."""
    shared, own = PlayedPool("http/1.1"), PlayedPool("http/1.1")
    shared.asks("a")
    shared.settles(1, "http/1.1")
    shared.state.proven(1)
    link = shared.state.give(1)
    assert link is not None
    own.state.take(link)
    assert not shared.state.connections
    assert shared.state.give(1) is None
    assert shared.asks("b") == ["dial 2 http/1.1"]
    own.limits[1], own.on_it[1] = 1, [shared.known["a"]]
    assert own.answers(1) == []
    assert own.asks("c") == ["attach c to 1"]
    own.dies(1)
    assert not own.state.connections
