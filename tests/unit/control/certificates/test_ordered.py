"""Which certificates the live routes want, and when they are ordered: never by two controls, and not before there is a database."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mcproxy.control.acme.interface import AcmeError, DnsHook, DnsServer
from mcproxy.control.certificates import ordered as module
from mcproxy.control.certificates.joined import terms_of
from mcproxy.control.certificates.ordered import OrderedCertificates, wanted_by
from mcproxy.control.certificates.shared import SharedCertificates
from mcproxy.control.files.contents import StandIn
from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.store import Store
from mcproxy.errors import NotFoundError, PreconditionError
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.state.state import State
from tests.support.certificates import Certificates
from tests.support.pebble import until
from tests.support.ports import free_port

ROUTE = '{{ hostname = "{name}", backend = "b:1", mode = "l7", certificate = "acme"{more} }}'


def state(folder: Path, *routes: str, acme: str = "", other: tuple[str, ...] = ()) -> State:
    """Return the state of routes on one listener, and of others on another one."""
    text = f'[acme]\ndirectory = "https://127.0.0.1:{free_port()}/dir"\n{acme}\n'
    for addr, each in ((":443", routes), (":8443", other)):
        text += f'[[listeners]]\naddr = "{addr}"\nroutes = [{", ".join(each)}]\n'
    return resolve([Source(str(folder / "a.toml"), text)]).state


def route(name: str, more: str = "") -> str:
    return ROUTE.format(name=name, more=more)


class Edits:
    """Runtime edits whose database may be away."""

    def __init__(self) -> None:
        self.opened: Store | None = None

    @property
    def store(self) -> Store:
        if self.opened is None:
            raise StoreError("the database is away")
        return self.opened


class Control:
    """As much of control as is asked."""

    def __init__(self, live: State) -> None:
        self.edits = Edits()
        self.events: list[str] = []
        published = SimpleNamespace(publish=lambda kind, message, generation: self.events.append(message))
        self.applier = SimpleNamespace(state=live, assets=None, generation=1)
        current: Any = SimpleNamespace(applier=self.applier, edits=self.edits, events=published)
        reconciler: Any = SimpleNamespace(last_success=1.0, stand_ins=SimpleNamespace(now=()))
        self.reconciler = reconciler
        workers: Any = SimpleNamespace(challenges=None)
        shared = SharedCertificates(Fleet(), lambda: workers.challenges)
        self.certificates = OrderedCertificates(current, reconciler, workers, shared)


def test_routes_of_one_name_have_one_certificate_with_all_names(tmp_path: Path) -> None:
    """Whatever listener they are on; others have none."""
    live = state(
        tmp_path,
        route("a.test", ', names = ["c.test"]'),
        '{ hostname = "plain.test", backend = "b:1" }',
        other=(route("a.test", ', names = ["b.test"]'), route("z.test")),
    )
    assert wanted_by(live) == {"a.test": ("a.test", "b.test", "c.test"), "z.test": ("z.test",)}


def test_without_a_database_nothing_is_ordered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once, as the reason why a name waits; when the database can be opened, orders begin."""
    monkeypatch.setattr(module, "_AGAIN", 0.1)

    async def run() -> None:
        control = Control(state(tmp_path, route("a.test")))
        certificates = control.certificates
        running = asyncio.get_running_loop().create_task(certificates.run())
        await until(lambda: any(each.error for each in certificates.facts().certificates))
        (told,) = certificates.facts().certificates
        assert (told.name, told.names, told.error, told.served) == (
            "a.test",
            ("a.test",),
            "the database is away",
            False,
        )
        with pytest.raises(PreconditionError, match="nothing can be ordered now: the database is away"):
            await certificates.renew("a.test")
        with pytest.raises(NotFoundError, match=r"no route orders a certificate for b\.test"):
            await certificates.try_out("b.test")
        control.edits.opened = store = await Store.open(tmp_path / "mc-proxy.db", now=0)
        await until(lambda: certificates.facts().failed == 1)
        (told,) = certificates.facts().certificates
        assert "Connection refused" in told.error
        assert await store.order_records()
        running.cancel()
        await asyncio.wait([running])
        assert certificates.facts().failed == 1
        await store.close()

    asyncio.run(run())


def test_a_control_that_hands_over_orders_nothing_unless_it_goes_on(tmp_path: Path) -> None:
    """Then it knows what it knew."""

    async def run() -> None:
        control = Control(state(tmp_path))
        certificates = control.certificates
        control.edits.opened = store = await Store.open(tmp_path / "mc-proxy.db", now=0)
        await certificates.look()
        await certificates.pause()
        control.applier.state = state(tmp_path, route("a.test"))
        await certificates.look()
        assert certificates.facts().certificates == ()
        certificates.resume()
        await certificates.look()
        assert [each.name for each in certificates.facts().certificates] == ["a.test"]
        await until(lambda: certificates.facts().failed == 1)
        await certificates.pause()
        assert await store.order_records()
        await store.close()

    asyncio.run(run())


def test_a_file_that_breaks_or_vanishes_is_looked_at_again(tmp_path: Path, certs: Certificates) -> None:
    """Its last good content has its place meanwhile, so that what is served is no other."""
    leaf = certs.server("a.test")
    path = tmp_path / "acme" / "a.test.pem"
    path.parent.mkdir()
    path.write_bytes(leaf.key.read_bytes() + leaf.certificate.read_bytes())

    async def run() -> None:
        control = Control(state(tmp_path, route("a.test")))
        certificates = control.certificates
        control.edits.opened = store = await Store.open(tmp_path / "mc-proxy.db", now=0)
        control.applier.assets = SimpleNamespace(digests={str(path): "d1"})
        await certificates.look()
        assert certificates.facts().certificates[0].served
        path.unlink()
        broken = StandIn(("route", ":443", "a.test"), "certificate", "there is no file", "v1")
        control.reconciler.stand_ins.now = (broken,)
        await certificates.look()
        assert certificates.facts().certificates[0].served, "nobody has said that the files were read again"
        control.reconciler.last_success = 2.0
        await certificates.look()
        await until(lambda: certificates.facts().failed == 1)  # another one is ordered
        assert not certificates.facts().certificates[0].served
        await certificates.pause()
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("acme", "dns"),
    [
        ("", None),
        (
            'challenge = "dns-01"\ndns = { server = "[::1]:5353", zone = "test", tsig_key = "k" }',
            DnsServer("::1", 5353, "test", "content of k"),
        ),
        ('challenge = "dns-01"\ndns.exec = "/hook"', DnsHook("/hook")),
    ],
)
def test_the_terms_are_those_of_the_settings(tmp_path: Path, acme: str, dns: object) -> None:
    """With what the files hold that they name."""
    (tmp_path / "k").write_text("content of k")
    (tmp_path / "eab").write_text("bound\n")
    more = 'email = "a@b.test"\nprofile = "short"\neab = { kid = "me", key = "eab" }\nfolder = "certs"\n'
    terms = terms_of(state(tmp_path, route("a.test"), acme=more + acme).settings)
    assert terms.dns == dns
    assert (terms.folder, terms.email, terms.profile) == (tmp_path / "certs", "a@b.test", "short")
    assert (terms.eab_kid, terms.eab_key) == ("me", "bound")
    (tmp_path / "eab").unlink()
    with pytest.raises(AcmeError, match=r"acme\.eab\.key: .*eab: No such file"):
        terms_of(state(tmp_path, route("a.test"), acme=more + acme).settings)
