"""What nodes of a fleet run, whatever becomes of the store."""

import msgspec

from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit
from mcproxy.model.fleet.records import Numbers
from mcproxy.policy.fleet.pushing import Canary, push
from mcproxy.policy.fleet.running import NO_DOCUMENT, Wanted, wanted
from tests.support.fleet_store import MemoryStore, node, pushed


def fleet(*names: str) -> MemoryStore:
    """Return a store with nodes and one document."""
    store = MemoryStore()
    for name in names:
        store.put(keys.node_key(name), node(name))
    assert store.commit(push(store.view, pushed("a"))[1])
    return store


def revision(found: Wanted) -> int:
    return found.document.header.revision if found.document is not None else 0


def test_a_fleet_without_a_document_waits() -> None:
    """A node that has never had one says how to push the first."""
    assert wanted(MemoryStore().view, "n1") == Wanted("waiting", problem=NO_DOCUMENT, numbers=Numbers())


def test_all_run_the_document() -> None:
    """Without a rollout every node runs the fleet's document."""
    store = fleet("n1", "n2")
    for name in ("n1", "n2", "new"):
        found = wanted(store.view, name)
        assert (found.role, revision(found), found.problem, found.settles) == ("member", 1, "", True)
        assert (found.back_from, found.fallback) == (0, None)


def test_canaries_run_the_next_one_until_it_fails_there() -> None:
    """Only its canaries run the document of a rollout; one on which it has failed is back before anybody decides so."""
    store = fleet("n1", "n2")
    assert store.commit(push(store.view, pushed("b", over=store.view.version(keys.DOC)), Canary())[1])
    canary, other = (wanted(store.view, name) for name in ("n1", "n2"))
    assert (canary.role, revision(canary), canary.settles) == ("canary", 2, False)
    assert (other.role, revision(other)) == ("member", 1)
    failed = wanted(store.view, "n1", canary, failed=2)
    assert (failed.role, revision(failed), failed.problem) == ("member", 1, "")
    assert wanted(store.view, "n1", canary, failed=1).role == "canary"


def test_a_canary_that_returns_is_no_fleet_that_went_back() -> None:
    """The end of a rollout is nothing to be told of."""
    store = fleet("n1")
    assert store.commit(push(store.view, pushed("b", over=store.view.version(keys.DOC)), Canary())[1])
    canary = wanted(store.view, "n1")
    store.commit(Commit(deletes=(keys.NEXT, keys.ROLLOUT, keys.LOCK)))
    assert wanted(store.view, "n1", canary) == msgspec.structs.replace(wanted(store.view, "n1"))


def test_an_emptied_store_changes_nothing() -> None:
    """What is missing is never an empty configuration: document and edits are kept, and that is told."""
    known = wanted(fleet("n1").view, "n1")
    emptied = wanted(MemoryStore().view, "n1", known)
    assert (emptied.role, emptied.document, emptied.edits, emptied.settles) == (
        "keeping",
        known.document,
        known.edits,
        False,
    )
    assert "is not in its store any more; revision 1 is kept and served" in emptied.problem
    assert wanted(MemoryStore().view, "n1", emptied) == emptied
    assert emptied.numbers.revision == 1


def test_a_canary_of_an_emptied_store_keeps_what_the_others_do() -> None:
    """What was on trial is nothing that anybody wanted to keep."""
    store = fleet("n1", "n2")
    assert store.commit(push(store.view, pushed("b", over=store.view.version(keys.DOC)), Canary())[1])
    canary, other = wanted(store.view, "n1"), wanted(store.view, "n2")
    kept = wanted(MemoryStore().view, "n1", canary)
    assert (kept.role, kept.document) == ("keeping", other.document)
    assert "revision 1 is kept" in kept.problem
    assert wanted(MemoryStore().view, "n1", kept) == kept


def test_a_document_that_cannot_be_read_changes_nothing() -> None:
    """The same holds for a value that is none, on a node that knows one and on one that does not."""
    store = fleet("n1")
    known = wanted(store.view, "n1")
    store.put(keys.DOC, b"\x00")
    found = wanted(store.view, "n1", known)
    assert (found.role, found.document) == ("keeping", known.document)
    assert "can't be read: doc: it has no header" in found.problem
    assert "doc: it has no header" in wanted(store.view, "n1").problem


def test_a_store_that_went_back_is_followed_and_told() -> None:
    """After a restored backup all nodes run what it says, for a new one knows nothing else; that it is older is told."""
    store = fleet("n1")
    older = store.view
    assert store.commit(push(store.view, pushed("b", over=store.view.version(keys.DOC)))[1])
    known = wanted(store.view, "n1")
    found = wanted(older, "n1", known)
    assert (found.role, revision(found), found.back_from) == ("member", 1, 2)
    assert "is revision 1, and was 2 before" in found.problem
    again = wanted(older, "n1", found)
    assert (again.back_from, again.problem) == (2, found.problem), "until something else is pushed"
    store.commit(Commit(puts={keys.DOC: store.contents.items[keys.DOC].value}))
    assert (wanted(store.view, "n1", again).back_from, wanted(store.view, "n1", again).problem) == (0, "")


def test_what_else_cannot_be_read_is_told() -> None:
    """A value that is wrong somewhere else is a problem of every node, and does not keep it from running the document."""
    store = fleet("n1")
    store.put("edits/x", b"{}")
    found = wanted(store.view, "n1")
    assert (found.role, revision(found)) == ("member", 1)
    assert found.problem.startswith("the fleet's store: edits/x: ")


def test_what_is_on_trial_may_be_taken_back() -> None:
    """Only what all run says anything for good: not the document of a rollout, and not one that is wanted no more."""
    store = fleet("n1", "n2")
    old = store.view.doc
    assert store.commit(push(store.view, pushed("b", over=store.view.version(keys.DOC)), Canary())[1])
    canary, other, following = wanted(store.view, "n1"), wanted(store.view, "n2"), store.view.next
    assert (canary.lasts(following), other.lasts(following)) == (False, False)
    assert (canary.lasts(old), other.lasts(old), other.lasts(None)) == (False, True, True)
