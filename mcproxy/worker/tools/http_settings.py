"""The limits of HTTP in the forms that the wire formats take, made once per snapshot."""

import msgspec

from mcproxy.model.state.snapshot import HttpEntry
from mcproxy.policy.requests import RequestRules
from mcproxy.wire import http1, http2

# What a backend may send ahead of a client that does not read: a small part of each of its responses, and of a few a whole
# window (`whole_responses`), so that all of them together stay within `unsent_bytes`. The connection serves many clients, so
# its own window is out of the way: what one client leaves unread is held back on its own streams alone.
FIRST_PART = 4_096
# What a client may send ahead on a stream whose bytes its backend takes as they come: enough for 100 Mbit/s over 80 ms. What waits of
# a connection's streams together is bounded by its own window, whose credit is given back only for what was taken.
GROWN_WINDOW = 1 << 20
_DERIVED = ("first_window", "grown_window")


class HttpSettings:
    """How this worker speaks HTTP.

    Attributes:
        engine: the HTTP/2 engine.
        http1, http2: the limits of each version.
        requests: what of a request may pass.
        proxied_requests: the same of one that a trusted proxy has passed on.
        backend_http1, backend_http2: those that a backend is given.
        unsent_bytes: how many may wait here for one client.
        whole_responses: of how many responses of one client a whole window may wait here.
        header_timeout: seconds for a request's head to come in full.
        stalled_window_timeout: seconds that a client may leave a response waiting.
        backend_connections: connections of one pool to its backend.
        backend_waiting: requests that wait in one pool while no more connections may be made.
    """

    __slots__ = (
        "backend_connections",
        "backend_http1",
        "backend_http2",
        "backend_waiting",
        "engine",
        "header_timeout",
        "http1",
        "http2",
        "proxied_requests",
        "requests",
        "stalled_window_timeout",
        "unsent_bytes",
        "whole_responses",
    )

    def __init__(self, entry: HttpEntry) -> None:
        self.engine = http2.engine_type(entry.engine)
        self.http1 = http1.Limits(entry.header_bytes, entry.header_count)
        self.backend_http1 = http1.Limits(entry.response_header_bytes, entry.response_header_count)
        self.http2 = http2.Limits(
            **{field: getattr(entry, field) for field in http2.Limits.__struct_fields__ if field not in _DERIVED},
            grown_window=GROWN_WINDOW,
        )
        self.requests = RequestRules(entry.remove_request_headers)
        self.proxied_requests = RequestRules(entry.remove_request_headers, keeps_ids=True)
        self.backend_http2 = msgspec.structs.replace(
            self.http2,
            header_bytes=entry.response_header_bytes,
            header_count=entry.response_header_count,
            first_window=FIRST_PART,
            grown_window=0,
            connection_window=http2.HIGHEST_WINDOW,
        )
        self.unsent_bytes = entry.unsent_bytes
        self.whole_responses = max(1, entry.unsent_bytes // (2 * entry.stream_window))
        self.header_timeout = entry.header_timeout
        self.stalled_window_timeout = entry.stalled_window_timeout
        self.backend_connections = entry.backend_connections
        self.backend_waiting = entry.backend_waiting
