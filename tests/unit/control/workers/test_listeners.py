"""The listening sockets that control holds."""

import re
import socket
from collections.abc import Iterator

import pytest

from mcproxy.control.workers.listeners import Listeners, group_size
from mcproxy.errors import ApplyError
from mcproxy.net.sockets import listen
from tests.support.ports import free_port


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    found = Listeners()
    yield found
    found.release_others(())


def addr() -> str:
    return f"127.0.0.1:{free_port()}"


def connects(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6, 12])
def test_the_usual_numbers_of_workers_share_a_group_evenly(workers: int) -> None:
    """No worker serves more sockets of a listener than another."""
    assert group_size(workers) % workers == 0


def test_every_worker_gets_at_least_one_socket() -> None:
    """Also when there are more workers than usual."""
    assert group_size(100) == 100


def test_listeners_are_bound_once_and_stay(listeners: Listeners) -> None:
    """Asked again, the same sockets stay, whatever size is asked for; only new ones are reported."""
    one, two = addr(), addr()
    assert listeners.bind([one], 2) == [one]
    group = listeners[one]
    assert listeners.bind([one, two], 5) == [two]
    assert listeners[one] is group
    assert listeners.sizes() == {one: 2, two: 5}
    listeners.release_others([two])
    assert listeners.sizes() == {two: 5}
    assert not connects(one)
    assert connects(two)


def test_all_or_none_are_bound(listeners: Listeners) -> None:
    """The third address is taken by another process: the first two are free again, and the error names the third."""
    one, two = addr(), addr()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ApplyError, match=rf"listener {busy}: another process listens there; .*ss -ltnp"):
            listeners.bind([one, two, busy], 2)
    assert listeners.sizes() == {}
    assert not connects(one)
    assert not connects(two)


def test_a_socket_of_another_process_is_not_shared_silently(listeners: Listeners) -> None:
    """SO_REUSEPORT would allow it to a process of the same user."""
    address = addr()
    others = listen(address, 1)
    with pytest.raises(ApplyError, match="another process listens there"):
        listeners.bind([address], 2)
    for sock in others:
        sock.close()


def test_an_overlap_with_a_live_listener_is_told_apart_from_another_process(listeners: Listeners) -> None:
    """The user is told which listener of the own file is in the way."""
    address = addr()
    listeners.bind([address], 1)
    port = address.partition(":")[2]
    with pytest.raises(ApplyError, match=rf"listener :{port}: the address overlaps with the live listener {address}"):
        listeners.bind([address, f":{port}"], 1)
    assert connects(address)


def test_an_address_of_another_machine_is_refused(listeners: Listeners) -> None:
    """The error says that this machine does not have it."""
    with pytest.raises(ApplyError, match="this machine has no such address"):
        listeners.bind([f"192.0.2.1:{free_port()}"], 1)


def test_adopted_sockets_need_no_binding_and_spare_ones_are_closed(listeners: Listeners) -> None:
    """The first offer of a listener counts; a second one of the same sockets is closed."""
    address = addr()
    group = listen(address, 2)
    copies = [sock.dup() for sock in group]
    listeners.adopt({address: group})
    listeners.adopt({address: copies})
    assert listeners[address] is group
    assert [sock.fileno() for sock in copies] == [-1, -1]
    assert listeners.bind([address], 2) == []
    assert connects(address)


def waits(listeners: Listeners, address: str) -> list[bool]:
    return [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) > 0 for sock in listeners[address]]


def test_live_sockets_accept_before_or_after_the_first_bytes(listeners: Listeners) -> None:
    """As asked for each time, also those that somebody else has bound; the sockets stay."""
    address, adopted = addr(), addr()
    listeners.bind([address], 2)
    listeners.adopt({adopted: listen(adopted, 2)})
    group = listeners[address]
    for wanted in ({address}, set(), {address, adopted}, {adopted}):
        listeners.accept_at_once(wanted)
        assert [waits(listeners, each) for each in (address, adopted)] == [
            [each not in wanted] * 2 for each in (address, adopted)
        ]
    assert listeners[address] is group
    listeners.release([adopted])
    listeners.bind([adopted], 1)
    listeners.accept_at_once({adopted})
    assert waits(listeners, adopted) == [False]


def test_a_node_of_a_fleet_listens_at_an_address_of_its_own(listeners: Listeners) -> None:
    """Where a listener names none: it is called the same on all nodes. Others stay where they say."""
    for host, family in (("127.0.0.2", socket.AF_INET), ("::1", socket.AF_INET6)):
        port = free_port()
        listeners.host = host
        listeners.bind([f":{port}", "127.0.0.3:0"], 1)
        assert listeners[f":{port}"][0].getsockname()[:2] == (host, port)
        assert listeners[f":{port}"][0].family == family
        assert listeners["127.0.0.3:0"][0].getsockname()[0] == "127.0.0.3"
        with socket.create_server(("127.0.0.4", port)):  # another node on this machine
            pass
        other = Listeners()
        other.host = host
        with pytest.raises(ApplyError, match=re.escape(f"listener :{port} at {host}: another process listens there")):
            other.bind([f":{port}"], 1)
        assert listeners.misplaced() == []
        for later in ("", "127.0.0.5"):
            listeners.host = later
            assert listeners.misplaced() == [f":{port}"]
        listeners.release_others(())


def test_a_listener_at_all_addresses_is_where_it_should_be(listeners: Listeners) -> None:
    """Unless a node of a fleet is to listen at one alone."""
    port = free_port()
    listeners.bind([f":{port}"], 1)
    assert listeners.misplaced() == []
    listeners.host = "127.0.0.2"
    assert listeners.misplaced() == [f":{port}"]
