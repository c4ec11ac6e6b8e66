"""What goes wrong with an exchange once a backend has its request, and what gRPC says of it."""

from collections.abc import Iterable

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory import grpc_statuses
from mcproxy.wire import http1
from mcproxy.wire.http2 import GoAway

UNSAYABLE = Failure("bad_response", "a field of it can't be said in the client's version of HTTP")
NO_STREAM = Failure("backend_no_stream", "it resets the stream of the request unprocessed (REFUSED_STREAM)")
BROKEN_STREAM = Failure("bad_response", "it broke the rules of HTTP/2 on the stream of the request")
TRAILERS = Failure("bad_request", "its trailers can't be said in the backend's version of HTTP")

ERROR_CODES = (
    *("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED"),
    *("FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM"),
    *("INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"),
)
"""The names of the codes of RFC 9113 section 7, from 0 on."""
# Of a response that exceeds a limit: the reason; whatever else can't be read is "bad_response".
_REASONS = {"header_bytes": "response_header_bytes", "header_count": "response_header_count"}
_DEBUG = 100  # bytes of what a backend adds to a GOAWAY that are told
_GRPC_STATUS = b"grpc-status"


def of_response(event: http1.Bad) -> Failure | None:
    """Return what is wrong with a response of HTTP/1.1, None where it was cut short."""
    if event.reason == "truncated":
        return None
    return Failure(_REASONS.get(event.reason, "bad_response"), event.detail)


def cut_short(status: int, sent: int, why: str = "") -> Failure:
    """Return that a backend has ended its connection, after the head of a response and bytes of its body, or without (0)."""
    when = f"behind {sent:,} bytes of the body" if status else "before it had answered"
    return Failure("backend_error", f"it ended the connection {when}{f': {why}' if why else ''}")


def code_words(goaway: GoAway) -> str:
    """Return why a backend says that it ends a connection: the code's name, and what it adds, as one short line."""
    name = ERROR_CODES[goaway.code] if goaway.code < len(ERROR_CODES) else f"code {goaway.code}"
    more = goaway.debug[:_DEBUG].decode(errors="replace").encode("unicode_escape").decode()
    return f"{name} ({more})" if more else name


def reset(code: int) -> Failure:
    """Return that a backend has reset a stream, with a code of RFC 9113 section 7."""
    return Failure("backend_reset", f"it reset the stream with code {code}")


def grpc_status(fields: Iterable[tuple[bytes, bytes]]) -> grpc_statuses.Place | None:
    """Return the status of gRPC, which stands among the last fields of a response; None if it is none of gRPC."""
    for name, value in fields:
        if name == _GRPC_STATUS:
            return grpc_statuses.place(value)
    return None
