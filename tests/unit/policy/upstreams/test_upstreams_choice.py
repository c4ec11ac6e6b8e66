"""The order in which endpoints are considered."""

import random
from collections import Counter
from typing import get_args

import msgspec
import pytest

from mcproxy.model.state.state import Upstream
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.model.state.upstream_options import EndpointState
from mcproxy.model.values import addresses
from mcproxy.policy.upstreams.choice import Balance, Chooser, Member, member_of, places, table_of, usable
from mcproxy.policy.upstreams.words import DOWN, EJECTED, UP, WAITING, pack
from tests.support.rows import each_row

BALANCES: tuple[Balance, ...] = get_args(Balance)


class Site:
    """An upstream of which the test writes the words and counts."""

    def __init__(self, *members: Member, balance: Balance = "round_robin", panic: bool = True) -> None:
        size = 1 + max((member.index for member in members), default=0)
        self.words = [0] * size
        self.active = [0] * size
        self.chooser = Chooser(self.words, self.active, self.active.__getitem__, random.Random(1).random)
        self.members, self.balance, self.panic = members, balance, panic
        self.update()

    def update(self) -> None:
        self.chooser.update(self.members, self.balance, panic=self.panic, table=places(self.members))

    def chosen(
        self, tried: frozenset[int] = frozenset(), paused: frozenset[int] = frozenset(), *, desperate: bool = True
    ) -> set[int | None]:
        choose = self.chooser.choose
        return {choose(tried, paused, number.to_bytes(4), desperate=desperate) for number in range(200)}


def member(index: int, **others: object) -> Member:
    return Member(index, f"10.0.0.{index}:80", **others)  # type: ignore[arg-type]


@pytest.fixture(params=BALANCES)
def site(request: pytest.FixtureRequest) -> Site:
    """Endpoints 5 and 6 are ready, 7 is a backup, 9 in drain and 4 in maintenance."""
    return Site(
        member(5), member(9, state="drain"), member(7, backup=True), member(6), member(4, state="maintenance"),
        balance=request.param,
    )  # fmt: skip


def test_ready_ones_that_are_no_backups_come_first(site: Site) -> None:
    """Neither backups nor those in drain or maintenance get anything."""
    assert site.chosen() == {5, 6}


def test_backups_join_when_no_other_is_usable(site: Site) -> None:
    """Whether the others are down, ejected, still waiting, tried or paused; one usable one is enough to keep them out."""
    for verdict in (DOWN, EJECTED, WAITING):
        site.words[5] = pack(verdict)
        assert site.chosen() == {6}
        site.words[6] = pack(verdict)
        assert site.chosen() == {7}
        site.words[5] = site.words[6] = pack(UP)
    assert site.chosen(frozenset({5, 6})) == {7}
    assert site.chosen(paused=frozenset({5, 6})) == {7}
    assert site.chosen(frozenset({5}), frozenset({6})) == {7}


def test_paused_ones_are_better_than_none(site: Site) -> None:
    """A refused dial makes the others preferred, and never makes a request fail that might succeed."""
    site.words[7] = pack(DOWN)
    assert site.chosen(paused=frozenset({5, 6})) == {5, 6}
    assert site.chosen(frozenset({5}), frozenset({5, 6})) == {6}
    site.words[5] = pack(DOWN)
    assert site.chosen(paused=frozenset({6})) == {6}
    site.words[7] = pack(UP)
    site.words[6] = pack(DOWN)
    assert site.chosen(paused=frozenset({7})) == {7}


def test_panic_uses_all_that_are_ready(site: Site) -> None:
    """Backups among them, those in drain and maintenance not; not those that were tried."""
    for index in (5, 6, 7):
        site.words[index] = pack(DOWN, 230)
    assert usable(site.members, site.words) == []
    assert site.chosen() == {5, 6, 7}
    assert site.chosen(frozenset({5, 7})) == {6}
    assert site.chosen(frozenset({5, 6, 7})) == {None}


def test_panic_can_be_turned_off(site: Site) -> None:
    """For the upstream, and for a choice: of endpoints that are only full, none that is down takes the place."""
    site.words[5] = pack(DOWN)
    site.words[7] = pack(DOWN)
    assert site.chosen(frozenset({6})) == {5, 7}
    assert site.chosen(frozenset({6}), desperate=False) == {None}
    site.words[6] = pack(DOWN)
    site.panic = False
    site.update()
    assert site.chosen() == {None}


def test_none_is_left_when_all_were_tried(site: Site) -> None:
    """Then the request fails, and nothing is tried twice."""
    assert site.chosen(frozenset({5, 6, 7})) == {None}
    assert site.chosen(frozenset({5, 6, 7}), frozenset({5, 6})) == {None}


def test_the_operator_is_obeyed_in_panic(site: Site) -> None:
    """When all are in drain or maintenance nothing is chosen, however good their checks are."""
    site.members = tuple(member(index, state=state) for index, state in ((5, "drain"), (6, "maintenance")))
    site.update()
    assert site.chosen() == {None}
    assert usable(site.members, site.words) == []


def test_a_cookie_leads_to_those_in_drain_too(site: Site) -> None:
    """And to backups; not to those in maintenance, removed, unusable or tried."""
    stay = site.chooser.may_stay
    assert [index for index in range(12) if stay(index)] == [5, 6, 7, 9]
    assert not stay(9, frozenset({9}))
    site.words[9] = pack(DOWN)
    assert not stay(9)


def test_clients_known_by_address_keep_their_endpoint_in_panic() -> None:
    """All checks failing moves nobody, and neither does one that passes again, but those that go there."""
    site = Site(*(member(number) for number in range(8)), balance="source_hash")
    sources = [number.to_bytes(4) for number in range(500)]
    before = {source: site.chooser.choose(source=source) for source in sources}
    site.words[:] = [pack(DOWN)] * 8
    assert {source: site.chooser.choose(source=source) for source in sources} == before


def test_in_panic_who_is_bound_to_an_endpoint_may_stay(site: Site) -> None:
    """At those that are ready; not where one is usable, and not without panic."""
    for index in (5, 6, 7, 9):
        site.words[index] = pack(DOWN)
    assert [index for index in range(10) if site.chooser.may_stay(index)] == [5, 6, 7]
    assert not site.chooser.may_stay(5, frozenset({5}))
    site.words[9] = pack(UP)
    assert [index for index in range(10) if site.chooser.may_stay(index)] == [5, 6, 7, 9]
    site.words[7] = pack(UP)
    assert [index for index in range(10) if site.chooser.may_stay(index)] == [7, 9]
    site.words[7] = pack(DOWN)
    site.panic = False
    site.update()
    assert [index for index in range(10) if site.chooser.may_stay(index)] == [9]


def test_an_upstream_without_endpoints_has_none(site: Site) -> None:
    """As when every name of it has lost its addresses."""
    site.members = ()
    site.update()
    assert site.chosen() == {None}
    assert Chooser(site.words, site.active, int, random.random).choose() is None


@each_row("old", BALANCES)
@each_row("new", BALANCES)
def test_balance_can_change(old: Balance, new: Balance) -> None:
    """From any to any, while it is used."""
    site = Site(member(1), member(2), member(0, backup=True), balance=old)
    site.chosen()
    site.balance = new
    site.members = (member(2, weight=7), member(3), member(0, backup=True))
    site.words.extend([0, 0])
    site.active.extend([0, 0])
    site.update()
    assert site.chosen() == {2, 3}


def test_round_robin_goes_on_over_updates() -> None:
    """A snapshot with each connection changes nothing about whose turn it is."""
    site = Site(member(0), member(1, weight=2))
    got: Counter[int | None] = Counter()
    for _ in range(300):
        got[site.chooser.choose()] += 1
        site.update()
    assert [got[0], got[1]] == pytest.approx([100, 200], abs=1)


def test_memory_of_the_kernel_will_do() -> None:
    """Words and counts are read through memory views, also strided ones."""
    memory = memoryview(bytearray(8 * 16)).cast("Q")
    block = memoryview(bytearray(8 * 16 * 8)).cast("Q")
    block[8 * 1] = 4
    for balance in BALANCES:
        members = (member(1), member(2), member(3))
        chooser = Chooser(memory, block[::8], block[::8].__getitem__, random.random)
        chooser.update(members, balance, table=places(members))
        memory[3] = pack(DOWN)
        got = {chooser.choose(source=number.to_bytes(4)) for number in range(100)}
        assert got <= {1, 2}
        assert 2 in got
        assert (1 in got) == (balance in {"round_robin", "source_hash"})


def test_an_endpoint_of_the_snapshot() -> None:
    """Its name is what is dialed, as several endpoints may share what the file has."""
    entry = EndpointEntry(7, addresses.parse_backend("[::1]:80"), 3, 9, "drain", True, "name.test:80")
    assert member_of(entry) == Member(7, "[::1]:80", 3, "drain", backup=True)


def upstream(state_of_second: EndpointState) -> UpstreamEntry:
    endpoints = [
        EndpointEntry(index, addresses.parse_backend(f"10.0.0.{index}:80"), index, 0, "ready", index == 3, "")
        for index in (1, 2, 3)
    ]
    endpoints[1] = msgspec.structs.replace(endpoints[1], state=state_of_second)
    return UpstreamEntry("api", Upstream(name="api"), tuple(endpoints))


def test_the_table_of_an_upstream() -> None:
    """By weight, without backups, and the same whatever the operator says of an endpoint."""
    table = table_of(upstream("ready"))
    assert table == table_of(upstream("drain"))
    counts = Counter(memoryview(table).cast("H"))
    assert counts.keys() == {0, 1}
    assert counts[1] == pytest.approx(2 * counts[0], abs=2)
