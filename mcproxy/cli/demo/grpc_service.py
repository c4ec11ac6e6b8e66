"""The demo's gRPC service, without TLS, and its client, which comes through the proxy. The home of grpc."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from mcproxy.errors import McproxyError

_METHOD = "/demo.Greeter/Count"
_TIMEOUT = 5.0  # seconds a call may take


class GrpcServer:
    """A service with one method: it answers a name with three greetings, one message each.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self) -> None:
        _, service, method = _METHOD.split("/")
        # Messages are plain bytes: no generated code is needed to see them pass.
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(_count)
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.stop(grace=None).wait()


def _count(name: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    for number in range(1, 4):
        yield b"%d: hello %b" % (number, name)
    context.set_trailing_metadata((("greetings", "3"),))


def call(name: str, port: int, ca: bytes) -> tuple[list[str], str, str]:
    """Call the service through the proxy; return the messages, the status and what the trailers say.

    Raises:
        McproxyError: the call failed.
    """
    options = [("grpc.ssl_target_name_override", name), ("grpc.enable_http_proxy", 0)]
    credentials = grpc.ssl_channel_credentials(ca)
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        method: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(_METHOD)
        replies = method(b"demo", timeout=_TIMEOUT)
        try:
            messages = [reply.decode() for reply in replies]
        except grpc.RpcError as error:
            raise McproxyError(f"the gRPC call failed: {error}") from error
        trailers = ", ".join(f"{key}: {value!s}" for key, value in replies.trailing_metadata())
        return messages, replies.code().name, trailers
