"""The shape of ``[fleet]``: how a node reaches the store that its fleet's document is in."""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from mcproxy.model.config.fleet import names
from mcproxy.model.values.leaf_types import FilePath, leaf

_StoreAddress: TypeAlias = Annotated[
    str, leaf(names.parse_store, pattern=":[0-9]{1,5}$", examples=["10.0.0.11:2379", "etcd-1.internal:2379"])
]
_NodeName: TypeAlias = Annotated[str, leaf(names.parse_node, pattern=names.NODE_PATTERN, examples=["edge-1"])]
_Address: TypeAlias = Annotated[str, leaf(names.parse_address, examples=["192.0.2.11"])]
_Prefix: TypeAlias = Annotated[str, leaf(names.parse_prefix, pattern=names.PREFIX_PATTERN, examples=["/mcproxy/edge"])]


class FleetNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """This machine as a node of a fleet: all it serves comes from the fleet's document, which etcd has; only for the main file."""

    endpoints: Annotated[
        tuple[_StoreAddress, ...],
        Meta(
            description='The members of etcd, "host:port" each, tried in turn: `["10.0.0.11:2379", "10.0.0.12:2379"]`. Required, at least one.'
        ),
    ]
    node: Annotated[
        _NodeName,
        Meta(description="The name of this node, another one on each machine. Required."),
    ]
    prefix: Annotated[
        _Prefix,
        Meta(
            description='What all keys of the fleet begin with in etcd; each fleet has one of its own. Default "/mcproxy".'
        ),
    ] = "/mcproxy"
    ca: Annotated[
        FilePath,
        Meta(
            description='CA certificates that vouch for the members of etcd, PEM. Default "" = etcd is spoken to without TLS, which is for loopback alone.'
        ),
    ] = ""
    cert: Annotated[
        FilePath,
        Meta(
            description='The certificate chain that the node shows to etcd, PEM; its CN is the user of etcd. Default "" = none; only with ca, and with key.'
        ),
    ] = ""
    key: Annotated[
        FilePath, Meta(description='The private key of cert, PEM. Default "" = none; required with cert.')
    ] = ""
    address: Annotated[
        _Address,
        Meta(
            description='The IP address at which listeners that name none (":443") listen on this node, as nodes have different ones. Default "" = all addresses. '
            "A change counts after the service was stopped and started."
        ),
    ] = ""
