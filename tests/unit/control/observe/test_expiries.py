"""When served certificates end: of the contents that workers hold, read once."""

import asyncio
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.files.assets import Assets
from mcproxy.control.files.certificates import read_authorities
from mcproxy.control.observe import expiries
from mcproxy.control.observe.expiries import Expiries
from mcproxy.model.state.state import State
from mcproxy.model.state.tls_options import RouteTls
from tests.support.certificates import Certificates
from tests.support.client_ca import ClientCa
from tests.support.descriptors import open_descriptors
from tests.support.observed import ADDR, route, state

SETTINGS = {"firewall.geoip_db": "", "log.access": ""}


def live(**certificates: Path) -> State:
    """Return a state of L7 routes with these certificates, and one L4 route."""
    routes = [
        route(f"{name}.test", mode="l7", tls_cert=str(path), tls_key=str(path)) for name, path in certificates.items()
    ]
    return msgspec.structs.replace(state(*routes, route("l4.test")), settings=SETTINGS)


def test_the_end_of_what_is_served(certs: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewed file counts when it is live, not when it is written; nothing is read or kept that needs not be."""
    first, second = (datetime(2040, month, 1, tzinfo=UTC) for month in (1, 2))
    path, copy = tmp_path / "a.crt", tmp_path / "b.crt"
    for where in (path, copy):
        where.write_bytes(certs.server("a.test", not_after=first).certificate.read_bytes())
    reads: list[int] = []
    read = expiries._read

    def counted(
        files: int, wanted: Collection[str], vouching: Collection[str]
    ) -> tuple[dict[str, float], dict[str, expiries.Authorities]]:
        reads.append(len(wanted) + len(vouching))
        return read(files, wanted, vouching)

    monkeypatch.setattr(expiries, "_read", counted)

    async def scenario() -> None:
        known = Expiries()
        desired = live(a=path, b=copy)
        assets = Assets(desired)
        descriptors = open_descriptors()
        both = {(ADDR, "a.test"): first.timestamp(), (ADDR, "b.test"): first.timestamp()}
        assert await known.of(desired, assets) == both
        path.write_bytes(certs.server("a.test", not_after=second).certificate.read_bytes())
        assert await known.of(desired, assets) == both
        assert reads == [1], "the same content twice, and nothing new"
        assert open_descriptors() <= descriptors
        renewed = Assets(desired)
        assert await known.of(desired, renewed) == {**both, (ADDR, "a.test"): second.timestamp()}
        assert reads == [1, 1], "only what is new is read"
        less = live(a=path)
        assert await known.of(less, renewed) == {(ADDR, "a.test"): second.timestamp()}
        assert reads == [1, 1]
        assert await known.of(live(), Assets(live())) == {}
        assert await known.of(State(), None) == {}
        assets.close()
        renewed.close()

    asyncio.run(scenario())


def test_a_certificate_that_can_not_be_read_is_left_out(certs: Certificates, tmp_path: Path) -> None:
    """The others are told."""
    good, bad = certs.server("good.test").certificate, tmp_path / "bad.crt"
    bad.write_bytes(b"nonsense")
    desired = live(good=good, bad=bad)
    assets = Assets(desired)
    found = asyncio.run(Expiries().of(desired, assets))
    assert list(found) == [(ADDR, "good.test")]
    assets.close()


def test_the_end_of_what_clients_are_judged_by(tmp_path: Path) -> None:
    """The CA whose last CRL ends first counts, of routes that ask for certificates, by their own words or their listener's."""
    ca, other = ClientCa(tmp_path), ClientCa(tmp_path, "other")
    crl = tmp_path / "clients.crl"
    crl.write_bytes(
        other.crl(timedelta(days=1))
        + ca.crl(timedelta(days=5))
        + other.crl(timedelta(days=2))
        + ca.crl(timedelta(days=-1))
    )
    bundle = tmp_path / "clients.pem"
    bundle.write_bytes(other.pem + ca.pem)
    vouching = read_authorities(bundle.read_bytes())
    names = [each.name for each in sorted(vouching, key=lambda one: (one.not_after, one.name))]
    assert sorted(names) == ["CN=clients", "CN=other"]
    tls = RouteTls(client_ca=str(bundle), client_crl=str(crl), client_auth="require")
    routes = [
        msgspec.structs.replace(route("own.test", mode="l7"), tls=tls),
        msgspec.structs.replace(route("off.test", mode="l7"), tls=RouteTls(client_auth="off")),
        route("plain.test", mode="l7"),
    ]
    plain = msgspec.structs.replace(state(*routes), settings=SETTINGS)

    async def scenario(desired: State) -> set[str]:
        known = Expiries()
        await known.of(desired, Assets(desired))
        assert {round((end - time.time()) / 86_400, 1) for end in known.crls.values()} <= {2.0}
        assert known.authorities.keys() == known.crls.keys()
        for each in known.authorities.values():
            assert [one.name for one in each] == names
            assert all(one.not_after > time.time() for one in each)
        return {hostname for _, hostname in known.crls}

    assert asyncio.run(scenario(plain)) == {"own.test"}
    listener = msgspec.structs.replace(plain.listeners[ADDR], tls=tls)
    asking = msgspec.structs.replace(plain, listeners={ADDR: listener})
    assert asyncio.run(scenario(asking)) == {"own.test", "plain.test"}
