"""The endpoint of a real proxy: it follows its settings, tells the truth about the workers, and counts what happens."""

import signal
import socket
from collections.abc import Iterator

import pytest
import tomlkit

from tests.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.endpoint import get, metric, wait_for_metric
from tests.support.http_clients import H2Client
from tests.support.l4 import HELLO, RawBackend, serve
from tests.support.l7 import l7_route, start_uvicorn
from tests.support.lifecycle import apply, end
from tests.support.load import until
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.settings import Table, listener, route


def config(*routes: Table, addr: str = "127.0.0.1:PORT_M", path: str = "/metrics", **proxy: object) -> str:
    """Return a config with the endpoint on ``PORT_M``, or wherever it is told."""
    tables: Table = {
        "metrics": {"addr": addr, "path": path},
        "proxy": {"workers": 2, "shutdown_timeout": "10s", **proxy},
        "listeners": [listener("127.0.0.1:PORT", routes, max_connections=100)],
    }
    return tomlkit.dumps(tables)


@pytest.fixture(scope="module")
def served(certs: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, RawBackend]]:
    """Return a proxy with an L4 route and an L7 one, and the L4 backend."""
    with Processes(tmp_path_factory.mktemp("backends")) as processes, RawBackend() as backend:
        policy = {"type": "block_user_agent", "value": "BadBot"}
        l7 = l7_route(certs, start_uvicorn(processes), "l7.test", l7_policies=[policy])
        with serve(config(route(backend.port, "l4.test"), l7)) as proxy:
            yield proxy, backend


def test_an_l4_connection_is_counted(served: tuple[Proxy, RawBackend]) -> None:
    """When it comes, while it is open, by bytes, and no more when it has gone."""
    proxy, backend = served
    port, labels = proxy.port("M"), {"listener": f"127.0.0.1:{proxy.port()}", "route": "l4.test"}
    client, end_of_backend = backend.join(("127.0.0.1", proxy.port()))
    end_of_backend.sendall(b"x" * 1000)
    wait_for_metric(port, "mcproxy_connections_active", 1, mode="l4", **labels)
    wait_for_metric(port, "mcproxy_bytes_total", 1000, direction="sent", **labels)
    wait_for_metric(port, "mcproxy_bytes_total", len(HELLO), direction="received", **labels)
    assert metric(port, "mcproxy_connections_total", mode="l4", **labels) == 1
    assert metric(port, "mcproxy_backend_dial_seconds_count") == 1
    client.close()
    end_of_backend.close()
    wait_for_metric(port, "mcproxy_connections_active", 0, **labels)


def test_requests_and_refusals_are_counted(served: tuple[Proxy, RawBackend]) -> None:
    """By status and protocol, by policy, by reason; a name that only a client said is nowhere."""
    proxy, _ = served
    port = proxy.port("M")
    with H2Client(("127.0.0.1", proxy.port()), "l7.test") as client:
        assert client.request("GET", "/bytes/10").status == 200
        assert client.request("GET", "/", [("user-agent", "badbot/1")]).status == 403
    wait_for_metric(port, "mcproxy_http_requests_total", 1, route="l7.test", protocol="h2", code="200")
    wait_for_metric(port, "mcproxy_http_requests_total", 1, route="l7.test", protocol="h2", code="403")
    wait_for_metric(port, "mcproxy_policy_blocks_total", 1, route="l7.test", type="block_user_agent")
    with socket.create_connection(("127.0.0.1", proxy.port())) as stranger:
        stranger.sendall(b"GET /made-up-path HTTP/1.1\r\nHost: made-up-name.test\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            stranger.recv(1)
    wait_for_metric(port, "mcproxy_connection_errors_total", 1, reason="plain_http")
    assert "made-up" not in get(port, "/metrics").text + get(port, "/").text


def test_the_certificate_is_told_by_its_end(served: tuple[Proxy, RawBackend]) -> None:
    """In seconds since the epoch, for the L7 route alone."""
    proxy, _ = served
    ends = metric(proxy.port("M"), "mcproxy_certificate_not_after_seconds")
    assert ends is not None
    assert ends > 1_700_000_000
    assert "l7.test" in get(proxy.port("M"), "/").text


def test_the_address_follows_the_file(proxy: StartProxy) -> None:
    """Off, on, moved, another path, in use, off again: without a restart, and an address in use changes nothing."""
    served = proxy(config(addr=""))
    port, other = served.port("M"), served.port("N")
    assert get(port, "/healthz").status == 0
    apply(served, config())
    assert get(port, "/metrics").status == 200
    apply(served, config(addr="127.0.0.1:PORT_N", path="/m"))
    assert [get(*where).status for where in ((port, "/m"), (other, "/m"), (other, "/metrics"))] == [0, 200, 404]
    with socket.create_server(("127.0.0.1", port)):
        since = served.mark()
        served.save(config(route(1, "new.test")))
        served.wait_for_log(rf"metrics.addr 127.0.0.1:{port}: another process listens there", since=since)
        served.wait_for_log("nothing changed", since=since)
        until(lambda: metric(other, "mcproxy_config_last_reload_successful", "/m") == 0, "the failure is told")
        assert "another process listens there" in get(other, "/").text
        assert "new.test" not in get(other, "/?q=new").text.partition("<h2>Listeners")[0].partition("match")[2]
        assert metric(other, "mcproxy_config_generation", "/m") == 3
    apply(served, config(route(1, "new.test")))
    assert [get(*where).status for where in ((port, "/metrics"), (other, "/m"))] == [200, 0]
    apply(served, config(addr=""))
    assert get(port, "/metrics").status == 0
    assert end(served) == 0


def test_ready_means_that_every_worker_serves_what_it_should(proxy: StartProxy) -> None:
    """While one lags behind the answer is 503 and names it; it is 200 again when it has caught up, or was replaced."""
    served = proxy(config())
    port = served.port("M")
    assert get(port, "/readyz").status == 200
    _, slow = served.workers()
    slow.suspend()
    try:
        served.save(config(route(1, "new.test")))
        until(lambda: get(port, "/readyz").status == 503, "it is not ready")
        assert f"(pid {slow.pid}) still serves generation 1; 2 is wanted" in get(port, "/readyz").text
        assert get(port, "/healthz").status == 200
        assert "not ready" in get(port, "/").text
    finally:
        slow.resume()
    until(lambda: get(port, "/readyz").status == 200, "it is ready again")
    slow.kill()
    wait_for_metric(port, "mcproxy_worker_restarts_total", 1)
    until(lambda: get(port, "/readyz").status == 200, "it is ready again")


def test_the_endpoint_outlives_the_drain(proxy: StartProxy) -> None:
    """It says that the proxy is going, for as long as connections are open: load balancers look at it."""
    with RawBackend() as backend:
        served = proxy(config(route(backend.port, "l4.test")))
        port = served.port("M")
        client, end_of_backend = backend.join(("127.0.0.1", served.port()))
        served.signal(signal.SIGTERM)
        until(lambda: get(port, "/readyz").status == 503, "it is not ready any more")
        assert get(port, "/readyz").text == "mcproxy is shutting down\n"
        assert get(port, "/healthz").status == 200
        wait_for_metric(port, "mcproxy_draining_connections", 1)
        client.close()
        end_of_backend.close()
        assert served.process.wait(20) == 0
        assert get(port, "/healthz").status == 0


def test_a_new_control_takes_the_endpoint_over(proxy: StartProxy) -> None:
    """With the counts: a scraper sees a gap, and no counter that begins anew."""
    with RawBackend() as backend:
        served = proxy(config(route(backend.port, "l4.test")))
        port = served.port("M")
        backend.join(("127.0.0.1", served.port()))
        wait_for_metric(port, "mcproxy_connections_total", 1, route="l4.test")
        served.kill_control()
        assert get(port, "/healthz").status == 0
        served.start()
        until(lambda: get(port, "/readyz").status == 200, "it is ready again")
        assert metric(port, "mcproxy_connections_total", route="l4.test") == 1
