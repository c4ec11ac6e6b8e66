"""The limits of HTTP in the forms that the wire formats take, made once per snapshot."""

from mcproxy.model.state.snapshot import HttpEntry
from mcproxy.policy.requests import RequestRules
from mcproxy.wire import http1, http2


class HttpSettings:
    """How this worker speaks HTTP.

    Attributes:
        engine: the HTTP/2 engine.
        http1, http2: the limits of each version.
        requests: what of a request may pass.
        header_timeout: seconds for a request's head to come in full.
        stalled_window_timeout: seconds that a client may leave a response waiting.
    """

    __slots__ = ("engine", "header_timeout", "http1", "http2", "requests", "stalled_window_timeout")

    def __init__(self, entry: HttpEntry) -> None:
        self.engine = http2.engine_type(entry.engine)
        self.http1 = http1.Limits(entry.header_bytes, entry.header_count)
        self.http2 = http2.Limits(
            **{field: getattr(entry, field) for field in http2.Limits.__struct_fields__},
        )
        self.requests = RequestRules(entry.remove_request_headers)
        self.header_timeout = entry.header_timeout
        self.stalled_window_timeout = entry.stalled_window_timeout
