"""Simulations of a fleet, and whether they would notice what they are there for: decisions that are wrong in one point each."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mcproxy.model.fleet import keys
from mcproxy.policy.fleet import driving, editing, pushing, running
from mcproxy.policy.fleet.driving import Decision
from mcproxy.policy.fleet.running import Wanted
from tests.fuzz import fleet_simulation
from tests.fuzz.fleet_node import Node


@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_nodes_come_to_rest_in_one_state(seed: int) -> None:
    """Whatever is lost, late, restarted, cut off or wrong by 30 s: one state everywhere, and no acknowledged edit is lost."""
    fleet_simulation.simulate(seed)


def test_a_few_nodes_do_the_same() -> None:
    """Where nodes are few, all that drive a rollout or take a push are in trouble at once."""
    for seed in range(15):
        fleet_simulation.simulate(seed, nodes=5)


def without(decide: Callable[..., Any], *dropped: str) -> Callable[..., Any]:
    """Return a decision whose commit no longer compares some keys."""

    def decided(*args: Any, **fields: Any) -> Any:
        found = decide(*args, **fields)
        commit = found.commit if hasattr(found, "commit") else found[-1]
        if commit is None:
            return found
        compares = {
            key: version for key, version in commit.compares.items() if key not in dropped and "*" not in dropped
        }
        commit = msgspec.structs.replace(commit, compares=compares)
        return msgspec.structs.replace(found, commit=commit) if hasattr(found, "commit") else (*found[:-1], commit)

    return decided


def canaries_stay(view: Any, me: str, known: Any = None, failed: int = 0) -> Wanted:
    found = running_wanted(view, me, known, failed)
    return known if known is not None and known.role == "canary" else found


def nobody_else_drives(view: Any, *args: Any, **fields: Any) -> Decision:
    return driving_drive(view, *args, **fields) if view.driver else Decision()


def all_passed(node: Any, rollout: Any) -> Any:
    found = driving_report(node, rollout)
    return None if found is None else msgspec.structs.replace(found, progress="passed")


def never_returned(view: Any, why: str, wall: float) -> Decision:
    return Decision()


running_wanted, driving_drive, driving_report = running.wanted, driving.drive, driving._report

WRONG: dict[str, tuple[Any, str, Any, str]] = {
    "every node runs the document of a rollout": (
        running,
        "_rolling",
        lambda view, me: view.next,
        "none of its canaries",
    ),
    "canaries never return": (running, "wanted", canaries_stay, ""),
    "an emptied store is an empty configuration": (
        running,
        "_without",
        lambda view, known, numbers: Wanted("waiting"),
        "serves nothing any more",
    ),
    "edits are made whatever document there is": (
        editing,
        "change",
        without(editing.change, keys.DOC, keys.ROLLOUT, keys.SEQUENCE),
        "does not stand on the document|given twice",
    ),
    "ids are given by what was seen once": (
        editing,
        "change",
        without(editing.change, keys.SEQUENCE),
        "is given twice",
    ),
    "edits are settled by an older document": (editing, "settle", without(editing.settle, keys.DOC), "is lost"),
    "what was replaced meanwhile is settled": (editing, "settle", without(editing.settle, "*"), "is lost"),
    "canaries settle edits": (Wanted, "settles", True, "is lost"),
    "edits that are over for one node go for all": (editing, "EXPIRED_FOR", 0.0, "is lost"),
    "the last push wins": (pushing, "push", without(pushing.push, "*"), "revision"),
    "nobody goes on for a driver that is gone": (driving, "drive", nobody_else_drives, "no end"),
    "failed canaries have passed": (driving, "_report", all_passed, "has not passed"),
    "failures return nothing": (driving, "_returned", never_returned, "no end"),
    "what was decided late is done": (driving, "_fence", lambda view: {}, ""),
    "a watch that is lost is not noticed": (Node, "_poll", lambda node, life: node.look(), ""),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_in_one_point_is_noticed(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each decision is made wrong in turn, and some simulation fails for it, in the words for that."""
    place, name, value, words = WRONG[wrong]
    monkeypatch.setattr(place, name, value)
    for seed in range(150):
        found = failure(seed)
        if found is not None:
            assert re.search(words, found)
            return
    pytest.fail("nothing was noticed")


def failure(seed: int) -> str | None:
    """Return what a simulation fails for; None if it does not."""
    try:
        fleet_simulation.simulate(seed, nodes=8)
    except AssertionError as error:
        return str(error)
    return None
