"""The cookie by which the requests of a browser stay at one endpoint.

Its value depends on the names of upstream and endpoint alone: every node and worker reads those of the others, and nothing
has to be stored. It is no secret: it tells nothing but which of the endpoints it was, and that without its address.
"""

from collections.abc import Iterable
from hmac import digest

from mcproxy.policy.headers import Headers


def value_of(upstream: str, address: str) -> bytes:
    """Return the cookie's value for an endpoint: 16 hexadecimal digits of HMAC-SHA256."""
    return digest(upstream.encode(), address.encode(), "sha256")[:8].hex().encode()


def set_cookie(name: str, value: bytes, *, secure: bool) -> bytes:
    """Return the value of a ``Set-Cookie`` field (RFC 6265 section 4.1): for the session, all paths, no scripts.

    Args:
        name: the cookie's name.
        value: what `value_of` has returned.
        secure: whether the client has used TLS: the browser then never sends it without.
    """
    return b"%s=%s; Path=/; HttpOnly; SameSite=Lax%s" % (name.encode(), value, b"; Secure" if secure else b"")


def values_in(headers: Headers, name: str) -> Iterable[bytes]:
    """Yield every value of a cookie in a request (RFC 6265 section 4.2; over HTTP/2 there may be several fields)."""
    wanted = name.encode()
    for field, value in headers:
        if field == b"cookie":
            for pair in value.split(b";"):
                key, equals, text = pair.partition(b"=")
                if equals and key.strip() == wanted:
                    yield text.strip().strip(b'"')
