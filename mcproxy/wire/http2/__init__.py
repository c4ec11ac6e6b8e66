"""HTTP/2, sans-I/O: one interface, two engines, one frame gate.

::

    received bytes --> FrameGate --> engine --> events            calls --> engine --> output()
                        |  whole frames, counted,              |
                        |  GOAWAY taken out                    ngh2 (libnghttp2) or h2

An :class:`~.engine.Engine` is one end of one connection. Its owner feeds it received bytes with the time, acts on the events,
and once per turn of its loop writes what ``output`` gives. Nothing here knows sockets, clocks or tasks. Four kinds of result
never look alike: a list of events (empty: more bytes are needed), :class:`~.events.Reset` (one stream failed),
:class:`~.events.Fatal` (the connection failed; the GOAWAY is in the output already), and an exception (the owner is wrong:
:class:`~.engine.MisuseError`, :class:`~.headers.InvalidHeaders`).

Flow control is credit in both directions. Inbound, the owner calls ``consumed`` for what it has passed on; a stream never has
more than ``stream_window`` bytes outside. Outbound, ``send`` frames what the peer's windows allow and queues the rest:
``queued`` above 0 says "read no more from the source", :class:`~.events.Writable` says "go on".

What both engines must do alike is written once: the gate (frame floods, closed streams, chunking), the header checks, and
the base class (stream records, GOAWAY, credit of streams that are gone). One suite of tests runs over both.
"""

from importlib.util import find_spec
from typing import Literal

from mcproxy.wire.http2.engine import Engine, MisuseError
from mcproxy.wire.http2.events import (
    CANCEL,
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    HIGHEST_WINDOW,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    Data,
    Event,
    Fatal,
    GoAway,
    Header,
    Headers,
    HeadersTooLarge,
    Informational,
    LimitKey,
    Limits,
    PeerSettings,
    Pong,
    Refused,
    Request,
    Reset,
    Response,
    Trailers,
    Writable,
)
from mcproxy.wire.http2.headers import InvalidHeaders, check_request, check_response, check_trailers
from mcproxy.wire.http2.liveness import Liveness
from mcproxy.wire.opening import PREFACE

EngineName = Literal["auto", "ngh2", "h2"]


def engine_type(name: EngineName = "auto") -> type[Engine]:
    """Return an engine's class, importing no other engine.

    Args:
        name: ``ngh2``, ``h2``, or ``auto``: ngh2 where it is installed, else h2.

    Raises:
        ImportError: the engine that was asked for is not installed.
    """
    if name == "ngh2" or (name == "auto" and find_spec("ngh2") is not None):
        from mcproxy.wire.http2.ngh2_engine import Ngh2Engine  # noqa: PLC0415 - an optional dependency

        return Ngh2Engine
    from mcproxy.wire.http2.h2_engine import H2Engine  # noqa: PLC0415 - 30 ms of imports that ngh2 users never need

    return H2Engine


def unindexed() -> type[tuple[bytes, bytes]]:
    """Return the type of fields that are to enter no table (RFC 7541 section 6.2.3), pairs in all other respects.

    It is that of ngh2 where that is installed. To the other engine they are fields like all.
    """
    return engine_type().UNINDEXED


__all__ = [
    "CANCEL",
    "COMPRESSION_ERROR",
    "ENHANCE_YOUR_CALM",
    "FLOW_CONTROL_ERROR",
    "FRAME_SIZE_ERROR",
    "HIGHEST_WINDOW",
    "INTERNAL_ERROR",
    "NO_ERROR",
    "PREFACE",
    "PROTOCOL_ERROR",
    "REFUSED_STREAM",
    "STREAM_CLOSED",
    "Data",
    "Engine",
    "EngineName",
    "Event",
    "Fatal",
    "GoAway",
    "Header",
    "Headers",
    "HeadersTooLarge",
    "Informational",
    "InvalidHeaders",
    "LimitKey",
    "Limits",
    "Liveness",
    "MisuseError",
    "PeerSettings",
    "Pong",
    "Refused",
    "Request",
    "Reset",
    "Response",
    "Trailers",
    "Writable",
    "check_request",
    "check_response",
    "check_trailers",
    "engine_type",
    "unindexed",
]
