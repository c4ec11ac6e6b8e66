"""max_connections: exact over all workers, whatever happens to them or to the limit."""

import signal

import psutil
import pytest

from tests.conftest import StartProxy
from tests.support.counters import counted
from tests.support.crowd import Crowd
from tests.support.l4 import HELLO, RawBackend, stop_and_count, wait_for
from tests.support.proxy import Proxy
from tests.support.settings import Table, config, listener, route

pytestmark = pytest.mark.both_data_paths

LIMIT = 100


def one(port: int, limit: int, addr: str = "127.0.0.1:PORT") -> Table:
    return listener(addr, [route(port)], max_connections=limit)


def fill(crowd: Crowd, address: tuple[str, int], limit: int, seconds: float = 30) -> None:
    """Let clients come one after the other until the limit is reached, and see that then nobody else is served.

    Those that have just left may still count: their backends hear of it a moment before the proxy is done with them.
    """

    def full() -> bool:
        if crowd.look() >= limit:
            return True
        crowd.come(address, [HELLO])
        return False

    crowd.run_until(full, seconds)
    crowd.settle(crowd.everyone())
    extra = crowd.come(address, [HELLO] * 20)
    crowd.settle(extra)
    assert [client.fate for client in extra] == ["refused"] * 20
    assert crowd.look() == limit


def top_up(crowd: Crowd, address: tuple[str, int], limit: int, seconds: float = 30) -> None:
    """The same, where there were never more."""
    fill(crowd, address, limit, seconds)
    assert crowd.most <= limit


def oldest(proxy: Proxy) -> psutil.Process:
    return min(proxy.workers(), key=lambda worker: worker.create_time())


@pytest.mark.soak
def test_a_thousand_clients_at_once_over_a_hundred_rounds(proxy: StartProxy) -> None:
    """Exactly 100 are served, never 101; in each tenth round a worker is killed while they come."""
    with Crowd(LIMIT) as crowd:
        served = proxy(config(one(crowd.port, LIMIT), workers=4))
        address = ("127.0.0.1", served.port())
        cut = 0
        for number in range(1, 101):
            if number % 10:
                clients = crowd.come(address, [HELLO] * 1000)
                crowd.settle(clients)
                assert crowd.look() == LIMIT
                assert sum(client.fate == "refused" for client in clients) == 900
            else:
                clients = crowd.come(address, [HELLO] * 300)
                crowd.settle(clients)
                clients += crowd.come(address, [HELLO] * 350)
                oldest(served).kill()
                clients += crowd.come(address, [HELLO] * 350)
                crowd.settle(clients)
                assert crowd.look() <= LIMIT
                cut += sum(client.fate == "cut" for client in clients)
                top_up(crowd, address, LIMIT)
            assert crowd.most == LIMIT
            crowd.leave(crowd.everyone())
            crowd.run_until(lambda: not crowd.backends)
        assert cut, "no kill has struck a connection"
        totals = stop_and_count(served)[f"127.0.0.1:{served.port()}"]
        assert totals.refused["limit"] >= 900 * 90


def test_the_limit_changes_while_connections_are_open(reloaded: StartProxy) -> None:
    """A lower limit drops nobody and admits no one until below, a higher one admits at once, none at all everyone."""
    with Crowd() as crowd:
        served = reloaded(config(one(crowd.port, 60), workers=4))
        address = ("127.0.0.1", served.port())

        def change(limit: int) -> None:
            since = served.mark()
            served.save(config(one(crowd.port, limit), workers=4))
            served.wait_for_log('"event": "applied"', since=since)

        def come(count: int) -> int:
            """Return how many of so many new clients are served."""
            clients = crowd.come(address, [HELLO] * count)
            crowd.settle(clients)
            return sum(client.fate == "served" for client in clients)

        def leave(count: int) -> None:
            backends = len(crowd.backends)
            crowd.leave(list(crowd.served)[:count])
            crowd.run_until(lambda: len(crowd.backends) == backends - count)

        assert come(100) == 60
        change(40)
        assert come(50) == 0
        assert crowd.look() == 60
        leave(20)
        assert come(50) == 0
        leave(10)
        fill(crowd, address, 40)
        change(60)
        assert come(50) == 20
        change(0)
        assert come(300) == 300
        change(50)
        assert come(50) == 0
        assert crowd.look() == 360
        leave(360)
        fill(crowd, address, 50)


def test_other_listeners_have_room_of_their_own(reloaded: StartProxy) -> None:
    """A full listener refuses with its own reason; one beside it without a limit takes everyone."""
    with Crowd() as crowd:
        tables = [one(crowd.port, 5), one(crowd.port, 0, "[::1]:PORT_FREE"), one(crowd.port, 7, "127.0.0.1:PORT_B")]
        served = reloaded(config(*tables, workers=2))
        counts = []
        for address in (("127.0.0.1", served.port()), ("::1", served.port("FREE")), ("127.0.0.1", served.port("B"))):
            clients = crowd.come(address, [HELLO] * 50)
            crowd.settle(clients)
            counts.append(sum(client.fate == "served" for client in clients))
        assert counts == [5, 50, 7]
        crowd.leave(crowd.everyone())
        crowd.run_until(lambda: not crowd.backends)
        totals = counted(served)
        assert totals[f"127.0.0.1:{served.port()}"].refused == {"limit": 45}
        assert totals[f"[::1]:{served.port('FREE')}"].refused == {}


def test_connections_that_are_refused_later_make_room_again(reloaded: StartProxy) -> None:
    """Clients without a hello, a route or a backend count only while they are open."""
    with Crowd(3) as crowd, RawBackend() as peers:
        served = reloaded(config(one(crowd.port, 3), client_hello_timeout="60s"))
        address = ("127.0.0.1", served.port())
        for _ in range(20):
            with pytest.raises(ConnectionResetError):
                peers.connect(address, b"not TLS").recv(1)
        (worker,) = served.workers()
        before = worker.num_fds()
        silent = [peers.connect(address, HELLO[:10]) for _ in range(3)]
        wait_for(lambda: worker.num_fds() == before + 3)
        clients = crowd.come(address, [HELLO] * 5)
        crowd.settle(clients)
        assert {client.fate for client in clients} == {"refused"}
        for sock in silent:
            sock.close()
        top_up(crowd, address, 3)


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_the_limit_holds_when_control_is_replaced(proxy: StartProxy, how: signal.Signals) -> None:
    """Control is killed, then a worker: the next control counts what the survivor holds, and nothing of the dead."""
    with Crowd(20) as crowd:
        served = proxy(config(one(crowd.port, 20), workers=2, shutdown_timeout="90s"))
        address = ("127.0.0.1", served.port())
        for _ in range(20):  # one by one: of many at once the first worker to wake up might take all
            crowd.settle(crowd.come(address, [HELLO]))
        assert crowd.look() == 20
        served.kill_control()
        victim = served.workers()[0]
        victim.send_signal(how)
        if how == signal.SIGKILL:
            crowd.run_until(lambda: crowd.look() < 20)
        held = crowd.look()
        assert held > 0
        served.start()
        top_up(crowd, address, 20)
        crowd.leave(crowd.everyone())
        crowd.run_until(lambda: not crowd.backends)
        crowd.settle(clients := crowd.come(address, [HELLO] * 100))
        assert sum(client.fate == "served" for client in clients) == 20
        assert crowd.most == 20
