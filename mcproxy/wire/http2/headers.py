"""Header lists by RFC 9113 sections 8.2 and 8.3: what may be sent, and, for an engine that does not look, what may be received.

A proxy that puts a malformed field on the wire lends its name to request smuggling, so every list is checked before it is
sent: by the engine it came in by, or, if it came otherwise, here. On the hot path the checks run once per message: they work
on whole lists with C-speed operations, and look at single fields only when a name is not a well-known one.
"""

import re
from collections.abc import Callable, Sequence
from string import ascii_letters
from typing import cast

from mcproxy.errors import ProtocolError
from mcproxy.wire.http2.events import Header, Headers, LimitKey, Limits

_FIELD_OVERHEAD = 32  # RFC 9113 section 6.5.2
_CRUMB_OVERHEAD = 2  # "; ", which joins them

_PLAIN_NAMES = frozenset(
    b"""accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials
    access-control-allow-headers access-control-allow-methods access-control-allow-origin access-control-expose-headers
    access-control-max-age access-control-request-headers access-control-request-method age allow alt-svc authorization
    cache-control content-disposition content-encoding content-language content-location content-range
    content-security-policy content-type cookie cross-origin-opener-policy cross-origin-resource-policy date dnt etag expect
    expires forwarded from grpc-accept-encoding grpc-encoding grpc-message grpc-status grpc-status-details-bin grpc-timeout
    host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards
    origin permissions-policy pragma priority proxy-authenticate proxy-authorization range referer referrer-policy
    retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user
    sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version server
    server-timing set-cookie strict-transport-security trace-id traceparent tracestate upgrade-insecure-requests user-agent
    vary via www-authenticate x-content-type-options x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto
    x-frame-options x-real-ip x-request-id x-requested-with x-xss-protection""".split()
)
_CONNECTION_NAMES = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"))
_SCHEMES = frozenset((b"https", b"http"))
_REQUEST_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))

_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch  # a token (RFC 9110 section 5.6.2) without capitals
_method = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_scheme = re.compile(rb"[A-Za-z][A-Za-z0-9+\-.]*").fullmatch
# Long values are checked by deleting what they may hold: several times faster than a regular expression.
_PATH_BYTES = bytes((*range(0x21, 0x7F), *range(0x80, 0x100)))
_AUTHORITY_BYTES = ascii_letters.encode() + b"0123456789-._~%!$&'()*+,;=:[]"  # no user information (8.3.1)
_status = re.compile(rb"[1-9][0-9][0-9]").fullmatch
_length = re.compile(rb"[0-9]{1,19}").fullmatch
_BLANKS = frozenset((b" ", b"\t"))


class InvalidHeaders(ProtocolError):  # noqa: N818 - says what it is about
    """A header list that must not be sent; nothing of it was."""

    def __init__(self, problem: str) -> None:
        super().__init__("bad_header", problem)


def check_request(headers: Sequence[Header]) -> str:
    """Return why a request's header list is malformed, or "" (RFC 9113 sections 8.2, 8.3.1 and 8.5, RFC 8441 section 4)."""
    count = 4
    pseudo = dict(headers[:4])
    if pseudo.keys() != _REQUEST_PSEUDO or (len(headers) > 4 and headers[4][0][:1] == b":"):
        # not the usual four, in whatever order: then name by name
        pseudo.clear()
        count = 0
        for name, value in headers:
            if name[:1] != b":":
                break
            pseudo[name] = value
            count += 1
        if len(pseudo) != count:
            return "pseudo-header field repeated"
    method = pseudo.get(b":method", b"")
    if method not in _METHODS and not _method(method):
        return ":method missing or malformed"
    protocol = pseudo.pop(b":protocol", None)
    if not _REQUEST_PSEUDO.issuperset(pseudo):
        return "pseudo-header field not for requests"
    authority = pseudo.get(b":authority")
    if authority and authority.translate(None, _AUTHORITY_BYTES):
        return ":authority malformed"
    if method == b"CONNECT" and protocol is None:
        if not authority or count != 2:
            return "CONNECT has :method and :authority alone"
    else:
        if protocol is not None and (method != b"CONNECT" or not authority or not _method(protocol)):
            return ":protocol without a well-formed CONNECT"
        scheme = pseudo.get(b":scheme", b"")
        if scheme not in _SCHEMES and not _scheme(scheme):
            return ":scheme missing or malformed"
        path = pseudo.get(b":path", b"")
        if (
            not path
            or path.translate(None, _PATH_BYTES)
            or (path[0] != 0x2F and (path != b"*" or method != b"OPTIONS"))
        ):
            return ":path missing or malformed"
    return _check_fields(headers, count)


def check_response(headers: Sequence[Header], *, interim: bool) -> str:
    """Return why a response's header list is malformed, or "" (RFC 9113 sections 8.2 and 8.3.2).

    Args:
        headers: the list.
        interim: whether it is a 1xx response (101 does not exist in HTTP/2, section 8.6).
    """
    if not headers or headers[0][0] != b":status":
        return ":status missing"
    status = headers[0][1]
    if not _status(status) or status == b"101" or (status[0] == 0x31) is not interim:
        return ":status malformed or out of place"
    return _check_fields(headers, 1)


def check_trailers(headers: Sequence[Header]) -> str:
    """Return why a trailer section is malformed, or "" (RFC 9113 section 8.1)."""
    return _check_fields(headers, 0)


def _check_fields(headers: Sequence[Header], start: int) -> str:
    """Check the regular fields, which begin at index ``start``; the values before it were checked by their own rules."""
    fields = headers[start:] if start else headers
    lengths = 0
    for name, value in fields:
        if name not in _PLAIN_NAMES:
            if name == b"content-length":
                lengths += 1
                if lengths > 1 or not _length(value):
                    return "content-length repeated or malformed"
            elif not _name(name):
                return "pseudo-header field out of place" if name[:1] == b":" else "field name malformed"
            elif name in _CONNECTION_NAMES or (name == b"te" and value != b"trailers"):
                return "connection-specific field"
        if value.strip() is not value:
            return "field value with an outer blank"
    # A field value has no NUL, CR or LF anywhere (section 8.2.1): one look at all of them.
    joined = b"".join([value for _, value in fields])
    return "field value with a control character" if len(joined.translate(None, b"\0\r\n")) != len(joined) else ""


def trimmed(headers: Headers) -> Headers:
    """Return a received list without the blanks around its values, which peers send though they must not (section 8.2.1).

    The values of pseudo-header fields have rules of their own, and stay as they are.
    """
    return [_trimmed(header) if header[1][:1] in _BLANKS or header[1][-1:] in _BLANKS else header for header in headers]


def _trimmed(header: Header) -> Header:
    name, value = header
    if name[:1] == b":":
        return header
    value = value.strip(b" \t")
    kind = type(header)  # it may mark fields that are never to be indexed
    return (name, value) if kind is tuple else cast("Callable[[bytes, bytes], Header]", kind)(name, value)


def exceeded_limit(headers: Sequence[Header], limits: Limits) -> LimitKey:
    """Return the key of the limit a received header list exceeds, or "".

    What HTTP/1.1 would say in its start line, and with Host, does not count; the crumbs of a cookie (RFC 9113 section 8.2.3)
    are one field. So a request gets the same answer in both versions. A pseudo-header field alone keeps to the size.
    """
    count = len(headers)
    size = count * _FIELD_OVERHEAD
    for name, value in headers:
        size += len(name) + len(value)
    if count <= limits.header_count and size <= limits.header_bytes:
        return ""  # by far the most
    crumbs = 0
    for name, value in headers:
        if name == b"cookie":
            crumbs += 1
            if crumbs > 1:
                count -= 1
                size -= len(name) + _FIELD_OVERHEAD - _CRUMB_OVERHEAD
        elif name[:1] == b":" or name == b"host":
            if len(value) > limits.header_bytes:
                return "header_bytes"
            count -= 1
            size -= len(name) + len(value) + _FIELD_OVERHEAD
    if count > limits.header_count:
        return "header_count"
    return "header_bytes" if size > limits.header_bytes else ""


def host_differs(headers: Sequence[Header]) -> bool:
    """Tell whether a request's ``host`` names somebody else than its ``:authority``, or two hosts (section 8.3.1)."""
    host: bytes | None = None
    for name, value in headers:
        if name == b"host":
            if host is not None:
                return True
            host = value
    return host is not None and any(name == b":authority" and value.lower() != host.lower() for name, value in headers)
