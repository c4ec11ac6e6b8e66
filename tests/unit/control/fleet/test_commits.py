"""What is asked of etcd, and what becomes of commits that a member has not answered."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mcproxy._pb import etcd_pb2 as pb
from mcproxy.control.fleet.store.errors import StoreAwayError, StoreFullError
from mcproxy.control.fleet.store.etcd import EtcdStore
from mcproxy.control.fleet.store.messages import Keys
from mcproxy.control.fleet.store.target import Target
from mcproxy.model.fleet.contents import Commit, Committed, Conflict, Contents

SENT = Commit(compares={"doc": 3}, puts={"doc": b"mine"})
LOST = StoreAwayError("no answer within 2 s", "a:1", unknown=True)
REFUSED = StoreAwayError("connection refused", "a:1")
FULL = StoreFullError("database space exceeded")


def holding(value: bytes, version: int) -> pb.TxnResponse:
    """Return the answer to a read, or to a commit that is not made."""
    kv = pb.KeyValue(key=b"/f/doc", mod_revision=version)
    whole = pb.KeyValue(key=b"/f/doc", mod_revision=version, value=value)
    ranges = [pb.RangeResponse(kvs=[kv]), pb.RangeResponse(kvs=[whole])]
    header = pb.ResponseHeader(cluster_id=1, revision=9)
    return pb.TxnResponse(header=header, responses=[pb.ResponseOp(response_range=each) for each in ranges])


MADE = pb.TxnResponse(header=pb.ResponseHeader(cluster_id=1, revision=8), succeeded=True)


class Played:
    """Members that answer as a test says."""

    def __init__(
        self, commits: Sequence[pb.TxnResponse | Exception], reads: Sequence[pb.TxnResponse | Exception]
    ) -> None:
        self.commits, self.reads = list(commits), list(reads)

    def __len__(self) -> int:
        return 3

    async def call_one(self, *_: object) -> pb.TxnResponse:
        return self._next(self.commits)

    async def call(self, *_: object) -> pb.TxnResponse:
        return self._next(self.reads)

    def _next(self, answers: list[pb.TxnResponse | Exception]) -> pb.TxnResponse:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def outcome(
    commits: Sequence[pb.TxnResponse | Exception], reads: Sequence[pb.TxnResponse | Exception] = ()
) -> Committed | Conflict:
    store = EtcdStore(Target(("a:1",), "/f"))
    played: Any = Played(commits, [each for read in reads for each in (read, read)][: 2 * len(reads)])
    store._members = played
    store._cluster = 1
    found = asyncio.run(store.commit(SENT))
    assert not played.commits, "a commit was sent less often than it should be"
    return found


def test_a_commit_that_was_made_without_an_answer_is_not_made_twice() -> None:
    """Neither where the store shows it at once, nor where it does when the commit is sent again."""
    assert outcome([LOST], [holding(b"mine", 7)]) == Committed(7)
    assert outcome([LOST, holding(b"mine", 7)], [holding(b"old", 3)]) == Committed(7)
    assert outcome([LOST, MADE], [holding(b"old", 3)]) == Committed(8)


def test_what_surely_was_not_sent_is_sent_to_the_next_member() -> None:
    """And who finds the same value there finds another one's."""
    assert outcome([REFUSED, REFUSED, MADE]) == Committed(8)
    found = outcome([REFUSED, holding(b"mine", 7)])
    assert isinstance(found, Conflict)
    assert found.contents.items["doc"].version == 7


def test_a_commit_that_another_one_came_before() -> None:
    """It is told what is there instead."""
    for found in (outcome([holding(b"other", 7)]), outcome([LOST], [holding(b"other", 7)])):
        assert isinstance(found, Conflict)
        assert found.contents.items["doc"].value == b"other"


def test_what_reaches_the_limit_of_a_store_may_be_made_all_the_same() -> None:
    """Then that is the answer; else that the store is full."""
    assert outcome([FULL], [holding(b"mine", 7)]) == Committed(7)
    with pytest.raises(StoreFullError):
        outcome([FULL], [holding(b"old", 3)])


def test_nobody_knows_what_became_of_it() -> None:
    """That it may have been made is told, and only then."""
    with pytest.raises(StoreAwayError, match="connection refused") as told:
        outcome([LOST], [REFUSED])
    assert told.value.unknown
    with pytest.raises(StoreAwayError, match="connection refused") as told:
        outcome([REFUSED] * 4)
    assert not told.value.unknown


def test_what_was_read_is_not_asked_for_again() -> None:
    """All keys without values, and the values that have changed, of one moment."""
    keys = Keys("/mcproxy/edge")
    names, values = (each.request_range for each in keys.read(7).success)
    assert (names.key, names.range_end, names.keys_only) == (b"/mcproxy/edge/", b"/mcproxy/edge0", True)
    assert (values.key, values.range_end, values.keys_only) == (b"/mcproxy/edge/", b"/mcproxy/edge0", False)
    assert values.min_mod_revision == 8
    assert names.min_mod_revision == 0
    assert keys.contents(holding(b"x", 3), Contents()).revision == 9
