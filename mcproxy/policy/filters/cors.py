"""What pages of other origins may do, by their browsers' leave: CORS (the Fetch standard, section 3.3)."""

from mcproxy.model.state.filter_options import Cors
from mcproxy.policy.headers import ErrorResponse, Headers, RequestHead

_ASKED = b"access-control-request-method"
_PREFIX = b"access-control-"
_VARY = b"vary"


class CorsRule:
    """The leave that one filter gives.

    Args:
        cors: what the filter says.
    """

    __slots__ = ("_any", "_granted", "_origins", "_preflight")

    def __init__(self, cors: Cors) -> None:
        self._any = "*" in cors.origins
        self._origins = frozenset(origin.encode() for origin in cors.origins)
        credentials: Headers = [(b"access-control-allow-credentials", b"true")] if cors.credentials else []
        self._granted = list(credentials)
        if cors.expose_headers:
            self._granted.append((b"access-control-expose-headers", ", ".join(cors.expose_headers).encode()))
        self._preflight = list(credentials)
        self._preflight.append((b"access-control-allow-methods", ", ".join(cors.methods).encode()))
        if cors.headers:
            self._preflight.append((b"access-control-allow-headers", ", ".join(cors.headers).encode()))
        if isinstance(cors.max_age, float | int):
            self._preflight.append((b"access-control-max-age", b"%d" % cors.max_age))

    def preflight(self, head: RequestHead) -> ErrorResponse | None:
        """Return the answer to what a browser asks before the request itself; None for every other request.

        It tells an origin without leave nothing, and that is a refusal to the browser.
        """
        if not _is_preflight(head):
            return None
        origin = _origin(head)
        vary = (_VARY, b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
        allowed = None if origin is None else self._allowed(origin)
        return ErrorResponse(204, (vary,) if allowed is None else (vary, allowed, *self._preflight), b"")

    def fields(self, head: RequestHead, headers: Headers) -> Headers:
        """Return a response's fields with what the browser is told; what the backend says about it is left out.

        Whatever a preflight is answered with is the proxy's own, and stays as it is.
        """
        if _is_preflight(head):
            return headers
        kept = [header for header in headers if not header[0].startswith(_PREFIX)]
        if not any(name == _VARY and _is_named(value) for name, value in kept):
            kept.append((_VARY, b"Origin"))
        origin = _origin(head)
        allowed = None if origin is None else self._allowed(origin)
        if allowed is not None:
            kept += (allowed, *self._granted)
        return kept

    def _allowed(self, origin: bytes) -> tuple[bytes, bytes] | None:
        if self._any:
            return (b"access-control-allow-origin", b"*")
        return (b"access-control-allow-origin", origin) if origin in self._origins else None


def _is_preflight(head: RequestHead) -> bool:
    return head.method == b"OPTIONS" and any(name == _ASKED for name, _ in head.headers) and _origin(head) is not None


def _origin(head: RequestHead) -> bytes | None:
    origins = [value for name, value in head.headers if name == b"origin"]
    return origins[0] if len(origins) == 1 else None


def _is_named(vary: bytes) -> bool:
    return any(name.strip() in (b"origin", b"*") for name in vary.lower().split(b","))
