"""How calls are made: what all methods of `Client` stand on."""

import os
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client.channel import Channel, Request
from mcproxy.client.options import Call, MutationOptions
from mcproxy.client.target import find_server

_Answer = TypeVar("_Answer")


class Calls:
    """Calls of one server, whose connection is made with the first; arguments and attributes are those of `Client`."""

    def __init__(
        self,
        addr: str | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        tls_ca: str | os.PathLike[str] | None = None,
        tls_cert: str | os.PathLike[str] | None = None,
        tls_key: str | os.PathLike[str] | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.target = find_server(addr, config=config, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
        self._timeout = timeout
        self._channel = Channel(self.target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and all streams."""
        self._channel.close()

    def _read(self, name: str, request: Request, read: Callable[[bytes], _Answer], call: Call) -> _Answer:
        timeout = call.get("timeout", self._timeout)
        return self._channel.call(name, request, read, timeout=timeout, repeat=True)

    def _change(self, name: str, request: Request, change: MutationOptions) -> pb.MutationResponse:
        # Every change has an id, so repeating one is as harmless as repeating a question.
        return self._read(name, request, pb.MutationResponse.FromString, change)


def mutation_options(change: MutationOptions) -> pb.MutationOptions:
    """Return what a change says about itself; an id is made up where it has none."""
    return pb.MutationOptions(
        author=change.get("author", ""),
        reason=change.get("reason", ""),
        expires=duration(change.get("expires")),
        request_id=change.get("request_id") or secrets.token_hex(16),
        expected_generation=change.get("expected_generation", 0),
        dry_run=change.get("dry_run", False),
        guard=duration(change.get("guard")),
        node=change.get("node", ""),
        wait=duration(change.get("wait")),
    )


def duration(seconds: float | None) -> timedelta | None:
    """Return seconds as messages take them."""
    return None if seconds is None else timedelta(seconds=seconds)


Moment: TypeAlias = int | datetime
"""A generation, or a time with its zone: what was live then."""


def moment(at: Moment) -> pb.Moment:
    """Return a generation or time as messages take them; raises ValueError for a time without its zone."""
    if isinstance(at, int):
        return pb.Moment(generation=at)
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    message = pb.Moment()
    message.time.FromDatetime(at)
    return message
