"""Whom a request is for."""

from mcproxy.policy.authority import authority_host
from tests.support.rows import each_row


@each_row(
    ("value", "expected"),
    [
        (b"a.example", "a.example"),
        (b"A.Example.:8443", "a.example"),
        (b"127.0.0.1:80", "127.0.0.1"),
        (b"[2001:DB8:0::1]:443", "2001:db8::1"),
        (b"[::1]", "::1"),
        (b"a_b", "a_b"),
        (b"", None),
        (b".", None),
        (b"a.example..", None),
        (b"a.example..:443", None),
        (b"a..example", None),
        (b".a.example", None),
        (b"..", None),
        (b"a:", "a"),
        (b"[::1]:", "::1"),
        (b"a:65536", None),
        (b"a:b", None),
        (b"u@a", None),
        (b"a b", None),
        (b"[::1", None),
        (b"[1.2.3]", None),
        (b"::1", None),
        (b"\xc3\xa4", None),
    ],
)
def test_authority_host(value: bytes, expected: str | None) -> None:
    """Authorities that lead to the same route have the same host."""
    assert authority_host(value) == expected
