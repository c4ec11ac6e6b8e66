"""Checks of real servers: nginx and grpcio that turn ill, stand still, or have the wrong certificate; and who remembers it."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import msgspec
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.support.certificates import Certificates
from tests.support.endpoint import get, metric
from tests.support.endpoints import METRICS, endpoints, wait_for, wait_for_verdict
from tests.support.health_nginx import HealthNginx
from tests.support.l4 import serve
from tests.support.lifecycle import wait_gone
from tests.support.load import until
from tests.support.nginx import start_nginx
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.restart import control

_FAST = 'interval = "150ms", timeout = "1s", fall = 2, rise = 2'


class World(msgspec.Struct):
    """A proxy and what it checks: an nginx with two servers, another with one, gRPC, and two with TLS."""

    proxy: Proxy
    pair: HealthNginx
    single: HealthNginx
    states: health.HealthServicer
    rpc: str
    good: str
    wrong: str


def text(world: World, certs: Certificates) -> str:
    first, second = world.pair.addresses()
    (single,) = world.single.addresses()
    return f"""
{METRICS}
[proxy]
workers = 1
[upstreams.web]
endpoints = ["{first}", "{second}", "{single}"]
check = {{ type = "http", path = "/healthz", {_FAST} }}
[upstreams.patient]
endpoints = ["{first}", "{second}"]
check = {{ type = "http", path = "/healthz", interval = "5m" }}
[upstreams.rpc]
endpoints = ["{world.rpc}"]
check = {{ type = "grpc", service = "app", {_FAST} }}
[upstreams.tls]
endpoints = ["{world.good}", "{world.wrong}"]
check = {{ type = "tls", {_FAST} }}
tls = {{ ca = "{certs.ca}", server_name = "tls.test" }}
[[listeners]]
addr = "127.0.0.1:PORT"
routes = [
  {{ hostname = "web.test", backend = "web" }},
  {{ hostname = "patient.test", backend = "patient" }},
  {{ hostname = "rpc.test", backend = "rpc" }},
  {{ hostname = "tls.test", backend = "tls" }},
]
"""


@pytest.fixture(scope="module")
def world(certs: Certificates, other_certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("checks")
    states = health.HealthServicer()
    states.set("app", health_pb2.HealthCheckResponse.SERVING)
    with Processes(folder) as processes, ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        health_pb2_grpc.add_HealthServicer_to_server(states, server)
        rpc = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        addresses = []
        for name, issuer in (("good", certs), ("wrong", other_certs)):
            (folder / name).mkdir()
            tls = start_nginx(processes, folder / name, name, issuer.server("tls.test"))
            addresses.append(f"127.0.0.1:{tls.port}")
        pair, single = HealthNginx(processes, folder / "pair", 2), HealthNginx(processes, folder / "single")
        unserved = World(None, pair, single, states, rpc, *addresses)  # type: ignore[arg-type]  # made next
        try:
            with serve(text(unserved, certs)) as proxy:
                yield msgspec.structs.replace(unserved, proxy=proxy)
        finally:
            server.stop(0).wait()


def test_what_answers_500_is_out_and_comes_back(world: World) -> None:
    first, second = world.pair.addresses()
    for address in (first, second):
        wait_for_verdict(world.proxy, "web", address, "up")
    world.pair.set_well(0, well=False)
    told = wait_for_verdict(world.proxy, "web", first, "down")
    assert (told["last_error"], told["reason"], told["usable"]) == ("status 500", "status 500", False)
    world.proxy.wait_for_log(rf"endpoint is down.*{first}.*status 500")
    until(
        lambda: metric(world.proxy.port("M"), "mcproxy_endpoint_usable", upstream="web", endpoint=first) == 0,
        "metrics tell it",
    )
    assert endpoints(world.proxy)["web", second]["verdict"] == "up"
    world.pair.set_well(0, well=True)
    assert wait_for_verdict(world.proxy, "web", first, "up")["usable"]
    world.proxy.wait_for_log(rf"endpoint is up after.*{first}")


def test_what_stands_still_is_out_by_the_time_limit(world: World) -> None:
    (single,) = world.single.addresses()
    wait_for_verdict(world.proxy, "web", single, "up")
    world.single.signal(signal.SIGSTOP)
    try:
        told = wait_for_verdict(world.proxy, "web", single, "down")
        assert told["last_error"] == "no response within 1 s"
    finally:
        world.single.signal(signal.SIGCONT)
    wait_for_verdict(world.proxy, "web", single, "up")


def test_a_grpc_server_that_is_not_serving_is_out_and_comes_back(world: World) -> None:
    wait_for_verdict(world.proxy, "rpc", world.rpc, "up")
    world.states.set("app", health_pb2.HealthCheckResponse.NOT_SERVING)
    told = wait_for_verdict(world.proxy, "rpc", world.rpc, "down")
    assert told["last_error"] == "it says NOT_SERVING"
    world.proxy.wait_for_log("no endpoint is usable.*all are used")
    world.states.set("app", health_pb2.HealthCheckResponse.SERVING)
    wait_for_verdict(world.proxy, "rpc", world.rpc, "up")
    world.proxy.wait_for_log("an endpoint is usable again")


def test_a_certificate_of_another_ca_is_told(world: World) -> None:
    wait_for_verdict(world.proxy, "tls", world.good, "up")
    told = wait_for_verdict(world.proxy, "tls", world.wrong, "down")
    assert told["last_error"] == "its certificate is of an unknown CA (other CA)"


def known(world: World) -> dict[tuple[str, str], tuple[str, float]]:
    """Return verdict and time of the endpoints that are checked once in five minutes; none while control is away."""
    return {key: (one["verdict"], one["since"]) for key, one in endpoints(world.proxy).items() if key[0] == "patient"}


def test_verdicts_outlive_reloads_controls_and_workers(world: World) -> None:
    """Those of checks that are not made again meanwhile; for others every round of checks goes on."""
    proxy, (first, second) = world.proxy, world.pair.addresses()
    world.pair.set_well(1, well=False)
    proxy.save(proxy.config.read_text(encoding="utf-8").replace('interval = "5m"', 'interval = "100ms", fall = 1'))
    wait_for_verdict(proxy, "patient", first, "up")
    wait_for_verdict(proxy, "patient", second, "down")
    mark = proxy.mark()
    proxy.save(proxy.config.read_text(encoding="utf-8").replace('interval = "100ms", fall = 1', 'interval = "5m"'))
    proxy.wait_for_log(r"\] applied", since=mark)
    world.pair.set_well(1, well=True)
    wait_for(proxy, "web", second, lambda one: one["verdict"] == "up")
    before = known(world)
    assert [before["patient", address][0] for address in (first, second)] == ["up", "down"]

    (worker,) = proxy.workers()
    worker.kill()
    wait_gone(worker)
    until(lambda: [one.pid for one in proxy.workers()] not in ([], [worker.pid]), "another worker runs")
    until(lambda: get(proxy.port("M"), "/readyz").status == 200, "another worker serves")
    until(lambda: known(world) == before, "the verdicts are as before the worker's end")
    proxy.kill_control()
    proxy.start()
    until(lambda: known(world) == before, "the next control knows the verdicts")
    proxy.signal(signal.SIGUSR2)
    pid = proxy.pid
    until(lambda: control(proxy).pid != pid, "another control has taken over")
    until(lambda: known(world) == before, "the new program knows the verdicts")
    proxy.save(proxy.config.read_text(encoding="utf-8") + "# as before\n")
    wait_for(proxy, "web", first, lambda one: one["verdict"] == "up" and one["last_check"] > 0)
    until(lambda: known(world) == before, "the verdicts are as before all that")
