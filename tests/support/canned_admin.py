"""An admin API with canned answers: what clients send is kept, what they get is what the test said."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeAlias

import grpc
from google.protobuf.message import Message

from mcproxy import api
from tests.support.certificates import Leaf


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An error as the answer; with violations INVALID_ARGUMENT, as the server makes it."""

    def __init__(self, code: grpc.StatusCode, message: str, violations: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = tuple(violations)


Answer: TypeAlias = Message | Refusal | list[Message] | Callable[[Any], Message]
"""A message, an error, the messages of a stream (which then stays open), or what makes a message of the request."""


class CannedAdmin:
    """The service of `api.METHODS`, on a Unix socket and, with certificates, on TCP.

    Attributes:
        addr: its address, as clients take it.
        port: of TCP on 127.0.0.1, 0 without certificates.
        answers: by method; a list of answers is used up one by one. A method without one answers an empty message.
        requests: what came in: method and request.
    """

    def __init__(self, path: Path, *, leaf: Leaf | None = None, client_ca: Path | None = None) -> None:
        self.addr = f"unix:{path}"
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, Any]] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(api.SERVICE, {name: self._handler(name) for name in api.METHODS}),)
        )
        assert self._server.add_insecure_port(self.addr)
        self.port = 0
        if leaf is not None and client_ca is not None:
            credentials = grpc.ssl_server_credentials(
                [(leaf.key.read_bytes(), leaf.certificate.read_bytes())],
                client_ca.read_bytes(),
                require_client_auth=True,
            )
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()

    def request(self, name: str) -> Any:
        """Return the last request of a method."""
        return next(request for method, request in reversed(self.requests) if method == name)

    def _handler(self, name: str) -> "grpc.RpcMethodHandler[Any, Any]":
        method = api.METHODS[name]
        make = grpc.unary_stream_rpc_method_handler if method.streams else grpc.unary_unary_rpc_method_handler
        behaviour: Any = self._stream if method.streams else self._answer

        def handle(request: Message, context: grpc.ServicerContext) -> Any:
            self.requests.append((name, request))
            return behaviour(name, request, context)

        return make(handle, method.request.FromString, method.response.SerializeToString)

    def _answer(self, name: str, request: Message, context: grpc.ServicerContext) -> Message:
        answer = self.answers.get(name, api.METHODS[name].response())
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Refusal):
            _refuse(answer, context)
        return answer if isinstance(answer, Message) else answer(request)  # type: ignore[operator]

    def _stream(self, name: str, request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
        answer = self.answers.get(name, [])
        if isinstance(answer, Refusal):
            _refuse(answer, context)
        assert isinstance(answer, list)
        yield from answer


def _refuse(refusal: Refusal, context: grpc.ServicerContext) -> None:
    if refusal.violations:
        status = api.invalid_argument(refusal.message, refusal.violations)
        context.set_trailing_metadata(api.trailing_metadata(status))
    context.abort(refusal.code, refusal.message)
