"""Words of the configuration by which something is counted, in the order of their counters."""

POLICIES = ("block_user_agent", "require_header")

LIMITS = (
    "header_bytes",
    "header_count",
    "header_timeout",
    "concurrent_streams",
    "stream_resets_per_second",
    "resets_before_response",
    "continuation_frames",
    "pings_per_second",
    "settings_per_second",
    "empty_frames",
    "idle_frames",
    "unsent_bytes",
    "stalled_window_timeout",
    "backend_connections",
    "backend_waiting",
    "response_header_bytes",
    "response_header_count",
)
"""Keys of ``[limits]`` that a peer can hit; each is a counter of the process."""
