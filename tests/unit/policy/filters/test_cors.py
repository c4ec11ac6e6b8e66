"""What browsers are told about pages of other origins."""

import pytest

from mcproxy.model.state.filter_options import Cors, FilterOptions
from mcproxy.policy.filters.scope import Scope
from mcproxy.policy.headers import Headers, RequestHead

UI = b"https://ui.test"
ASKED = (b"access-control-request-method", b"DELETE")
VARY = {b"vary": b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
CORS = Cors(
    origins=("https://ui.test", "http://localhost:3000"),
    methods=("GET", "POST"),
    headers=("Content-Type", "X-A"),
    expose_headers=("X-Total",),
    credentials=True,
    max_age=600.0,
)


def preflight(cors: Cors, fields: Headers, method: bytes = b"OPTIONS") -> dict[bytes, bytes] | None:
    rule = Scope([("", FilterOptions(cors=cors))]).cors
    assert rule is not None
    answer = rule.preflight(RequestHead(method, b"a.test", b"/x", fields))
    if answer is None:
        return None
    assert (answer.status, answer.body) == (204, b"")
    assert len(dict(answer.headers)) == len(answer.headers)
    return dict(answer.headers)


def test_a_preflight_is_answered() -> None:
    """With everything that the origin may do, whatever it asked for: the browser compares."""
    assert preflight(CORS, [(b"origin", UI), ASKED]) == {
        **VARY,
        b"access-control-allow-origin": UI,
        b"access-control-allow-credentials": b"true",
        b"access-control-allow-methods": b"GET, POST",
        b"access-control-allow-headers": b"Content-Type, X-A",
        b"access-control-max-age": b"600",
    }
    assert preflight(Cors(origins=("*",)), [(b"origin", UI), ASKED]) == {
        **VARY,
        b"access-control-allow-origin": b"*",
        b"access-control-allow-methods": b"GET, HEAD, POST",
    }


@pytest.mark.parametrize(
    "origin",
    [b"https://evil.test", b"https://ui.test.evil.test", b"null", b"http://ui.test", b"https://ui.test:8443", b"*"],
)
def test_an_origin_without_leave_is_told_nothing(origin: bytes) -> None:
    """Origins are compared as a whole."""
    assert preflight(CORS, [(b"origin", origin), ASKED]) == VARY


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (b"OPTIONS", [(b"origin", UI)]),
        (b"OPTIONS", [ASKED]),
        (b"OPTIONS", []),
        (b"GET", [(b"origin", UI), ASKED]),
        (b"OPTIONS", [(b"origin", UI), (b"origin", UI), ASKED]),
    ],
)
def test_what_is_no_preflight_goes_on(method: bytes, fields: Headers) -> None:
    """Also OPTIONS for other reasons, as WebDAV has them."""
    assert preflight(CORS, fields, method) is None


def actual(origin: bytes | None, fields: Headers, cors: Cors = CORS) -> Headers:
    outer = Cors(origins=("https://outer.test",))
    rule = Scope([("", FilterOptions(cors=outer)), ("", FilterOptions(cors=cors)), ("", FilterOptions())]).cors
    assert rule is not None
    return rule.fields(RequestHead(b"GET", b"a", b"/", [] if origin is None else [(b"origin", origin)]), fields)


def test_responses_tell_the_browser() -> None:
    """In place of what the backend says."""
    sent: Headers = [(b"access-control-allow-origin", b"*"), (b"content-type", b"a/b")]
    assert actual(UI, sent) == [
        (b"content-type", b"a/b"),
        (b"vary", b"Origin"),
        (b"access-control-allow-origin", UI),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"X-Total"),
    ]


@pytest.mark.parametrize("origin", [None, b"https://evil.test", b"https://outer.test"])
def test_caches_learn_that_it_depends_on_the_origin(origin: bytes | None) -> None:
    """Whoever asks, also without an origin or with one that has no leave."""
    assert actual(origin, [(b"access-control-allow-origin", b"*"), (b"vary", b"Accept")]) == [
        (b"vary", b"Accept"),
        (b"vary", b"Origin"),
    ]


@pytest.mark.parametrize("vary", [b"Accept, ORIGIN", b"*"])
def test_what_a_response_says_already_is_not_said_again(vary: bytes) -> None:
    assert actual(UI, [(b"vary", vary)], Cors(origins=("*",))) == [
        (b"vary", vary),
        (b"access-control-allow-origin", b"*"),
    ]


def test_the_answer_to_a_preflight_stays_as_it_is() -> None:
    """Though every answer in the scope is told of CORS: what it allows is not taken out again."""
    rule = Scope([("", FilterOptions(cors=CORS))]).cors
    assert rule is not None
    head = RequestHead(b"OPTIONS", b"a", b"/", [(b"origin", UI), ASKED])
    answer = rule.preflight(head)
    assert answer is not None
    assert rule.fields(head, list(answer.headers)) == list(answer.headers)
