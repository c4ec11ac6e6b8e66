"""What goes wrong with an exchange once a backend has its request, and what gRPC says of it."""

from mcproxy.model.values.reasons import Failure
from mcproxy.net.memory import grpc_statuses
from mcproxy.policy.headers import Headers

UNSAYABLE = Failure("bad_response", "a field of it can't be said in the client's version of HTTP")
NO_STREAM = Failure("backend_no_stream", "it resets the stream of the request unprocessed (REFUSED_STREAM)")
BROKEN_STREAM = Failure("bad_response", "it broke the rules of HTTP/2 on the stream of the request")
TRAILERS = Failure("bad_request", "its trailers can't be said in the backend's version of HTTP")

_GRPC_STATUS = b"grpc-status"


def cut_short(status: int, sent: int) -> Failure:
    """Return that a backend has ended its connection, after the head of a response and bytes of its body, or without (0)."""
    when = f"behind {sent:,} bytes of the body" if status else "before it had answered"
    return Failure("backend_error", f"it ended the connection {when}")


def reset(code: int) -> Failure:
    """Return that a backend has reset a stream, with a code of RFC 9113 section 7."""
    return Failure("backend_reset", f"it reset the stream with code {code}")


def grpc_status(fields: Headers) -> grpc_statuses.Place | None:
    """Return the status of gRPC, which stands among the last fields of a response; None if it is none of gRPC."""
    for name, value in fields:
        if name == _GRPC_STATUS:
            return grpc_statuses.place(value)
    return None
