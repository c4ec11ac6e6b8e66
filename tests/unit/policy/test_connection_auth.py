"""Which credentials and challenges are about a connection instead of a request."""

import pytest

from mcproxy.policy.connection_auth import in_request, in_response
from mcproxy.policy.headers import Headers
from mcproxy.policy.requests import RequestRules
from tests.support.rows import each_row

PSEUDO = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]


@each_row(
    ("headers", "expected"),
    [
        ([(b"authorization", b"NTLM TlRMTVNTUAAB")], True),
        ([(b"authorization", b"nEgOtIaTe YII=")], True),
        ([(b"authorization", b"Negotiate\tYII=")], True),
        ([(b"authorization", b"Kerberos YII=")], True),
        ([(b"authorization", b"Basic eA=="), (b"authorization", b"NTLM x")], True),
        ([(b"authorization", b"NTLM")], True),
        ([(b"authorization", b"Basic NTLM")], False),
        ([(b"authorization", b"NTLM2 x")], False),
        ([(b"authorization", b"")], False),
        ([(b"x-authorization", b"NTLM x")], False),
        ([], False),
    ],
)
def test_requests(headers: Headers, expected: bool) -> None:  # noqa: FBT001 (parametrised)
    """The scheme is compared without case, in any of several fields; in both versions alike."""
    assert in_request(headers) is expected
    rules = RequestRules()
    assert rules.from_http1(b"GET", b"/", b"a", headers).binds is expected
    assert rules.from_http2([*PSEUDO, *headers]).binds is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"www-authenticate", b"NTLM")], True),
        ([(b"www-authenticate", b"negotiate")], True),
        ([(b"www-authenticate", b'Basic realm="a"'), (b"www-authenticate", b"NTLM TlRM")], True),
        ([(b"www-authenticate", b'Basic realm="a", charset="UTF-8", Negotiate')], True),
        ([(b"proxy-authenticate", b"NTLM")], True),
        ([(b"www-authenticate", b'Basic realm="NTLM"')], False),
        ([(b"www-authenticate", b"Bearer, ,")], False),
        ([(b"content-type", b"NTLM")], False),
    ],
)
def test_responses(headers: Headers, expected: bool) -> None:  # noqa: FBT001 (parametrised)
    """Any of several challenges, in one field or in several."""
    assert in_response(headers) is expected


def test_credentials_that_are_taken_away_bind_nothing() -> None:
    """The backend never sees them."""
    headers = [(b"authorization", b"NTLM x"), (b"connection", b"authorization")]
    assert not RequestRules().from_http1(b"GET", b"/", b"a", headers).binds
