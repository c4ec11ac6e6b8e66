"""gRPC through the proxy with grpcio on both ends, over h2c and TLS to the backend, with both engines."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from tests.support.certificates import Certificates
from tests.support.fleet import Fleet
from tests.support.grpc_service import NAME, GrpcServer, Stub
from tests.support.l7 import BACKEND_NAME, l7_config, l7_route, tls_backend
from tests.support.ports import free_port
from tests.support.proxy import Proxy

PROMPT = 0.1
"""Seconds within which an end on one side is to be seen on the other."""
SLACK = 0.2
"""Seconds more, for a busy machine."""
TRIES = 5
"""How often it is tried, for a busier one."""

REWRITING = {
    "match": f"/{NAME}/*",
    "filter": {
        "rewrite": {"from": f"/{NAME}", "to": "/moved.Service"},
        "set_request_headers": {"X-Case": "{path}"},
        "remove_response_headers": ["X-Nothing"],
        "max_body": "16MiB",
    },
}
"""A case that calls another service; this one takes any name."""


def status(caught: pytest.ExceptionInfo[grpc.RpcError]) -> tuple[grpc.StatusCode, str]:
    error: Any = caught.value  # a Call too, which the type stubs don't know
    return error.code(), error.details()


@pytest.fixture(scope="module")
def server(certs: Certificates) -> Iterator[GrpcServer]:
    with GrpcServer(certs.server(BACKEND_NAME)) as server:
        yield server


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def served(fleet: Fleet, request: pytest.FixtureRequest, server: GrpcServer, certs: Certificates) -> Iterator[Proxy]:
    blocked = l7_route(certs, server.port, "blocked.test")
    blocked["l7_policies"] = [{"type": "block_user_agent", "value": "grpc-python"}]
    config = l7_config(
        l7_route(certs, server.port, "h2c.test"),
        l7_route(certs, server.tls_port, "tls.test", **tls_backend(certs)),
        l7_route(certs, server.port, "case.test", cases=[REWRITING]),
        l7_route(certs, free_port(), "down.test"),
        blocked,
        http2_engine=request.param,
    )
    with fleet.serve(config) as proxy:
        yield proxy


@pytest.fixture(params=["h2c.test", "tls.test", "case.test"])
def stub(request: pytest.FixtureRequest, served: Proxy, certs: Certificates) -> Iterator[Stub]:
    with Stub(served.port(), request.param, certs.ca.read_bytes()) as stub:
        yield stub


def test_unary(stub: Stub) -> None:
    """A message goes there and back, also an empty one."""
    for message in (b"hello", b""):
        assert stub.unary("Echo")(message, timeout=10) == message


def test_metadata(stub: Stub) -> None:
    """Custom metadata arrives, binary too, and comes back as initial and as trailing metadata."""
    metadata = (("x-test-a", "1"), ("x-test-a", "2"), ("x-test-b-bin", b"\x00\x01\xff"))
    _, call = stub.unary("Echo").with_call(b"", metadata=metadata, timeout=10)
    assert [(item.key, item.value) for item in call.initial_metadata() if item.key.startswith("x-test")] == [*metadata]
    assert [(item.key, item.value) for item in call.trailing_metadata()] == [*metadata]


def test_a_status_message_with_a_blank_at_its_end(stub: Stub) -> None:
    """The call ends with its own status, not with one of the proxy's: the blank is no reason to refuse its trailers."""
    for message, details in ((b"user not found: ", "user not found:"), (b" ", "")):
        with pytest.raises(grpc.RpcError) as caught:
            stub.unary("Fail")(message, timeout=10)
        assert status(caught) == (grpc.StatusCode.FAILED_PRECONDITION, details)


def test_server_streaming(stub: Stub) -> None:
    """Every message of a stream arrives, in order."""
    assert [int(message) for message in stub.server_stream("Count")(b"1000", timeout=10)] == [*range(1000)]


def test_client_streaming(stub: Stub) -> None:
    """Every message of a stream arrives at the server."""
    assert stub.client_stream("Sum")((b"%d" % number for number in range(1000)), timeout=10) == b"499500"


def test_bidirectional_streaming(stub: Stub) -> None:
    """Both streams flow at once: each answer comes before the next question is asked."""
    questions: queue.Queue[bytes | None] = queue.Queue()
    answers = stub.chat("Chat")(iter(questions.get, None), timeout=10)
    for number in range(50):
        questions.put(b"%d" % number)
        assert next(answers) == b"re: %d" % number
    questions.put(None)
    assert list(answers) == []
    assert answers.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("message", ["as it is", "mit Umlauten: äöü, 100%", "x" * 2000])
def test_errors_without_a_message(stub: Stub, message: str) -> None:
    """A trailers-only response brings status code, message and metadata."""
    with pytest.raises(grpc.RpcError) as caught:
        stub.unary("Fail")(message.encode(), timeout=10)
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, message)
    assert [(item.key, item.value) for item in error.trailing_metadata()] == [("x-test-why-bin", b"\x00\xff")]


def test_error_behind_messages(stub: Stub) -> None:
    """A stream that fails on its way brings its messages, then the status."""
    answers = stub.server_stream("FailLate")(b"first", timeout=10)
    assert next(answers) == b"first"
    with pytest.raises(grpc.RpcError):
        next(answers)
    assert (answers.code(), answers.details()) == (grpc.StatusCode.DATA_LOSS, "after the first")


def test_unknown_method(stub: Stub) -> None:
    """The server's UNIMPLEMENTED arrives."""
    with pytest.raises(grpc.RpcError) as caught:
        stub.unary("Nothing")(b"", timeout=10)
    assert status(caught)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_large_messages(stub: Stub) -> None:
    """8 MiB go there and back as one message."""
    message = bytes(range(256)) * (8 << 12)
    assert len(message) == 8 << 20
    assert stub.unary("Echo")(message, timeout=30) == message


def test_the_server_sees_the_deadline(stub: Stub, server: GrpcServer) -> None:
    """The server knows how long the client will wait, and that another one waits for ever."""
    stub.unary("Deadline")(b"", timeout=5)
    assert server.service.remaining is not None
    assert 4 < server.service.remaining <= 5
    stub.unary("Deadline")(b"")
    assert server.service.remaining > 1e6


def cancels_promptly(server: GrpcServer, cancel: Callable[[], None]) -> bool:
    """Cancel a call; tell whether the server has heard of it promptly, which may take a few tries; it has to hear of it in each."""
    for _ in range(TRIES):
        server.service.cancelled.clear()
        server.service.waiting.clear()
        cancel()
        if server.service.cancelled.wait(PROMPT + SLACK):
            return True
        assert server.service.cancelled.wait(10)
    return False


def test_deadline_passes(stub: Stub, server: GrpcServer) -> None:
    """When the deadline passes the client hears of it, and the server's call ends."""

    def wait_in_vain() -> None:
        with pytest.raises(grpc.RpcError) as caught:
            stub.unary("Wait")(b"", timeout=0.3)
        assert status(caught)[0] is grpc.StatusCode.DEADLINE_EXCEEDED

    assert cancels_promptly(server, wait_in_vain)


@pytest.mark.parametrize("method", ["Wait", "Ticks"])
def test_cancellation(stub: Stub, server: GrpcServer, method: str) -> None:
    """A client's cancellation ends the call at the server within 100 ms, before and amid the response."""

    def cancel() -> None:
        if method == "Wait":
            call = stub.unary("Wait").future(b"", timeout=30)
            assert server.service.waiting.wait(10)
        else:
            call = stub.server_stream("Ticks")(b"", timeout=30)
            next(iter(call))
        call.cancel()
        assert call.code() is grpc.StatusCode.CANCELLED

    assert cancels_promptly(server, cancel)


def test_a_client_that_dies_cancels(served: Proxy, server: GrpcServer, certs: Certificates) -> None:
    """A closed channel ends the server's calls."""

    def die() -> None:
        with Stub(served.port(), "h2c.test", certs.ca.read_bytes()) as stub:
            next(iter(stub.server_stream("Ticks")(b"", timeout=30)))

    assert cancels_promptly(server, die)


def test_concurrent_calls(stub: Stub) -> None:
    """100 calls at once on one connection have each its own answer."""
    calls = [stub.unary("Echo").future(b"%d" % number, timeout=20) for number in range(100)]
    assert [int(call.result()) for call in calls] == [*range(100)]


def test_concurrent_streams(stub: Stub) -> None:
    """100 streams are open at the same time: none waits for another's end."""
    barrier = threading.Barrier(100)

    def questions() -> Iterator[bytes]:
        yield b"1"
        barrier.wait(15)
        yield b"2"

    calls = [stub.chat("Chat")(questions(), timeout=20) for _ in range(100)]
    assert [list(call) for call in calls] == [[b"re: 1", b"re: 2"]] * 100


@pytest.mark.parametrize(
    ("hostname", "code", "details"),
    [
        ("down.test", grpc.StatusCode.UNAVAILABLE, "Bad Gateway"),
        ("blocked.test", grpc.StatusCode.PERMISSION_DENIED, "Forbidden"),
    ],
)
def test_errors_of_the_proxy(
    served: Proxy, certs: Certificates, hostname: str, code: grpc.StatusCode, details: str
) -> None:
    """The proxy's own refusals are gRPC statuses that say nothing about its inside."""
    with Stub(served.port(), hostname, certs.ca.read_bytes()) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.unary("Echo")(b"", timeout=10)
        assert status(caught) == (code, details)
