"""Which requests pass the proxy, and which of their fields."""

from itertools import permutations

import pytest

from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.policy.requests import RefusedError, RequestRules
from tests.support.rows import each_row

ACCEPT = (b"accept", b"*/*")
PSEUDO = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x?y")]
RULES = RequestRules(["Proxy"])
# Every byte of a token (RFC 9110 section 5.6.2) that is neither a letter nor a digit.
SEPARATORS = "!#$%&'*+-.^_`|~"
CLAIMS = ("x-forwarded-for", "x-forwarded-user", "x-forwarded", "x-real-ip", "forwarded")


def spellings(name: str) -> list[bytes]:
    """Return a name with each of the separators, and with two kinds at once."""
    return [name.replace("-", separator).encode() for separator in SEPARATORS] + [name.replace("-", "_", 1).encode()]


def passed(*headers: tuple[bytes, bytes]) -> Headers:
    """Return what is left of a request's fields, which must not depend on its version."""
    of_http1 = RULES.from_http1(b"GET", b"/", b"a", [(b"host", b"a"), *headers]).headers
    assert RULES.from_http2([*PSEUDO, *headers]).headers == of_http1
    return of_http1


@each_row(
    "header",
    [
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"proxy-authorization", b"Basic eA=="),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAAA"),
        (b"connection", b"keep-alive"),
        (b"te", b"gzip"),
        (b"forwarded", b"for=1.1.1.1"),
        (b"x-real-ip", b"1.1.1.1"),
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"b"),
        (b"x-forwarded-port", b"1"),
        (b"x-forwarded-prefix", b"/b"),
        (b"x-forwarded", b"for=1.1.1.1"),
        (b"x_forwarded_for", b"1.1.1.1"),
        (b"x-forwarded_for", b"1.1.1.1"),
        (b"x_real_ip", b"1.1.1.1"),
    ],
)
def test_dropped_from_requests(header: tuple[bytes, bytes]) -> None:
    """Fields of the client's connection, and what it claims about itself however spelt, reach no backend."""
    assert passed(ACCEPT, header, (b"x", b"y")) == [ACCEPT, (b"x", b"y")]


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer x"),
        (b"trailer", b"x"),
        (b"expect", b"100-continue"),
        (b"content-length", b"3"),
        (b"x-forward", b"x"),
        (b"x-real-ip-2", b"x"),
        (b"x-unreal", b"x"),
        (b"not-forwarded", b"x"),
        (b"sec-websocket-version", b"13"),
    ],
)
def test_kept_in_requests(header: tuple[bytes, bytes]) -> None:
    """End-to-end fields pass as they are, those whose names only resemble a forwarding header too."""
    assert passed(header, ACCEPT) == [header, ACCEPT]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([b"trailers"], True), ([b"gzip, Trailers"], True), ([b"gzip", b"trailers"], True), ([b"trailers2"], False)],
)
def test_te_trailers_is_kept(values: list[bytes], expected: bool) -> None:  # noqa: FBT001 (parametrised)
    """That the client takes trailers is passed on, as exactly that."""
    assert passed(ACCEPT, *((b"te", value) for value in values)) == [ACCEPT] + [(b"te", b"trailers")] * expected


def test_http1_request() -> None:
    """The authority is Host's, or the fallback where HTTP/1.0 has none."""
    head = RULES.from_http1(b"PUT", b"/p", b"A.example:1", [(b"host", b"A.example:1"), ACCEPT], fallback=b"b")
    assert head == RequestHead(b"PUT", b"A.example:1", b"/p", [ACCEPT])
    assert RULES.from_http1(b"GET", b"/", b"", [ACCEPT], fallback=b"b").authority == b"b"


def test_http2_request() -> None:
    """The pseudo-header fields become the head; Host may repeat the authority, or stand in for it."""
    expected = RequestHead(b"GET", b"a.example", b"/x?y", [ACCEPT], checked=True)
    assert RULES.from_http2([*PSEUDO, ACCEPT]) == expected
    assert RULES.from_http2([*PSEUDO, (b"host", b"A.example"), ACCEPT]) == expected
    without = [field for field in PSEUDO if field[0] != b":authority"]
    assert RULES.from_http2([*without, (b"host", b"a.example"), ACCEPT]) == expected
    asterisk = [(b":method", b"OPTIONS"), *PSEUDO[1:3], (b":path", b"*")]
    assert RULES.from_http2(asterisk).path == b"*"


def test_pseudo_header_fields_in_any_order() -> None:
    """Whatever their order, and whether all of them are there, none of them is taken for a field, nor a field for one."""
    expected = RequestHead(b"GET", b"a.example", b"/x?y", [ACCEPT, ACCEPT], checked=True)
    for order in permutations(PSEUDO):
        assert RULES.from_http2([*order, ACCEPT, ACCEPT]) == expected
    without = [field for field in PSEUDO if field[0] != b":scheme"]
    assert RULES.from_http2([*without, ACCEPT, ACCEPT]) == expected
    assert RULES.from_http2(PSEUDO).headers == []


@each_row(
    ("fields", "status", "reason"),
    [
        ([*PSEUDO[:2], PSEUDO[3]], 400, "bad_authority"),
        ([*PSEUDO[:2], (b":authority", b"u@a"), PSEUDO[3]], 400, "bad_authority"),
        ([*PSEUDO[:2], (b":authority", b"a/b"), PSEUDO[3]], 400, "bad_authority"),
        (PSEUDO[:3], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"x")], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"*")], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"/a b")], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"/a HTTP/1.1\r\nx: y")], 400, "bad_path"),
        ([*PSEUDO[:3], (b":path", b"/#a")], 400, "bad_path"),
        ([*PSEUDO, (b"transfer_encoding", b"chunked")], 400, "ambiguous_framing"),
        ([*PSEUDO, (b"content_length", b"3")], 400, "ambiguous_framing"),
        ([(b":method", b"CONNECT"), (b":authority", b"a:443")], 501, "connect"),
        ([(b":protocol", b"webtransport"), (b":method", b"CONNECT"), *PSEUDO[1:]], 501, "connect"),
        ([(b":method", b"CONNECT"), *PSEUDO[1:]], 501, "connect"),
        ([(b":method", b"TRACE"), *PSEUDO[1:]], 405, "trace"),
    ],
)
@each_row("known", [b"", b"a.example", b"a:443", b"other.example"])
def test_refused_http2_requests(fields: Headers, status: int, reason: str, known: bytes) -> None:
    """What HTTP/1.1 could not say, or could say in two ways, is refused with a status, whatever came before."""
    with pytest.raises(RefusedError, match=reason) as refused:
        RULES.from_http2(fields, known)
    assert refused.value.status == status


@each_row("known", [b"a.example", b"other.example"])
@each_row(
    "fields",
    [
        PSEUDO,
        [*PSEUDO, ACCEPT],
        [*PSEUDO[:2], PSEUDO[3], ACCEPT, (b"host", b"a.example")],
        [*PSEUDO, (b"x-forwarded-for", b"192.0.2.1"), ACCEPT],
        [*PSEUDO, (b"authorization", b"Negotiate eA==")],
        [*PSEUDO, (b"authorization", b"Basic eA==")],
        [(b":method", b"OPTIONS"), *PSEUDO[1:3], (b":path", b"*")],
        [(b":protocol", b"websocket"), (b":method", b"CONNECT"), *PSEUDO[1:]],
        [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *PSEUDO[1:], (b"authorization", b"NTLM eA==")],
    ],
)
def test_an_authority_that_is_known_changes_nothing(fields: Headers, known: bytes) -> None:
    """It only spares looking at it again."""
    assert RULES.from_http2(fields, known) == RULES.from_http2(fields)


@pytest.mark.parametrize("name", [*CLAIMS, "proxy", "proxy-authorization", "keep-alive"])
def test_no_spelling_of_a_claim_passes(name: str) -> None:
    """A CGI-style backend reads X.Forwarded-For, x_forwarded!for and X-Forwarded-For as one variable, so none of them passes."""
    for spelling in spellings(name):
        assert passed(ACCEPT, (spelling, b"admin"), (b"x", b"y")) == [ACCEPT, (b"x", b"y")], spelling
        assert RULES.trailers([(spelling, b"admin"), (b"x", b"y")]) == [(b"x", b"y")], spelling


@pytest.mark.parametrize("name", ["content-length", "transfer-encoding"])
def test_no_spelling_of_a_framing_field_passes(name: str) -> None:
    """What a backend could read as a framing field ends the request, and is left out of trailers."""
    for spelling in spellings(name):
        assert RULES.trailers([(spelling, b"0"), (b"x", b"y")]) == [(b"x", b"y")], spelling
        if spelling != name.encode():
            with pytest.raises(RefusedError, match="ambiguous_framing"):
                RULES.from_http2([*PSEUDO, (spelling, b"0")])


def test_headers_to_be_removed() -> None:
    """What the operator names is removed in any spelling, a header that nearly every request has too; the rest passes."""
    rules = RequestRules(["X-Client-IP", "User_Agent"])
    headers = [(b"x-client-ip", b"a"), ACCEPT, (b"x_client.ip", b"b"), (b"user-agent", b"c"), (b"x-client-ips", b"d")]
    kept = [ACCEPT, (b"x-client-ips", b"d"), (b"proxy", b"e")]
    assert rules.from_http2([*PSEUDO, *headers, (b"proxy", b"e")]).headers == kept
    assert rules.from_http1(b"GET", b"/", b"a", [*headers, (b"proxy", b"e")]).headers == kept
    assert rules.trailers([*headers, (b"proxy", b"e")]) == kept


def test_fields_of_a_websocket_are_judged_as_others() -> None:
    """An upgrade carries no claim to the backend either, in both versions."""
    claims = [(b"x.forwarded.user", b"admin"), (b"proxy", b"http://a")]
    socket = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *PSEUDO[1:], *claims, ACCEPT]
    assert RULES.from_http2(socket).headers == [ACCEPT]
    assert RULES.from_http1(b"GET", b"/", b"a", [*claims, ACCEPT], websocket=True).headers == [ACCEPT]


def test_te_of_trailers_alone_stays_where_it_is() -> None:
    """Calls of gRPC have it; what else it says is of the client's connection."""
    assert passed((b"te", b"trailers"), ACCEPT) == [(b"te", b"trailers"), ACCEPT]
    assert passed((b"te", b"trailers"), (b"te", b"gzip"), ACCEPT) == [ACCEPT, (b"te", b"trailers")]


def test_again_is_what_the_request_would_be_by_itself() -> None:
    """Another path changes nothing but the path; one that `from_http2` has to judge is left to it."""
    fields = [*PSEUDO, (b"te", b"trailers"), ACCEPT]
    known = RULES.from_http2(fields)
    for path in (b"/", b"/other?x=1"):
        other = [*PSEUDO[:3], (b":path", path), *fields[4:]]
        assert RULES.again(known, other, path) == RULES.from_http2(other)
    for path in (b"*", b"/a#b", b"other"):
        assert RULES.again(known, [*PSEUDO[:3], (b":path", path), *fields[4:]], path) is None
