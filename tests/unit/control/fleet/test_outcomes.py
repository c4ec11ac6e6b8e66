"""What became of a commit is told by what is in the store since."""

from mcproxy.control.fleet.store.outcomes import found_in
from mcproxy.model.fleet.contents import Commit, Committed, Conflict, Contents, Item

SENT = Commit(compares={"doc": 3}, puts={"doc": b"new"}, deletes=("next",))


def contents(**items: tuple[bytes, int]) -> Contents:
    return Contents({key: Item(value, version) for key, (value, version) in items.items()}, 9)


def test_what_became_of_a_commit() -> None:
    """Made if everything is as it has it; else it can be made yet, or another one came before."""
    assert found_in(SENT, contents(doc=(b"new", 8))) == Committed(8)
    assert found_in(SENT, contents(doc=(b"old", 3), next=(b"x", 2))) is None
    for other in (contents(doc=(b"other", 7)), contents(doc=(b"new", 8), next=(b"x", 9)), contents()):
        assert found_in(SENT, other) == Conflict(other)


def test_a_commit_that_only_deletes() -> None:
    """It was made when nothing is left of what it deletes."""
    commit = Commit(compares={"next": 2}, deletes=("next",))
    assert found_in(commit, contents(next=(b"x", 2))) is None
    assert found_in(commit, contents(doc=(b"x", 1))) == Committed(9)
    newer = contents(next=(b"y", 5))
    assert found_in(commit, newer) == Conflict(newer)
