"""Clients that ask for much and take nothing, or little, or not in time."""

from functools import partial

from tests.attacks.plays import hoses
from tests.attacks.row import H2_BACKEND, LARGE, MB, OTHER, PAGE, TARGET, Row
from tests.support.floods import h1_requests, h2_requests
from tests.support.frames import PING, Requests, frame, opening

_PAGE, _LARGE = f"/bytes/{PAGE}", f"/bytes/{LARGE}"
_SLOW = 5_000  # bytes a second


def _stalled(path: str, streams: int) -> list[bytes]:
    requests = Requests(TARGET)
    return [opening(0) + b"".join(requests.open(path) for _ in range(streams))]


def _stalled_with_pings() -> list[bytes | float]:
    pings: list[bytes | float] = []
    for _ in range(1000):
        pings += [0.1, frame(PING, 0, bytes(8))]
    return [*_stalled(_PAGE, 100), *pings]


_h2 = partial(partial, h2_requests)
_h1 = partial(partial, h1_requests)

ROWS = [
    Row("unread-page", "a page again and again over HTTP/2, nothing read", hoses(_h2(TARGET, _PAGE))),
    Row("unread-page-h2", "the same of an HTTP/2 backend", hoses(_h2(TARGET, _PAGE)), H2_BACKEND),
    Row("unread-page-50", "the same, 50 connections", hoses(_h2(TARGET, _PAGE), count=50), H2_BACKEND, 50 * MB),
    Row("unread-flat-out", "as fast as it is taken", hoses(_h2(TARGET, _PAGE, pause=0.0))),
    Row("unread-h1", "a page, pipelined, nothing read", hoses(_h1(TARGET, _PAGE), alpn="http/1.1")),
    Row("unread-h1-50", "50 connections", hoses(_h1(TARGET, _PAGE), alpn="http/1.1", count=50), memory=50 * MB),
    Row("unread-own", "requests for nobody's hostname, HTTP/2", hoses(_h2(OTHER, "/", pause=0.0))),
    Row("unread-own-h1", "the same, pipelined", hoses(_h1(OTHER, "/"), alpn="http/1.1")),
    Row("unread-trailers", "responses with 2 KB of trailers", hoses(_h2(TARGET, "/trailers/10"))),
    Row("unread-interim", "responses behind 90 interim ones of 1 KB", hoses(_h2(TARGET, "/interim/90"))),
    Row("unread-large", "100 streams of 10 MB", hoses(_h2(TARGET, _LARGE)), H2_BACKEND),
    Row(
        "slow-read",
        "50 clients, a page again and again, 5 KB/s each",
        hoses(_h2(TARGET, _PAGE), count=50, reads=_SLOW),
        memory=50 * MB,
    ),
    Row(
        "slow-honest",
        "40 clients, 10 MB each at 5 KB/s, beside others behind the same backend",
        hoses(_h2(TARGET, _LARGE, per=1, pause=1000.0), count=40, reads=_SLOW),
        H2_BACKEND,
        50 * MB,
        beside=TARGET,
    ),
    Row(
        "stalled-streams",
        "2 x 17 streams of 10 MB without window, beside others behind the same backend",
        hoses(lambda: _stalled(_LARGE, 17), count=2, reads=_SLOW),
        H2_BACKEND,
        beside=TARGET,
    ),
    Row(
        "stalled-many",
        "30 x 100 streams of a page without window, beside others behind the same backend",
        hoses(lambda: _stalled(_PAGE, 100), count=30, reads=_SLOW),
        memory=50 * MB,
        beside=TARGET,
    ),
    Row(
        "stalled-ping",
        "10 x 100 streams of a page without window, and a PING now and then",
        hoses(_stalled_with_pings, count=10, reads=_SLOW),
        memory=50 * MB,
    ),
]
