"""A name whose every address is an endpoint: the system's own look-ups, by a hosts file in a mount namespace of the proxy's."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit

from tests.support.certificates import Certificates
from tests.support.ctl import run_ctl
from tests.support.endpoints import endpoints
from tests.support.http_clients import H2Client
from tests.support.l7 import l7_route
from tests.support.load import until
from tests.support.plain_http import PlainHttp, at_one_port
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.require import missing
from tests.support.settings import Table, listener

NAME = "web.test"
HOSTS = ("127.0.1.1", "127.0.1.2", "127.0.1.3")
_MOUNT = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"'


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """Return the hosts file, the only thing that look-ups know; it is to be written in place."""
    if os.geteuid() != 0:
        missing("leave to mount", "run the tests as root")
    file = tmp_path / "hosts"
    answer(file, *HOSTS)
    return file


def answer(hosts: Path, *addresses: str) -> None:
    hosts.write_text("".join(f"{address} {NAME}\n" for address in addresses), encoding="ascii")


@pytest.fixture
def servers() -> Iterator[dict[str, PlainHttp]]:
    with contextlib.ExitStack() as stack:
        yield {one.host: stack.enter_context(contextlib.closing(one)) for one in at_one_port(HOSTS)}


def test_traffic_follows_the_addresses_of_a_name(
    certs: Certificates,
    processes: Processes,
    short_folder: Path,
    tmp_path: Path,
    hosts: Path,
    servers: dict[str, PlainHttp],
) -> None:
    """Three addresses, then two, then none: an answer is followed, the lack of one is not; no request fails by it.

    The history has no generation of it, and a control that takes over knows the addresses though nobody tells them any more.
    """
    switch = tmp_path / "nsswitch.conf"
    switch.write_text("hosts: files\n", encoding="ascii")
    where = f"{NAME}:{servers[HOSTS[0]].port}"
    tables: Table = {
        "metrics": {"addr": "127.0.0.1:PORT_M"},
        "proxy": {"workers": 1},
        "upstreams": {"web": {"endpoints": [{"address": where, "resolve": "all"}]}},
        "listeners": [listener("127.0.0.1:PORT", [l7_route(certs, "web")])],
    }
    under = ("unshare", "--mount", "bash", "-c", _MOUNT, hosts, switch)
    with contextlib.closing(Proxy(processes, short_folder, tomlkit.dumps(tables), under)) as proxy:
        proxy.start()

        def known() -> set[str]:
            return {address.partition(":")[0] for _, address in endpoints(proxy)}

        def used(count: int) -> set[str]:
            """Return the servers that have answered requests, all of which must succeed."""
            with H2Client(("127.0.0.1", proxy.port()), "l7.test") as client:
                answers = [client.request("GET", "/") for _ in range(count)]
            assert {each.status for each in answers} == {200}
            return {each.body.decode().partition(":")[0] for each in answers}

        until(lambda: known() == set(HOSTS), "each address is an endpoint")
        assert {one["label"] for one in endpoints(proxy).values()} == {where}
        assert used(9) == set(HOSTS)

        answer(hosts, *HOSTS[:2])
        servers[HOSTS[2]].close()  # the dial that fails has the name asked for now, not in half a minute
        until(lambda: used(3) == set(HOSTS[:2]) and known() == set(HOSTS[:2]), "the first answer is followed")

        answer(hosts)
        servers[HOSTS[1]].close()
        mark = proxy.mark()
        until(lambda: used(4) == {HOSTS[0]} and "can't be resolved" in proxy.stderr[mark:], "nobody knows the name")
        assert known() == set(HOSTS[:2])

        proxy.kill_control()
        proxy.start()
        until(lambda: known() == set(HOSTS[:2]), "the next control knows the addresses")
        assert used(2) == {HOSTS[0]}
        history = json.loads(run_ctl("--config", str(proxy.config), "history", "--json").stdout)
        assert [one["origin"] for one in history] == ["start", "start"]
