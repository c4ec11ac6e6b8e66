"""What is counted of cases and filters: exact over several workers, over reloads, kills of workers and a control that is replaced."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.endpoint import metric
from tests.support.http_clients import client
from tests.support.l4 import serve, wait_for
from tests.support.l7 import l7_route
from tests.support.proxy import Proxy
from tests.support.settings import listener

NAME = "l7.test"
CASES = [
    {"match": "/a/*", "respond": "a"},
    {"match": "/b/*", "respond": "b", "filter": {"allow_cidrs": ["192.0.2.0/24"]}},
    {"match": "/never", "respond": "n"},
]


class Stage(msgspec.Struct, frozen=True):
    """A proxy of two workers."""

    proxy: Proxy

    def ask(self, path: str, times: int) -> set[int]:
        """Send requests, each on a connection of its own, so that both workers get some; return the statuses."""
        found = set()
        for _ in range(times):
            with client("http/1.1", ("127.0.0.1", self.proxy.port()), NAME) as peer:
                found.add(peer.request("GET", path).status)
        return found

    def counts(self) -> tuple[float, float, float]:
        """Return the requests of both cases, and how many of the second the filter has refused."""
        port = self.proxy.port("METRICS")
        where = {"listener": f"127.0.0.1:{self.proxy.port()}", "route": NAME}
        a, b = (metric(port, "mcproxy_case_requests_total", case=case, **where) or 0 for case in ("/a/*", "/b/*"))
        return a, b, metric(port, "mcproxy_filter_blocks_total", filter="(case)", stage="allow", **where) or 0


def text(certs: Certificates, *more: dict[str, object]) -> str:
    route = l7_route(certs, 1, NAME, cases=[*more, *CASES])
    return tomlkit.dumps(
        {
            "proxy": {"workers": 2, "shutdown_timeout": "2s"},
            "listeners": [listener("127.0.0.1:PORT", [route])],
            "metrics": {"addr": "127.0.0.1:PORT_METRICS"},
        }
    )


@pytest.fixture
def stage(certs: Certificates) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack.enter_context(serve(text(certs))))


def test_counts_go_on(stage: Stage, certs: Certificates) -> None:
    """Whoever has counted, and wherever the case stands in the file; what no request came to has no series."""
    assert (stage.ask("/a/x", 6), stage.ask("/b/", 4)) == ({200}, {403})
    assert stage.counts() == (6, 4, 4)
    mark = stage.proxy.mark()
    stage.proxy.save(text(certs, {"match": "/0", "respond": "0"}, {"match": "GET /a", "respond": "one"}))
    stage.proxy.wait_for_log("generation=2", since=mark)
    assert stage.ask("/a/x", 1) == {200}
    assert stage.counts() == (7, 4, 4)
    killed = stage.proxy.workers()[0].pid
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in [worker.pid for worker in stage.proxy.workers()] and len(stage.proxy.workers()) == 2)
    assert (stage.ask("/a/x", 6), stage.ask("/b/", 2)) == ({200}, {403})
    assert stage.counts() == (13, 6, 6)
    stage.proxy.kill_control()
    stage.proxy.start()
    assert stage.ask("/a/x", 1) == {200}
    assert stage.counts() == (14, 6, 6)
    assert metric(stage.proxy.port("METRICS"), "mcproxy_case_requests_total", case="/never") is None
