"""Why connections and requests end: every word there is, once.

The words stand in metrics, in the access log, in the admin API and on the status page. Those that are ``counted`` have a counter per
listener, for connections without a route, and one per route. They name what happened; `Failure` adds a sentence to one of them.
"""

from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.values.http.routing_reasons import GUARDS, NO_CERTIFICATE, ROUTING

Group: TypeAlias = Literal["refused", "backend", "proxy", "client", "request", "end"]
"""What kind of end: ``refused`` by a rule of the proxy, a ``backend`` failed, the ``proxy`` itself had not what it takes, the
``client`` went away or broke off, a ``request`` was answered with an error of the proxy's own because of what is in it, or an
ordinary ``end``."""

Fault: TypeAlias = Literal["client", "backend", "proxy", "nobody"]


class Reason(msgspec.Struct, frozen=True):
    """One word.

    Attributes:
        word: stands in metrics and logs.
        group: what kind of end it is.
        fault: whose doing it is, as a rule.
        meaning: what happened.
        advice: what the operator can do about it, "" for nothing.
        counted: whether it has counters.
    """

    word: str
    group: Group
    fault: Fault
    meaning: str
    advice: str = ""
    counted: bool = False


class Failure(msgspec.Struct, frozen=True):
    """Why something ended.

    Attributes:
        reason: a word of `REASONS`.
        detail: in words, for people: what was seen, "" where the reason says it all.
        endpoint: the address that was tried last, "" for none.
        filter: the name of the filter of an l4 route that has refused a connection, "" for none.
    """

    reason: str
    detail: str = ""
    endpoint: str = ""
    filter: str = ""

    def __str__(self) -> str:
        """Return it as one line: ``backend_refused: 10.0.0.5:80: connection refused``."""
        return ": ".join(filter(None, (self.reason, self.endpoint, self.detail)))


def _counted(group: Group, fault: Fault, *rows: tuple[str, str, str]) -> tuple[Reason, ...]:
    return tuple(Reason(word, group, fault, meaning, advice, counted=True) for word, meaning, advice in rows)


def _logged(group: Group, fault: Fault, *rows: tuple[str, str, str]) -> tuple[Reason, ...]:
    return tuple(Reason(word, group, fault, meaning, advice) for word, meaning, advice in rows)


_FIREWALL = _counted(
    "refused",
    "client",
    ("ip", "The client's address is in `blocked_ips`.", "`mcproxyctl explain --ip` names the rule."),
    ("cidr", "The client's address is in one of `blocked_cidrs`.", "`mcproxyctl explain --ip` names the rule."),
    ("country", "The client's country is in `blocked_countries`.", "`mcproxyctl explain --ip` names the country."),
    (
        "not_allowed",
        'The client is in none of `allowed_ips`, `allowed_cidrs` and `allowed_countries`, and `[firewall] default` is `"deny"`.',
        "`mcproxyctl firewall add allowed_ip` lets it in.",
    ),
    (
        "connections_per_client",
        "The client has as many connections open as `[firewall] connections_per_client` allows.",
        "Raise it for clients behind one NAT.",
    ),
    (
        "rate_limit",
        "The client connects more often than `[firewall] rate_limit` allows.",
        "Raise it for clients behind one NAT.",
    ),
)

_REFUSED = _counted(
    "refused",
    "client",
    (
        "not_tls",
        "The first bytes are neither TLS nor HTTP: another protocol, or a scan.",
        'Set `protocol = "http"` or `"tcp"` on a listener whose clients speak no TLS.',
    ),
    (
        "unexpected_tls",
        'The client begins with TLS on a listener with `protocol = "http"`.',
        'Set `protocol = "tls"` there, or send its clients to the port that has it.',
    ),
    (
        "plain_http",
        "The client speaks HTTP without TLS on a listener with TLS.",
        'Send it to https, by a listener with `protocol = "http"` whose routes redirect.',
    ),
    ("bad_hello", "The ClientHello is malformed.", ""),
    ("hello_too_large", "The ClientHello is longer than 16 KiB.", ""),
    (
        "hello_timeout",
        "The ClientHello was not complete within `client_hello_timeout`, or without TLS nothing of a request came.",
        "",
    ),
    (
        "unexpected_proxy_header",
        "A PROXY header came where the listener expects none.",
        "Set `proxy_protocol = true` on the listener if a load balancer sends it.",
    ),
    ("no_sni", "The client names no server (SNI), and there is no route `*`.", "Add a route `*`, or let it be."),
    (
        "no_route",
        "No route serves the name that the client asks for.",
        "Add the route, or correct the DNS record that leads here.",
    ),
    ("untrusted_proxy", "The peer is in none of `trusted_proxies`.", 'Add its network, or `untrusted = "direct"`.'),
    (
        "no_proxy_header",
        "The connection of a trusted proxy does not begin with a PROXY header.",
        "Let the load balancer send it.",
    ),
    ("bad_proxy_header", "The PROXY header is malformed.", "Compare the load balancer's version and settings."),
    (
        "proxy_header_too_large",
        "The PROXY header is longer than `proxy_header_bytes`.",
        "Raise the limit if its TLVs are long.",
    ),
    ("proxy_header_timeout", "The PROXY header was not complete within `proxy_header_timeout`.", ""),
    NO_CERTIFICATE,
    ("limit", "The listener's `max_connections` were open.", "Raise it: `mcproxyctl listeners set-max-connections`."),
)

_FILTERS = _counted("refused", "client", *GUARDS)

_CLIENT = _counted(
    "client",
    "client",
    (
        "client_gone",
        "The client left before it was connected with a backend.",
        "Many of them: clients wait too long, or scan.",
    ),
    ("hello_truncated", "The client left amid its ClientHello, or the preface of HTTP/2.", ""),
    ("proxy_header_truncated", "The sender left amid its PROXY header.", ""),
    (
        "tls_failed",
        "The TLS handshake of an l7 route failed: the client does not accept the certificate, or has no version or cipher in common.",
        "Look at the certificate: `mcproxy validate-config`, `openssl s_client`.",
    ),
    (
        "client_certificate",
        "The client has no certificate though the route requires one, a wrong one (a TLS alert), or one without a name that is let in (403).",
        "`mcproxyctl explain` tells what the route wants; the detail in the access log, what was wrong.",
    ),
    ("tls_timeout", "The client did not finish the TLS handshake within `handshake_timeout`.", ""),
    (
        "client_reset",
        "The client left, or reset the stream, before the response was complete.",
        "Many of them: the backend is too slow for its clients.",
    ),
    ("request_timeout", "The client did not go on with the request's body within `idle_timeout` (408).", ""),
)

_BACKEND = _counted(
    "backend",
    "backend",
    (
        "backend_dns",
        "The backend's name has no address, or DNS does not answer.",
        "Correct the name, or the resolver of this machine.",
    ),
    (
        "backend_refused",
        "The backend can't be connected to: nothing listens there, it can't be reached, or a firewall refuses.",
        "Start it, or correct `backend`; `mcproxyctl explain --probe` dials it.",
    ),
    (
        "backend_timeout",
        "The backend did not answer within `connect_timeout`, or not to the TLS handshake.",
        "A firewall may drop packets; the machine may be off or overloaded.",
    ),
    (
        "backend_tls",
        "The TLS handshake with the backend failed.",
        "Compare the versions; without TLS there, remove `backend_tls`.",
    ),
    (
        "backend_certificate",
        "The backend's certificate is not valid: expired, self-signed, of an unknown CA, or for another name.",
        "Renew it, or set `backend_ca` or `backend_server_name`.",
    ),
    (
        "backend_no_stream",
        "The backend takes connections and no requests.",
        "It is overloaded, shuts down, or speaks another protocol: `backend_protocol`.",
    ),
    (
        "backend_no_answer",
        "The backend (l4) took the connection and ended it without a byte.",
        "It speaks no TLS, crashes, a port forwarder has nothing behind it, or it refuses this client. Five in a row without an answer to anybody count as a failing route.",
    ),
    (
        "backend_error",
        "The backend ended the connection before the response was complete.",
        "Its log tells why: a crash, a restart, a time limit shorter than the proxy's.",
    ),
    ("backend_reset", "The backend reset the request's stream (HTTP/2).", "Its log tells why."),
    (
        "bad_response",
        "The backend's response breaks the rules of HTTP.",
        "The detail in the access log says what and where.",
    ),
    (
        "response_header_bytes",
        "The head of the backend's response is longer than `response_header_bytes`.",
        "Raise the limit, or make the backend say less.",
    ),
    (
        "response_header_count",
        "The backend's response has more fields than `response_header_count`.",
        "Raise the limit, or make the backend say less.",
    ),
    (
        "response_timeout",
        "The backend sent nothing for `idle_timeout` (504).",
        "Make it faster, or raise the route's `idle_timeout`.",
    ),
)

_UPSTREAM = _counted(
    "backend",
    "backend",
    (
        "upstream_down",
        "No endpoint of the upstream is usable (503; l4: a reset): all are down or ejected and `panic = false`, or none is ready.",
        "`mcproxyctl endpoints list` tells why of each.",
    ),
    (
        "upstream_full",
        "Every usable endpoint of the upstream has `max_active` connections or requests (503; l4: a reset).",
        "Raise `max_active`, or add endpoints.",
    ),
)

_AUTH = _counted(
    "backend",
    "backend",
    (
        "forward_auth_failed",
        "The backend of `forward_auth` has not answered whether the request may pass, within 5 s or at all (503).",
        "The access log's `endpoint` and detail tell which, and why; until it answers nobody passes.",
    ),
)

_PROXY = _counted(
    "proxy",
    "proxy",
    (
        "no_resources",
        "No descriptors, ports or memory were left.",
        "Raise `LimitNOFILE` or `net.ipv4.ip_local_port_range`, or add memory.",
    ),
    (
        "backend_waiting",
        "Too many requests waited for a connection to the backend (503).",
        "The backend is too slow, or `backend_connections` too few.",
    ),
)

_REQUEST = (
    *_logged(
        "request",
        "client",
        ("bad_request", "The request can't be passed on as it is (400).", ""),
        ("bad_request_line", "The request line is malformed (400).", ""),
        ("bad_version", "The version is neither HTTP/1.0 nor HTTP/1.1 (505).", ""),
        ("bad_target", "The request's target is no path, or names another host than Host does (400).", ""),
        ("bad_path", "The path is none (400).", ""),
        ("bad_host", "Host is missing, doubled or malformed (400).", ""),
        ("bad_authority", "`:authority` is no host and port (400).", ""),
        ("bad_header", "A header field is malformed (400).", ""),
        ("bad_length", "Content-Length is no number, or a huge one (400, 413).", ""),
        ("bad_transfer_encoding", "Transfer-Encoding is not exactly `chunked` (400).", ""),
        ("bad_chunk", "The body's chunks are malformed (400).", ""),
        ("bad_trailers", "The trailers are malformed (400).", ""),
        ("bad_upgrade", "The upgrade to WebSocket is malformed (400).", ""),
        ("bad_expectation", "Something else than 100-continue is expected (417).", ""),
        ("ambiguous_framing", "Where the body ends could be read in two ways: request smuggling (400).", ""),
        ("truncated", "The client ended the connection amid a request (400).", ""),
        ("connect", "CONNECT asks for a tunnel to anywhere (501).", ""),
        ("trace", "TRACE is not served (405).", ""),
        (
            "misdirected",
            "The request is for a host of another route (421).",
            "Give routes certificates of their own, so that clients open connections of their own.",
        ),
    ),
    *_logged(
        "request",
        "client",
        (
            "header_bytes",
            "The request's head is longer than `header_bytes` (431).",
            "Raise the limit if cookies are long.",
        ),
        ("header_count", "The request has more fields than `header_count` (431).", ""),
        ("header_timeout", "The request's head was not complete within `header_timeout` (408).", ""),
        ("concurrent_streams", "The client opens more streams than `concurrent_streams`.", ""),
        ("unsent_bytes", "More than `unsent_bytes` waited for a client that does not read.", ""),
        (
            "backend_connections",
            "The client had not taken its response for a while, and others waited for one of `backend_connections`.",
            "Raise it if many clients read slowly.",
        ),
        ("stalled_window_timeout", "The client took nothing of its response for `stalled_window_timeout`.", ""),
        (
            "block_user_agent",
            "A policy of the route blocks the user agent (403).",
            "`mcproxyctl explain` names the policy.",
        ),
        ("require_header", "A policy of the route requires a header (403).", "`mcproxyctl explain` names the policy."),
        *ROUTING,
    ),
)

_ENDS = (
    *_logged(
        "end",
        "nobody",
        ("complete", "The request was answered in full.", ""),
        ("client_closed", "The client ended the connection first (l4).", ""),
        ("backend_closed", "The backend ended the connection first (l4).", ""),
        (
            "idle_timeout",
            "Not a byte moved for `idle_timeout` (l4).",
            "Raise the route's `idle_timeout` for quiet protocols.",
        ),
        ("half_closed_timeout", "One side had ended, and the other sent nothing for `half_closed_timeout` (l4).", ""),
        ("client_broke_off", "The client reset the connection (l4).", ""),
        ("backend_broke_off", "The backend reset the connection after it had sent something (l4).", ""),
        (
            "drained",
            "The connection was to end with its route, endpoint, listener or worker, and its time was over.",
            "Raise `shutdown_timeout`.",
        ),
        ("route_removed", 'Its route was removed, and says `on_remove = "close"`.', ""),
        (
            "endpoint_removed",
            'Its endpoint was taken out of the upstream, and the route says `on_remove = "close"` (l4).',
            "",
        ),
        ("closed", "An operator closed it: `mcproxyctl connections close`.", ""),
    ),
    *_logged("end", "proxy", ("failed", "An error of mcproxy itself; its log has it.", "Please report it.")),
)

REASONS = {
    reason.word: reason
    for reason in (
        *_REFUSED,
        *_FIREWALL,
        *_FILTERS,
        *_CLIENT,
        *_BACKEND,
        *_UPSTREAM,
        *_AUTH,
        *_PROXY,
        *_REQUEST,
        *_ENDS,
    )
}
"""Every word, by itself."""

COUNTED = tuple(word for word, reason in REASONS.items() if reason.counted)
"""The words that have counters, in the order of these."""

FIREWALL = tuple(reason.word for reason in _FIREWALL)
"""Those that are verdicts of the firewall."""


def of_group(*groups: Group) -> frozenset[str]:
    """Return the counted words of some groups."""
    return frozenset(word for word in COUNTED if REASONS[word].group in groups)


FAILURES = of_group("backend", "proxy")
"""Those that say that a route, or the proxy, is unwell."""
