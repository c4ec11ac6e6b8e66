"""Who made a resource what it is: the newest change of each key, and behind what gives something back whoever said it first."""

from typing import Any

import msgspec
import pytest

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.model.history.blame import blame
from mcproxy.model.history.changes import ResourceChange, changes_of, changes_of_older, told
from mcproxy.model.history.origins import FileOrigins
from mcproxy.model.state.plan import make_plan
from mcproxy.model.state.state import State
from mcproxy.model.values.origins import Origin


class By(msgspec.Struct, frozen=True):
    """A generation."""

    generation: int
    origin: str


def change(generation: int, origin: str, action: Any, changed: str = "", **fields: Any) -> tuple[By, ResourceChange]:
    return By(generation, origin), ResourceChange("route", (":1", "a"), action, fields, tuple(changed.split()))


def blamed(fields: dict[str, Any], *changes: tuple[By, ResourceChange]) -> dict[str, tuple[int | None, ...]]:
    """Return by key the generation that made it so, and the original of what gave it back; the changes are oldest first."""
    found = {}
    for one in blame(fields, ["backend", "mode", "on_remove"], changes[::-1]):
        ends = (one.by, one.original) if one.restored else (one.by,)
        found[one.name] = tuple(None if end is None else end[0].generation for end in ends)
    return found


ADDED = change(1, "start", "add", backend="a", mode="l7")


@pytest.mark.parametrize(
    ("fields", "changes", "found"),
    [
        ({"backend": "a", "mode": "l7"}, [ADDED], {"backend": (1,), "mode": (1,)}),
        ({"backend": "b", "mode": "l7"}, [ADDED, change(4, "file", "change", "backend", backend="b", mode="l7")], {"backend": (4,), "mode": (1,)}),
        # as by default again, which somebody has made it
        ({"backend": "a"}, [ADDED, change(2, "api", "change", "mode", backend="a")], {"backend": (1,), "mode": (2,)}),
        # a rollback: itself, and what it brought back
        (
            {"backend": "a", "mode": "l7"},
            [ADDED, change(2, "file", "change", "backend", backend="b", mode="l7"), change(3, "rollback", "change", "backend", backend="a", mode="l7")],
            {"backend": (3, 1), "mode": (1,)},
        ),
        # a rollback of a rollback: still whoever said it
        (
            {"backend": "b", "mode": "l7"},
            [
                ADDED,
                change(2, "file", "change", "backend", backend="b", mode="l7"),
                change(3, "rollback", "change", "backend", backend="a", mode="l7"),
                change(4, "guard", "change", "backend", backend="b", mode="l7"),
            ],
            {"backend": (4, 2), "mode": (1,)},
        ),
        # rolled back to what a rollback had given back before: not that one is asked
        (
            {"backend": "a", "mode": "l7"},
            [
                ADDED,
                change(2, "file", "change", "backend", backend="b", mode="l7"),
                change(3, "rollback", "change", "backend", backend="a", mode="l7"),
                change(4, "file", "change", "backend", backend="c", mode="l7"),
                change(5, "rollback", "change", "backend", backend="a", mode="l7"),
            ],
            {"backend": (5, 1), "mode": (1,)},
        ),
        # what it said before it was removed is not its own any more
        (
            {"backend": "a"},
            [ADDED, change(2, "file", "change", "on_remove", backend="a", mode="l7", on_remove="keep"), change(3, "file", "remove"), change(4, "file", "add", backend="a")],
            {"backend": (4,)},
        ),
        # removed and brought back whole
        (
            {"backend": "b", "mode": "l7"},
            [
                ADDED,
                change(2, "file", "change", "backend", backend="b", mode="l7"),
                change(3, "file", "remove"),
                change(4, "rollback", "add", backend="b", mode="l7"),
            ],
            {"backend": (4, 2), "mode": (4, 1)},
        ),
        # removed and declared anew: that alone counts
        ({"backend": "a"}, [ADDED, change(3, "file", "remove"), change(4, "file", "add", backend="a")], {"backend": (4,)}),
        # the file said the same again: that is a statement of its own
        (
            {"backend": "a", "mode": "l7"},
            [ADDED, change(2, "file", "change", "backend", backend="b", mode="l7"), change(3, "file", "change", "backend", backend="a", mode="l7")],
            {"backend": (3,), "mode": (1,)},
        ),
        # what was before the first change that is kept
        ({"backend": "b", "mode": "l7"}, [change(7, "file", "change", "backend", backend="b", mode="l7")], {"backend": (7,), "mode": (None,)}),
        ({"backend": "a"}, [], {"backend": (None,)}),
        # nothing but defaults: since when it is there
        ({}, [change(2, "file", "add")], {"": (2,)}),
        ({}, [], {"": (None,)}),
        ({}, [change(2, "file", "add"), change(3, "file", "remove"), change(4, "guard", "add")], {"": (4, 2)}),
        ({"backend": "a"}, [change(7, "expiry", "change", "backend", backend="a")], {"backend": (7, None)}),
        # what is live was made so by a generation that is not kept
        ({"backend": "c", "mode": "l7"}, [ADDED], {"backend": (None,), "mode": (1,)}),
        # a key that this version does not know (any more)
        ({"backend": "a"}, [change(1, "start", "add", backend="a", ancient=1)], {"backend": (1,), "ancient": (None,)}),
    ],
)  # fmt: skip
def test_each_key_has_the_change_that_made_it_so(
    fields: dict[str, Any], changes: list[tuple[By, ResourceChange]], found: dict[str, tuple[int | None, ...]]
) -> None:
    """In the order of the table's keys; what was never other than by default is not told."""
    result = blamed(fields, *changes)
    assert result == found
    assert list(result) == [name for name in ("", "backend", "mode", "on_remove", "ancient") if name in found]


TEXT = """\
[proxy]
workers = 2
[[listeners]]
addr = ":443"
[[listeners.routes]]
hostname = "app.example.com"
backend = "10.0.0.1:443"
on_remove = "close"
"""


def test_changes_have_the_words_and_places_of_the_file() -> None:
    """Down to the keys; a default has none, an edit's is the edit."""
    before, after = (
        resolve([Source("/f", text)]) for text in (TEXT, TEXT.replace("10.0.0.1", "10.0.0.2") + 'mode = "l4"\n')
    )
    edited = {**after.origins, ("listener", ":443"): Origin("edit 3", 0, 0)}
    first = {
        one.kind: one
        for one in changes_of(make_plan(State(), after.state, edited).operations, FileOrigins(after).declarations)
    }
    route = first["route"]
    assert (route.action, route.fields) == ("add", {"backend": "10.0.0.2:443", "on_remove": "close"})
    assert [route.place(name) for name in ("backend", "on_remove", "mode")] == [
        Origin("/f", 7, 1), Origin("/f", 8, 1), Origin("/f", 5, 13),
    ]  # fmt: skip
    assert first["listener"].place("max_connections") == Origin("edit 3", 0, 0)
    plan = make_plan(before.state, after.state, after.origins)
    (second,) = changes_of(plan.operations, FileOrigins(after).declarations)
    assert (second.changed, second.place("backend")) == (("backend",), Origin("/f", 7, 1))
    assert told(second, route) == "backend: 10.0.0.2:443 -> 10.0.0.2:443"
    (older,) = changes_of_older(msgspec.json.decode(msgspec.json.encode(plan.builtins())))
    assert (older.action, older.fields, older.changed) == (second.action, second.fields, second.changed)
    assert older.place("backend") == Origin("/f", 5, 13)


@pytest.mark.parametrize(
    ("one", "before", "said"),
    [
        (change(2, "", "add", backend="b")[1], None, "added"),
        (change(2, "", "remove")[1], None, "removed"),
        (change(2, "", "change", "backend mode", backend="b", use=["x"])[1], None, "backend: b, mode: default"),
        (change(2, "", "change", "backend use", backend="b", use=["x"])[1], ADDED[1], 'backend: a -> b, use: default -> ["x"]'),
        (change(2, "", "change", "backend", backend="\x1b")[1], None, 'backend: "\\u001b"'),
    ],
)  # fmt: skip
def test_a_change_is_told_with_the_values(one: ResourceChange, before: ResourceChange | None, said: str) -> None:
    """Both, if the one before is known; printable whatever they are."""
    assert told(one, before) == said
