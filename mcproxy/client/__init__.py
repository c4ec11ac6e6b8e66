"""The Python client of a running mcproxy: `Client`, and the errors it raises.

    with Client() as client:
        client.add_route(":8443", "app.example.com", "127.0.0.1:9001", author="deploy", reason="release 12")
        for route in client.list_routes().routes:
            print(route.hostname, route.backend, route.active_connections)

Answers are the protobuf messages of `proto/mc_proxy/v1/admin.proto`, which describes every field.
"""

from mcproxy.client.calls import Moment
from mcproxy.client.client import Client
from mcproxy.client.errors import (
    AbortedError,
    AddressError,
    AlreadyExistsError,
    ClientError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
)
from mcproxy.client.options import Call, MutationOptions
from mcproxy.client.target import DEFAULT_ADDR, Target, find_server

__all__ = [
    "DEFAULT_ADDR",
    "AbortedError",
    "AddressError",
    "AlreadyExistsError",
    "Call",
    "Client",
    "ClientError",
    "FailedPreconditionError",
    "InvalidArgumentError",
    "Moment",
    "MutationOptions",
    "NotFoundError",
    "PermissionDeniedError",
    "Target",
    "TimedOutError",
    "UnavailableError",
    "UnsupportedError",
    "find_server",
]
