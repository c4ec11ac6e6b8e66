"""What is due when, with a CA that is away, by a clock that is put forward."""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.acme.folder import KEPT, Folder
from mcproxy.control.acme.interface import AcmeError, Bundle, Record, Terms
from mcproxy.control.acme.jobs import Jobs
from mcproxy.control.acme.manager import Manager
from mcproxy.control.files.certificates import issue, make_ca
from tests.support.pebble import MemoryStore, TestClock
from tests.support.ports import free_port

CA = make_ca("test")


class Outside:
    """Keeps what is installed and told."""

    def __init__(self) -> None:
        self.installed: dict[str, Bundle] = {}
        self.told: list[str] = []

    async def publish(self, challenges: object) -> None:
        raise AssertionError(challenges)

    async def withdraw(self, challenges: object) -> None:
        raise AssertionError(challenges)

    async def install(self, name: str, bundle: Bundle) -> None:
        self.installed[name] = bundle

    def tell(self, name: str, message: str) -> None:
        self.told.append(message)


class Site:
    """A manager whose CA is not there."""

    def __init__(self, folder: Path) -> None:
        self.terms = Terms(folder=folder, directory=f"http://127.0.0.1:{free_port()}/dir")
        self.store = MemoryStore()
        self.clock = TestClock()
        self.outside = Outside()
        self.folder = Folder(folder)

    def put(self, name: str, *more: str, days: float = 90, age: float = 0) -> Bundle:
        """Put a certificate into the folder that was issued some days ago."""
        start = datetime.now(UTC) - timedelta(days=age)
        pair = issue(CA, (name, *more), not_before=start, not_after=start + timedelta(days=days))
        bundle = Bundle(pair.certificate, pair.key)
        self.folder.write(name, bundle)
        return msgspec.structs.replace(bundle)

    async def manager(self, *names: str) -> Manager:
        manager = Manager(self.terms, self.store, self.outside, self.clock)
        await manager.start()
        await manager.want({name: [] for name in names})
        return manager

    async def turn(self, manager: Manager) -> None:
        manager.turn()
        await manager.settled()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "acme")


def test_a_ca_that_is_away_keeps_nothing_from_being_served(site: Site) -> None:
    """Certificates are those of the files; the pauses grow as they are documented, also over restarts."""
    bundle = site.put("a.test", age=70)

    async def run() -> list[float]:
        pauses = []
        for failures in range(1, 8):
            manager = await site.manager("a.test")  # a new one: the program was started again
            assert site.outside.installed["a.test"].key.strip() == bundle.key.strip()
            await site.turn(manager)
            record = site.store.saved["a.test"]
            assert record.failures == failures
            pauses.append(record.next_try - site.clock.now())
            await site.turn(manager)
            assert site.store.saved["a.test"].failures == failures
            site.clock.ahead += record.next_try - site.clock.now() + 1
        return pauses

    pauses = asyncio.run(run())
    for pause, documented in zip(pauses, (60, 300, 1800, 7200, 21600, 43200, 43200), strict=True):
        assert documented - 30 < pause <= documented * 1.1
    assert "Connection refused" in site.store.saved["a.test"].error
    assert site.store.orders == [], "no order was begun"


def test_nothing_is_ordered_before_it_is_due(site: Site) -> None:
    """When a third of its lifetime is left; an operator may want it before."""
    site.put("a.test", days=90, age=59)

    async def run() -> None:
        manager = await site.manager("a.test")
        assert manager.turn() <= site.clock.now() + 3600
        await manager.settled()
        assert "a.test" not in site.store.saved
        left = manager.status()[0].renewal - site.clock.now()
        assert 0.9 * 86400 < left < 1.1 * 86400
        manager.renew("a.test")
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 1
        manager.renew("a.test")
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 2

    asyncio.run(run())


def test_a_certificate_that_lacks_a_name_is_ordered_anew_and_served_meanwhile(site: Site) -> None:
    """A route got a further name."""
    bundle = site.put("a.test")

    async def run() -> None:
        manager = await site.manager()
        await manager.want({"a.test": ["b.test"]})
        assert site.outside.installed["a.test"].chain.strip() == bundle.chain.strip()
        assert manager.status()[0].renewal == 0
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 1

    asyncio.run(run())


def test_the_window_of_the_ca_decides_and_is_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window in the past means now, whatever is left; it is asked for again after six hours, or as the CA says."""
    site.put("a.test")
    now = site.clock.now()
    windows = [((now + 86400.0, now + 86400.0), 0.0), ((now - 10.0, now - 5.0), 300.0)]
    asked = []

    def window(self: Jobs, bundle: Bundle) -> object:
        asked.append(site.clock.now())
        return windows[min(len(asked), 2) - 1]

    monkeypatch.setattr(Jobs, "window", window)

    async def run() -> None:
        manager = await site.manager("a.test")
        await site.turn(manager)
        assert manager.status()[0].renewal == now + 86400
        assert site.store.saved["a.test"].ari_start == now + 86400
        await site.turn(manager)
        assert len(asked) == 1
        again = await site.manager("a.test")
        assert again.status()[0].renewal == now + 86400, "kept over a restart"
        site.clock.ahead += 6 * 3600 + 1
        await site.turn(manager)
        assert len(asked) == 2
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 1

    asyncio.run(run())


def test_a_file_that_cannot_be_read_is_neither_replaced_nor_set_aside(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That says nothing about what is in it; it is read again a minute later."""
    site.put("a.test", age=89)
    really = Folder.read

    def read(self: Folder, name: str) -> Bundle | None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Folder, "read", read)

    async def run() -> None:
        manager = await site.manager("a.test")
        await site.turn(manager)
        assert "a.test" not in site.store.saved
        assert "nothing is ordered until it can be read" in site.outside.told[0]
        monkeypatch.setattr(Folder, "read", really)
        site.clock.ahead += 61
        await site.turn(manager)
        assert "a.test" in site.outside.installed

    asyncio.run(run())


def test_what_no_route_wants_any_more_is_kept_for_ninety_days(site: Site) -> None:
    """From the day when it was wanted for the last time; what is wanted stays."""
    old = time.time() - KEPT - 86400
    for name in ("gone.test", "left.test", "stays.test"):
        site.put(name, days=400)
        os.utime(site.folder.file_of(name), (old, old))
    site.store.saved["left.test"] = Record("left.test", failures=3)

    async def run() -> None:
        manager = await site.manager("left.test", "stays.test")
        await manager.want({"stays.test": []})
        await site.turn(manager)

    asyncio.run(run())
    assert [path.name for path in sorted(site.terms.folder.glob("*.pem"))] == ["left.test.pem", "stays.test.pem"]
    assert "left.test" not in site.store.saved


def test_an_order_of_another_ca_is_not_gone_on_with(site: Site) -> None:
    """The directory was changed in between."""
    site.store.saved["a.test"] = Record(
        "a.test", state="ordering", url="http://elsewhere.test/order/1", directory="http://elsewhere.test/dir"
    )

    async def run() -> None:
        await site.turn(await site.manager("a.test"))

    asyncio.run(run())
    record = site.store.saved["a.test"]
    assert (record.url, record.directory) == ("", site.terms.directory)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_an_account_key_that_is_broken_is_not_replaced(site: Site, content: bytes) -> None:
    """The account would be lost, and with it what is bound to it."""
    site.folder.account_key("https://ca.test/dir")
    (path,) = (site.terms.folder / "accounts").iterdir()
    path.write_bytes(content)
    with pytest.raises(AcmeError, match="put the account's key back"):
        site.folder.account_key("https://ca.test/dir")
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["../a.test", "a/b", ".hidden", ""])
def test_no_name_leads_out_of_the_folder(site: Site, name: str) -> None:
    """Whatever a route is called."""
    with pytest.raises(AcmeError, match="no hostname"):
        site.folder.file_of(name)


def test_a_key_of_another_certificate_is_set_aside(site: Site) -> None:
    """As two halves of two pairs would be, copied by hand."""
    one, other = site.put("a.test"), site.put("b.test")
    site.folder.write("a.test", Bundle(one.chain, other.key))
    with pytest.raises(AcmeError, match="belongs to another certificate; set aside as"):
        site.folder.read("a.test")
    assert site.folder.read("a.test") is None
    assert site.folder.read("b.test") is not None
