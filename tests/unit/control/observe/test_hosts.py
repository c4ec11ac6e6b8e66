"""Under which names the status page is shown."""

import socket

from mcproxy.control.observe.hosts import AllowedHosts, machine_names
from tests.support.rows import each_row


@each_row(
    "host",
    [
        *("", "localhost", "LOCALHOST:9090", "localhost.", "app.localhost", "127.0.0.1", "127.0.0.1:9090", "10.1.2.3"),
        *("[::1]", "[::1]:9090", "[2001:db8::7]:80", "edge1", "edge1.example.com:9090"),
    ],
)
def test_names_that_no_other_site_can_have_are_allowed(host: str) -> None:
    """Those of loopback, addresses, and the machine's."""
    assert AllowedHosts(machine=("edge1", "edge1.example.com")).allows(host)


@each_row(
    "host",
    [
        *("evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "notlocalhost", "evil.test:80", "a@localhost"),
        *("[evil.test]", "[::1", "999.1.1.1", "1.2.3", "localhost:80x", "evil.test/localhost", "edge2"),
    ],
)
def test_all_others_are_not(host: str) -> None:
    """Nor what is no name."""
    assert not AllowedHosts(machine=("edge1",)).allows(host)


def test_the_configuration_adds_names_and_patterns() -> None:
    """Or all of them."""
    hosts = AllowedHosts(("status.test", "*.inner.test"), machine=())
    assert hosts.allows("Status.test:9090")
    assert hosts.allows("a.b.inner.test")
    assert not hosts.allows("inner.test")
    assert not hosts.allows("a.status.test")
    assert AllowedHosts(("*",), machine=()).allows("evil.test")


def test_the_machine_knows_its_names() -> None:
    """At least the one it is called."""
    assert socket.gethostname().lower() in machine_names()
    assert AllowedHosts().allows(socket.gethostname())
