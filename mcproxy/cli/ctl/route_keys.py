"""The keys of a route's table as options of `mcproxyctl`: each as it is declared for the file."""

import sys
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from mcproxy.cli.common.command_line import Option, Parameter
from mcproxy.model.state.route_options import RouteOptions, description
from mcproxy.model.values import durations, hostnames, paths

_DECLARED: dict[str, Any] = get_type_hints(RouteOptions, include_extras=True)
_METAVARS = {durations: "DURATION", hostnames: "NAME", paths: "FILE"}


def parameters() -> Sequence[Parameter]:
    """Return an option for each key; one that is not given is None."""
    return [_parameter(name) for name in _DECLARED]


def is_path(name: str) -> bool:
    """Tell whether a key names a file."""
    return "locate" in _marks(name)


def _parameter(name: str) -> Parameter:
    text = description(name).partition(" Default ")[0].replace(", relative to this file", "")
    kind = _DECLARED[name].__origin__
    if kind is bool:
        return Parameter(name, Option(help=text), bool, many=False, default=None)
    if kind is int:
        return Parameter(name, Option(metavar="N", help=text), int, many=False, default=None)
    complete: str | tuple[str, ...] = "file" if is_path(name) else ""
    metavar = "TEXT"
    if get_origin(kind) is Literal:
        complete, metavar = get_args(kind), "|".join(get_args(kind))
    elif parse := _marks(name).get("parse"):
        metavar = _METAVARS.get(sys.modules[parse.__module__], metavar)
    return Parameter(name, Option(metavar=metavar, help=text, complete=complete), str, many=False, default=None)


def _marks(name: str) -> dict[str, Any]:
    """Return how a key is read from a string in the file; nothing where it is none."""
    return {
        mark: value
        for meta in _DECLARED[name].__metadata__
        if isinstance(meta, msgspec.Meta)
        for mark, value in (meta.extra or {}).items()
    }
