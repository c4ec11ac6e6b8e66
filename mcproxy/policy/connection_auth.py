"""Authentication that holds for a connection instead of a request, though HTTP knows no such thing (RFC 9110 section 11.1).

A client that has authenticated so is taken for the sender of whatever follows on the connection. RFC 4559 section 6 forbids
proxies to share it.
"""

from mcproxy.policy.headers import Headers

_SCHEMES = frozenset({b"ntlm", b"negotiate", b"kerberos", b"nego2"})
_CHALLENGES = frozenset({b"www-authenticate", b"proxy-authenticate"})


def in_request(headers: Headers) -> bool:
    """Tell whether credentials among the fields are of such a scheme."""
    return any(name == b"authorization" and _scheme(value) in _SCHEMES for name, value in headers)


def in_response(headers: Headers) -> bool:
    """Tell whether one of the challenges among the fields is of such a scheme; a field may hold several."""
    return any(
        name in _CHALLENGES and any(_scheme(part) in _SCHEMES for part in value.split(b",")) for name, value in headers
    )


def _scheme(value: bytes) -> bytes:
    words = value.split(None, 1)
    return words[0].lower() if words else b""
