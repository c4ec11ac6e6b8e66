"""The shape of `[upstreams.NAME]`: what the keys of `state.upstream_options` have beside them in the file."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from mcproxy.model.state.upstream_options import EndpointOptions, UpstreamOptions
from mcproxy.model.values.leaf_types import EndpointAddress


class UpstreamEndpoint(EndpointOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One endpoint of an upstream; a string in its place is its address, all else has its default then."""

    address: Annotated[
        EndpointAddress,
        Meta(
            description='Where it listens: "host:port", "[v6]:port" or "unix:/path" (absolute, at most 107 bytes). Required; no two of an '
            "upstream are alike."
        ),
    ]


_AddressOrTable: TypeAlias = Annotated[
    UpstreamEndpoint, Meta(extra={"short": "address"}, extra_json_schema={"x-short": "address"})
]


class Upstream(UpstreamOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named set of endpoints, for any number of l4 and l7 routes: `backend` names it."""

    endpoints: Annotated[
        tuple[_AddressOrTable, ...],
        Meta(
            description='What it is made of, each an address, or a table with more: `["10.0.0.3:80", { address = "10.0.0.4:80", weight = 3 }]`. '
            "Required, at least one."
        ),
    ]
