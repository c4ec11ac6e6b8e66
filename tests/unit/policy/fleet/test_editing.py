"""Runtime edits of a fleet: numbered once, judged by the document they stand on, ended by it and by time."""

from typing import Any

import msgspec
import pytest

from mcproxy.errors import NotFoundError, PreconditionError
from mcproxy.model.edits.edit import Edit, make_edit
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit
from mcproxy.model.fleet.records import FIRST_EDIT, Numbers, is_shared
from mcproxy.model.state.state import Listener, Route, State
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.policy.fleet.editing import EXPIRED_FOR, change, refuse_in_rollout, settle
from mcproxy.policy.fleet.pushing import Canary, push
from mcproxy.policy.fleet.running import current
from tests.support.fleet_store import MemoryStore, node, pushed

LISTENER = Listener(":1")
SETTINGS: dict[str, Any] = {"firewall.geoip_db": ""}


def route(name: str = "a", port: int = 1) -> Route:
    return Route(":1", name, (Endpoint("h", port),))


def state(*routes: Route, listener: Listener | None = LISTENER) -> State:
    """Return what a document says."""
    listeners = {} if listener is None else {":1": listener}
    return State(listeners, {(":1", one.hostname): one for one in routes}, settings=SETTINGS)


DOC = state(route())


def edit(name: str = "a", port: int = 2, doc: State = DOC, **fields: Any) -> Edit:
    """Return an edit of a route that leads to another port."""
    return make_edit(doc, doc, "route", (":1", name), route(name, port), created=1.0, **fields)


def fleet(*edits: Edit) -> MemoryStore:
    """Return a store with a document and edits."""
    store = MemoryStore()
    assert store.commit(push(store.view, pushed("a"))[1])
    for one in edits:
        assert store.commit(change(store.view, "n1", [one], [])[1])
    return store


def ids(store: MemoryStore) -> list[int]:
    return [one.edit.id - FIRST_EDIT for one in store.view.edits]


def test_ids_are_given_once() -> None:
    """Edits are numbered through, the numbers of ended ones are not given again, and are not those of a node's own."""
    store = fleet(edit("a"), edit("b"), edit("c"))
    assert ids(store) == [0, 1, 2]
    added, commit = change(store.view, "n2", [edit("a", 3), edit("d")], [FIRST_EDIT + 1, FIRST_EDIT + 2])
    assert store.commit(commit)
    assert ids(store) == [3, 4]
    assert tuple((one.edit, one.node) for one in store.view.edits) == tuple((one.edit, "n2") for one in added)
    assert store.commit(change(store.view, "n1", [], [FIRST_EDIT + 4])[1])
    assert change(store.view, "n1", [edit("e")], [])[0][0].edit.id == FIRST_EDIT + 5
    assert is_shared(FIRST_EDIT)
    assert not is_shared(FIRST_EDIT - 1)


def test_ids_go_on_in_a_store_that_was_emptied() -> None:
    """A node that has seen an id gives none up to it again, whatever the store knows by now."""
    numbers = Numbers(7, FIRST_EDIT + 9)
    added, commit = change(fleet().view, "n1", [edit()], [], numbers)
    assert added[0].edit.id == FIRST_EDIT + 10
    assert msgspec.json.decode(commit.puts[keys.SEQUENCE], type=Numbers) == Numbers(7, FIRST_EDIT + 10)


@pytest.mark.parametrize("other", ["push", "rollout", "edit", "same", "revert"])
def test_what_changes_meanwhile_is_a_conflict(other: str) -> None:
    """An edit that was judged by other contents than the present ones is not made: document, rollout, ids, the edit itself."""
    store = fleet(edit("a"))
    store.put(keys.node_key("n1"), node("n1"))
    view = store.view
    commits = [change(view, "n1", [edit("a", 5)], [])[1], change(view, "n1", [], [FIRST_EDIT])[1]]
    over = view.version(keys.DOC)
    match other:
        case "push":
            assert store.commit(push(view, pushed("b", over=over))[1])
        case "rollout":
            assert store.commit(push(view, pushed("b", over=over), Canary())[1])
        case "edit":
            assert store.commit(change(view, "n2", [edit("b")], [])[1])
            commits.pop()  # ends an edit that is still there: nothing of that has changed
        case "same":
            assert store.commit(change(view, "n2", [edit("a", 6)], [])[1])
        case "revert":
            assert store.commit(change(view, "n2", [], [FIRST_EDIT])[1])
    assert [store.commit(commit) for commit in commits] == [False] * len(commits)


def test_a_node_that_comes_or_goes_is_no_conflict() -> None:
    """Nodes write about themselves all the time; that keeps nobody from changing something."""
    store = fleet(edit("a"))
    commit = change(store.view, "n1", [edit("b")], [FIRST_EDIT])[1]
    store.put(keys.node_key("n9"), node("n9"))
    assert store.commit(commit)


def test_what_is_not_there_cannot_be_ended() -> None:
    """The refusal names all that is missing."""
    with pytest.raises(NotFoundError, match="there is no runtime edit 7, 8"):
        change(fleet(edit()).view, "n1", [], [FIRST_EDIT, 7, 8])


def test_without_a_document_there_is_nothing_to_edit() -> None:
    """An emptied store takes no edits, which would stand on what only this node knows."""
    with pytest.raises(PreconditionError, match="no document in its store"):
        change(MemoryStore().view, "n1", [edit()], [])


def test_too_many_at_once_are_refused() -> None:
    """A store takes so many changes in one commit."""
    with pytest.raises(PreconditionError, match="120 runtime edits are too many"):
        change(fleet().view, "n1", [edit(f"r{number}") for number in range(120)], [])


def test_the_document_supersedes() -> None:
    """Edits of what it declares anew are over, the others stand."""
    store = fleet(edit("a"), edit("b"))
    found = settle(store.view, state(route("a", 9)), 0.0)
    assert [(one.edit.key, why) for one, why in found.superseded] == [((":1", "a"), "the file changed it")]
    assert found.commit is not None
    assert store.commit(found.commit)
    assert ids(store) == [1]
    assert settle(store.view, state(route("a", 9)), 0.0).commit is None


def test_nothing_is_superseded_after_another_push() -> None:
    """What a node finds by an older document changes nothing once there is a newer one."""
    store = fleet(edit("a"))
    found = settle(store.view, state(route("a", 9)), 0.0)
    assert store.commit(push(store.view, pushed("b", over=store.view.version(keys.DOC)))[1])
    assert found.commit is not None
    assert not store.commit(found.commit)
    assert ids(store) == [0]


def test_an_edit_is_over_by_the_clock_of_each_node_and_goes_when_it_is_over_by_all() -> None:
    """A clock that is 30 s ahead ends it 30 s early there alone: it goes from the store when no node has it in effect."""
    store = fleet(edit("a", expires=100.0))
    assert current(store.view.edits, 99.0) == store.view.edits
    assert current(store.view.edits, 100.0) == ()
    assert settle(store.view, DOC, 100.0 + EXPIRED_FOR - 1).commit is None
    found = settle(store.view, DOC, 100.0 + EXPIRED_FOR)
    assert found.expired == store.view.edits
    assert found.commit is not None
    assert store.commit(found.commit)
    assert ids(store) == []


def test_an_expired_edit_that_was_made_anew_stays() -> None:
    """What a node finds expired is not ended if it was replaced meanwhile."""
    store = fleet(edit("a", expires=100.0))
    found = settle(store.view, DOC, 200.0)
    assert store.commit(change(store.view, "n2", [edit("a", expires=900.0)], [])[1])
    assert found.commit is not None
    assert not store.commit(found.commit)
    assert ids(store) == [1]


def test_orphans_are_remembered_for_all() -> None:
    """A listener that a document removes orphans the edits of its routes; back with other content it ends them."""
    store = fleet(edit("b"))
    gone = settle(store.view, state(listener=None), 0.0)
    assert gone.commit is not None
    assert store.commit(gone.commit)
    assert [one.edit.orphaned for one in store.view.edits] == [True]
    assert settle(store.view, state(listener=None), 0.0).commit is None
    back = settle(store.view, state(listener=Listener(":1", max_connections=7)), 0.0)
    assert [why for _, why in back.superseded] == ["the listener :1 came back with other content"]


def test_what_is_written_anew_is_what_all_nodes_read() -> None:
    """A node reads edits in its own words, and writes those of the fleet."""
    store = fleet(edit("b", reason="theirs"))
    view = store.view
    mine = tuple(
        msgspec.structs.replace(one, edit=msgspec.structs.replace(one.edit, reason="mine")) for one in view.edits
    )
    found = settle(
        msgspec.structs.replace(view, edits=mine),
        state(listener=None),
        0.0,
        lambda each: msgspec.structs.replace(each, reason="theirs"),
    )
    assert found.commit is not None
    assert store.commit(found.commit)
    assert [(one.edit.reason, one.edit.orphaned) for one in store.view.edits] == [("theirs", True)]


def test_many_are_settled_in_several_commits() -> None:
    """A document that ends more edits than a commit takes ends them all."""
    store = fleet(*(edit(f"r{number}", doc=DOC) for number in range(130)))
    doc = state(*(route(f"r{number}", 9) for number in range(130)))
    commits = 0
    while (found := settle(store.view, doc, 0.0)).commit is not None:
        assert store.commit(found.commit)
        commits += 1
    assert (commits, ids(store)) == (2, [])


def test_what_ends_and_what_is_remembered_share_a_commit() -> None:
    """Together they are no more than a commit takes; the rest comes with the next."""
    added = [edit(f"r{number}") for number in range(70)]  # are orphaned by a document without their listener
    declared = state(*(route(f"d{number}") for number in range(70)))
    of_file = [edit(f"d{number}", doc=declared) for number in range(70)]  # are over with what it declared
    store = fleet(*added, *of_file)
    doc = state(listener=None)
    sizes = []
    while (found := settle(store.view, doc, 0.0)).commit is not None:
        sizes.append(len(found.commit.puts) + len(found.commit.deletes))
        assert store.commit(found.commit)
    assert sizes == [100, 40]
    assert [one.edit.orphaned for one in store.view.edits] == [True] * 70


def test_what_the_file_has_no_words_for_is_refused() -> None:
    """Before anything is stored."""
    odd = msgspec.structs.replace(edit("a"), value=route("b"))
    with pytest.raises(PreconditionError, match="can't be kept"):
        change(fleet().view, "n1", [odd], [])


def test_what_a_rollout_changes_is_not_edited() -> None:
    """An edit of what the document on its way declares otherwise would end with it: that is refused, all else is not."""
    following = state(route("a", 9))
    with pytest.raises(PreconditionError, match=r"changes route :1 a: .*fleet abort"):
        refuse_in_rollout(fleet().view, DOC, following, [("route", (":1", "a"))])
    refuse_in_rollout(fleet().view, DOC, following, [("route", (":1", "b")), ("listener", ":1")])


def test_an_edit_that_a_newer_version_has_made_is_replaced() -> None:
    """An edit that can't be read is no edit here, and one of the same resource takes its place."""
    store = fleet()
    key = keys.edit_key("route", (":1", "a"))
    store.put(key, b'{"mood": 1}')
    commit = change(store.view, "n1", [edit("a")], [])[1]
    assert commit.compares[key] == store.contents.version(key)
    assert store.commit(commit)
    assert store.commit(Commit(compares={key: store.contents.version(key)}))
