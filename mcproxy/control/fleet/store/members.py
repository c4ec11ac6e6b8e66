"""Calls to the members of the store, one after the other until one answers, and gRPC's errors as the store's. A home of grpc."""

import asyncio
import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import grpc

from mcproxy.control.fleet.store.diagnosis import diagnose
from mcproxy.control.fleet.store.errors import (
    FleetStoreError,
    HistoryLostError,
    LeaseEndedError,
    StoreAwayError,
    StoreDeniedError,
    StoreFullError,
    TooLargeError,
)
from mcproxy.control.fleet.store.methods import Method
from mcproxy.control.fleet.store.target import Target

DEADLINE = 2.0
"""Seconds that a member has for an answer."""

_MAX_MESSAGE = 256 << 20  # bytes: everything under the prefix, of a fleet with many edits
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),  # a fleet's store is never behind the web's proxy
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    ("grpc.use_local_subchannel_pool", 1),  # renewed files count with the next channel
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_HAS_LEADER = (("hasleader", "true"),)
# A member that has lost the others says so at once, and ends its watches, where it would else wait for their return.

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


class Members:
    """The members of a store, and which of them is asked.

    Attributes:
        last_contact: the event loop's time of the last answer, None before the first one.
    """

    def __init__(self, target: Target) -> None:
        """Connect to nobody yet. Nodes begin with different members, so that each has its share of their watches."""
        self._target = target
        self._turn = random.randrange(len(target.endpoints))  # noqa: S311 - to spread load
        self._channels: dict[str, _Channel] = {}
        self.last_contact: float | None = None

    def __len__(self) -> int:
        return len(self._target.endpoints)

    async def close(self) -> None:
        """End all connections, and the calls that use them."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.grpc.close()

    async def call(self, method: Method[_Request, _Answer], request: _Request) -> _Answer:
        """Return the answer of the first member that gives one. It is safe to make the request twice.

        Raises:
            FleetStoreError: none of them does it.
        """
        reasons: list[StoreAwayError] = []
        for endpoint in self._in_turn():
            try:
                return await self.call_one(method, request, endpoint)
            except StoreAwayError as error:
                reasons.append(error)
        raise joined(reasons)

    async def call_one(self, method: Method[_Request, _Answer], request: _Request, endpoint: str = "") -> _Answer:
        """Return the answer of one member, the one whose turn it is if none is named.

        Raises:
            FleetStoreError: it has none, or it is a refusal.
        """
        endpoint = endpoint or self._endpoint()
        call = None
        try:
            channel = await self._channel(endpoint)
            callable_ = channel.grpc.unary_unary(
                method.path,
                request_serializer=method.request.SerializeToString,  # type: ignore[attr-defined]
                response_deserializer=method.answer.FromString,  # type: ignore[attr-defined]
            )
            call = callable_(request, timeout=DEADLINE, metadata=_HAS_LEADER)
            answer: _Answer = await call
        except grpc.aio.AioRpcError as error:
            raise await self.failed(endpoint, error.code(), error.details() or "") from None
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            raise StoreAwayError("the connection was ended", endpoint, unknown=True) from None
        self.contacted()
        return answer

    def contacted(self) -> None:
        """Note that a member has answered."""
        self.last_contact = asyncio.get_running_loop().time()

    async def exchange(self, method: Method[_Request, _Answer], request: _Request) -> _Answer:
        """Return the answer to one message on a stream, of the first member that gives one; raises FleetStoreError."""
        reasons: list[StoreAwayError] = []
        for _ in self._target.endpoints:
            try:
                stream = await self.open(method)
                try:
                    await stream.write(request)
                    if (answer := await stream.read(DEADLINE)) is not None:
                        return answer
                finally:
                    stream.close()
                reasons.append(self.silent(stream.endpoint))
            except StoreAwayError as error:
                reasons.append(error)
        raise joined(reasons)

    async def open(self, method: Method[_Request, _Answer]) -> "Stream[_Request, _Answer]":
        """Return a new stream of messages to and from the member whose turn it is; raises FleetStoreError."""
        endpoint = self._endpoint()
        channel = await self._channel(endpoint)
        callable_ = channel.grpc.stream_stream(
            method.path,
            request_serializer=method.request.SerializeToString,  # type: ignore[attr-defined]
            response_deserializer=method.answer.FromString,  # type: ignore[attr-defined]
        )
        return Stream(self, endpoint, callable_(metadata=_HAS_LEADER))

    async def failed(self, endpoint: str, code: grpc.StatusCode, details: str) -> FleetStoreError:
        """Return what gRPC tells as our error; it is another member's turn where this one does not do it."""
        words = details.rpartition("etcdserver: ")[2]
        error = _refusal(code, words, self._target.prefix)
        if error is not None:
            self.contacted()
            return error
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return self.silent(endpoint)
        self.pass_over(endpoint)
        if words == "no leader":
            return StoreAwayError("it reaches too few of the store's members (no leader)", endpoint)
        if words != details:
            return StoreAwayError(words, endpoint, unknown=True)
        reason = await asyncio.to_thread(diagnose, self._target, endpoint)
        return StoreAwayError(reason or details, endpoint, unknown=not reason)

    def silent(self, endpoint: str) -> StoreAwayError:
        """Return the error that a member has not answered in time; it is another one's turn."""
        self.pass_over(endpoint)
        return StoreAwayError(f"no answer within {DEADLINE:g} s", endpoint, unknown=True)

    def pass_over(self, endpoint: str) -> None:
        """Ask the next member from now on, unless it is another one's turn already."""
        if endpoint == self._endpoint():
            self._turn = (self._turn + 1) % len(self._target.endpoints)

    def _endpoint(self) -> str:
        return self._target.endpoints[self._turn]

    def _in_turn(self) -> Iterator[str]:
        """Yield every member once, that whose turn it is first."""
        first = self._turn
        for step in range(len(self._target.endpoints)):
            yield self._target.endpoints[(first + step) % len(self._target.endpoints)]

    async def _channel(self, endpoint: str) -> "_Channel":
        """Return the channel to a member: a new one where none is connected, and the files have changed since the last was made."""
        channel = self._channels.get(endpoint)
        if channel is not None and channel.grpc.get_state() is grpc.ChannelConnectivity.READY:
            return channel
        files = await self._files(endpoint)
        if channel is not None:
            if channel.files == files:
                return channel
            await channel.grpc.close()
        self._channels[endpoint] = channel = _Channel(endpoint, files)
        return channel

    async def _files(self, endpoint: str) -> "_Files | None":
        if not self._target.ca:
            return None
        try:
            return await asyncio.to_thread(self._target.credentials)
        except OSError as error:
            self.pass_over(endpoint)
            raise StoreAwayError(f"{error.filename} can't be read: {error.strerror}", endpoint) from None


_Files = tuple[bytes, bytes | None, bytes | None]


class _Channel:
    """gRPC's channel to a member, and the contents of the files that it was made of."""

    def __init__(self, endpoint: str, files: _Files | None) -> None:
        self.files = files
        where = f"dns:///{endpoint}"
        self.grpc = (
            grpc.aio.secure_channel(where, grpc.ssl_channel_credentials(*files), _OPTIONS)
            if files
            else grpc.aio.insecure_channel(where, _OPTIONS)
        )


def denied(words: str, prefix: str) -> StoreDeniedError:
    """Return the error that the store does not allow this node something."""
    return StoreDeniedError(
        f"the store refuses it ({words}): the user whom this node's certificate names needs a role with readwrite "
        f"for keys that begin with {prefix}/"
    )


def joined(errors: Sequence[StoreAwayError]) -> StoreAwayError:
    """Return what several members told as one error; what they told alike is told once."""
    members: dict[str, dict[str, None]] = {}
    for error in errors:
        members.setdefault(error.reason, {})[error.endpoint] = None
    text = "; ".join(f"{', '.join(endpoints)}: {reason}" for reason, endpoints in members.items())
    return StoreAwayError(text, unknown=any(error.unknown for error in errors))


class Stream(Generic[_Request, _Answer]):
    """Messages to and from one member.

    Attributes:
        endpoint: the member.
    """

    def __init__(self, members: Members, endpoint: str, call: Any) -> None:
        self._members = members
        self.endpoint = endpoint
        self._call = call
        self._reading: asyncio.Task[Any] | None = None

    def close(self) -> None:
        """End the stream."""
        self._call.cancel()

    async def write(self, request: _Request) -> None:
        """Send a message, or leave it to `read` to tell why it can't be sent."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.write(request)

    async def read(self, seconds: float) -> _Answer | None:
        """Return the next message, None if none has come in time.

        Raises:
            FleetStoreError: there will be none.
        """
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._call.read())
        done, _ = await asyncio.wait({self._reading}, timeout=seconds)
        if not done:
            return None
        reading, self._reading = self._reading, None
        if reading.cancelled():
            raise StoreAwayError("the connection was ended", self.endpoint)
        error = reading.exception()
        if error is None and reading.result() is not grpc.aio.EOF:
            self._members.contacted()
            answer: _Answer = reading.result()
            return answer
        if error is not None and not isinstance(error, grpc.aio.AioRpcError):
            raise error
        code, details = await self._call.code(), await self._call.details()
        raise await self._members.failed(self.endpoint, code, details or "the stream has ended")


def _is_cancelled() -> bool:
    """Tell whether it is this task that is cancelled, not the call that it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _refusal(code: grpc.StatusCode, words: str, prefix: str) -> FleetStoreError | None:
    """Return the error that every member would tell, None where another one may do it."""
    match code:
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return denied(words, prefix)
        case grpc.StatusCode.INVALID_ARGUMENT if words == "user name is empty":
            return denied(words, prefix)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "space exceeded" in words:
            return StoreFullError(
                f"the store is full ({words}): compact and defragment it, then `etcdctl alarm disarm`; "
                "its quota-backend-bytes says how large it may be"
            )
        case _ if "too large" in words or "larger than max" in words or "too many operations" in words:
            return TooLargeError(f"the store does not take so much at once: {words}")
        case grpc.StatusCode.NOT_FOUND if "lease" in words:
            return LeaseEndedError("the lease has ended")
        case grpc.StatusCode.OUT_OF_RANGE:
            return HistoryLostError(words)
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.CANCELLED:
            return None
        case grpc.StatusCode.RESOURCE_EXHAUSTED | grpc.StatusCode.DATA_LOSS | grpc.StatusCode.UNKNOWN:
            return None  # too many requests; a member whose data are damaged, or that is being stopped
    return FleetStoreError(f"{words} ({code.name.lower()})")
