"""rate_limit: over all workers, per client address and window."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from mcproxy.model.values import durations
from tests.conftest import StartProxy
from tests.support.crowd import Crowd
from tests.support.l4 import HELLO, stop_and_count
from tests.support.proxy import Proxy
from tests.support.proxy_header import LOCAL, Names, v1, v2
from tests.support.settings import Table, config, listener, route

LIMIT, WORKERS = 50, 4
MOST = LIMIT + WORKERS - 1
FOR_EVER = "8760h"  # one window since the machine was started


def begin_window(served: Proxy, listeners: list[Table], about: float) -> float:
    """Have the rate limited from now on; return when the second window from now ends (monotonic seconds).

    Windows are fixed by the clock, so instead of waiting for one to begin its length is chosen to let one begin soon.
    """
    soon = time.monotonic() + 1.5
    number = int(soon / about)
    length = round(soon / number, 3)
    firewall = {"rate_limit": LIMIT, "rate_window": durations.render(length)}
    since = served.mark()
    served.save(config(*listeners, firewall=firewall, workers=WORKERS))
    served.wait_for_log('"event": "applied"', since=since)
    time.sleep(max(0.0, number * length - time.monotonic()))
    return (number + 1) * length


def headers(hosts: list[str], version: int = 2) -> list[bytes]:
    """Return what clients of these addresses send."""
    encode = v2 if version == 2 else v1
    ends = {4: "192.0.2.2", 6: "2001:db8::2"}
    return [encode(Names(host, 1000, ends[6 if ":" in host else 4], 443)) + HELLO for host in hosts]


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with Crowd() as made:
        yield made


def test_one_address_is_held_to_the_limit(proxy: StartProxy, crowd: Crowd) -> None:
    """Of 1,000 tries at once, from the beginning of a window of ten seconds, 50 to 53 are admitted; then 50 again."""
    listeners = [listener("127.0.0.1:PORT", [route(crowd.port)])]
    served = proxy(config(*listeners, workers=WORKERS))
    address = ("127.0.0.1", served.port())
    end = begin_window(served, listeners, 10.0)
    clients = crowd.come(address, [HELLO] * 1000)
    crowd.settle(clients)
    assert time.monotonic() < end
    admitted = sum(client.fate == "served" for client in clients)
    assert LIMIT <= admitted <= MOST
    again = crowd.come(address, [HELLO] * 100)
    crowd.settle(again)
    assert {client.fate for client in again} == {"refused"}
    crowd.leave(crowd.everyone())
    crowd.run_until(lambda: not crowd.backends)
    totals = stop_and_count(served)[f"127.0.0.1:{served.port()}"]
    assert totals.refused == {"rate_limit": 1100 - admitted}


@pytest.mark.soak
def test_a_thousand_addresses_are_each_held_to_the_limit(proxy: StartProxy, crowd: Crowd) -> None:
    """60 tries of each of 1,000 addresses, mixed, all in one window: every one gets 50 to 53."""
    listeners = [listener("127.0.0.1:PORT", [route(crowd.port)], proxy_protocol=True)]
    served = proxy(config(*listeners, workers=WORKERS))
    address = ("127.0.0.1", served.port())
    hosts = [f"10.0.{number // 250}.{number % 250}" for number in range(1000)]
    data = headers(hosts)
    order = random.Random(7)
    admitted: Counter[str] = Counter()
    end = begin_window(served, listeners, 100.0)  # ten seconds are too few for 60,000 connections on a busy machine
    for first in range(0, 1000, 50):  # as many at once as there are descriptors for
        tries = list(range(first, first + 50)) * 60
        order.shuffle(tries)
        clients = crowd.come(address, [data[host] for host in tries])
        crowd.settle(clients)
        admitted.update(hosts[tries[client.tag]] for client in clients if client.fate == "served")
        crowd.leave(crowd.everyone())
    assert time.monotonic() < end
    assert len(admitted) == 1000
    assert min(admitted.values()) >= LIMIT
    assert max(admitted.values()) <= MOST


def test_what_is_one_client(proxy: StartProxy, crowd: Crowd) -> None:
    """IPv4 by its address, mapped or not, whatever the version of the header; IPv6 by its /64; the rest by itself."""
    listeners = [
        listener("127.0.0.1:PORT", [route(crowd.port)], proxy_protocol=True),
        listener("127.0.0.1:PORT_B", [route(crowd.port)], proxy_protocol=True),
    ]
    served = proxy(config(*listeners, firewall={"rate_limit": 2, "rate_window": FOR_EVER}, workers=WORKERS))

    def fates(data: list[bytes], name: str = "") -> list[str]:
        found: list[str] = []
        for each in data:  # one after the other: two are admitted, not two to five
            (client,) = crowd.come(("127.0.0.1", served.port(name)), [each])
            crowd.settle([client])
            found.append(client.fate)
        return found

    assert fates(headers(["203.0.113.1", "::ffff:203.0.113.1", "203.0.113.1"])) == ["served", "served", "refused"]
    assert fates(headers(["203.0.113.1"], version=1)) == ["refused"]
    assert fates(headers(["203.0.113.1"]), "B") == ["refused"]  # the limit is the proxy's, not a listener's
    assert fates(headers(["203.0.113.2"])) == ["served"]
    same = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:3"]
    assert fates(headers(same)) == ["served", "served", "refused"]
    assert fates(headers(["2001:db8:0:1::1"])) == ["served"]
    assert fates([b"PROXY UNKNOWN\r\n" + HELLO] * 3) == ["served", "served", "refused"]
    assert fates([LOCAL + HELLO] * 3) == ["served"] * 3  # a proxy's health checks have no rate


def test_the_counts_outlive_workers(proxy: StartProxy, crowd: Crowd) -> None:
    """Killing every worker gives no client a second share of the window."""
    listeners = [listener("127.0.0.1:PORT", [route(crowd.port)])]
    firewall = {"rate_limit": LIMIT, "rate_window": FOR_EVER}
    served = proxy(config(*listeners, firewall=firewall, workers=WORKERS))
    address = ("127.0.0.1", served.port())
    crowd.settle(clients := crowd.come(address, [HELLO] * 200))
    before = sum(client.fate == "served" for client in clients)
    assert LIMIT <= before <= MOST
    killed = served.workers()
    for worker in killed:
        worker.kill()
    crowd.settle(clients := crowd.come(address, [HELLO] * 200))  # replacements take what waits
    assert not set(served.workers()) & set(killed)
    assert {client.fate for client in clients} == {"refused"}
