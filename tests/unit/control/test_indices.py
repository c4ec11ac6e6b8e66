"""Indices of counters: stable, and given to somebody else as late as possible."""

import pytest

from mcproxy.control.indices import Indices
from mcproxy.errors import ApplyError


def test_a_key_keeps_its_index_for_as_long_as_it_lives() -> None:
    """Others that come and go change nothing."""
    indices: Indices[str] = Indices("route", 10)
    first, _ = indices.extend(["a", "b"])
    indices.extend(["c"])
    indices.retain(["b", "c"])
    last, _ = indices.extend(["d"])
    assert last["b"] == first["b"]
    assert len(set(last.values())) == 3


def test_indices_are_reused_only_when_none_is_fresh_and_the_longest_unused_first() -> None:
    """What was given back is told to the caller when it is given out again: its counters have to be cleared."""
    indices: Indices[str] = Indices("route", 4)
    known, _ = indices.extend(["a", "b"])
    indices.retain(["b"])
    indices.retain([])
    assert indices.extend(["c", "d"])[1] == []
    now, reused = indices.extend(["e"])
    assert reused == [now["e"]] == [known["a"]]


def test_more_keys_than_indices_are_refused_as_a_whole() -> None:
    """Nothing is given out then, and fewer keys still fit."""
    indices: Indices[str] = Indices("route", 3)
    indices.extend(["a"])
    with pytest.raises(ApplyError, match="more than 3 routes"):
        indices.extend(["b", "c", "d"])
    assert dict(indices.items()) == {"a": 0}
    assert len(indices.extend(["b", "c"])[0]) == 3


def test_a_new_control_goes_on_where_the_last_one_stopped() -> None:
    """Indices that were given out and are no longer used count as used before, not as fresh."""
    indices: Indices[str] = Indices("route", 5)
    indices.seed({"b": 1}, given=4)
    assert list(indices.used()) == [0, 1, 2, 3]
    now, reused = indices.extend(["x"])
    assert (now, reused) == ({"b": 1, "x": 4}, [])
    now, reused = indices.extend(["y"])
    assert reused == [now["y"]] == [0]
