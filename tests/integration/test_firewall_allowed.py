"""Who is allowed whoever else is blocked or denied, and how many connections a client may have open: by file and by API."""

import signal
import ssl
from collections.abc import Iterator

import pytest

from mcproxy.client import FailedPreconditionError, InvalidArgumentError
from tests.conftest import StartProxy
from tests.support.admin import client, differences
from tests.support.certificates import Certificates
from tests.support.counters import counted
from tests.support.crowd import Crowd
from tests.support.l4 import HELLO, stop_and_count
from tests.support.l7 import l7_route
from tests.support.load import until
from tests.support.proxy import Proxy
from tests.support.proxy_header import LOCAL, Names, v1, v2
from tests.support.settings import config, listener, route
from tests.support.tls import client_context, connect

WORKERS = 4


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with Crowd() as made:
        yield made


def header(host: str, version: int = 2) -> bytes:
    names = Names(host, 1000, "2001:db8::2" if ":" in host else "192.0.2.200", 443)
    return (v2(names) if version == 2 else v1(names)) + HELLO


def fates(crowd: Crowd, served: Proxy, *data: bytes, name: str = "") -> list[str]:
    """Return what becomes of clients that come one after the other."""
    found: list[str] = []
    for each in data:
        (one,) = crowd.come(("127.0.0.1", served.port(name)), [each])
        crowd.settle([one])
        found.append(one.fate)
    return found


def test_allowed_beats_blocked_and_with_deny_they_alone_pass(proxy: StartProxy, crowd: Crowd) -> None:
    """By the address in the PROXY header; entries and the default come and go by the API, and the last entry stays."""
    firewall = {"blocked_cidrs": ["198.51.100.0/24", "2001:db8:bad::/48"], "allowed_ips": ["198.51.100.7"]}
    one = listener("127.0.0.1:PORT", [route(crowd.port)], proxy_protocol=True)
    served = proxy(config(one, firewall=firewall, workers=2))
    blocked, allowed, other = header("198.51.100.8"), header("198.51.100.7"), header("203.0.113.1")
    six = header("2001:db8:bad::7")
    assert fates(crowd, served, blocked, allowed, header("198.51.100.7", 1), other, six) == [
        "refused",
        "served",
        "served",
        "served",
        "refused",
    ]
    with client(served) as admin:
        admin.add_firewall_rule("allowed_cidr", "2001:db8:bad::/64")
        assert fates(crowd, served, six, header("2001:db8:bad:1::7")) == ["served", "refused"]
        admin.set_firewall(default="deny")
        assert fates(crowd, served, blocked, allowed, other, six) == ["refused", "served", "refused", "served"]
        shown = admin.get_firewall_rules()
        assert (shown.default, shown.connections_per_client) == ("deny", 0)
        assert [(rule.type, rule.value) for rule in shown.rules if rule.type.startswith("allowed")] == [
            ("allowed_cidr", "2001:db8:bad::/64"),
            ("allowed_ip", "198.51.100.7"),
        ]
        assert sorted(differences(admin.get_drift())) == [
            ("added", "rule allowed_cidr 2001:db8:bad::/64"),
            ("changed", "setting firewall.default"),
        ]
        last = admin.explain(sni="x", ip="203.0.113.1", proxy_ip="127.0.0.1").steps[-1]
        assert (last.step, last.outcome) == ("firewall", "refused")
        assert "default is deny" in last.detail
        admin.remove_firewall_rule("allowed_ip", "198.51.100.7")
        with pytest.raises(FailedPreconditionError, match="nobody could connect"):
            admin.remove_firewall_rule("allowed_cidr", "2001:db8:bad::/64")
        with pytest.raises(FailedPreconditionError, match="nobody could connect"):
            admin.revert_edit(target="rule allowed_cidr 2001:db8:bad::/64")
        with pytest.raises(InvalidArgumentError):
            admin.set_firewall(default="refuse")
        exported = admin.export().files[0].text
        assert 'default = "deny"' in exported
        assert 'allowed_cidrs = ["2001:db8:bad::/64"]' in exported
    served.kill()
    served.start()
    assert fates(crowd, served, allowed, other, six) == ["refused", "refused", "served"]
    with client(served) as admin:
        admin.revert_edit(all=True)
        assert fates(crowd, served, blocked, allowed, other, six) == ["refused", "served", "served", "refused"]
    assert stop_and_count(served)[f"127.0.0.1:{served.port()}"].refused.keys() == {"cidr", "not_allowed"}


def test_deny_without_anybody_allowed_is_refused(reloaded: StartProxy, crowd: Crowd) -> None:
    """By the API, and in the file on a reload: what was in force goes on."""
    text = config(listener("127.0.0.1:PORT", [route(crowd.port)]), firewall={"default": "allow"})
    served = reloaded(text)
    with client(served) as admin:
        for dry_run in (True, False):
            with pytest.raises(FailedPreconditionError, match="nobody could connect"):
                admin.set_firewall(default="deny", dry_run=dry_run)
        assert fates(crowd, served, HELLO) == ["served"]
        since = served.mark()
        served.save(text.replace('"allow"', '"deny"'))
        served.wait_for_log("nobody could connect.*allowed_ips, allowed_cidrs or allowed_countries", since=since)
        served.wait_for_log("nothing changed", since=since)
        assert fates(crowd, served, HELLO) == ["served"]
        assert admin.get_firewall_rules().default == "allow"


def test_open_connections_of_one_client_are_limited_exactly(reloaded: StartProxy, crowd: Crowd) -> None:
    """Over four workers and two listeners at once, by the real address; what leaves makes room, however it leaves."""
    listeners = [
        listener("127.0.0.1:PORT", [route(crowd.port)], proxy_protocol=True),
        listener("127.0.0.1:PORT_B", [route(crowd.port)], proxy_protocol=True),
    ]
    served = reloaded(config(*listeners, firewall={"connections_per_client": 5}, workers=WORKERS))
    addresses = [("127.0.0.1", served.port()), ("127.0.0.1", served.port("B"))]
    hosts = ["203.0.113.1", "203.0.113.2", "2001:db8::1"]
    came = [each for address in addresses for host in hosts for each in crowd.come(address, [header(host)] * 20)]
    crowd.settle(came)
    assert sum(each.fate == "served" for each in came) == 3 * 5
    assert sum(each.fate == "refused" for each in came) == 3 * 35
    checks = [LOCAL + HELLO] * 6
    assert fates(crowd, served, *checks) == ["served"] * 6  # a balancer's health checks are no client
    crowd.leave([each for each in came if each.fate == "served"][:1])
    until(lambda: fates(crowd, served, header(hosts[0])) == ["served"], "there is room for one more")
    assert fates(crowd, served, *(header(host) for host in hosts)) == ["refused"] * 3
    for worker in served.workers():
        worker.send_signal(signal.SIGKILL)
    crowd.run_until(lambda: crowd.look() == 0)
    found: list[str] = []

    def five_came() -> bool:
        found.extend(fates(crowd, served, header(hosts[0])))
        return found.count("served") == 5

    until(five_came, "the places of the dead are free")
    came = crowd.come(addresses[0], [header(hosts[0])] * 20)
    crowd.settle(came)
    assert {each.fate for each in came} == {"refused"}
    crowd.leave(crowd.everyone())
    assert set(counted(served)[f"127.0.0.1:{served.port()}"].refused) == {"connections_per_client"}


def test_a_limit_at_run_time_counts_those_that_are_open(proxy: StartProxy, crowd: Crowd) -> None:
    """It cuts nobody, and lets nobody in while there are too many; without it all come in again."""
    served = proxy(config(listener("127.0.0.1:PORT", [route(crowd.port)]), workers=WORKERS))
    before = crowd.come(("127.0.0.1", served.port()), [HELLO] * 10)
    crowd.settle(before)
    with client(served) as admin:
        admin.set_firewall(connections_per_client=10)
        assert fates(crowd, served, HELLO) == ["refused"]
        assert {each.fate for each in before} == {"served"}
        assert admin.get_firewall_rules().connections_per_client == 10
        crowd.leave(before[:1])
        until(lambda: fates(crowd, served, HELLO) == ["served"], "there is room for one more")
        assert fates(crowd, served, HELLO) == ["refused"]
        admin.set_firewall(connections_per_client=0)
        assert fates(crowd, served, HELLO) == ["served"]
        assert differences(admin.get_drift()) == []
        assert admin.get_firewall_rules().blocked.keys() == {"connections_per_client"}


def test_connections_of_an_l7_route_are_limited_too(reloaded: StartProxy, certs: Certificates) -> None:
    """By connection; a handshake that fails, or a client that leaves, gives its place back."""
    one = listener("127.0.0.1:PORT", [l7_route(certs, "127.0.0.1:9")])
    served = reloaded(config(one, firewall={"connections_per_client": 1}, workers=2))
    address, trusting = ("127.0.0.1", served.port()), client_context(certs.ca)

    opened: list[ssl.SSLSocket] = []
    distrusting = client_context()
    distrusting.check_hostname = False
    distrusting.verify_mode = ssl.CERT_REQUIRED

    def enters() -> bool:
        try:
            opened.append(connect(address, "l7.test", trusting))
        except (ConnectionResetError, ssl.SSLEOFError):
            return False
        return True

    def fails() -> bool:
        try:
            connect(address, "l7.test", distrusting)
        except ssl.SSLCertVerificationError:
            return True
        except (ConnectionResetError, ssl.SSLEOFError):
            return False
        raise AssertionError("nobody vouches for this certificate")

    for _ in range(3):
        until(enters, "there is room")
        assert not enters()
        opened.pop().close()
        until(fails, "there is room for a handshake that fails")
