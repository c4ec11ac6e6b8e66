"""Indices of counters: stable, and given to somebody else as late as possible."""

import pytest

from mcproxy.control.counters.indices import Indices
from mcproxy.errors import ApplyError


def idle(_index: int) -> bool:
    return False


def test_a_key_keeps_its_index_for_as_long_as_it_lives() -> None:
    """Others that come and go change nothing."""
    indices: Indices[str] = Indices("route", 10)
    first, _ = indices.extend(["a", "b"], idle)
    indices.extend(["c"], idle)
    indices.retain(["b", "c"])
    last, _ = indices.extend(["d"], idle)
    assert last["b"] == first["b"]
    assert len(set(last.values())) == 3


def test_indices_are_reused_only_when_none_is_fresh_and_the_longest_unused_first() -> None:
    """What was given back is told to the caller when it is given out again: its counters have to be cleared."""
    indices: Indices[str] = Indices("route", 4)
    known, _ = indices.extend(["a", "b"], idle)
    indices.retain(["b"])
    indices.retain([])
    assert indices.extend(["c", "d"], idle)[1] == []
    now, reused = indices.extend(["e"], idle)
    assert reused == [now["e"]] == [known["a"]]


def test_more_keys_than_indices_are_refused_as_a_whole() -> None:
    """Nothing is given out then, and fewer keys still fit."""
    indices: Indices[str] = Indices("route", 3)
    indices.extend(["a"], idle)
    with pytest.raises(ApplyError, match="more than 3 routes"):
        indices.extend(["b", "c", "d"], idle)
    assert dict(indices.items()) == {"a": 0}
    assert len(indices.extend(["b", "c"], idle)[0]) == 3


def test_a_new_control_goes_on_where_the_last_one_stopped() -> None:
    """Indices that were given out and are no longer used count as used before, not as fresh."""
    indices: Indices[str] = Indices("route", 5)
    indices.seed({"b": 1}, given=4)
    assert list(indices.used()) == [0, 1, 2, 3]
    now, reused = indices.extend(["x"], idle)
    assert (now, reused) == ({"b": 1, "x": 4}, [])
    now, reused = indices.extend(["y"], idle)
    assert reused == [now["y"]] == [0]


def test_an_index_whose_connections_are_open_is_left_alone() -> None:
    """They still count there: the next one is taken, and if there is none, the keys are refused as a whole."""
    indices: Indices[str] = Indices("route", 3)
    known, _ = indices.extend(["a", "b", "c"], idle)
    for key in ("b", "c"):
        indices.retain([other for other in ("b", "c") if other > key])
    busy = {known["a"]}
    with pytest.raises(ApplyError, match="more than 3 routes"):
        indices.extend(["d", "e", "f"], busy.__contains__)
    now, reused = indices.extend(["d", "e"], busy.__contains__)
    assert set(reused) == {known["b"], known["c"]} == set(now.values())
    busy.clear()
    assert indices.extend(["f"], busy.__contains__)[1] == [known["a"]]
