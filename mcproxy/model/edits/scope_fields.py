"""What a request says of a named filter, or of a case, judged as if it stood in the file."""

from collections.abc import Mapping
from typing import Any

from mcproxy.model.edits.judging import Checked, judge
from mcproxy.model.edits.stored import fields_of
from mcproxy.model.edits.surroundings import around, listener_around
from mcproxy.model.state.state import Case, CaseKey, Filter, State


def check_filter(live: State, name: str, fields: Mapping[str, Any], folder: str) -> Checked[Filter]:
    """Return a named filter; whether it suits the places that use it, the whole State tells.

    Args:
        live: what is in effect.
        name: the filter's, canonical.
        fields: the keys of ``[filters.NAME]``.
        folder: absolute; relative paths become absolute by it.
    """
    document = around(live, "", fields)
    return judge(
        {**document, "filters": {name: dict(fields)}},
        ("filters", name),
        "name",
        folder,
        lambda state: state.filters[name],
    )


def check_case(live: State, key: CaseKey, fields: Mapping[str, Any], folder: str) -> Checked[Case]:
    """Return a case of a route that exists.

    Args:
        live: what is in effect.
        key: the case's, canonical.
        fields: the keys of ``[[listeners.routes.cases]]`` but those of its match.
        folder: absolute; relative paths become absolute by it.
    """
    addr, hostname, match = key
    route = {**fields_of(live.routes[addr, hostname]), "cases": [{**fields, "match": match}]}
    return judge(
        {**around(live, addr, route, fields), "listeners": [{**listener_around(live, addr), "routes": [route]}]},
        ("listeners", 0, "routes", 0, "cases", 0),
        "match",
        folder,
        lambda state: state.cases[key],
    )
