"""The types of values in filters and cases: see `leaf_types`, whose ways these follow.

A map of names to texts is a table in the file, and pairs in the order of their names everywhere else; where a name may have
several texts, the file has an array of them.
"""

from typing import Any, TypeAlias

from msgspec import Meta, UnsetType

from mcproxy.declared import Annotated, said_of
from mcproxy.late_patterns import late
from mcproxy.model.values import addresses, texts
from mcproxy.model.values.endpoint import RouteBackend
from mcproxy.model.values.http import amounts, fields, matches
from mcproxy.model.values.http.amounts import Rate
from mcproxy.model.values.leaf_types import FilePath, leaf

_PLAIN = late(r"(?:(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) )?(?:/[0-9A-Za-z_~-][0-9A-Za-z._~-]*){1,16}(?:/\*)?|/\*?")
"""Tells whether a match is in its one form already, as most are."""
_USUAL = 256  # characters, fewer than are too many

Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Names with their texts, in the order of the names."""

ConditionValue: TypeAlias = Annotated[str, leaf(texts.parse_printable, examples=["prod", "*"])]
ParameterName: TypeAlias = Annotated[str, leaf(texts.parse_non_empty, examples=["version"])]
FilterName: TypeAlias = Annotated[
    str, leaf(addresses.parse_filter_name, pattern=addresses.UPSTREAM_PATTERN, examples=["office", "public"])
]
HeaderName: TypeAlias = Annotated[
    str, leaf(fields.parse_name, pattern=texts.FIELD_NAME_PATTERN, examples=["X-Api-Key"])
]
RequestHeaderName: TypeAlias = Annotated[
    str, leaf(fields.parse_request_name, pattern=texts.FIELD_NAME_PATTERN, examples=["X-Client"])
]
ResponseHeaderName: TypeAlias = Annotated[
    str, leaf(fields.parse_response_name, pattern=texts.FIELD_NAME_PATTERN, examples=["Server"])
]
HeaderValue: TypeAlias = Annotated[str, leaf(fields.parse_value, examples=["{client_ip}", "nosniff"])]
HeaderDemand: TypeAlias = Annotated[str, leaf(fields.parse_demand, examples=["X-Api-Key", "X-Env: prod"])]
RequestRate: TypeAlias = Annotated[
    Rate, leaf(amounts.parse_rate, pattern=amounts.RATE_PATTERN, examples=["200/10s", "5/1m"])
]
RateKey: TypeAlias = Annotated[
    str, leaf(fields.parse_rate_key, pattern=fields.RATE_KEY_PATTERN, examples=["client", "header:X-Api-Key"])
]
OptionalSize: TypeAlias = Annotated[
    int | UnsetType,
    leaf(
        amounts.parse_optional_size,
        amounts.render_optional_size,
        pattern=amounts.SIZE_PATTERN,
        examples=["10MiB", "512KiB"],
    ),
]
Pages: TypeAlias = Annotated[
    str, leaf(fields.parse_pages, pattern=fields.PAGES_PATTERN, examples=["404", "502-504", "5xx"])
]
WebOrigin: TypeAlias = Annotated[
    str, leaf(fields.parse_origin, pattern=fields.ORIGIN_PATTERN, examples=["https://app.example.com"])
]
Method: TypeAlias = Annotated[str, leaf(fields.parse_method, examples=["GET", "PUT"])]
Authority: TypeAlias = Annotated[str, leaf(fields.parse_authority, examples=["app.internal"])]
PathPrefix: TypeAlias = Annotated[str, leaf(fields.parse_prefix, pattern="^/", examples=["/api"])]
MediaType: TypeAlias = Annotated[str, leaf(fields.parse_media_type, pattern="^.+/.+$", examples=["text/html"])]
AuthBackend: TypeAlias = Annotated[
    RouteBackend, leaf(addresses.parse_named_backend, examples=["127.0.0.1:4180", "auth"])
]


def parse_match(text: str) -> str:
    """Return the match of a case in its one form; raises ValueError with a message for the user."""
    return text if len(text) <= _USUAL and _PLAIN.fullmatch(text) else str(matches.parse(text))


def _map(name: Any, value: Any, *, several: bool = False) -> Meta:
    """Mark a type that is a table of texts by names in the file; ``several``: a name may have an array of them."""
    parts = {"names": name, "values": value}
    schemas = {part: meta.extra_json_schema for part, declared in parts.items() for meta in said_of(declared)[:1]}
    return Meta(extra={**parts, "several": several}, extra_json_schema={"x-map": {**schemas, "several": several}})


RequestHeaders: TypeAlias = Annotated[Pairs, _map(RequestHeaderName, HeaderValue)]
AddedRequestHeaders: TypeAlias = Annotated[Pairs, _map(RequestHeaderName, HeaderValue, several=True)]
ResponseHeaders: TypeAlias = Annotated[Pairs, _map(ResponseHeaderName, HeaderValue)]
AddedResponseHeaders: TypeAlias = Annotated[Pairs, _map(ResponseHeaderName, HeaderValue, several=True)]
ErrorPages: TypeAlias = Annotated[Pairs, _map(Pages, FilePath)]
CaseMatch: TypeAlias = Annotated[
    str, leaf(parse_match, pattern=matches.PATTERN, examples=["/api/*", "GET|HEAD /robots.txt", "POST /login"])
]
SentHeaders: TypeAlias = Annotated[Pairs, _map(HeaderName, ConditionValue, several=True)]
ExpectedHeaders: TypeAlias = Annotated[Pairs, _map(HeaderName, ConditionValue, several=True)]
HeaderConditions: TypeAlias = Annotated[Pairs, _map(HeaderName, ConditionValue)]
QueryConditions: TypeAlias = Annotated[Pairs, _map(ParameterName, ConditionValue)]
