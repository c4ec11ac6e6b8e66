"""Many clients change things at once while the file is saved, and while everything is killed: nothing answered is lost.

`MCPROXY_KILLS=100` makes the second test kill so often; by default it does so a few times.
"""

import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
import pytest

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client import AlreadyExistsError, Client, ClientError, NotFoundError
from tests.conftest import StartProxy
from tests.support.admin import client, same, served, stored, wanted
from tests.support.load import until
from tests.support.proxy import Proxy
from tests.support.toml import config, listener, route

CLIENTS = 8
MUTATIONS = 1000
SAVES = 50
Entry = TypeVar("Entry", pb.EditRecord, pb.AuditEntry)
KILLS = int(os.environ.get("MCPROXY_KILLS", "4"))


class Asked(msgspec.Struct):
    """A change that a client asked for: what, under which id, and the answer; None while there is none."""

    action: str
    hostname: str
    backend: str
    request_id: str
    answer: pb.MutationResponse | None = None
    refusal: str = ""

    def send(self, admin: Client, addr: str) -> None:
        """Ask, and keep the answer; raises ClientError when nobody answers."""
        try:
            match self.action:
                case "add":
                    self.answer = admin.add_route(addr, self.hostname, self.backend, request_id=self.request_id)
                case "update":
                    self.answer = admin.update_route(
                        addr, self.hostname, backend=self.backend, request_id=self.request_id
                    )
                case _:
                    self.answer = admin.remove_route(addr, self.hostname, request_id=self.request_id)
        except (AlreadyExistsError, NotFoundError) as error:  # the file, or a kill, came in between
            self.refusal = str(error)


class Crowd:
    """Clients in threads, each changing hostnames of its own, some of which the file speaks of too."""

    def __init__(self, edge: Proxy, seed: int) -> None:
        self._edge = edge
        self._addr = f"127.0.0.1:{edge.port()}"
        self._seeds = itertools.count(seed)
        self._names = itertools.count()
        self.asked: list[Asked] = []

    def run(self, each: int, meanwhile: Callable[[], None]) -> None:
        """Let every client ask ``each`` times, or until nobody answers."""
        threads = [threading.Thread(target=self._client, args=(number, each)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        meanwhile()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()

    def settle(self, admin: Client) -> None:
        """Ask again for what was not answered, with the same ids."""
        for asked in self.asked:
            if asked.answer is None and not asked.refusal:
                asked.send(admin, self._addr)

    def _client(self, number: int, each: int) -> None:
        chance = random.Random(next(self._seeds))
        # Not `client`: a server that is gone shall be noticed at once.
        with client(self._edge) as admin:
            for _ in range(each):
                asked = Asked(
                    chance.choice(("add", "add", "update", "remove")),
                    f"c{number}-{chance.randrange(6)}.test",
                    f"127.0.0.1:{chance.randrange(1, 9)}",
                    f"request-{next(self._names)}",
                )
                self.asked.append(asked)
                try:
                    asked.send(admin, self._addr)
                except ClientError:
                    return


def check(edge: Proxy, admin: Client, crowd: Crowd) -> None:
    """Assert that every answer is kept, none was done twice, and that all workers serve what file and edits say."""
    admin.reload()
    records: dict[int, list[str]] = {}
    for record in _all(lambda before: admin.list_edit_records(limit=1000, before=before).records):
        records.setdefault(record.edit.id, []).append(record.event)
    kept = {edit.id for edit in stored(edge)}
    accepted = [
        entry.request_id
        for entry in _all(lambda before: admin.list_audit(limit=1000, before=before).entries)
        if entry.outcome == "accepted"
    ]
    assert len(accepted) == len(set(accepted))
    answered = [asked for asked in crowd.asked if asked.answer is not None]
    assert {asked.request_id for asked in answered} == set(accepted)
    for asked in answered:
        assert asked.answer is not None
        for edit in asked.answer.edits:
            ended = set(records[edit.id]) & {"superseded", "replaced", "reverted", "expired"}
            assert (edit.id in kept) != bool(ended), (asked, records[edit.id])
    state = wanted(edge)
    until(lambda: all(same(state, served(worker.pid)) for worker in edge.workers()), "all workers serve the same")
    listed = {(each.listener, each.hostname, each.backend) for each in admin.list_routes().routes}
    assert listed == {(*key, str(each.endpoints[0])) for key, each in state.routes.items()}


def _all(page: Callable[[int], Iterable[Entry]]) -> list[Entry]:
    """Return every entry of a history."""
    found: list[Entry] = []
    while entries := list(page(found[-1].id if found else 0)):
        found += entries
    return found


@pytest.mark.soak
def test_a_thousand_changes_of_eight_clients_and_fifty_saves(proxy: StartProxy) -> None:
    """Every answered change is there, or what ended it is on record; the workers serve just that."""
    edge = proxy(config(listener("PORT", route("stays.test", 9))))
    chance = random.Random(50)

    def save() -> None:
        for _ in range(SAVES):
            names = chance.sample([f"c{number}-{each}.test" for number in range(CLIENTS) for each in range(6)], 4)
            routes = [route(name, chance.randrange(1, 9)) for name in names]
            since = edge.mark()
            edge.save(config(listener("PORT", route("stays.test", 9), *routes)))
            edge.wait_for_log(r"\] applied|read again", since=since)

    crowd = Crowd(edge, 1)
    crowd.run(MUTATIONS // CLIENTS, save)
    assert len(crowd.asked) == MUTATIONS
    assert sum(asked.answer is not None for asked in crowd.asked) > MUTATIONS / 4
    with client(edge) as admin:
        check(edge, admin, crowd)
        assert "superseded" in {record.event for record in admin.list_edit_records(limit=10_000).records}


@pytest.mark.soak
def test_what_was_answered_outlives_a_kill_at_any_moment(proxy: StartProxy) -> None:
    """Control and workers are killed while clients change things; a repeated request is answered, and done once."""
    edge = proxy(config(listener("PORT", route("stays.test", 9))))
    chance = random.Random(100)
    crowd = Crowd(edge, 1000)
    for _ in range(KILLS):
        before = len(crowd.asked)

        def kill(before: int = before) -> None:
            until(lambda: len(crowd.asked) > before, "the first change is under way")
            end = time.monotonic() + chance.random() * 0.5
            while time.monotonic() < end:
                pass  # a sleep would be rounded to what the scheduler likes
            edge.kill()

        crowd.run(10_000, kill)
        edge.start()
        with client(edge) as admin:
            crowd.settle(admin)
            check(edge, admin, crowd)
