"""The types of single values in files: each is declared with the function that reads it, its inverse, and what editors see.

The types of tables are made of these; the values are canonical: durations are seconds, addresses and hostnames in the one
form that compares equal.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from msgspec import Meta, UnsetType

from mcproxy.declared import Annotated
from mcproxy.model.values import addresses, durations, hostnames, paths, texts
from mcproxy.model.values.acme import words
from mcproxy.model.values.endpoint import Endpoint, RouteBackend
from mcproxy.model.values.http import client_names

INT32_MAX = 2**31 - 1


def leaf(parse: Callable[[str], object], render: Callable[[Any], str] = str, **schema: object) -> Meta:
    """Mark a type that is a string in the file.

    ``parse`` makes the value or raises ValueError, ``render`` is its inverse, the schema is for editors.
    """
    return Meta(extra={"parse": parse, "render": render}, extra_json_schema={"x-text": True, **schema})


Duration: TypeAlias = Annotated[
    float, leaf(durations.parse, durations.render, pattern=durations.PATTERN, examples=["5s", "1m30s", "250ms", "2h"])
]
DurationOrZero: TypeAlias = Annotated[
    float, leaf(durations.parse_or_zero, durations.render, pattern=durations.PATTERN, examples=["30s", "0s", "2m"])
]
OptionalDuration: TypeAlias = Annotated[
    float | UnsetType,
    leaf(
        durations.parse_optional,
        durations.render_optional,
        pattern=rf"^$|{durations.PATTERN}",
        examples=["5s", "1m30s", "250ms", "2h"],
    ),
]
OptionalDurationOrZero: TypeAlias = Annotated[
    float | UnsetType,
    leaf(
        durations.parse_optional_or_zero,
        durations.render_optional,
        pattern=rf"^$|{durations.PATTERN}",
        examples=["30s", "0s", "2m"],
    ),
]
Share: TypeAlias = Annotated[str, leaf(texts.parse_share, pattern=texts.SHARE_PATTERN, examples=["5%", "0.5%"])]
HostnamePattern: TypeAlias = Annotated[
    str, leaf(hostnames.parse_pattern, pattern=hostnames.PATTERN, examples=["app.example.com", "*.example.com", "*"])
]
OptionalHostname: TypeAlias = Annotated[str, leaf(hostnames.parse_optional_name, examples=["app.example.com"])]
_BACKEND_PATTERN = rf"^unix:/|{addresses.PORT_PATTERN}"
_ADDRESSES = ["127.0.0.1:8080", "[::1]:8080", "app.internal:8080", "unix:/run/app.sock"]
BackendAddress: TypeAlias = Annotated[
    Endpoint,
    leaf(
        addresses.parse_listed_backend,
        pattern=_BACKEND_PATTERN,
        examples=_ADDRESSES,
    ),
]
EndpointAddress: TypeAlias = Annotated[
    str,
    leaf(
        addresses.parse_canonical_backend,
        pattern=_BACKEND_PATTERN,
        examples=_ADDRESSES,
    ),
]
UpstreamName: TypeAlias = Annotated[
    str, leaf(addresses.parse_upstream_name, pattern=addresses.UPSTREAM_PATTERN, examples=["web", "api"])
]
Backend: TypeAlias = Annotated[
    RouteBackend,
    leaf(
        addresses.parse_route_backend,
        pattern=rf"^$|{addresses.UPSTREAM_PATTERN}|{_BACKEND_PATTERN}",
        examples=["web", *_ADDRESSES],
    ),
    Meta(
        extra={"items": BackendAddress, "join": addresses.several, "split": addresses.listed},
        extra_json_schema={"x-items": {"pattern": _BACKEND_PATTERN, "examples": _ADDRESSES}},
    ),
]
"""A string, or an array of strings; `several` makes the value of an array's items, `listed` gives those that need one."""
ListenAddress: TypeAlias = Annotated[
    str,
    leaf(addresses.parse_listen, pattern=addresses.PORT_PATTERN, examples=[":8443", "127.0.0.1:8443", "[::1]:8443"]),
]
OptionalListenAddress: TypeAlias = Annotated[
    str,
    leaf(addresses.parse_optional_listen, pattern=rf"^$|{addresses.PORT_PATTERN}", examples=["127.0.0.1:9090"]),
]
BlockedAddress: TypeAlias = Annotated[str, leaf(addresses.parse_ip, examples=["192.0.2.1", "2001:db8::1"])]
AllowedAddress: TypeAlias = Annotated[
    str, leaf(partial(addresses.parse_ip, networks="allowed_cidrs"), examples=["192.0.2.1", "2001:db8::1"])
]
Network: TypeAlias = Annotated[str, leaf(addresses.parse_network, examples=["192.0.2.0/24", "2001:db8::/32"])]
Country: TypeAlias = Annotated[str, leaf(addresses.parse_country, pattern="^[A-Za-z]{2}$", examples=["SE"])]
FileMode: TypeAlias = Annotated[str, leaf(texts.parse_mode, pattern=texts.MODE_PATTERN, examples=["0600", "0660"])]
MetricsPath: TypeAlias = Annotated[str, leaf(texts.parse_metrics_path, pattern="^/.", examples=["/metrics"])]
NonEmpty: TypeAlias = Annotated[str, leaf(texts.parse_non_empty, pattern=".")]
Text: TypeAlias = Annotated[str, leaf(texts.parse_printable)]
RequestTarget: TypeAlias = Annotated[str, leaf(texts.parse_target, pattern="^/", examples=["/healthz"])]
Statuses: TypeAlias = Annotated[
    str, leaf(texts.parse_statuses, pattern=texts.STATUS_PATTERN, examples=["200-399", "200,204"])
]
CookieName: TypeAlias = Annotated[
    str, leaf(texts.parse_cookie_name, pattern=texts.COOKIE_PATTERN, examples=["backend"])
]
RemovableHeader: TypeAlias = Annotated[
    str, leaf(texts.parse_removable_header, pattern=texts.FIELD_NAME_PATTERN, examples=["Proxy", "X-Client-IP"])
]
RedirectTarget: TypeAlias = Annotated[
    str, leaf(texts.parse_redirect, examples=["https://{host}{uri}", "https://www.example.com{uri}", "/new"])
]
AnswerStatus: TypeAlias = Annotated[int, Meta(ge=0, le=599)]
FilePath: TypeAlias = Annotated[
    str,
    Meta(
        extra={"parse": paths.parse, "render": str, "locate": paths.locate, "relate": paths.relate},
        extra_json_schema={"x-text": True},
    ),
]
FilePaths: TypeAlias = Annotated[
    str | tuple[str, ...],
    Meta(
        extra={
            "parse": paths.parse,
            "render": str,
            "locate": paths.locate,
            "relate": paths.relate,
            "items": FilePath,
            "join": paths.several,
            "split": paths.listed,
        },
        extra_json_schema={"x-text": True, "x-items": {}},
    ),
]
"""A path, or an array of paths; one in an array is the path alone."""
ClientName: TypeAlias = Annotated[
    str,
    leaf(
        client_names.parse,
        pattern=client_names.PATTERN,
        examples=["*.svc.example.com", "spiffe://prod/*", "ops@example.com"],
    ),
]
CipherList: TypeAlias = Annotated[
    str, leaf(texts.parse_ciphers, pattern=texts.CIPHERS_PATTERN, examples=["ECDHE+AESGCM:ECDHE+CHACHA20"])
]
CurveName: TypeAlias = Annotated[
    str, leaf(texts.parse_curve, pattern=texts.CURVE_PATTERN, examples=["X25519", "P-256"])
]
CertificateNames: TypeAlias = Annotated[
    tuple[str, ...],
    leaf(words.parse_names, words.render_names, examples=["www.example.com"]),
    Meta(
        extra={"items": HostnamePattern, "join": words.several, "split": words.listed},
        extra_json_schema={"x-items": {"pattern": hostnames.PATTERN, "examples": ["www.example.com"]}},
    ),
]
"""An array of names, or a string with commas between them."""
AcmeDirectory: TypeAlias = Annotated[
    str,
    leaf(
        words.parse_directory, pattern="^$|^https://|^staging$|^letsencrypt$", examples=[words.LETS_ENCRYPT, "staging"]
    ),
]
EmailAddress: TypeAlias = Annotated[str, leaf(words.parse_email, pattern="^$|@", examples=["ops@example.com"])]
DnsServerAddress: TypeAlias = Annotated[str, leaf(words.parse_server, examples=["10.0.0.53:53", "[2001:db8::53]:53"])]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=INT32_MAX)]
PositiveCount: TypeAlias = Annotated[int, Meta(ge=1, le=INT32_MAX)]
