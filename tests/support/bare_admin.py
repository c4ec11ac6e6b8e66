"""A bare client of the admin API: every RPC by its name, requests and answers as messages, errors with all they carry."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import msgspec
from google.protobuf.message import Message

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from tests.support.certificates import Leaf
from tests.support.proxy import Proxy

TIMEOUT = 30.0
"""Seconds that a call may take; longer than the database's busy timeout."""


class Refused(msgspec.Struct, frozen=True):
    """An error as a client sees it.

    Attributes:
        code: gRPC's.
        message: for people.
        violations: of the request's fields.
    """

    code: grpc.StatusCode
    message: str
    violations: tuple[tuple[str, str], ...]

    @property
    def fields(self) -> set[str]:
        """The fields that are wrong."""
        return {field for field, _ in self.violations}


class Admin:
    """A channel to the admin API; a context manager."""

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        """Take a target as gRPC does; nothing is connected before the first call."""
        if credentials is None:
            self._channel = grpc.insecure_channel(target)
        else:
            self._channel = grpc.secure_channel(target, credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._channel.close()

    def call(self, name: str, request: Message | None = None, timeout: float = TIMEOUT, **fields: Any) -> Any:
        """Return the answer to a request, or to one with these fields; raises `grpc.RpcError`."""
        return self._unary(name)(api.METHODS[name].request(**fields) if request is None else request, timeout=timeout)

    def begin(self, name: str, **fields: Any) -> Any:
        """Return the call of a request, whose ``result()`` is the answer."""
        return self._unary(name).future(api.METHODS[name].request(**fields), timeout=TIMEOUT)

    def _unary(self, name: str) -> Any:
        method = api.METHODS[name]
        return self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )

    def watch(self, recent: int = 0, timeout: float = TIMEOUT) -> Any:
        """Return the call of WatchEvents, which yields events."""
        return self.stream("WatchEvents", timeout, recent=recent)

    def stream(self, name: str, timeout: float = TIMEOUT, **fields: Any) -> Any:
        """Return the call of a method that answers with a stream, which yields its messages."""
        method = api.METHODS[name]
        rpc = self._channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return rpc(method.request(**fields), timeout=timeout)

    def refused(self, name: str, request: Message | None = None, timeout: float = TIMEOUT, **fields: Any) -> Refused:
        """Return the error that a request is answered with; an answer fails the test."""
        try:
            answer = self.call(name, request, timeout, **fields)
        except grpc.RpcError as error:
            call: Any = error  # a Call too, which the type stubs don't know
            return Refused(call.code(), call.details() or "", api.violations(call))
        raise AssertionError(f"{name} was answered with {answer}")

    def edits(self) -> list[pb.Edit]:
        """Return the runtime edits that are in effect or suspended, once for each resource they concern."""
        return [difference.edit for difference in self.call("GetDrift").differences]


def unix(proxy: Proxy, name: str = "mc-proxy.sock") -> Admin:
    """Return a client of a proxy's socket, by default the one that a file gets that names none."""
    return Admin(f"unix:{proxy.folder / name}")


def mutual_tls(port: int, ca: Path, leaf: Leaf | None) -> Admin:
    """Return a client of 127.0.0.1 that trusts one CA, with a certificate of its own or none."""
    pair = (None, None) if leaf is None else (leaf.key.read_bytes(), leaf.certificate.read_bytes())
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), *pair)
    return Admin(f"dns:///127.0.0.1:{port}", credentials)
