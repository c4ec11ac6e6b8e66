"""What the contents of a fleet's store mean, whatever is in them."""

import msgspec
import pytest

from mcproxy.model.edits.edit import Edit
from mcproxy.model.fleet import document, keys
from mcproxy.model.fleet.document import FleetFile, Header
from mcproxy.model.fleet.records import FIRST_EDIT, Lock, NodeRecord, Numbers, Past, Rollout, encode_edit
from mcproxy.model.fleet.view import view_of
from mcproxy.model.state.state import Route
from mcproxy.model.values.endpoint import Endpoint
from tests.support.fleet_store import MemoryStore

ROUTE = Route(":1", "a", (Endpoint("::1", 443),))
EDIT = Edit(
    kind="route", key=(":1", "a"), value=ROUTE, base="b", author="ops", created=5.0, expires=9.0, id=FIRST_EDIT + 3
)


DEEP = b"[" * 100_000


def doc(revision: int) -> bytes:
    digest, packed = document.pack((FleetFile("mc-proxy.toml", ""),))
    return document.encode(Header(revision=revision, hash=digest), packed)


def test_all_keys_are_read() -> None:
    """Every key that the fleet writes comes back in the view."""
    store = MemoryStore()
    for key, value in {
        keys.DOC: doc(4),
        keys.NEXT: doc(5),
        keys.ROLLOUT: msgspec.json.encode(Rollout(revision=5, doc=2, nodes=("n1",))),
        keys.LOCK: msgspec.json.encode(Lock("n1")),
        keys.SEQUENCE: msgspec.json.encode(Numbers(5, FIRST_EDIT + 6)),
        keys.edit_key("route", EDIT.key): encode_edit(EDIT, "n2"),
        keys.node_key("n1"): msgspec.json.encode(NodeRecord(node="n1", revision=4)),
        keys.history_key(4): msgspec.json.encode(Past(header=Header(revision=4, hash=""), fate="live")),
        keys.history_key(5): msgspec.json.encode(Past(header=Header(revision=5, hash=""), fate="rollout")),
        "acme/account": b"\xff",
    }.items():
        store.put(key, value)
    view = store.view
    assert view.problems == ()
    assert view.doc is not None
    assert view.next is not None
    assert (view.doc.header.revision, view.doc.version, view.next.header.revision) == (4, 2, 5)
    assert view.rollout == Rollout(revision=5, doc=2, nodes=("n1",))
    assert view.driver == "n1"
    assert view.sequence == Numbers(5, FIRST_EDIT + 6)
    assert [(one.edit, one.node, one.version) for one in view.edits] == [(EDIT, "n2", 7)]
    assert view.nodes["n1"].revision == 4
    assert [past.header.revision for past in view.past] == [5, 4]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (keys.DOC, b"nothing"),
        (keys.ROLLOUT, b"[]"),
        (keys.SEQUENCE, b'{"revision": "x"}'),
        (keys.LOCK, b"{"),
        (keys.node_key("n9"), b"{}"),
        (keys.history_key(1), b"1"),
        (keys.edit_key("route", (":1", "b")), encode_edit(EDIT, "")),
        ('edits/new-kind ["x"]', b'{"kind": "new-kind", "key": ["x"], "value": null, "id": 1}'),
        ('edits/route [":1","c"]', b'{"kind": "route", "key": [":1","c"], "value": {"mood": 1}, "id": 1}'),
        ('edits/route [":1","d"]', b'{"kind": "route", "key": [":1","d"], "value": null, "id": 1, "expires": 1e300}'),
        ('edits/route [":1","e"]', b'{"kind": "route", "key": [":1","e"], "value": null, "id": 18446744073709551616}'),
        (keys.DOC, b'{"revision": 1, "hash": "", "later": ' + DEEP),
        (keys.DOC, b'{"revision": -1, "hash": ""}\n'),
        (keys.NEXT, b'{"revision": 9223372036854775808, "hash": ""}\n'),
        (keys.NEXT, b'{"revision": 1, "hash": "", "pushed": 1e300}\n'),
        (keys.ROLLOUT, b'{"revision": 1, "doc": 1, "step": 4294967296}'),
        (keys.ROLLOUT, b'{"revision": 1, "doc": 1, "later": ' + DEEP),
        (keys.LOCK, b'{"node": "n1", "later": ' + DEEP),
        (keys.SEQUENCE, b'{"revision": 9223372036854775807, "edit": 9223372036854775807}'),
        (keys.SEQUENCE, b'{"revision": -1, "edit": 1}'),
        (keys.history_key(1), b'{"header": {"revision": 1, "hash": ""}, "fate": "live", "ended": 1e300}'),
        (keys.history_key(1), b'{"later": ' + DEEP),
        (keys.node_key("n9"), b'{"node": "n9", "later": ' + DEEP),
        (keys.node_key("n9"), b'{"node": "n1"}'),
        (keys.node_key("../n9"), b'{"node": "../n9"}'),
        (keys.node_key("n9"), b'{"node": "n9", "local": 4294967296}'),
        (keys.node_key("n9"), b'{"node": "n9", "time": -1e300}'),
        (keys.node_key("n9"), b'{"node": "n9", "canary": {"revision": -1, "progress": "passed"}}'),
    ],
)
def test_what_cannot_be_read_is_told_and_left_out(key: str, value: bytes) -> None:
    """One value that is wrong, or a newer version's, is a problem with its key, and the rest is read."""
    store = MemoryStore()
    store.put(keys.node_key("n1"), msgspec.json.encode(NodeRecord(node="n1")))
    store.put(key, value)
    view = store.view
    assert set(view.nodes) == {"n1"}
    assert view.edits == ()
    assert [problem.startswith(f"{key}: ") for problem in view.problems] == [True]


def test_what_cannot_be_read_is_told_in_few_words() -> None:
    """Whatever somebody has written: on one line each, the fleet's document first, and not all of thousands."""
    store = MemoryStore()
    for number in range(1000):
        store.put(f"edits/\x1b[2J\n{'x' * 1000}{number}", b"")
    store.put(keys.DOC, b"")
    problems = store.view.problems
    assert problems[0].startswith("doc: ")
    assert problems[-1] == "981 more keys can't be read"
    assert all(problem.isprintable() for problem in problems)
    assert sum(map(len, problems)) < 20_000


def test_numbers_go_on_where_their_key_is_lost() -> None:
    """No revision and no id of an edit is given twice because the key that counts them was removed."""
    store = MemoryStore()
    store.put(keys.DOC, doc(4))
    store.put(keys.history_key(6), msgspec.json.encode(Past(header=Header(revision=6, hash=""), fate="returned")))
    store.put(keys.edit_key("route", EDIT.key), encode_edit(EDIT, ""))
    assert store.view.sequence == Numbers(6, FIRST_EDIT + 3)


def test_an_edit_that_would_be_read_as_another_is_refused() -> None:
    """What the file has no words for is not stored."""
    with pytest.raises(ValueError, match="can't be kept"):
        encode_edit(msgspec.structs.replace(EDIT, value=msgspec.structs.replace(ROUTE, hostname="b")), "")


def test_what_has_not_changed_is_not_read_again() -> None:
    """A later view is the same as one that is made anew, and keeps what it knows of the earlier one."""
    store = MemoryStore()
    for name in ("n1", "n2"):
        store.put(keys.node_key(name), msgspec.json.encode(NodeRecord(node=name)))
    store.put(keys.DOC, doc(4))
    store.put(keys.history_key(4), msgspec.json.encode(Past(header=Header(revision=4, hash=""), fate="live")))
    store.put(keys.edit_key("route", EDIT.key), encode_edit(EDIT, "n2"))
    before = store.view
    other = msgspec.structs.replace(EDIT, key=(":1", "b"), value=None, id=FIRST_EDIT + 4)
    store.put(keys.edit_key("route", other.key), encode_edit(other, "n1"))
    store.put(keys.node_key("n2"), msgspec.json.encode(NodeRecord(node="n2", revision=4)))
    store.put(keys.node_key("n9"), b"?")
    after = view_of(store.contents, before)
    assert after == store.view
    assert after.edits[0] is before.edits[0]
    assert (after.nodes["n1"] is before.nodes["n1"], after.nodes["n2"].revision) == (True, 4)
    assert after.past[0] is before.past[0]
    store.put(keys.edit_key("route", EDIT.key), encode_edit(msgspec.structs.replace(EDIT, reason="why"), "n2"))
    store.put(keys.history_key(4), b"?")
    last = view_of(store.contents, after)
    assert last == store.view
    assert last.edits[0].edit.reason == "why"
