"""Calls over gRPC: the channel, what is repeated when the server is away, and gRPC's errors as ours. A home of grpc."""

import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar, cast

import grpc

from mcproxy import api
from mcproxy.client.diagnosis import diagnose
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
    UnsupportedError,
)
from mcproxy.client.target import Target
from mcproxy.named_file import read_file

_Answer = TypeVar("_Answer")

_PAUSES = (0.1, 0.3)
"""Seconds before each repetition of a call that found no server."""

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # an admin API is never behind the web's proxy
    ("grpc.max_receive_message_length", api.MAX_MESSAGE),
    ("grpc.max_send_message_length", api.MAX_MESSAGE),
    # Repeated calls shall find the server as soon as it is back; the default waits a second and more.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

_ERRORS: dict[grpc.StatusCode, Callable[[str], ClientError]] = {
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.ABORTED: AbortedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.UNAUTHENTICATED: PermissionDeniedError,
}
"""Those whose text the server has written for the operator."""


class Request(Protocol):
    """What every protobuf message can do."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Return the message as bytes."""
        ...


class Channel:
    """A connection to a server, made when it is first needed and again when it was lost."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._channel = _open(target)

    def close(self) -> None:
        """End the connection and the calls that use it."""
        self._channel.close()

    def call(
        self, name: str, request: Request, read: Callable[[bytes], _Answer], *, timeout: float, repeat: bool
    ) -> _Answer:
        """Return the server's answer.

        Args:
            name: the method's.
            request: its request.
            read: makes the answer of its bytes.
            timeout: seconds until the answer must be there, repetitions included.
            repeat: the call may reach the server twice without harm: repeat it when the server could not be reached.

        Raises:
            ClientError: the server refuses, fails or can't be reached.
        """
        method: grpc.UnaryUnaryMultiCallable[bytes, _Answer] = self._channel.unary_unary(
            api.METHODS[name].path, response_deserializer=read
        )
        deadline = time.monotonic() + timeout
        pauses = list(_PAUSES if repeat else ())
        while True:
            try:
                return method(request.SerializeToString(), timeout=max(0.0, deadline - time.monotonic()))
            except grpc.RpcError as error:
                away = error.code() is grpc.StatusCode.UNAVAILABLE
                if not away or not pauses or time.monotonic() + pauses[0] >= deadline:
                    raise self._error(error, name, timeout) from error
            time.sleep(pauses.pop(0))

    def stream(self, name: str, request: Request, read: Callable[[bytes], _Answer]) -> Iterator[_Answer]:
        """Call a method that answers with a stream; return its messages as they come.

        The call begins at once and ends when the iterator is closed or exhausted.

        Raises:
            ClientError: from the iterator: the server refuses, fails or can't be reached.
        """
        method: grpc.UnaryStreamMultiCallable[bytes, _Answer] = self._channel.unary_stream(
            api.METHODS[name].path, response_deserializer=read
        )
        call = method(request.SerializeToString())

        def messages() -> Iterator[_Answer]:
            try:
                yield from call
            except grpc.RpcError as error:
                raise self._error(error, name, 0) from error
            finally:
                call.cancel()

        return messages()

    def _error(self, error: grpc.RpcError, name: str, timeout: float) -> ClientError:
        """Return gRPC's error as ours, with a text that says what the operator can do."""
        code, details, addr = error.code(), error.details() or "no reason is given", self._target.addr
        if code in _ERRORS:
            return _ERRORS[code](details)
        match code:
            case grpc.StatusCode.INVALID_ARGUMENT:
                return InvalidArgumentError(details, api.violations(cast(grpc.Call, error)))
            case grpc.StatusCode.UNAVAILABLE:
                return diagnose(self._target, details)
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return TimedOutError(f"{addr} does not answer {name} within {timeout:g} s")
            case grpc.StatusCode.UNIMPLEMENTED:
                return UnsupportedError(f"{addr} does not know {name}: is it another version of mcproxy?")
        return ClientError(f"{name} fails at {addr}: {details} ({code.name.lower()})")


def _open(target: Target) -> grpc.Channel:
    if target.socket:
        # The path stands in a URI: what means something there is escaped.
        quoted = "".join(f"%{ord(letter):02X}" if letter in "%?#" else letter for letter in target.socket)
        return grpc.insecure_channel(f"unix:{quoted}", _OPTIONS)
    credentials = grpc.ssl_channel_credentials(*map(_pem, (target.ca, target.key, target.cert)))
    return grpc.secure_channel(f"dns:///{target.addr}", credentials, _OPTIONS)


def _pem(path: str) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise AddressError(f"{path} can't be read: {error.strerror or error}") from error
