"""Pushes: one wins, others are told of it, and numbers are never given twice."""

import pytest

from mcproxy.errors import PreconditionError, StaleGenerationError
from mcproxy.model.fleet import document, keys
from mcproxy.model.fleet.document import FleetFile
from mcproxy.model.fleet.records import Numbers
from mcproxy.policy.fleet.driving import abort
from mcproxy.policy.fleet.pushing import KEPT, Canary, Pushed, push
from tests.support.fleet_store import MemoryStore, node, pushed


def begun() -> MemoryStore:
    """Return a store with a first document."""
    store = MemoryStore()
    assert store.commit(push(store.view, pushed("first"))[1])
    return store


def test_a_first_document() -> None:
    """The first push to an empty store is revision 1, with what is known of it."""
    store = MemoryStore()
    header, commit = push(store.view, pushed("a", author="ops-1", label="3fa9"))
    assert store.commit(commit)
    view = store.view
    assert view.doc is not None
    assert (header.revision, view.doc.header) == (1, header)
    assert document.unpack(view.doc) == (FleetFile("mc-proxy.toml", "a"),)
    assert [(past.header, past.fate) for past in view.past] == [(header, "live")]


def test_of_two_pushes_at_once_one_wins() -> None:
    """Both were judged by the same contents: the commit of the second one fails, and looking again says who was faster."""
    store = MemoryStore()
    first, second = (
        push(store.view, pushed(text, author=text, label="c0ffee", now=100.0))[1] for text in ("ops-1", "ops-2")
    )
    assert store.commit(first)
    assert not store.commit(second)
    with pytest.raises(
        StaleGenerationError, match=r"someone pushed revision 1 \(ops-1, 3m ago, c0ffee\) since you looked"
    ):
        push(store.view, pushed("ops-2", now=280.0))


def test_a_push_over_what_was_looked_at() -> None:
    """A document that was compared with the present one is pushed, one compared with an older one is not."""
    store = MemoryStore()
    for text in ("a", "b"):
        assert store.commit(push(store.view, pushed(text, over=store.view.version(keys.DOC)))[1])
    old = 1
    with pytest.raises(StaleGenerationError, match="revision 2"):
        push(store.view, pushed("c", over=old))
    store.put("elsewhere", b"")
    assert push(store.view, pushed("c", over=store.view.version(keys.DOC)))[0].revision == 3


def test_a_document_that_is_gone_since() -> None:
    """Who looked at a document that was removed meanwhile is told that, too."""
    with pytest.raises(StaleGenerationError, match="removed from its store"):
        push(MemoryStore().view, pushed("a", over=7))


def test_no_push_amid_a_rollout() -> None:
    """A rollout has the nodes to itself; the refusal says whose it is and how to end it."""
    store = begun()
    store.put(keys.node_key("n1"), node("n1"))
    over = store.view.version(keys.DOC)
    assert store.commit(push(store.view, pushed("a", author="ops-1", over=over), Canary())[1])
    for canary in (None, Canary()):
        with pytest.raises(
            PreconditionError, match=r"a rollout of revision 2 \(ops-1, 5s ago\) is going on.*fleet abort"
        ):
            push(store.view, pushed("b", now=5.0, over=over), canary)


def test_what_is_left_of_a_rollout_is_in_the_way() -> None:
    """A document that waits for canaries without a rollout, as after a mistake by hand, is ended first."""
    store = begun()
    store.put(keys.NEXT, b"?")
    with pytest.raises(PreconditionError, match=r"a rollout is going on.*fleet abort"):
        push(store.view, pushed("a", over=store.view.version(keys.DOC)))
    assert store.commit(abort(store.view, "ops-1", 0.0))
    assert push(store.view, pushed("a", over=store.view.version(keys.DOC)))[0].revision == 2


def test_canaries_have_a_minute_and_fifty_requests() -> None:
    """What is tried where nobody says how."""
    store = begun()
    store.put(keys.node_key("n1"), node("n1"))
    assert store.commit(push(store.view, pushed("a", over=store.view.version(keys.DOC)), Canary())[1])
    rollout = store.view.rollout
    assert rollout is not None
    assert (rollout.steps, rollout.watch, rollout.max_errors, rollout.min_requests) == (("1",), 60.0, 0.02, 50)


def test_the_first_document_is_not_tried() -> None:
    """Canaries could not return to anything; nor where the document was lost."""
    store = MemoryStore()
    store.put(keys.node_key("n1"), node("n1"))
    with pytest.raises(PreconditionError, match="no document that canaries could return to"):
        push(store.view, pushed("a"), Canary())
    assert push(store.view, pushed("a"))[0].revision == 1


def test_numbers_after_the_store_was_emptied() -> None:
    """A node that knows revision 41 gives 42, though the store has forgotten all."""
    assert push(MemoryStore().view, pushed("a", after=Numbers(41)))[0].revision == 42


def test_what_is_kept_of_pushes_is_bounded() -> None:
    """The history in the store forgets the oldest."""
    store = MemoryStore()
    assert KEPT == 100
    for number in range(KEPT + 30):
        assert store.commit(push(store.view, pushed(f"{number}", over=store.view.version(keys.DOC)))[1])
    assert [past.header.revision for past in store.view.past] == list(range(KEPT + 30, 30, -1))


def test_an_author_without_end_is_refused() -> None:
    """A header is no place for a document."""
    with pytest.raises(PreconditionError, match="too many characters"):
        push(MemoryStore().view, pushed("a", label="x" * 20_000))


def test_a_rollout_needs_nodes() -> None:
    """Where no node is there, or not the one that is named, nothing can be tried."""
    store = begun()
    over = store.view.version(keys.DOC)
    with pytest.raises(PreconditionError, match="no node of the fleet"):
        push(store.view, pushed("a", over=over), Canary())
    store.put(keys.node_key("n1"), node("n1"))
    with pytest.raises(PreconditionError, match="there is no node n2 in the fleet now; there is n1"):
        push(store.view, pushed("a", over=over), Canary(named=("n2",)))


def test_a_push_with_the_same_request_twice_is_no_new_revision() -> None:
    """Its commit can be made once."""
    store = MemoryStore()
    commit = push(store.view, Pushed(hash="x", packed=b""))[1]
    assert store.commit(commit)
    assert not store.commit(commit)
