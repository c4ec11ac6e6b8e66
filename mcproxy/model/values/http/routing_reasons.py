"""The words for what routes, cases and filters refuse; `mcproxy.model.values.reasons` has all words."""

NO_CERTIFICATE = (
    "no_certificate",
    "The route orders its certificate (ACME), and the first one has not come yet (the TLS alert unrecognized_name).",
    "`mcproxyctl certificates show` tells what the order waits for.",
)
"""What is refused in the handshake: the word, what has happened, and what can be done about it."""

GUARDS: tuple[tuple[str, str, str], ...] = (
    (
        "filter_network",
        "A filter allows other networks alone, or blocks the client's (403; l4: a reset).",
        "`filter` in the access log names it, `mcproxyctl explain` its line.",
    ),
    (
        "filter_country",
        "A filter allows other countries alone, or blocks the client's (403; l4: a reset).",
        "`filter` in the access log names it, `mcproxyctl explain` its line.",
    ),
    (
        "filter_rate",
        "The client asks more often than a filter's `rate_limit` allows (429; l4: a reset).",
        "Raise it for clients behind one NAT.",
    ),
)
"""Those that connections of l4 routes are refused for as well; each word, what has happened, and what can be done about it."""

ROUTING: tuple[tuple[str, str, str], ...] = (
    ("basic_auth", "The request has no user and password of `basic_auth`, or wrong ones (401).", ""),
    ("basic_auth_busy", "Too many passwords waited to be checked (503).", "Somebody tries passwords."),
    ("forward_auth", "The backend of `forward_auth` has not let the request pass: its answer is the client's.", ""),
    (
        "body_too_large",
        "The request's body is larger than a filter's `max_body` (413).",
        "Raise it, perhaps for one case alone.",
    ),
    (
        "ambiguous_path",
        "Backends may read the path in several ways, which belong to different cases, or lead out of what a `rewrite` stands for (400).",
        "The detail names both cases; the client has to send the path that it means.",
    ),
    (
        "no_case",
        "None of the route's cases matches, and the route itself has no action (404).",
        "Add a case, or give the route a `backend`.",
    ),
)
"""The others, likewise."""
