"""The methods of etcd's API v3 that are called, with their messages (``proto/etcd/v3/etcd.proto``).

https://etcd.io/docs/v3.5/dev-guide/api_reference_v3/
"""

from typing import Generic, TypeVar

import msgspec

from mcproxy._pb import etcd_pb2 as pb

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Method(msgspec.Struct, Generic[Request, Answer], frozen=True):
    """One RPC.

    Attributes:
        path: as gRPC calls it, ``/package.Service/Method``.
        request, answer: the classes of its messages.
    """

    path: str
    request: type[Request]
    answer: type[Answer]


RANGE = Method("/etcdserverpb.KV/Range", pb.RangeRequest, pb.RangeResponse)
TXN = Method("/etcdserverpb.KV/Txn", pb.TxnRequest, pb.TxnResponse)
WATCH = Method("/etcdserverpb.Watch/Watch", pb.WatchRequest, pb.WatchResponse)
LEASE_GRANT = Method("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantRequest, pb.LeaseGrantResponse)
LEASE_REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeRequest, pb.LeaseRevokeResponse)
LEASE_KEEP_ALIVE = Method("/etcdserverpb.Lease/LeaseKeepAlive", pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse)
