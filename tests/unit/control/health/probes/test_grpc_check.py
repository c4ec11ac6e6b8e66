"""Checks by the health service of gRPC, of servers of grpcio and of others."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from mcproxy.control.health.probes.probe import Probe, Tls
from mcproxy.model.values.endpoint import Endpoint
from tests.support.certificates import Certificates
from tests.support.check_server import run

_SERVING = health_pb2.HealthCheckResponse.SERVING
_STATES = {"": _SERVING, "good": _SERVING, "bad": health_pb2.HealthCheckResponse.NOT_SERVING}


@pytest.fixture(scope="module")
def port(certs: Certificates) -> Iterator[tuple[int, int, int]]:
    """Return the ports of a server in cleartext, by TLS, and of one without the service."""
    leaf = certs.server("grpc.test")
    pair = leaf.key.read_bytes(), leaf.certificate.read_bytes()
    with ThreadPoolExecutor(2) as threads:
        server, bare = grpc.server(threads), grpc.server(threads)
        states = health.HealthServicer()
        for service, state in _STATES.items():
            states.set(service, state)
        health_pb2_grpc.add_HealthServicer_to_server(states, server)
        clear = server.add_insecure_port("127.0.0.1:0")
        secure = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        none = bare.add_insecure_port("127.0.0.1:0")
        server.start()
        bare.start()
        yield clear, secure, none
        server.stop(0).wait()
        bare.stop(0).wait()


def check(port: int, service: str = "", tls: Tls | None = None) -> tuple[bool | None, str]:
    found = asyncio.run(run(Probe("grpc", Endpoint("127.0.0.1", port), 20.0, tls, service=service)))
    return found.good, found.error


@pytest.mark.parametrize("through_tls", [False, True])
def test_a_service_is_good_while_it_is_serving(
    port: tuple[int, int, int],
    certs: Certificates,
    through_tls: bool,  # noqa: FBT001
) -> None:
    tls = Tls(certs.ca.read_bytes(), "grpc.test") if through_tls else None
    where = port[through_tls]
    assert check(where, "", tls) == (True, "")
    assert check(where, "good", tls) == (True, "")
    assert check(where, "bad", tls) == (False, "it says NOT_SERVING")
    assert check(where, "other", tls) == (False, "it does not know the service")


def test_a_server_without_the_service_is_told(port: tuple[int, int, int]) -> None:
    assert check(port[2]) == (False, "it has no health service (UNIMPLEMENTED)")
