"""A gRPC service that shows what a server sees of its calls; messages are bytes."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc

from tests.support.certificates import Leaf

NAME = "test.Service"
OPTIONS = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20)]


class Service(grpc.GenericRpcHandler):
    """The methods by name.

    Attributes:
        cancelled: set when a call of `Wait` or `Ticks` has ended.
        waiting: set when such a call has come.
        remaining: the seconds that the last call of `Deadline` had left, None for no limit.
    """

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.waiting = threading.Event()
        self.remaining: float | None = None

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a method, None if there is none."""
        name = handler_call_details.method.rpartition("/")[2]
        return {
            "Echo": grpc.unary_unary_rpc_method_handler(self._echo),
            "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            "FailLate": grpc.unary_stream_rpc_method_handler(self._fail_late),
            "Deadline": grpc.unary_unary_rpc_method_handler(self._deadline),
            "Wait": grpc.unary_unary_rpc_method_handler(self._wait),
            "Count": grpc.unary_stream_rpc_method_handler(self._count),
            "Ticks": grpc.unary_stream_rpc_method_handler(self._ticks),
            "Sum": grpc.stream_unary_rpc_method_handler(self._sum),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
        }.get(name)

    def _echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Return the message and all metadata that begins with ``x-``."""
        metadata = tuple((key, value) for key, value in context.invocation_metadata() if key.startswith("x-test"))
        context.send_initial_metadata(metadata)
        context.set_trailing_metadata(metadata)
        return request

    def _fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("x-test-why-bin", b"\x00\xff"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())

    def _fail_late(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield request
        context.abort(grpc.StatusCode.DATA_LOSS, "after the first")

    def _deadline(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.remaining = context.time_remaining()
        return request

    def _wait(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        ended = threading.Event()
        self._tell_end(context, ended)
        ended.wait(10)
        return request

    def _count(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    def _ticks(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        ended = threading.Event()
        self._tell_end(context, ended)
        while not ended.wait(0.01):
            yield b"%f" % time.monotonic()

    def _sum(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"%d" % sum(int(request) for request in requests)

    def _chat(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield b"re: " + request

    def _tell_end(self, context: grpc.ServicerContext, ended: threading.Event) -> None:
        def end() -> None:
            ended.set()
            self.cancelled.set()

        context.add_callback(end)
        self.waiting.set()


class GrpcServer:
    """A running server with `Service`.

    Attributes:
        port: where it listens in cleartext.
        tls_port: where it listens with TLS.
    """

    def __init__(self, leaf: Leaf) -> None:
        self.service = Service()
        self._server = grpc.server(ThreadPoolExecutor(120), handlers=[self.service], options=OPTIONS)
        credentials = grpc.ssl_server_credentials([(leaf.key.read_bytes(), leaf.certificate.read_bytes())])
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.tls_port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(0).wait(5)


class Stub:
    """The service's client."""

    def __init__(self, port: int, hostname: str, ca: bytes, options: Sequence[tuple[str, Any]] = ()) -> None:
        self.channel = grpc.secure_channel(
            f"127.0.0.1:{port}",
            grpc.ssl_channel_credentials(ca),
            [*OPTIONS, ("grpc.ssl_target_name_override", hostname), ("grpc.enable_http_proxy", 0), *options],
        )

    def unary(self, name: str) -> Any:
        """Return a method that takes and returns one message."""
        return self.channel.unary_unary(f"/{NAME}/{name}")

    def server_stream(self, name: str) -> Any:
        """Return a method that returns many messages."""
        return self.channel.unary_stream(f"/{NAME}/{name}")

    def client_stream(self, name: str) -> Any:
        """Return a method that takes many messages."""
        return self.channel.stream_unary(f"/{NAME}/{name}")

    def chat(self, name: str) -> Any:
        """Return a method that takes and returns many messages."""
        return self.channel.stream_stream(f"/{NAME}/{name}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.channel.close()
