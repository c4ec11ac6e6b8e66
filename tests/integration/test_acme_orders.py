"""Certificates are ordered, renewed and found again after a crash, with Let's Encrypt's test CA."""

import asyncio
import itertools
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.acme import keys
from mcproxy.control.acme.folder import Folder
from mcproxy.control.acme.interface import Challenge, Kind, Terms
from mcproxy.control.acme.manager import Manager
from mcproxy.control.files.certificates import read_certificate
from mcproxy.errors import NotFoundError
from mcproxy.policy.acme.record import Record
from tests.support.pebble import EAB_KEY, EAB_KID, Answers, MemoryStore, Pebble, TestClock, until
from tests.support.processes import Processes

_numbers = itertools.count()


def fresh(name: str = "app") -> str:
    """Return a name that no other test uses, since the CA is shared."""
    return f"{name}{next(_numbers)}.example.com"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("output")) as processes:
        yield processes


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    found = Answers()
    yield found
    found.close()


@pytest.fixture(scope="module")
def pebble(running: Processes, answers: Answers, tmp_path_factory: pytest.TempPathFactory) -> Pebble:
    return Pebble(running, tmp_path_factory.mktemp("pebble"), answers)


def terms(pebble: Pebble, folder: Path, challenge: Kind = "tls-alpn-01") -> Terms:
    return Terms(folder=folder, directory=pebble.directory, ca=str(pebble.ca), challenge=challenge)


async def ordered(manager: Manager, clock: TestClock | None = None) -> None:
    """Turn until every name has a certificate and nothing is under way."""
    for _ in range(300):
        at = manager.turn()
        await manager.settled()
        if clock is None and all(each.held and not each.record.failures for each in manager.status()):
            return
        if clock is not None:
            clock.ahead += max(at - clock.now(), 0)
            if all(each.held and not each.record.failures for each in manager.status()):
                return
    raise AssertionError(manager.status())


@pytest.mark.parametrize("challenge", ["tls-alpn-01", "http-01"])
def test_a_certificate_covers_all_names_and_is_kept_for_the_owner_alone(
    pebble: Pebble, answers: Answers, tmp_path: Path, challenge: Kind
) -> None:
    """Key and chain are in one file; nothing is left of the challenges; the next start needs no CA."""
    name, more = fresh(), fresh("www")
    store = MemoryStore()

    async def order() -> None:
        manager = Manager(terms(pebble, tmp_path / "acme", challenge), store, answers, TestClock())
        await manager.start()
        await manager.want({name: [more]})
        await ordered(manager)

    asyncio.run(order())
    assert not answers.open
    path = tmp_path / "acme" / f"{name}.pem"
    bundle = Folder(tmp_path / "acme").read(name)
    assert bundle is not None
    assert bundle == answers.installed[name]
    assert set(read_certificate(bundle.chain).names) == {name, more}
    assert bundle.chain.count(b"BEGIN CERTIFICATE") == 2
    modes = {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.rglob("*") if each.is_file()}
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert store.saved[name].state == "idle"
    assert not list((tmp_path / "acme" / "orders").iterdir())

    async def start_again() -> None:
        nowhere = msgspec.structs.replace(terms(pebble, tmp_path / "acme"), directory="https://localhost:1/dir")
        manager = Manager(nowhere, store, answers, TestClock())
        await manager.start()
        await manager.want({name: [more]})
        (status,) = manager.status()
        assert status.held is not None
        assert status.held.bundle == bundle

    asyncio.run(start_again())


def test_renewal_has_a_new_key_and_serves_the_old_certificate_until_then(
    pebble: Pebble, answers: Answers, tmp_path: Path
) -> None:
    """It is of the same account."""
    name = fresh()

    async def renew() -> None:
        manager = Manager(terms(pebble, tmp_path), MemoryStore(), answers, TestClock())
        await manager.start()
        await manager.want({name: []})
        await ordered(manager)
        first = answers.installed[name]
        manager.turn()
        await manager.settled()
        assert answers.installed[name] is first
        renewed = manager.renew(name)
        while not renewed.done():
            assert answers.installed[name] is first
            manager.turn()
            await manager.settled()
        await renewed
        assert answers.installed[name].key != first.key
        assert manager.status()[0].record.failures == 0
        assert len(list((tmp_path / "accounts").iterdir())) == 1

    asyncio.run(renew())


def test_many_names_are_ordered_two_at_a_time_and_ten_an_hour(pebble: Pebble, answers: Answers, tmp_path: Path) -> None:
    """The rest follows when the hour is over."""
    names = [fresh("many") for _ in range(13)]
    clock, store = TestClock(), MemoryStore()
    answers.most = 0

    async def order() -> None:
        manager = Manager(terms(pebble, tmp_path), store, answers, clock)
        await manager.start()
        await manager.want({name: [] for name in names})
        running = asyncio.create_task(manager.run())
        await until(lambda: sum(each.held is not None for each in manager.status()) == 10)
        await manager.settled()
        assert len(store.orders) == 10
        clock.ahead += 3601
        manager.turn()
        await until(lambda: all(each.held for each in manager.status()))
        await manager.stop()
        await running

    asyncio.run(order())
    assert answers.most <= 2
    assert len(store.orders) == 13
    assert {name for name in names if name in answers.installed} == set(names)


def test_what_the_ca_refuses_is_tried_again_later(pebble: Pebble, answers: Answers, tmp_path: Path) -> None:
    """Nobody answers for the name: the reason is the CA's, the challenge is withdrawn, the pauses grow."""
    name, clock, store = fresh("deaf"), TestClock(), MemoryStore()

    class Deaf(Answers):
        async def publish(self, challenges: object) -> None:
            """Publish nothing."""

        async def withdraw(self, challenges: object) -> None:
            """Nothing was published."""

    deaf = Deaf()

    async def fail() -> list[float]:
        manager = Manager(terms(pebble, tmp_path, "http-01"), store, deaf, clock)
        await manager.start()
        await manager.want({name: []})
        pauses = []
        for failures in (1, 2, 3):
            manager.turn()
            await manager.settled()
            record = store.saved[name]
            assert record.failures == failures
            assert (record.state, record.url) == ("idle", "")
            pauses.append(record.next_try - clock.now())
            manager.turn()
            await manager.settled()
            assert store.saved[name].failures == failures, "tried within the pause"
            clock.ahead += record.next_try - clock.now() + 1
        return pauses

    pauses = asyncio.run(fail())
    deaf.close()
    assert name in store.saved[name].error
    assert "http-01" in store.saved[name].error
    for pause, documented in zip(pauses, (60, 300, 1800), strict=True):
        assert documented - 30 < pause < documented * 1.1 + 30


def test_an_account_can_be_bound_to_a_customer(running: Processes, answers: Answers, tmp_path: Path) -> None:
    """External account binding; without it the CA refuses, and that is told."""
    pebble = Pebble(running, tmp_path, answers, eab=True)
    name = fresh()

    async def order(*, eab: bool) -> Manager:
        how = terms(pebble, tmp_path / f"acme-{eab}")
        if eab:
            how = msgspec.structs.replace(how, eab_kid=EAB_KID, eab_key=EAB_KEY)
        manager = Manager(how, MemoryStore(), answers, TestClock())
        await manager.start()
        await manager.want({name: []})
        manager.turn()
        await manager.settled()
        return manager

    assert asyncio.run(order(eab=True)).status()[0].held
    refused = asyncio.run(order(eab=False)).status()[0]
    assert refused.held is None
    assert "externalAccountRequired" in refused.record.error


def test_a_try_leaves_nothing_but_its_account(pebble: Pebble, answers: Answers, tmp_path: Path) -> None:
    """The whole order, and neither file nor record."""
    name, store = fresh("try"), MemoryStore()

    async def try_out() -> None:
        manager = Manager(terms(pebble, tmp_path), store, answers, TestClock())
        await manager.start()
        await manager.want({name: []})
        held = await manager.try_out(name, pebble.directory)
        assert held.names == (name,)

    asyncio.run(try_out())
    assert [each.parent.name for each in tmp_path.rglob("*.pem")] == ["accounts"]
    assert name not in store.saved
    assert name not in answers.installed


@pytest.mark.parametrize("moment", ["publish", "withdraw", "certificate", "write"])
def test_a_crash_loses_no_order_and_makes_no_second_certificate(
    pebble: Pebble, answers: Answers, running: Processes, tmp_path: Path, moment: str
) -> None:
    """Killed before the challenges, after them, before the certificate is fetched, and before it is installed."""
    name = fresh("crash")
    before = pebble.issued()
    settings = tmp_path / "settings.json"
    how = terms(pebble, tmp_path / "acme", "http-01")
    settings.write_bytes(msgspec.json.encode({"terms": how, "name": name, "moment": moment}, enc_hook=os.fspath))
    root = {"PYTHONPATH": str(Path(__file__).parents[2])}
    child = running.start(sys.executable, "-m", "tests.support.acme_crash", settings, env=root, stdin=True)
    if moment != "publish":
        opened = child.wait_for_line(r"^OPEN (.*)$")
        answers.open += msgspec.json.decode(opened[1], type=list[Challenge])
        child.say("answered\n")
    child.wait_for_line(rf"^HERE {moment}$")
    child.kill()
    answers.open.clear()
    store = MemoryStore(tmp_path / "store.json")
    record: Record = store.saved[name]
    assert record.state == "ordering"
    assert record.url
    assert record.failures == 1
    clock = TestClock()

    async def go_on() -> None:
        manager = Manager(how, store, answers, clock)
        await manager.start()
        await manager.want({name: []})
        manager.turn()
        await manager.settled()
        assert store.saved[name].state == "ordering", "tried at once, where a crash loop would hammer the CA"
        clock.ahead += 70
        manager.turn()
        await manager.settled()

    asyncio.run(go_on())
    assert answers.installed[name] == Folder(tmp_path / "acme").read(name)
    assert store.saved[name] == Record(name, directory=pebble.directory)
    assert len(store.orders) == 1
    assert pebble.issued() == before + 1


def test_a_file_that_cannot_be_used_is_set_aside_and_ordered_anew(
    pebble: Pebble, answers: Answers, tmp_path: Path
) -> None:
    """Of that name alone."""
    bad, good = fresh("bad"), fresh("good")
    store = MemoryStore()

    async def run(want: list[str]) -> None:
        manager = Manager(terms(pebble, tmp_path), store, answers, TestClock())
        await manager.start()
        await manager.want({name: [] for name in want})
        await ordered(manager)

    asyncio.run(run([bad, good]))
    kept = (tmp_path / f"{good}.pem").read_bytes()
    (tmp_path / f"{bad}.pem").write_bytes((tmp_path / f"{bad}.pem").read_bytes()[:200])
    asyncio.run(run([bad, good]))
    assert (tmp_path / f"{good}.pem").read_bytes() == kept
    assert len(list(tmp_path.glob(f"{bad}.pem.unreadable-*"))) == 1
    keys.check(answers.installed[bad])
    assert any("set aside" in message for name, message in answers.told if name == bad)


def test_a_directory_that_no_ca_vouches_for_is_not_spoken_to(pebble: Pebble, answers: Answers, tmp_path: Path) -> None:
    """Without `ca` a private directory's certificate is nobody's."""
    how = msgspec.structs.replace(terms(pebble, tmp_path), ca="")

    async def order() -> str:
        manager = Manager(how, MemoryStore(), answers, TestClock())
        await manager.start()
        await manager.want({"app.example.com": []})
        manager.turn()
        await manager.settled()
        return manager.status()[0].record.error

    assert "certificate verify failed" in asyncio.run(order()).lower().replace("_", " ")


def test_an_unknown_name_cannot_be_renewed(answers: Answers, pebble: Pebble, tmp_path: Path) -> None:
    """Nor tried."""

    async def ask() -> None:
        manager = Manager(terms(pebble, tmp_path), MemoryStore(), answers, TestClock())
        await manager.start()
        await manager.try_out("unknown.example.com")

    with pytest.raises(NotFoundError, match="no route orders a certificate"):
        asyncio.run(ask())
