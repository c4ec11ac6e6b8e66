"""What another server is asked about a request, and what becomes of its answer."""

import pytest

from mcproxy.policy.filters.forward_auth import claims_of, grpc_refusal, passed, question, refusal, without
from mcproxy.policy.headers import Headers, RequestHead

COPIED = ("X-User", "X-Groups")
CLAIMS = claims_of(COPIED)
FORGED = (b"x-user", b"x_user", b"x.user", b"x!user", b"x~user", b"x-user", b"x-groups", b"x|groups")


def head(*fields: tuple[bytes, bytes], method: bytes = b"GET", path: bytes = b"/a?b=c", **more: bool) -> RequestHead:
    return RequestHead(method, b"app.example.com", path, list(fields), **more)


@pytest.mark.parametrize("name", FORGED)
def test_what_reads_like_a_copied_field_is_a_claim(name: bytes) -> None:
    """In any spelling; what only begins so is none."""
    asked = head((b"accept", b"*/*"), (name, b"admin"), (b"x-user-agent", b"1"), (b"xx-user", b"1"))
    kept: Headers = [(b"accept", b"*/*"), (b"x-user-agent", b"1"), (b"xx-user", b"1")]
    assert without(asked, CLAIMS).headers == kept
    assert not {header for header in question(asked, asked, b"/", CLAIMS).headers if header[1] == b"admin"}


def test_a_request_without_claims_stays_the_same() -> None:
    """It costs nothing more."""
    asked = head((b"accept", b"*/*"))
    assert without(asked, CLAIMS) is asked


def test_the_question() -> None:
    """A GET for the path of the filter, to the host of the request, without what speaks of its body, of a cache or of a tunnel."""
    fields: Headers = [
        (b"cookie", b"session=1"),
        (b"authorization", b"Bearer t"),
        (b"accept", b"*/*"),
        (b"x-requested-with", b"XMLHttpRequest"),
    ]
    gone = [
        *((name, b"1") for name in (b"content-length", b"content-type", b"content-encoding", b"expect", b"te")),
        *((name, b"1") for name in (b"if-none-match", b"if-modified-since", b"range", b"if-range")),
        *((name, b"1") for name in (b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-protocol")),
        *(
            (name, b"/admin")
            for name in (b"x-original-url", b"x_original_uri", b"x-forwarded-uri", b"x.forwarded.method")
        ),
    ]
    asked = head(*fields, *gone, method=b"PUT", websocket=True, checked=True)
    told = question(asked, asked, b"/verify?x=1", CLAIMS)
    assert (told.method, told.authority, told.path) == (b"GET", b"app.example.com", b"/verify?x=1")
    assert (told.websocket, told.checked, told.binds) == (False, False, False)
    assert told.headers == [*fields, (b"x-forwarded-method", b"PUT"), (b"x-forwarded-uri", b"/a?b=c")]


def test_credentials_that_are_copied_are_asked_with_as_they_came() -> None:
    """They are taken away from the request, but who is to judge them has to see them; and none that were for somebody else."""
    bearer = (b"authorization", b"Bearer t")
    asked = head(bearer, (b"cookie", b"a=1"))
    assert (
        bearer
        in question(asked, without(asked, claims_of(["Authorization"])), b"/", claims_of(["Authorization"])).headers
    )
    assert bearer not in question(asked, without(asked, claims_of(["Authorization"])), b"/", CLAIMS).headers, (
        "basic_auth had it"
    )


@pytest.mark.parametrize("value", [b"NTLM TlRM", b"Negotiate YII"])
def test_what_authenticates_a_connection_is_not_asked_with(value: bytes) -> None:
    """The connection to the server is shared: it would be authenticated for all."""
    asked = head((b"authorization", value), binds=True)
    assert b"authorization" not in dict(question(asked, asked, b"/", CLAIMS).headers)
    assert b"authorization" not in dict(question(asked, asked, b"/", claims_of(["Authorization"])).headers)


def test_a_request_that_passes_has_what_the_answer_says() -> None:
    """And nothing else: what the answer does not name, the client can't have set."""
    answer: Headers = [
        (b"x-user", b"anna"),
        (b"x-groups", b"a"),
        (b"x-groups", b"b"),
        (b"x_user", b"spelt otherwise"),
        (b"set-cookie", b"a=1"),
        (b"connection", b"x-user-id"),
    ]
    copied = [name.lower().encode() for name in COPIED]
    asked = head((b"accept", b"*/*"), (b"X-User".lower(), b"admin"), websocket=True, path=b"/x")
    found = passed(asked, answer, copied, CLAIMS)
    assert found.headers == [(b"accept", b"*/*"), (b"x-user", b"anna"), (b"x-groups", b"a"), (b"x-groups", b"b")]
    assert (found.path, found.websocket, found.checked) == (b"/x", True, False)
    assert passed(asked, [], copied, CLAIMS).headers == [(b"accept", b"*/*")]


def test_a_refusal_is_the_answer() -> None:
    """With all of its fields but those of the connection, and the length of what is passed on."""
    answer: Headers = [
        (b"location", b"/login"),
        (b"content-length", b"99"),
        (b"set-cookie", b"a=1"),
        (b"keep-alive", b"1"),
    ]
    told = refusal(302, answer, b"body")
    assert told.status == 302
    assert told.headers == ((b"location", b"/login"), (b"set-cookie", b"a=1"), (b"content-length", b"4"))
    assert told.body == b"body"
    assert refusal(304, [(b"etag", b"1")], b"").headers == ((b"etag", b"1"),)


def test_what_grpc_is_told() -> None:
    """A login page says that the caller is not known; a broken server, that there is none."""
    assert {status: grpc_refusal(status) for status in (302, 401, 403, 404, 429, 500, 599)} == {
        302: 401,
        401: 401,
        403: 403,
        404: 403,
        429: 429,
        500: 503,
        599: 503,
    }
