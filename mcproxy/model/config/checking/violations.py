"""Rules over several resources (`state.rules`) that the files break, each told at the key that asks for what can't be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from mcproxy.model.config.checking.declarations import Place
from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem, path_of
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.state.rules import violations as rules
from mcproxy.model.state.rules.violation import ResourceId, RuleViolation
from mcproxy.model.state.state import State
from mcproxy.model.values.origins import Key


def check_rules(
    state: State, places: Mapping[Key, Place], documents: Sequence[Document], *, complete: bool
) -> Iterator[Problem]:
    """Return the violations of rules over several resources, each once at the key that asks for what can't be."""
    told: set[tuple[str, KeyPath, str]] = set()
    for violation in rules.violations(state):
        if violation.rule == "no_certificate":  # told with the keys of the route
            continue
        if violation.rival is None and not _are_sure(violation, places, documents, complete=complete):
            continue
        document, path = _place(violation, places)
        message = violation.message
        if violation.rival is not None:
            other, place = _asking(places, violation.rival)
            message = f"{message} at {other.origin(place)}"
        elif violation.told and document.source.path:
            where = [_within(places, resource, key) for resource, key in violation.told]
            message += f" ({' and '.join(str(other.origin(place)) for other, place in where)})"
        if (document.source.path, path, message) not in told:
            told.add((document.source.path, path, message))
            yield document.value_problem(path, message)


def _place(violation: RuleViolation, places: Mapping[Key, Place]) -> Place:
    """Return where a violation is told."""
    if not violation.field:
        return _asking(places, violation.subject)
    document, path = _within(places, violation.subject, violation.field)
    if not violation.item:
        return document, path
    named: Any = document.config
    for part in path:
        named = named[cast("Any", part)] if isinstance(named, tuple | dict) else getattr(named, str(part))
    if isinstance(named, tuple) and violation.item in named:
        return document, (*path, named.index(violation.item))
    return document, path


def _within(places: Mapping[Key, Place], resource: ResourceId, field: str) -> Place:
    """Return the place of a resource's key, of a table within it with dots."""
    document, path = places[origin_key(*resource)]
    return document, (*path, *path_of(field))


def _are_sure(
    violation: RuleViolation, places: Mapping[Key, Place], documents: Sequence[Document], *, complete: bool
) -> bool:
    """Tell whether routes are known to be l4, and settings and upstreams to be missing."""
    if violation.rule in ("unknown_upstream", "unknown_filter"):
        table = f"{violation.others[0][0]}s"
        return complete and all(_knows(document, table) for document in documents)
    if violation.rule == "no_endpoints":
        document, path = places[origin_key(*violation.subject)]
        return document.names(*path, "endpoints") and document.is_sure(*path, "endpoints")
    if violation.rule in ("cookie_on_l4", "filter_on_l4"):
        document, path = places[origin_key(*violation.subject)]
        return document.is_sure(*path, "mode")
    if violation.rule in ("client_auth_without_ca", "names_without_certificates"):
        document, path = places[origin_key(*violation.subject)]
        return document.is_sure(*path, "tls") and document.is_sure(*path, "mode")
    if violation.rule in ("no_ca", "unfit_name"):
        document, path = places[origin_key(*violation.subject)]
        is_sure = all(document.is_sure(*path, name) for name in ("certificate", "mode", "hostname", "names"))
        return (
            is_sure
            and complete
            and all(document.is_sure("acme") and document.is_sure("acme", "challenge") for document in documents)
        )
    if violation.rule in ("route_on_tcp", "modifier_twice", "header_to_auth"):
        return True
    if violation.rule == "route_on_http":
        document, path = places[origin_key(*violation.subject)]
        return document.is_sure(*path, violation.field)
    for kind, key in violation.others:
        if kind == "setting":
            if not complete or not all(document.is_sure(*str(key).split(".")) for document in documents):
                return False
        else:
            document, path = places[origin_key(kind, key)]
            if not document.is_sure(*path, "mode"):
                return False
    return True


def _asking(places: Mapping[Key, Place], resource: ResourceId) -> Place:
    """Return the key by which the files ask for a resource: of a table its name, of an item the list."""
    document, path = places[origin_key(*resource)]
    names = {"listener": "addr", "route": "backend", "upstream": "endpoints", "case": "match"}
    if resource[0] in ("setting", "filter"):
        return document, path
    return document, (*path, names[resource[0]]) if resource[0] in names else path[:-1]


def _knows(document: Document, table: str) -> bool:
    """Tell whether the names of all upstreams, or filters, of a file are right."""
    return not any(doubt[:1] == (table,) and len(doubt) <= 2 for doubt in document.doubts)
