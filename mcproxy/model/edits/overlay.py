"""File against runtime edits, three ways: what the file says, what it said when an edit was made, and the edit.

The file wins whenever it speaks; an edit lasts until the file says something new about the same resource, until it
expires, or until it is reverted. Each edit is judged anew on every look at the file, in this order:

==========================================================  =========================================================
its time is over                                            expired
the file's declaration is not that of the edit's base       superseded: the file changed, removed or newly declared it
its listener or route is not there                          suspended, and orphaned
that is back, but not as it was                             superseded
the files it names are not right                            suspended
the rest of the effective state excludes it                 suspended, until that ends
none of these                                               it stands
==========================================================  =========================================================

The last but one keeps a valid file valid: where file and edit contradict each other over different resources (two
listeners that overlap, a policy on a route that the file made l4, a route to an upstream that the file removed, the removal
of one that a route of the file leads to, or of the last endpoint), the file wins too, but has said nothing about the
edit's own resource. What `merge` returns is a fixed point: merging the edits it kept gives the same again.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from mcproxy.model.edits.edit import Edit, base_hash, parent_hash
from mcproxy.model.state import kinds
from mcproxy.model.state.diff import diff
from mcproxy.model.state.kinds import KINDS, KindName, Resource, ResourceKey
from mcproxy.model.state.rules.violation import ResourceId, Rule
from mcproxy.model.state.rules.violations import violations
from mcproxy.model.state.state import State

# Settings that only make sense together, so that edits of them stand or fall together.
_TOGETHER = frozenset({"grpc.addr", "grpc.tls_cert", "grpc.tls_key", "grpc.client_ca", "metrics.addr"})


_HARMLESS: Rule = "nobody_allowed"  # without the edit everybody could connect, who is denied now
_LATER: tuple[Rule, ...] = (
    *("cookie_on_l4", "no_endpoints", "route_on_tcp", "route_on_http", "no_certificate"),
    *("filter_on_l4", "modifier_twice", "header_to_auth", "filter_without_database"),
    *("client_auth_without_ca", "names_without_certificates"),
)
_DATABASE = "firewall.geoip_db"
_INVOLVED: tuple[KindName, ...] = ("upstream", "endpoint", "filter", "listener", "route", "case")
_OF_ALL: tuple[Rule, ...] = ("unknown_upstream", "unknown_filter", *_LATER)


class Verdict(msgspec.Struct, frozen=True):
    """An edit that is not in effect, and why not, for the operator."""

    edit: Edit
    why: str


class Merged(msgspec.Struct, frozen=True):
    """What file and edits mean together.

    Attributes:
        state: what should run.
        standing: the edits that are in effect.
        superseded: those over which the file won; they are over.
        suspended: those that are kept, but can't be in effect now.
        expired: those whose time is over.
    """

    state: State
    standing: tuple[Edit, ...]
    superseded: tuple[Verdict, ...] = ()
    suspended: tuple[Verdict, ...] = ()
    expired: tuple[Edit, ...] = ()

    @property
    def kept(self) -> tuple[Edit, ...]:
        """The edits to keep, by id, each with what it has to remember of its parent."""
        edits = (*self.standing, *(verdict.edit for verdict in self.suspended))
        return tuple(sorted(edits, key=lambda edit: edit.id))

    @property
    def next_expiry(self) -> float | None:
        """When the next of the kept edits expires, in seconds since the epoch; None if none ever does."""
        return min((edit.expires for edit in self.kept if edit.expires is not None), default=None)


class Difference(msgspec.Struct, frozen=True):
    """A resource that is not as the file says, or an edit that can't make it so.

    Attributes:
        kind, key: the resource.
        declared: what the file says; None if it does not declare it.
        effective: what runs; None if it is removed.
        edit: whose doing it is; for a child of a removed resource, the edit that removed the parent.
        suspended: why the edit has no effect; "" when it has.
    """

    kind: KindName
    key: ResourceKey
    declared: Resource | None
    effective: Resource | None
    edit: Edit
    suspended: str = ""


def merge(file: State, edits: Sequence[Edit], now: float, unusable: Mapping[int, str] | None = None) -> Merged:
    """Return what file and edits mean together.

    Args:
        file: what the file says.
        edits: at most one of each resource, in any order.
        now: seconds since the epoch.
        unusable: ids of edits that can't be in effect because of the files they name, with why.
    """
    expired: list[Edit] = []
    superseded: list[Verdict] = []
    judging: list[Edit] = []
    for edit in sorted(edits, key=_order):
        if edit.expires is not None and edit.expires <= now:
            expired.append(edit)
        elif why := overruled(file, edit):
            superseded.append(Verdict(edit, why))
        else:
            judging.append(edit)
    held: dict[ResourceId, Verdict] = {}
    while True:
        draft = _Draft(file, unusable or {})
        judged = [edit for edit in judging if (edit.kind, edit.key) not in held]
        # What frees something comes before what may need it, parents come before children. A tombstone depends on its
        # parents alone, and the mode of a route must suit those of its policies that no tombstone removes.
        for kind in KINDS:
            draft.remove(edit for edit in judged if edit.kind == kind.name and edit.value is None)
        for kind in KINDS:
            draft.add(edit for edit in judged if edit.kind == kind.name and edit.value is not None)
        excluded = draft.excluded()
        if not excluded:
            break
        held |= excluded
    return Merged(
        draft.state(),
        tuple(draft.standing),
        (*superseded, *draft.superseded),
        (*held.values(), *draft.suspended),
        tuple(expired),
    )


def drift(merged: Merged, file: State) -> tuple[Difference, ...]:
    """Return what differs from the file and why: first what is in effect, in the order of a plan, then suspended edits.

    Args:
        merged: of this very file.
        file: what the file says.
    """
    standing = {(edit.kind, edit.key): edit for edit in merged.standing}
    differences = []
    for change in diff(file, merged.state):
        owner = next((owner for owner in kinds.lineage(change.kind, change.key) if owner in standing), None)
        if owner is None:
            raise ValueError(f"no edit accounts for the {change.kind} {change.key!r}: this is another file's merge")
        differences.append(Difference(change.kind, change.key, change.old, change.new, standing[owner]))
    for edit, why in ((verdict.edit, verdict.why) for verdict in merged.suspended):
        declared, effective = (kinds.table_of(state, edit.kind).get(edit.key) for state in (file, merged.state))
        differences.append(Difference(edit.kind, edit.key, declared, effective, edit, why))
    return tuple(differences)


def overruled(file: State, edit: Edit) -> str:
    """Return what a file has said anew about an edit's resource since the edit was made; "" for nothing."""
    declared = base_hash(kinds.table_of(file, edit.kind).get(edit.key))
    if declared == edit.base:
        return ""
    if declared is None:
        return "the file removed it"
    return "the file declares it now" if edit.base is None else "the file changed it"


class _Draft:
    """The effective state in the making, and the verdicts so far."""

    def __init__(self, file: State, unusable: Mapping[int, str]) -> None:
        self._file = file
        self._unusable = unusable
        self._tables: dict[KindName, dict[Any, Any]] = {
            kind.name: dict(kinds.table_of(file, kind.name)) for kind in KINDS
        }
        self._draft = self.state()
        self.standing: list[Edit] = []
        self.suspended: list[Verdict] = []
        self.superseded: list[Verdict] = []

    def state(self) -> State:
        """Return the state as it is now; later edits show in it."""
        return kinds.from_tables(self._tables)

    def remove(self, edits: Iterable[Edit]) -> None:
        """Make tombstones of one kind effective, unless their parents are gone."""
        for edit in edits:
            seen = self._with_parent(edit)
            if seen is not None:
                self.standing.append(seen)
                self._remove(seen.kind, seen.key)

    def add(self, edits: Iterable[Edit]) -> None:
        """Judge edits of one kind, and make those effective that stand."""
        judged: dict[ResourceId, tuple[Edit, Resource | None]] = {}  # with the value that was in effect before
        for edit in edits:
            seen = self._with_parent(edit)
            if seen is None:
                continue
            if edit.id in self._unusable:
                self.suspended.append(Verdict(seen, self._unusable[edit.id]))
                continue
            table = self._tables[edit.kind]
            judged[edit.kind, edit.key] = (seen, table.get(edit.key))
            table[edit.key] = edit.value
        while judged and self._suspend(judged):
            pass
        self.standing += (edit for edit, _ in judged.values())

    def excluded(self) -> dict[ResourceId, Verdict]:
        """Return edits of upstreams, listeners and routes that exclude each other, or what the file's need.

        Only the whole State tells: edits may change a route and its upstream or listener at once. Of two edits the later one is told.
        """
        standing: dict[ResourceId, Edit] = {(edit.kind, edit.key): edit for edit in self.standing}
        found: dict[ResourceId, Verdict] = {}
        involved: set[ResourceId] = set()
        if not any(kind in _INVOLVED or key == _DATABASE for kind, key in standing):
            return found
        for violation in violations(self._draft):
            edits = [resource for resource in violation.resources if resource in standing]
            if violation.rule == "no_endpoints":
                edits = _removed(violation.subject, standing) or edits
            if violation.rule not in _OF_ALL or not edits or not involved.isdisjoint(edits):
                continue
            latest = max(edits, key=lambda resource: _order(standing[resource]))
            found[latest] = Verdict(standing[latest], violation.reason(latest))
            involved.update(edits)
        return found

    def _suspend(self, judged: dict[ResourceId, tuple[Edit, Resource | None]]) -> bool:
        """Take edits back that break a rule, of two that exclude each other the later; tell whether there was any.

        Without them, others may break a rule, or none any more: so this is done until nothing is left to be done.
        """
        taken_back: set[ResourceId] = set()
        order = {resource: place for place, resource in enumerate(judged)}
        for violation in tuple(violations(self._draft)):
            if violation.rule in (_HARMLESS, *_LATER):
                continue
            involved = [resource for resource in violation.resources if resource in order]
            if not involved or not taken_back.isdisjoint(involved):
                continue
            latest = max(involved, key=order.__getitem__)
            for kind, key in _standing_together(latest, judged):
                edit, before = judged.pop((kind, key))
                if before is None:
                    del self._tables[kind][key]
                else:
                    self._tables[kind][key] = before
                self.suspended.append(Verdict(edit, violation.reason(latest)))
                taken_back.add((kind, key))
        return bool(taken_back)

    def _with_parent(self, edit: Edit) -> Edit | None:
        """Return the edit with what it has to remember of its parent; None if its parent decided about it."""
        parent = kinds.parent_of(edit.kind, edit.key)
        if parent is None:
            return edit
        name = kinds.name_of(*parent)
        present = parent_hash(self._file, self._draft, edit.kind, edit.key)
        if present is None:
            self.suspended.append(Verdict(_remembering(edit, edit.parent, orphaned=True), f"there is no {name}"))
            return None
        if edit.orphaned and present != edit.parent:
            self.superseded.append(Verdict(edit, f"the {name} came back with other content"))
            return None
        return _remembering(edit, present, orphaned=False)

    def _remove(self, kind: KindName, key: ResourceKey) -> None:
        """Remove a resource with its children."""
        self._tables[kind].pop(key, None)
        for child, other in self._children[kind, key]:
            self._remove(child, other)

    @cached_property
    def _children(self) -> Mapping[ResourceId, Sequence[ResourceId]]:
        """What belongs to each of the file's resources; what only edits added comes after all removals."""
        children: defaultdict[ResourceId, list[ResourceId]] = defaultdict(list)
        for kind in KINDS:
            for key in kinds.table_of(self._file, kind.name) if kind.parent else ():
                parent = kinds.parent_of(kind.name, key)
                if parent is not None:
                    children[parent].append((kind.name, key))
        return children


def _order(edit: Edit) -> float:
    """Return what edits are sorted by: their ids, and last those that are only proposed and have none yet."""
    return edit.id or math.inf


def _removed(upstream: ResourceId, standing: Mapping[ResourceId, Edit]) -> list[ResourceId]:
    """Return the endpoints of an upstream that edits remove."""
    return [
        resource
        for resource, edit in standing.items()
        if edit.kind == "endpoint" and edit.value is None and kinds.parent_of(*resource) == upstream
    ]


def _standing_together(resource: ResourceId, edited: Iterable[ResourceId]) -> tuple[ResourceId, ...]:
    """Return which of the edited resources stand or fall with this one of them."""
    if resource[1] not in _TOGETHER:
        return (resource,)
    return tuple(other for other in edited if other[1] in _TOGETHER)


def _remembering(edit: Edit, parent: str | None, *, orphaned: bool) -> Edit:
    if edit.parent == parent and edit.orphaned == orphaned:
        return edit
    return msgspec.structs.replace(edit, parent=parent, orphaned=orphaned)
