"""The shape of `[limits]`: what clients and backends may ask of HTTP before they are stopped."""

from typing import Annotated

import msgspec
from msgspec import Meta

from mcproxy.model.values.leaf_types import INT32_MAX, Duration, PositiveCount, RemovableHeader


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Protection against abuse on l7 routes; always on, each hit is counted under its key."""

    header_bytes: Annotated[
        PositiveCount, Meta(description="Bytes of a request's headers. Default 32768; more is answered with 431.")
    ] = 32768
    header_count: Annotated[
        PositiveCount,
        Meta(
            description="Number of a request's headers, without Host, Cookie once. Default 100; more is answered with 431."
        ),
    ] = 100
    response_header_bytes: Annotated[
        PositiveCount,
        Meta(description="Bytes of a response's headers. Default 65536; more is answered with 502."),
    ] = 65536
    response_header_count: Annotated[
        PositiveCount, Meta(description="Number of a response's headers. Default 200; more is answered with 502.")
    ] = 200
    header_timeout: Annotated[
        Duration, Meta(description='From the first byte of a request until its headers are complete. Default "10s".')
    ] = 10.0
    concurrent_streams: Annotated[
        PositiveCount, Meta(description="Open HTTP/2 streams per connection. Default 100; more are refused.")
    ] = 100
    stream_window: Annotated[
        PositiveCount,
        Meta(
            description="HTTP/2 flow-control window of a stream, bytes. Default 65536; that of a client's stream grows up to 1048576 while "
            "its backend takes all bytes as they come."
        ),
    ] = 65536
    connection_window: Annotated[
        int,
        Meta(
            ge=65535,
            le=INT32_MAX,
            description="HTTP/2 flow-control window of a client's connection, bytes: at most so many wait of its requests. Default 4194304; at least "
            "65535, where HTTP/2 begins.",
        ),
    ] = 4194304
    stream_resets_per_second: Annotated[
        PositiveCount,
        Meta(
            description="Streams a client may end per second, by RST_STREAM or by an error of its own. Default 100; then GOAWAY."
        ),
    ] = 100
    resets_before_response: Annotated[
        PositiveCount,
        Meta(
            description="Streams a client may end before they were answered, by RST_STREAM or by an error of its own, per connection, less one for each that was answered since. Default 50; then GOAWAY."
        ),
    ] = 50
    continuation_frames: Annotated[
        PositiveCount, Meta(description="CONTINUATION frames of one header block. Default 20; then GOAWAY.")
    ] = 20
    pings_per_second: Annotated[
        PositiveCount, Meta(description="PING frames a client may send per second. Default 100; then GOAWAY.")
    ] = 100
    settings_per_second: Annotated[
        PositiveCount, Meta(description="SETTINGS frames a client may send per second. Default 50; then GOAWAY.")
    ] = 50
    empty_frames: Annotated[
        PositiveCount, Meta(description="Empty frames in a row that end nothing. Default 100; then GOAWAY.")
    ] = 100
    idle_frames: Annotated[
        PositiveCount,
        Meta(
            description="HTTP/2 frames that only steer (WINDOW_UPDATE, PRIORITY, unknown types), less one for every 4 bytes "
            "that were sent on the connection. Default 1000; then GOAWAY."
        ),
    ] = 1000
    unsent_bytes: Annotated[
        int,
        Meta(
            ge=65536,
            le=INT32_MAX,
            description="Bytes that wait in a worker for one client, which does not read them. From half of it on, and while the "
            "connection takes nothing, its further requests wait and are not read; above it the connection is reset. Default 1048576, at least 65536.",
        ),
    ] = 1048576
    stalled_window_timeout: Annotated[
        Duration,
        Meta(
            description="How long a client may leave a response without window, or its connection unread, whatever else it sends. "
            'Default "1m"; then the stream, or the connection, is reset.'
        ),
    ] = 60.0
    remove_request_headers: Annotated[
        tuple[RemovableHeader, ...],
        Meta(
            description='Headers that no backend gets from clients. Default ["Proxy"]; compared without case, and with every '
            "other byte than letters and digits alike (X-Client-IP, x_client.ip), as a CGI-style backend reads them. "
            'What clients say in Forwarded, X-Real-IP and X-Forwarded-* is removed in any case. Add what a backend believes: "X-Client-IP", '
            '"True-Client-IP", "CF-Connecting-IP". Not counted.'
        ),
    ] = ("Proxy",)
    proxy_header_bytes: Annotated[
        int,
        Meta(
            ge=232,
            le=4096,
            description="Bytes of a PROXY header of version 2 that a listener accepts, TLVs included. Default 536, 232 to 4096; "
            "also of l4 routes. More is reset.",
        ),
    ] = 536
    backend_connections: Annotated[
        PositiveCount,
        Meta(
            description="Connections to one backend per worker, with send_proxy_protocol per client connection. Default 1024; "
            "more requests than these take wait, and a response that its client has not taken for 0.5 s is broken off for them. "
            "An eighth is for client connections with at most 4 requests under way, which also come first."
        ),
    ] = 1024
    backend_waiting: Annotated[
        PositiveCount,
        Meta(
            description="Requests that wait for one backend per worker while it is at backend_connections, or can't be used. "
            "Default 1024; more are answered with 503."
        ),
    ] = 1024
