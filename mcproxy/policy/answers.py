"""The answers that a route gives itself, without a backend: a redirect, or a text."""

import msgspec

from mcproxy.late_patterns import late
from mcproxy.model.state.filter_options import Page
from mcproxy.model.state.scopes import CASE_FILTER, ROUTE_FILTER
from mcproxy.model.state.state import Case, Route
from mcproxy.model.values.texts import VARIABLES
from mcproxy.policy.authority import authority_host
from mcproxy.policy.headers import ErrorResponse, RequestHead, error_response, is_grpc

_PARTS = late(r"\{(" + "|".join(VARIABLES) + r")\}")
_CLEAN = late(rb"[!-~]*")
_LEADING = late(rb"[/\\]+")
_TEXT = "text/plain; charset=utf-8"
_REALM = "restricted"  # of filters without a name
_NO_METHOD = 404  # what gRPC is told as UNIMPLEMENTED


class Asking(msgspec.Struct, frozen=True):
    """Who asks, beside the request itself.

    Attributes:
        client_ip: the client's address.
        request_id: of the request.
        sni: the server name of its TLS handshake, "" for none.
        scheme: of the URL that the client has: ``https`` or ``http``.
        client_cert: the first name in the certificate that the client has shown, "" for none.
    """

    client_ip: str
    request_id: bytes
    sni: str
    scheme: str = "https"
    client_cert: str = ""


def challenge(name: str) -> tuple[bytes, bytes]:
    """Return the field that asks for a user and password (RFC 7617); ``name`` is that of the filter.

    It is the realm, which browsers ask people for, and keep passwords by.
    """
    realm = _REALM if name in (ROUTE_FILTER, CASE_FILTER) else name
    return b"www-authenticate", b'Basic realm="%b", charset="UTF-8"' % realm.encode()


class OwnAnswer:
    """What a route answers every request with.

    Attributes:
        status: of the answer.
        parts: of the redirect's target, texts and names of variables in turn; empty for a text.
    """

    __slots__ = ("_text", "parts", "status")

    def __init__(self, route: Route | Case, page: bytes = b"") -> None:
        """``route`` is one with ``redirect`` or ``respond``, or a case with these; ``page`` is what the file of ``respond`` holds."""
        self.parts = tuple(_PARTS.split(route.redirect)) if route.redirect else ()
        self.status = route.status or (308 if self.parts else 200)
        respond = route.respond
        body, kind = (page, respond.type) if isinstance(respond, Page) else (respond.encode(), _TEXT)
        fields = ((b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)))
        self._text = ErrorResponse(self.status, fields, body)

    def to(self, head: RequestHead, asking: Asking) -> ErrorResponse:
        """Return the answer to a request: 400 where a redirect needs the host and the request names none.

        gRPC knows neither redirects nor texts: it is told that there is no such method.
        """
        if is_grpc(head.headers):
            status = self.status if self.status >= _FIRST_ERROR else _NO_METHOD
            return error_response(status, asking.request_id, grpc=True)
        if not self.parts:
            return self._text
        target = self.target(head, asking)
        if target is None:
            return error_response(400, asking.request_id)
        return ErrorResponse(self.status, ((b"location", target), (b"content-length", b"0")), b"")

    def target(self, head: RequestHead, asking: Asking) -> bytes | None:
        """Return where a redirect leads; None if it needs the host and there is none.

        A path never begins with two slashes, or backslashes, which browsers take for them: what followed would be a host.
        """
        filled = b"".join(
            variable(part, head, asking) if number % 2 else part.encode() for number, part in enumerate(self.parts)
        )
        if "host" in self.parts[1::2] and not variable("host", head, asking):
            return None
        return _as_path(filled) if self.parts[0][:1] == "/" else filled

    def leads_back(self, head: RequestHead, asking: Asking) -> bool:
        """Tell whether a redirect leads a client of https to the URL that it has, and so nowhere, perhaps for ever.

        That is how it is where a balancer in front has terminated TLS, and a trusted header says so.
        """
        if not self.parts or asking.scheme != "https":
            return False
        here = b"https://%b%b" % (variable("host", head, asking), variable("uri", head, asking))
        return self.target(head, asking) == here


_FIRST_ERROR = 400


def variable(name: str, head: RequestHead, asking: Asking) -> bytes:
    """Return what a variable stands for; nothing where that would not be fit for a header."""
    path, mark, query = head.path.partition(b"?")
    match name:
        case "host":
            host = authority_host(head.authority) or asking.sni
            value = f"[{host}]".encode() if ":" in host else host.encode()
        case "uri":
            return _as_path(path + mark + query)
        case "path":
            return _as_path(path)
        case "query":
            value = query
        case "client_ip":
            value = asking.client_ip.encode()
        case "request_id":
            value = asking.request_id
        case "client_cert":
            value = asking.client_cert.encode()
        case "scheme":
            value = asking.scheme.encode()
        case _:
            value = asking.sni.encode()
    return value if _CLEAN.fullmatch(value) else b""


def _as_path(value: bytes) -> bytes:
    """Return a path that begins with exactly one slash; that alone for what is none, as the target ``*``."""
    if not _CLEAN.fullmatch(value):
        return b"/"
    match = _LEADING.match(value)
    return b"/" + value[match.end() :] if match is not None else b"/"
