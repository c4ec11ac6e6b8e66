"""How many nodes run the document of a rollout in each of its steps, and which."""

import math
from itertools import pairwise

from mcproxy.errors import PreconditionError
from mcproxy.model.fleet.records import Rollout
from mcproxy.model.fleet.view import FleetView


def parse_steps(text: str) -> tuple[str, ...]:
    """Return the steps of ``1,25%,100%``.

    Raises:
        ValueError: one is neither a number of nodes nor a share of them, or is less than the one before it.
    """
    steps = tuple(part.strip() for part in text.split(","))
    for step in steps:
        _amount(step)
    for before, after in pairwise(steps):
        if before.endswith("%") == after.endswith("%") and _amount(after) <= _amount(before):
            raise ValueError(f"the step {after} after {before} is no step forward")
        if before.endswith("%") and not after.endswith("%"):
            raise ValueError(f"the step {after} after {before}: after a share of the nodes come larger shares")
    return steps


def number(step: str, nodes: int) -> int:
    """Return how many of so many nodes a step takes: shares are rounded up."""
    share = _amount(step)
    if step.endswith("%"):
        return min(nodes, math.ceil(nodes * share / 100))
    return min(nodes, int(share))


def canaries(view: FleetView, rollout: Rollout) -> tuple[str, ...]:
    """Return the nodes that are to run the document of a rollout in its present step.

    Those that do already stay, then come those that are named, then the others by name, but for those that have an error of their own: they can't judge, and
    would keep everybody from the document for what it has not brought about. They run it when all do.

    Raises:
        PreconditionError: there is no node for it, or a named one is away.
    """
    away = [name for name in rollout.named if name not in view.nodes and name not in rollout.nodes]
    if away:
        raise PreconditionError(f"there is no node {', '.join(away)} in the fleet now; there {_present(view)}")
    others = sorted(name for name, node in view.nodes.items() if not node.error) or sorted(view.nodes)
    ranked = list(dict.fromkeys((*rollout.nodes, *rollout.named, *others)))
    wanted = max(number(rollout.steps[rollout.step], len(ranked)), len(rollout.nodes), len(rollout.named))
    if not wanted or not ranked:
        raise PreconditionError("no node of the fleet is there now, so none can try the document")
    return tuple(ranked[:wanted])


def _present(view: FleetView) -> str:
    names = sorted(view.nodes)
    if not names:
        return "is none"
    return f"{'are' if len(names) > 1 else 'is'} {', '.join(names[:20])}" + (" and more" if len(names) > 20 else "")


def _amount(step: str) -> float:
    text = step.removesuffix("%")
    if step.endswith("%"):
        if text.isascii() and text.replace(".", "", 1).isdigit() and 0 < float(text) <= 100:
            return float(text)
        raise ValueError(f"{step!r} is no share of the nodes: write 1% to 100%")
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise ValueError(f"{step!r} is neither a number of nodes, such as 1, nor a share of them, such as 25%")
