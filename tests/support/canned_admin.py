"""An admin API with canned answers: what clients send is kept, what they get is what the test said."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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


Answer: TypeAlias = Message | Refusal | Callable[[Any], Message]
"""A message, an error, or what makes a message of the request."""


class CannedAdmin:
    """The service of `api.METHODS`, on a Unix socket and, with certificates, on TCP.

    Attributes:
        addr: its address, as clients take it.
        port: of TCP on 127.0.0.1, 0 without certificates.
        answers: by method; of a list, one after the other, and all in one stream. Without one the answer is empty.
        requests: what came in: method and request.
    """

    def __init__(self, path: Path, *, leaf: Leaf | None = None, client_ca: Path | None = None) -> None:
        self.addr = f"unix:{path}"
        self.answers: dict[str, Answer | Sequence[Answer]] = {}
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
        if isinstance(answer, Sequence):
            answer, *self.answers[name] = answer
        return _made(answer, request, context)

    def _stream(self, name: str, request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
        answers = self.answers.get(name, [])
        for answer in answers if isinstance(answers, Sequence) else [answers]:
            yield _made(answer, request, context)


def _made(answer: Answer, request: Message, context: grpc.ServicerContext) -> Message:
    if isinstance(answer, Refusal):
        if answer.violations:
            status = api.invalid_argument(answer.message, answer.violations)
            context.set_trailing_metadata(api.trailing_metadata(status))
        context.abort(answer.code, answer.message)
    return answer if isinstance(answer, Message) else answer(request)
