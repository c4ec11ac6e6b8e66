"""The client of the fleet's store, on three real etcds with mutual TLS and roles, of which some are killed, frozen or full."""

import asyncio
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from mcproxy.control.fleet.store import etcd, members
from mcproxy.control.fleet.store.errors import (
    FleetStoreError,
    HistoryLostError,
    LeaseEndedError,
    StoreAwayError,
    StoreDeniedError,
    StoreFullError,
    TooLargeError,
)
from mcproxy.control.fleet.store.etcd import EtcdStore
from mcproxy.control.fleet.store.target import Target
from mcproxy.model.fleet.contents import Commit, Committed, Conflict, Contents
from tests.support.certificates import Certificates
from tests.support.etcd import Cluster, Member

PREFIX = "/mcproxy/edge"


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Keep gRPC's own words from standard error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRPC_VERBOSITY", "NONE")
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, certs: Certificates) -> Iterator[Cluster]:
    with contextlib.closing(Cluster(tmp_path_factory.mktemp("etcd"), certs)) as cluster:
        cluster.allow("edge-1", PREFIX)
        cluster.demand_names()
        yield cluster


@pytest.fixture
def target(cluster: Cluster, certs: Certificates) -> Target:
    """Return the store, healthy and empty, as the node edge-1 finds it."""
    cluster.wait_healthy()
    cluster.ctl("del", "--prefix", "")
    leaf = certs.client("edge-1")
    return Target(cluster.endpoints, PREFIX, str(cluster.ca), str(leaf.certificate), str(leaf.key))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for members than the product does: of a busy machine nothing is to be concluded where none is to fail."""
    for module in (members, etcd):
        monkeypatch.setattr(module, "DEADLINE", 30.0)


@contextlib.asynccontextmanager
async def opened(target: Target) -> AsyncIterator[EtcdStore]:
    store = EtcdStore(target)
    try:
        yield store
    finally:
        await store.close()


def on_store(target: Target, work: Callable[[EtcdStore], Awaitable[None]]) -> None:
    """Do some work on a store, which has a minute for it."""

    async def main() -> None:
        async with opened(target) as store, asyncio.timeout(60):
            await work(store)

    asyncio.run(main())


def asked(cluster: Cluster, store: EtcdStore) -> Member:
    """Return the member that the client asks next."""
    return next(each for each in cluster.members if each.endpoint == store._members._endpoint())


def values(contents: Contents) -> dict[str, bytes]:
    return {key: item.value for key, item in contents.items.items()}


async def put(store: EtcdStore, key: str, value: bytes) -> None:
    """Write a value, whatever is there, when the store does that again."""
    while True:
        with contextlib.suppress(StoreAwayError):
            assert isinstance(await store.commit(Commit(puts={key: value})), Committed)
            return
        await asyncio.sleep(0.05)


async def until_seen(store: EtcdStore, key: str, value: bytes) -> None:
    """Follow the store as a node does, until a key has a value."""
    while True:
        with contextlib.suppress(StoreAwayError, HistoryLostError):
            contents = await store.read()
            if values(contents).get(key) == value:
                return
            async with contextlib.aclosing(store.watch(contents.revision)) as changes:
                async for _ in changes:
                    break


async def until_reachable(store: EtcdStore, revision: int) -> None:
    """Watch until a member takes it."""
    while True:
        contact = store.last_contact
        with contextlib.suppress(StoreAwayError, HistoryLostError, TimeoutError):
            async with asyncio.timeout(1):
                await anext(store.watch(revision))
        if store.last_contact != contact:
            return


@pytest.mark.usefixtures("patient")
def test_compare_and_swap(target: Target) -> None:
    """A commit is made as a whole where every version is as expected; else it is told what is there instead."""

    async def work(store: EtcdStore) -> None:
        assert (await store.read()).items == {}
        first = await store.commit(Commit(compares={"doc": 0}, puts={"doc": b"one", "edits/route a": b"\0\xff"}))
        assert isinstance(first, Committed)
        contents = await store.read()
        assert values(contents) == {"doc": b"one", "edits/route a": b"\0\xff"}
        assert contents.version("doc") == first.revision == contents.revision
        refused = await store.commit(Commit(compares={"doc": 0}, puts={"doc": b"two"}, deletes=("edits/route a",)))
        assert refused == Conflict(contents)
        second = await store.commit(
            Commit(compares={"doc": first.revision, "next": 0}, puts={"doc": b"two"}, deletes=("edits/route a",))
        )
        assert isinstance(second, Committed)
        assert values(await store.read()) == {"doc": b"two"}
        assert store.last_contact is not None

    on_store(target, work)


@pytest.mark.usefixtures("patient")
def test_two_prefixes_are_two_fleets(cluster: Cluster, target: Target) -> None:
    """Nothing is seen of keys that begin alike without being below the prefix, nor changed."""
    for name in ("/mcproxy/edge0", "/mcproxy/edge-2/doc", "/mcproxy/edg"):
        cluster.ctl("put", name, "of others")

    async def work(store: EtcdStore) -> None:
        assert (await store.read()).items == {}

    on_store(target, work)


@pytest.mark.usefixtures("patient")
def test_values_are_read_once(target: Target) -> None:
    """What has not changed is not sent again; what others change, add or delete is seen all the same."""

    async def work(store: EtcdStore) -> None:
        async with opened(target) as other:
            await store.commit(Commit(puts={"doc": b"one", "edits/a": b"1", "edits/b": b"2"}))
            before = await store.read()
            await other.commit(Commit(puts={"edits/a": b"3", "edits/c": b"4"}, deletes=("edits/b",)))
            after = await store.read()
            assert values(after) == {"doc": b"one", "edits/a": b"3", "edits/c": b"4"}
            assert after.items["doc"] is before.items["doc"]
            assert after == await other.read()

    on_store(target, work)


@pytest.mark.usefixtures("patient")
def test_a_watch_tells_what_others_change(target: Target) -> None:
    """From a revision on, so that what happens between a read and the watch is not missed; silence does not end it."""

    async def work(store: EtcdStore) -> None:
        async with opened(target) as other:
            contents = await store.read()
            await other.commit(Commit(puts={"doc": b"before the watch"}))
            async with contextlib.aclosing(store.watch(contents.revision)) as changes:
                assert await anext(changes) > contents.revision
                contact = store.last_contact
                coming = asyncio.ensure_future(anext(changes))
                while store.last_contact == contact:  # it is silent, is asked, and answers
                    assert not coming.done()
                    await asyncio.sleep(0.01)
                gone = await other.commit(Commit(deletes=("doc",)))
                assert isinstance(gone, Committed)
                assert await coming == gone.revision

    on_store(target, work)


@pytest.mark.usefixtures("patient")
def test_leases(target: Target) -> None:
    """Keys that are leased go with their lease, others of the same commit stay."""

    async def work(store: EtcdStore) -> None:
        lease = await store.grant(60)
        commit = Commit(puts={"nodes/edge-1": b"{}", "doc": b"x"}, leased=frozenset({"nodes/edge-1"}))
        await store.commit(commit, lease)
        assert await store.keep_alive(lease)
        assert values(await store.read()) == {"nodes/edge-1": b"{}", "doc": b"x"}
        await store.revoke(lease)
        assert values(await store.read()) == {"doc": b"x"}
        assert not await store.keep_alive(lease)
        await store.revoke(lease)
        with pytest.raises(LeaseEndedError):
            await store.commit(commit, lease)

    on_store(target, work)


@pytest.mark.usefixtures("patient")
def test_too_much_at_once_is_told(target: Target) -> None:
    """By its size, or the number of changes; nothing of it is made."""

    async def work(store: EtcdStore) -> None:
        for puts in ({"doc": bytes(2 << 20)}, {f"edits/{number}": b"" for number in range(200)}):
            with pytest.raises(TooLargeError, match="the store does not take so much at once"):
                await store.commit(Commit(puts=puts))
        assert (await store.read()).items == {}

    on_store(target, work)


def test_what_stands_in_the_way_is_told(
    cluster: Cluster, target: Target, certs: Certificates, other_certs: Certificates
) -> None:
    """Each mistake in its own words, which say what to do, for reads, commits, leases and watches alike."""
    everybody = ", ".join(cluster.endpoints)
    foreign, stranger = other_certs.client("edge-1"), certs.client("stranger")
    peers = tuple(f"127.0.0.1:{member.peer_port}" for member in cluster.members)
    rows: list[tuple[dict[str, object], type[FleetStoreError], str]] = [
        ({"ca": str(other_certs.ca)}, StoreAwayError, f"its certificate is not trusted: .*is {other_certs.ca} its CA?"),
        (
            {"cert": str(foreign.certificate), "key": str(foreign.key)},
            StoreAwayError,
            f"it refuses the certificate {foreign.certificate}: .*is it signed by the CA that the store trusts",
        ),
        ({"cert": "", "key": ""}, StoreAwayError, "it refuses a client without a certificate"),
        ({"key": str(foreign.key)}, StoreAwayError, "are not what TLS needs: key values mismatch"),
        ({"ca": "", "cert": "", "key": ""}, StoreAwayError, "it does not speak in clear: does it want TLS?"),
        ({"endpoints": peers}, StoreAwayError, "it does not speak TLS"),
        ({"ca": "/no/such/file"}, StoreAwayError, "/no/such/file can't be read: No such file"),
        ({"endpoints": ("no-such-host.invalid:1",)}, StoreAwayError, "no-such-host.invalid:1: .*not known"),
        ({"endpoints": ("127.0.0.1:1", "[::1]:1")}, StoreAwayError, ": connection refused"),
        ({"prefix": "/mcproxy/other"}, StoreDeniedError, "needs a role with readwrite .* begin with /mcproxy/other/"),
        (
            {"cert": str(stranger.certificate), "key": str(stranger.key)},
            StoreDeniedError,
            "the user whom this node's certificate names",
        ),
    ]

    async def main() -> None:
        for changes, kind, words in rows:
            wrong = msgspec.structs.replace(target, **changes)
            async with opened(wrong) as store:

                async def watch(store: EtcdStore = store) -> None:
                    async for _ in store.watch(0):
                        pytest.fail("it is watched")

                calls: list[Awaitable[object]] = [store.read(), store.commit(Commit(puts={"doc": b"x"})), watch()]
                if kind is StoreAwayError:
                    calls += [store.grant(60), store.keep_alive(1)]
                for call in calls:
                    with pytest.raises(kind, match=words):
                        await call
        async with opened(msgspec.structs.replace(target, ca=str(other_certs.ca))) as store:
            with pytest.raises(StoreAwayError) as told:
                await store.read()
            assert sorted(str(told.value).partition(": ")[0].split(", ")) == sorted(everybody.split(", "))

    asyncio.run(main())


@pytest.mark.usefixtures("patient")
def test_renewed_files_count_at_once(
    target: Target, tmp_path: Path, certs: Certificates, other_certs: Certificates
) -> None:
    """A store that was refused is reached as soon as the files are right, by the same client."""
    renewed = {name: str(tmp_path / name) for name in ("ca", "cert", "key")}
    wrong = other_certs.client("edge-1")
    for name, path in (("ca", target.ca), ("cert", str(wrong.certificate)), ("key", str(wrong.key))):
        shutil.copy(path, renewed[name])

    async def work(store: EtcdStore) -> None:
        with pytest.raises(StoreAwayError, match="it refuses the certificate"):
            await store.read()
        for name, path in renewed.items():
            shutil.copy(getattr(target, name), path)
        assert (await store.read()).items == {}

    on_store(msgspec.structs.replace(target, **renewed), work)


def test_the_leader_is_killed(cluster: Cluster, target: Target) -> None:
    """The watch goes on with another member, and no commit is made twice or lost."""

    async def work(store: EtcdStore) -> None:
        leader = cluster.leader()
        store._members._turn = cluster.members.index(leader)
        watching = asyncio.ensure_future(until_seen(store, "last", b"there"))
        made: dict[str, int] = {}
        for number in itertools.count():
            if number == 10:
                leader.kill()
            with contextlib.suppress(StoreAwayError):
                commit = Commit(compares={f"edits/{number}": 0}, puts={f"edits/{number}": b"x"})
                outcome = await store.commit(commit)
                assert isinstance(outcome, Committed)
                made[f"edits/{number}"] = outcome.revision
            if len(made) == 20:
                break
            await asyncio.sleep(0.01)
        contents = await store.read()
        assert {key: contents.version(key) for key in made} == made
        async with opened(target) as other:
            await put(other, "last", b"there")
        await watching

    on_store(target, work)


def test_a_frozen_member_is_noticed(cluster: Cluster, target: Target) -> None:
    """Its connections stay open, so only silence tells; a commit that it may have taken is made once."""

    async def work(store: EtcdStore) -> None:
        contents = await store.read()
        member = asked(cluster, store)
        async with contextlib.aclosing(store.watch(contents.revision)) as changes:
            coming = asyncio.ensure_future(anext(changes))
            await store.commit(Commit(puts={"doc": b"one"}))
            assert await coming > contents.revision
            with member.frozen():
                with pytest.raises(StoreAwayError, match=f"{member.endpoint}: no answer within 2 s"):
                    await anext(changes)
                await until_seen(store, "doc", b"one")
                store._members._turn = cluster.members.index(member)
                made = await store.commit(Commit(compares={"next": 0}, puts={"next": b"x"}))
                assert isinstance(made, Committed)
                assert asked(cluster, store) is not member
        cluster.wait_healthy()
        assert (await store.read()).version("next") == made.revision

    on_store(target, work)


@pytest.mark.soak
def test_too_few_members(cluster: Cluster, target: Target) -> None:
    """Nothing is read or written by what is left, and it is told why; all goes on when the others are back."""

    async def work(store: EtcdStore) -> None:
        await store.commit(Commit(puts={"doc": b"one"}))
        contents = await store.read()
        left, *others = cluster.members
        for member in others:
            member.kill()
        changes = store.watch(contents.revision)
        store._members._turn = 0
        with pytest.raises(StoreAwayError):
            await anext(changes)

        async def no_leader() -> None:
            while True:
                with pytest.raises(StoreAwayError) as told:
                    await store.commit(Commit(compares={"next": 0}, puts={"next": b"x"}))
                if f"{left.endpoint}: it reaches too few of the store's members" in str(told.value):
                    assert others[0].endpoint in str(told.value)
                    return

        await no_leader()
        with pytest.raises(StoreAwayError, match="connection refused"):
            await store.read()
        cluster.wait_healthy()
        await put(store, "doc", b"two")
        await until_seen(store, "doc", b"two")

    on_store(target, work)


@pytest.mark.usefixtures("patient")
def test_compacted_history_is_told(cluster: Cluster, target: Target) -> None:
    """A watch from a revision whose changes are gone says so; a read has everything."""

    async def work(store: EtcdStore) -> None:
        before = await store.read()
        for number in range(5):
            await store.commit(Commit(puts={"doc": b"%d" % number}))
        cluster.ctl("compact", str((await store.read()).revision))
        with pytest.raises(HistoryLostError, match="compacted its changes"):
            await anext(store.watch(before.revision))
        assert values(await store.read()) == {"doc": b"4"}

    on_store(target, work)


@pytest.fixture
def alone(tmp_path: Path, certs: Certificates) -> Iterator[Cluster]:
    """Return a store of one member, whose database is soon full."""
    with contextlib.closing(Cluster(tmp_path, certs, size=1, quota=6 << 20)) as cluster:
        yield cluster


@pytest.mark.usefixtures("patient")
def test_a_full_store(alone: Cluster, target: Target) -> None:
    """It is told what is to be done; what is there can be read and deleted, and the last commit that fits is known to be made."""

    async def work(store: EtcdStore) -> None:
        big = bytes(1 << 20)
        made = []
        for number in range(20):
            with contextlib.suppress(StoreFullError):
                assert isinstance(
                    await store.commit(Commit(compares={f"doc{number}": 0}, puts={f"doc{number}": big})), Committed
                )
                made.append(f"doc{number}")
        assert len(made) < 20
        contents = await store.read()
        assert sorted(contents.items) == sorted(made)
        with pytest.raises(StoreFullError, match="compact and defragment it, then `etcdctl alarm disarm`"):
            await store.commit(Commit(puts={"next": b"small"}))
        with pytest.raises(StoreFullError):
            await store.grant(60)
        assert isinstance(await store.commit(Commit(deletes=tuple(made))), Committed)
        alone.ctl("compact", str((await store.read()).revision))
        alone.ctl("defrag")
        alone.ctl("alarm", "disarm")
        assert isinstance(await store.commit(Commit(puts={"next": b"small"})), Committed)

    on_store(msgspec.structs.replace(target, endpoints=alone.endpoints), work)


def test_a_store_that_was_restored_from_a_backup(alone: Cluster, target: Target, tmp_path: Path) -> None:
    """Its revisions begin again, so a version may be of another value now; everything is read anew."""

    async def work(store: EtcdStore) -> None:
        await store.commit(Commit(puts={"doc": b"kept"}))
        alone.ctl("snapshot", "save", str(tmp_path / "backup"))
        for number in range(3):
            await store.commit(Commit(puts={"edits/a": b"lost %d" % number}))
        contents = await store.read()
        alone.restore(tmp_path / "backup")
        await until_reachable(store, contents.revision)
        with pytest.raises(HistoryLostError, match="and was at"):
            await anext(store.watch(contents.revision))
        assert values(await store.read()) == {"doc": b"kept"}
        async with opened(msgspec.structs.replace(target, endpoints=alone.endpoints)) as other:
            for number in range(3):
                await other.commit(Commit(puts={"edits/a": b"new %d" % number}))
        assert (await store.read()).items["edits/a"].value == b"new 2"

    on_store(msgspec.structs.replace(target, endpoints=alone.endpoints), work)
