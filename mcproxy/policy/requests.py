"""Requests as they come in: which of their fields pass, and which requests must not pass at all."""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from operator import itemgetter

from mcproxy.errors import ProtocolError
from mcproxy.policy import connection_auth, field_names
from mcproxy.policy.authority import is_authority
from mcproxy.policy.headers import REQUEST_ID, Headers, RequestHead, connection_options, tokens, trailer_fields

# What requests mostly consist of, and what passes on as it is unless the operator removes it.
_PLAIN = frozenset(
    b"""accept accept-charset accept-encoding accept-language access-control-request-headers access-control-request-method
    authorization cache-control content-encoding content-length content-type cookie date dnt expect from
    grpc-accept-encoding grpc-encoding grpc-timeout if-match if-modified-since if-none-match if-range if-unmodified-since
    max-forwards origin pragma priority range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest
    sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc traceparent tracestate upgrade-insecure-requests user-agent via
    x-requested-with""".split()
)
_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_GONE = field_names.OF_CONNECTION | {b"host"}
_is_path = re.compile(rb"/[\x21\x22\x24-\x7e]*").fullmatch
_SPECIAL_METHODS = (b"CONNECT", b"TRACE")
_name = itemgetter(0)


class RefusedError(ProtocolError):
    """A request that its engine let pass, but that must not reach a backend.

    Attributes:
        status: what to answer.
        reason: a short, stable word for counters.
        detail: one line for the operator's log.
        head: what is known of the request, None for nothing.
    """

    def __init__(self, status: int, reason: str, detail: str, head: "RequestHead | None" = None) -> None:
        super().__init__(reason, detail)
        self.status = status
        self.detail = detail
        self.head = head


class RequestRules:
    """What of a request may pass to a backend.

    Args:
        removed: names of fields that no backend gets from clients, in any spelling that `field_names.fold` makes alike.
        keeps_ids: whether requests come from a proxy that may name them (`kept_id`).
    """

    __slots__ = ("_plain", "_removed", "_usual")

    def __init__(self, removed: Iterable[str] = (), *, keeps_ids: bool = False) -> None:
        gone = frozenset(field_names.fold(name.encode()) for name in removed)
        self._removed = gone | {REQUEST_ID}  # in all spellings but its own, if that is kept
        self._plain = (_PLAIN | {REQUEST_ID} if keeps_ids else _PLAIN) - gone
        self._usual = self._plain | {b":method", b":scheme", b":authority", b":path"}

    def from_http1(
        self,
        method: bytes,
        target: bytes,
        host: bytes,
        headers: Headers,
        *,
        websocket: bool = False,
        fallback: bytes = b"",
    ) -> RequestHead:
        """Return the form of a request that came in HTTP/1.1, already validated.

        Args:
            method: as received.
            target: in origin-form, or ``*``.
            host: the value of Host.
            headers: all fields as received, none of them an alias of a framing field.
            websocket: whether it is a valid upgrade to WebSocket.
            fallback: the authority of a request of HTTP/1.0 without Host (the TLS server name).

        Raises:
            RefusedError: 405 for TRACE.
        """
        names = set(map(_name, headers))
        kept = self._passing(headers, names - self._plain)
        binds = b"authorization" in names and connection_auth.in_request(kept)
        return _allowed(RequestHead(method, host or fallback, target, kept, websocket, binds=binds))

    def from_http2(self, fields: Headers, known: bytes = b"") -> RequestHead:
        """Return the form of a request that came in HTTP/2 (RFC 9113 section 8.3), pseudo-header fields first.

        The engine lets no request pass that names two authorities, so ``host`` only stands in for ``:authority``.

        Args:
            fields: all fields as received.
            known: the authority of an earlier request, if that was let pass: nearly all of a connection have the same.

        Raises:
            RefusedError: 405 for TRACE; 501 for CONNECT other than to WebSocket; 400 where a field is missing, a name reads like a
                framing field, or a value cannot be said in HTTP/1.1.
        """
        # As a dict the list loses all but the last of fields of one name; the pseudo-header fields cannot be repeated.
        pseudo = dict(fields)
        usual = self._usual.issuperset(pseudo)
        if not usual or len(fields) < 4 or fields[3][0][:1] != b":":
            start = sum(name.startswith(b":") for name, _ in fields)
        else:
            start = 4
            if known and pseudo.get(b":authority") == known and b"authorization" not in pseudo:
                method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
                if method not in _SPECIAL_METHODS and _is_path(path):
                    return RequestHead(method, known, path, fields[4:], False, True)  # as nearly always
        headers = fields[start:]
        method = pseudo.get(b":method", b"")
        websocket = method == b"CONNECT"
        if websocket:
            if pseudo.get(b":protocol", b"").lower() != b"websocket":
                raise RefusedError(501, "connect", "CONNECT other than to WebSocket")
            method = b"GET"
        authority = pseudo.get(b":authority") or pseudo.get(b"host", b"")
        if not is_authority(authority):
            raise RefusedError(400, "bad_authority", ":authority is not a host and port")
        path = pseudo.get(b":path", b"")
        if not _is_path(path) and not (path == b"*" and method == b"OPTIONS"):
            raise RefusedError(400, "bad_path", ":path is not a path")
        if not usual:
            headers = self._passing(headers, pseudo.keys() - self._plain - _PSEUDO)
        binds = b"authorization" in pseudo and connection_auth.in_request(headers)
        return _allowed(RequestHead(method, authority, path, headers, websocket, checked=True, binds=binds))

    def again(self, known: RequestHead, fields: Headers, path: bytes) -> RequestHead | None:
        """Return the form of a request that came in HTTP/2, None if `from_http2` has to find it.

        Args:
            known: the form of one that differs in its path at most, and of which all fields pass.
            fields: all fields as received.
            path: the path.
        """
        if not _is_path(path):
            return None
        return RequestHead(known.method, known.authority, path, fields[4:], False, True, known.binds)

    def trailers(self, headers: Headers) -> Headers:
        """Return the trailers of a request that may pass."""
        return trailer_fields(headers, self._removed)

    def _passing(self, headers: Headers, unusual: AbstractSet[bytes]) -> Headers:
        """Return a request's end-to-end fields, without Host, claims and what is to be removed.

        Args:
            headers: all fields.
            unusual: the names of those that are not plain; the others pass.

        Raises:
            RefusedError: a name reads like a framing field.
        """
        gone: set[bytes] = set()
        for name in unusual:
            folded = field_names.fold(name)
            if folded in field_names.FRAMING and folded != name:
                raise RefusedError(
                    400, "ambiguous_framing", "a field name that a backend could read as a framing field"
                )
            if folded in _GONE or folded in self._removed or field_names.is_claim(folded):
                gone.add(name)
        if b"te" in gone and [value for name, value in headers if name == b"te"] == [b"trailers"]:
            gone.discard(b"te")
        if not gone:
            return headers
        if b"connection" in gone:
            gone |= connection_options(headers)
        kept = [header for header in headers if header[0] not in gone]
        if b"te" in gone and b"trailers" in tokens(value for name, value in headers if name == b"te"):
            kept.append((b"te", b"trailers"))
        return kept


def unread_head(fields: Headers) -> RequestHead:
    """Return what the log tells of a request that is refused unread: its fields as they came, pseudo-header fields first."""
    pseudo = {name: value for name, value in fields if name[:1] == b":"}
    authority = pseudo.get(b":authority", b"")
    return RequestHead(pseudo.get(b":method", b""), authority, pseudo.get(b":path", b""), fields)


def _allowed(head: RequestHead) -> RequestHead:
    """Return the head unless its method is TRACE: a backend would send the fields that the proxy adds back to the client."""
    if head.method == b"TRACE":
        raise RefusedError(405, "trace", "TRACE", head)
    return head
