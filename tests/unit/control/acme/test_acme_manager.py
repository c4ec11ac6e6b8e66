"""What is due when, with a CA that is away, by a clock that is put forward."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.acme.folder import KEPT, Folder
from mcproxy.control.acme.interface import AcmeError, Bundle, StoppedError, Terms
from mcproxy.control.acme.jobs import Jobs
from mcproxy.control.acme.manager import Manager
from mcproxy.control.files.certificates import issue, make_ca
from mcproxy.control.store.errors import StoreError
from mcproxy.errors import NotFoundError, PreconditionError
from mcproxy.policy.acme.pauses import AN_HOUR
from mcproxy.policy.acme.record import Record
from tests.support.pebble import MemoryStore, TestClock, until
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


def held_by(manager: Manager) -> Bundle:
    """Return the certificate of the only name."""
    (status,) = manager.status()
    assert status.held is not None
    return status.held.bundle


def test_a_ca_that_is_away_keeps_nothing_from_being_served(site: Site) -> None:
    """Certificates are those of the files; the pauses grow as they are documented, also over restarts."""
    bundle = site.put("a.test", age=70)

    async def run() -> list[float]:
        pauses = []
        for failures in range(1, 8):
            manager = await site.manager("a.test")  # a new one: the program was started again
            assert held_by(manager).key.strip() == bundle.key.strip()
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
        assert held_by(manager).chain.strip() == bundle.chain.strip()
        assert manager.status()[0].renewal == 0
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 1

    asyncio.run(run())


def test_what_another_ca_has_issued_is_ordered_anew(site: Site) -> None:
    """A directory for tries was named before; tried as often as it takes. What somebody else has put there is left alone."""
    other = site.put("a.test")
    site.folder.write("a.test", msgspec.structs.replace(other, directory="https://other.test/dir"))
    site.folder.write("b.test", msgspec.structs.replace(site.put("b.test"), directory=site.terms.directory))
    site.put("c.test")

    async def run() -> None:
        manager = await site.manager("a.test", "b.test", "c.test")
        held = manager.status()[0].held
        assert held is not None
        assert held.bundle.directory == "https://other.test/dir"
        assert held.bundle.key.strip() == other.key.strip()
        for failures in (1, 2):
            await site.turn(manager)
            assert {name: record.failures for name, record in site.store.saved.items()} == {"a.test": failures}
            site.clock.ahead += site.store.saved["a.test"].next_try - site.clock.now() + 1

    asyncio.run(run())
    assert site.folder.file_of("c.test").read_bytes().startswith(b"-----BEGIN")


def test_a_name_is_proven_for_one_order_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that have a name in common, wildcard or not, the second one waits: the CA would see the answer for the other."""
    begun: list[str] = []
    gone_on = threading.Event()

    def order(self: Jobs, name: str, *_: object) -> Bundle:
        begun.append(name)
        gone_on.wait(60)
        raise AcmeError("no")

    monkeypatch.setattr(Jobs, "order", order)
    monkeypatch.setattr(Jobs, "try_out", lambda self, names, *_: order(self, f"try {names[0]}"))

    async def run() -> None:
        manager = Manager(site.terms, site.store, site.outside, site.clock)
        await manager.start()
        await manager.want({"a.test": ["x.test"], "b.test": ["*.x.test"], "c.test": []})
        manager.turn()
        await until(lambda: sorted(begun) == ["a.test", "c.test"])
        with pytest.raises(PreconditionError, match="an order with a name of this one, is under way"):
            await manager.try_out("b.test")
        gone_on.set()
        await manager.settled()
        gone_on.clear()
        tried = asyncio.create_task(manager.try_out("a.test", "https://other.test"))
        await until(lambda: "try a.test" in begun)
        manager.turn()
        assert "b.test" not in begun
        gone_on.set()
        with pytest.raises(AcmeError):
            await tried
        manager.turn()
        await manager.settled()
        assert begun[-1] == "b.test"

    asyncio.run(run())


def test_a_clock_that_was_wrong_puts_nothing_off(site: Site) -> None:
    """What was to be tried a year from now is tried now that the clock is right again; pauses are obeyed."""

    async def run() -> None:
        site.clock.ahead = 365 * 86400.0
        manager = await site.manager("a.test")
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 1
        site.clock.ahead = 0.0
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 2
        manager = await site.manager("a.test")
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 2
        week = 7 * 86400.0
        site.store.saved["a.test"] = msgspec.structs.replace(
            site.store.saved["a.test"], next_try=site.clock.now() + week
        )
        manager = await site.manager("a.test")
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 2, "a CA may ask to wait for so long"

    asyncio.run(run())


def test_orders_of_a_clock_that_was_wrong_count_for_an_hour(site: Site) -> None:
    """From when it is right again, not until the time has come that it showed."""
    site.store.orders = [site.clock.now() + 365 * 86400.0 + number for number in range(AN_HOUR)]

    async def run() -> None:
        manager = await site.manager("a.test")
        await site.turn(manager)
        assert "a.test" not in site.store.saved
        site.clock.ahead += 3601
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 1

    asyncio.run(run())


def test_the_window_of_the_ca_decides_and_is_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window in the past means now, whatever is left; it is asked for again after six hours, or as the CA says."""
    site.put("a.test", age=1)
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
        assert held_by(manager).chain

    asyncio.run(run())


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "it is a FIFO, not a regular file"),
        (os.mkdir, "Is a directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a character device, not a regular file"),
        (lambda path: path.write_bytes(bytes(2 << 20)), "it is larger than 1 MiB"),
        (lambda path: path.write_bytes(b""), "no private key"),
    ],
)
def test_what_is_no_certificate_is_set_aside(site: Site, make: Callable[[Path], object], why: str) -> None:
    """Whatever stands in the place of a file keeps nobody waiting: that name alone is ordered anew."""
    site.put("b.test")
    path = site.folder.file_of("a.test")
    make(path)

    async def run() -> None:
        async with asyncio.timeout(30):
            manager = await site.manager("a.test", "b.test")
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 1
        assert [status.held is not None for status in manager.status()] == [False, True]

    asyncio.run(run())
    assert f"{path}: {why}; set aside as a.test.pem.unreadable-" in site.outside.told[0]
    assert [each.name.partition("-")[0] for each in path.parent.glob("a.test.*")] == ["a.test.pem.unreadable"]


def test_what_no_route_wants_any_more_is_kept_for_ninety_days(site: Site) -> None:
    """From the day when it was wanted for the last time; what is wanted stays."""
    names = ("gone.test", "left.test", "stays.test", "back.test")
    old = time.time() - KEPT - 86400
    for name in names:
        site.put(name, days=400)
    other = site.terms.folder / "other.pem"
    other.write_text("nobody ordered this")
    os.utime(other, (old, old))
    site.store.saved["left.test"] = Record("left.test", failures=3)

    def files() -> list[str]:
        return sorted(path.stem for path in site.terms.folder.glob("*.pem"))

    async def run() -> None:
        manager = await site.manager(*names)
        await manager.want({"stays.test": []})
        assert "left.test" not in site.store.saved
        await site.turn(manager)
        for name in ("gone.test", "back.test"):
            os.utime(site.terms.folder / "unwanted" / f"{name}.pem", (old, old))
        again = await site.manager("stays.test", "back.test")
        await site.turn(again)
        assert files() == ["back.test", "left.test", "other", "stays.test"]
        site.clock.ahead += KEPT + 86400
        await site.turn(again)

    asyncio.run(run())
    assert files() == ["back.test", "other", "stays.test"]


def test_a_name_that_nobody_wants_after_a_restart_is_forgotten_too(site: Site) -> None:
    """The route went while control was away; a database that can't be written is tried again."""
    site.put("a.test")
    site.store.saved["a.test"] = Record("a.test", failures=3)
    forget = site.store.forget

    async def fail(name: str) -> None:
        raise StoreError("the disk is full")

    async def run() -> None:
        site.store.forget = fail  # type: ignore[method-assign]
        manager = Manager(site.terms, site.store, site.outside, site.clock)
        await manager.start()
        with pytest.raises(StoreError):
            await manager.want({})
        site.store.forget = forget  # type: ignore[method-assign]
        await manager.want({})

    asyncio.run(run())
    assert site.store.saved == {}
    assert (site.terms.folder / "unwanted" / "a.test.pem").exists()


def test_nothing_is_ordered_that_can_not_be_written_down_first(site: Site) -> None:
    """A crash loop would hammer the CA; the pause holds in memory, and all is as ever when the database can be written."""

    async def fail(record: Record) -> None:
        raise StoreError("the disk is full")

    async def run() -> None:
        manager = await site.manager("a.test")
        save, site.store.save = site.store.save, fail  # type: ignore[method-assign]
        await site.turn(manager)
        assert site.outside.told == ["the disk is full"]
        assert manager.turn() > site.clock.now() + 30
        site.store.save = save  # type: ignore[method-assign]
        site.clock.ahead += 120
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 2
        assert manager.ended == {"failed": 1}

    asyncio.run(run())


def test_a_file_that_somebody_else_has_written_counts_when_it_is_told(site: Site) -> None:
    """A backup, or a certificate that another program has fetched."""

    async def run() -> None:
        manager = await site.manager("a.test")
        assert manager.status()[0].held is None
        bundle = site.put("a.test")
        manager.changed(["a.test", "unknown.test"])
        await site.turn(manager)
        assert held_by(manager).chain.strip() == bundle.chain.strip()
        assert "a.test" not in site.store.saved, "nothing was ordered"
        site.folder.file_of("a.test").write_text("broken")
        manager.changed(["a.test"])
        await site.turn(manager)
        assert manager.status()[0].held is None
        assert "set aside" in site.outside.told[-1]
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 1

    asyncio.run(run())


def test_the_end_does_not_wait_for_a_ca_that_does_not_answer(site: Site) -> None:
    """What hangs is left to itself."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        site.terms = msgspec.structs.replace(site.terms, directory=f"http://127.0.0.1:{silent.getsockname()[1]}/dir")

        async def run() -> None:
            manager = await site.manager("a.test")
            manager.turn()
            connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                await manager.stop(0.1)

        asyncio.run(run())  # it would wait for threads of asyncio's own
    assert site.store.saved["a.test"].state == "ordering"


def test_whoever_wants_a_renewal_hears_how_it_ends(site: Site) -> None:
    """That it failed, that nobody wants the name any more, that control ends, or that too many were begun."""
    site.put("a.test")
    site.put("b.test")

    async def run() -> None:
        manager = await site.manager("a.test", "b.test")
        failing = manager.renew("a.test")
        await site.turn(manager)
        with pytest.raises(AcmeError, match="Connection refused"):
            await failing
        gone = manager.renew("b.test")
        await manager.want({"a.test": []})
        with pytest.raises(NotFoundError):
            await gone
        site.store.orders = [site.clock.now() - 600] * AN_HOUR
        busy = await site.manager("a.test")
        with pytest.raises(
            PreconditionError, match="10 orders were begun within the last hour; the next one may be in 50 min"
        ):
            busy.renew("a.test")
        site.store.orders = []
        last = await site.manager("a.test")
        waiting = last.renew("a.test")
        await last.stop()
        with pytest.raises(StoppedError):
            await waiting

    asyncio.run(run())


def test_what_has_failed_is_tried_at_once_where_the_terms_have_changed(site: Site) -> None:
    """An operator has mended something; the failures before still count for the pauses."""

    async def run() -> None:
        await site.turn(await site.manager("a.test"))
        manager = await site.manager("a.test")
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 1
        manager.hurry()
        await site.turn(manager)
        assert site.store.saved["a.test"].failures == 2

    asyncio.run(run())
