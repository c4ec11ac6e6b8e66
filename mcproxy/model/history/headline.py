"""What a plan does in one line for the history and the log: which resources, and which keys of them."""

from collections.abc import Iterable

import msgspec

from mcproxy.model.state.plan import Operation, Plan, differing, named, said
from mcproxy.model.state.state import Case, Route

_NAMED = 3  # resources that are told by name
_KEYS = 4  # keys of one that are
_LONGEST = 120  # characters of what is told of one resource
_DONE = {"add": "added", "change": "changed", "remove": "removed"}


def headline(plan: Plan) -> str:
    """Return one line such as ``route :443 app.example.com: backend changed``; of several the first few, ``and 12 more``.

    Settings stand behind the resources that clients meet; those that merely have their default do not count.
    """
    told = sorted(plan.told(), key=lambda operation: operation.change.kind == "setting")
    more = [f"and {len(told) - _NAMED} more"] if len(told) > _NAMED else []
    return ", ".join([*map(_one, told[:_NAMED]), *more]) or "no changes"


def listed(words: Iterable[str], before: str = "", most: int = _NAMED) -> str:
    """Return ``before`` and the first few words, and how many more there are; "" for none."""
    every = list(words)
    more = [f"and {len(every) - most} more"] if len(every) > most else []
    return before + ", ".join([*every[:most], *more]) if every else ""


def _one(operation: Operation) -> str:
    change = operation.change
    name, old, new = named(change), change.old, change.new
    if change.kind == "setting" and new is not None:
        text = f"{name}: {said(change)}"
        if len(text) <= _LONGEST:
            return text
    if isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct):
        leads = isinstance(new, Route | Case)
        keys = ["backend" if leads and key == "endpoints" else key for key in differing(old, new)]
        return f"{_cut(name)}: {listed(keys, most=_KEYS)} changed"
    return f"{_cut(name)} {_DONE[change.action]}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
