"""What ``forward_auth`` asks its backend of a request, and what becomes of the answer.

The question is a GET with the fields of the request, as far as they do not speak of its body or of what is in the client's cache, and
with what the request is in X-Forwarded-Method and X-Forwarded-Uri, beside the other X-Forwarded fields that every backend gets. An
answer of 2xx lets the request pass, with the fields of ``copy_headers`` as the answer has them; any other is the client's.
"""

from collections.abc import Iterable

from mcproxy.policy import connection_auth, field_names
from mcproxy.policy.headers import ErrorResponse, Headers, RequestHead, response_fields

MOST = 64 << 10
"""Bytes that the body of an answer may have."""

_CREDENTIALS = (b"authorization", b"cookie")
_OF_BODY = frozenset(
    b"content-length content-type content-encoding content-language content-location content-range content-disposition "
    b"content-md5 digest repr-digest content-digest transfer-encoding trailer te expect".split()
)
# RFC 9110 sections 13 and 14: they are about the resource that the client wants, and not about the question.
_OF_CACHE = frozenset(b"if-match if-none-match if-modified-since if-unmodified-since if-range range".split())
# What other proxies call the same; from here it could only be a client's claim.
_CLAIMS = frozenset(
    b"x-forwarded-method x-forwarded-uri x-original-method x-original-uri x-original-url x-original-host".split()
)
_NOT_ASKED = _OF_BODY | _OF_CACHE | _CLAIMS
_WITHOUT_BODY = frozenset({204, 205, 304})


def claims_of(copied: Iterable[str]) -> frozenset[bytes]:
    """Return the folded names of the fields that a client may not set where these are copied from answers."""
    return frozenset(field_names.fold(name.encode()) for name in copied)


def without(head: RequestHead, claims: frozenset[bytes]) -> RequestHead:
    """Return a request without fields whose folded names are ``claims``; the same one if it has none."""
    kept = [header for header in head.headers if field_names.fold(header[0]) not in claims]
    return head if len(kept) == len(head.headers) else _with(head, kept)


def question(asked: RequestHead, head: RequestHead, path: bytes, claims: frozenset[bytes]) -> RequestHead:
    """Return the question whether a request may pass.

    Args:
        asked: the request as its client has sent it.
        head: the same as it would go on, without the fields that others have taken from it.
        path: where to ask.
        claims: folded names of the fields that are copied from answers; credentials among them are the client's here.
    """
    fields = [header for header in head.headers if _may_ask(header[0], claims)]
    fields += [header for header in asked.headers if header[0] in _CREDENTIALS and header[0] in claims]
    if connection_auth.in_request(fields):  # it holds for a connection, and that to this backend is not the client's
        fields = [header for header in fields if header[0] != b"authorization"]
    fields.append((b"x-forwarded-method", asked.method))
    fields.append((b"x-forwarded-uri", asked.path))
    return RequestHead(b"GET", asked.authority, path, fields)


def _may_ask(name: bytes, claims: frozenset[bytes]) -> bool:
    folded = field_names.fold(name)
    return not (folded in _NOT_ASKED or folded in claims or folded.startswith(b"sec-websocket-"))


def passed(head: RequestHead, answer: Headers, copied: Iterable[bytes], claims: frozenset[bytes]) -> RequestHead:
    """Return a request with the fields of an answer that are copied, in place of all that reads like them.

    Args:
        head: the request.
        answer: the fields of the answer.
        copied: the names, in lower case.
        claims: the same, folded.
    """
    names = frozenset(copied)
    fields = [header for header in head.headers if field_names.fold(header[0]) not in claims]
    fields += [header for header in response_fields(answer) if header[0] in names]
    return _with(head, fields)


def refusal(status: int, answer: Headers, body: bytes) -> ErrorResponse:
    """Return an answer as the client gets it."""
    fields = [header for header in response_fields(answer) if header[0] not in (b"content-length", b"trailer")]
    if status not in _WITHOUT_BODY:
        fields.append((b"content-length", b"%d" % len(body)))
    return ErrorResponse(status, tuple(fields), b"" if status in _WITHOUT_BODY else body)


def grpc_refusal(status: int) -> int:
    """Return the HTTP status that says to a client of gRPC what an answer means: it reads no pages."""
    if status in (401, 403, 429):
        return status
    if status >= 500:
        return 503
    return 401 if status < 400 else 403


def _with(head: RequestHead, fields: Headers) -> RequestHead:
    binds = head.binds and connection_auth.in_request(fields)
    return RequestHead(head.method, head.authority, head.path, fields, head.websocket, False, binds)
