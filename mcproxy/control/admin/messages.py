"""The answers of the admin API, as its messages."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.counters.route_health import RouteHealth, Trouble
from mcproxy.control.counters.totals import RouteTotals
from mcproxy.control.files.contents import StandIn
from mcproxy.control.guard.facts import GuardFacts
from mcproxy.control.reconcile.change.request import ChangeResult
from mcproxy.control.reconcile.events import ControlEvent
from mcproxy.control.store.ledger import AuditEntry, Record
from mcproxy.control.store.revisions import Revision
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.judging import Violation
from mcproxy.model.edits.overlay import Difference
from mcproxy.model.edits.requests import edit_name
from mcproxy.model.edits.stored import fields_of
from mcproxy.model.fleet.records import is_shared
from mcproxy.model.state.filter_options import Page
from mcproxy.model.state.kinds import Resource, name_of, origin_key
from mcproxy.model.state.plan import differing
from mcproxy.model.state.route_options import RouteOptions
from mcproxy.model.state.state import Listener, Policy, Route, RouteKey, State
from mcproxy.model.state.upstream_options import Check
from mcproxy.model.values import paths
from mcproxy.model.values.origins import Key, Origin
from mcproxy.model.values.quoting import quote
from mcproxy.policy.fleet.facts import FleetFacts

ROUTE_FIELDS = ("backend", *RouteOptions.__struct_fields__)
"""The fields that a route has beside its key, in messages as in the file."""


_FAILING = 20  # routes that fail, or whose certificate expires, that the status names
_SOON = 14 * 86_400.0  # seconds
_SUBJECTS_SHOWN = 20  # routes and listeners of a watch


class Provenances:
    """Where each resource comes from: the files' declarations, and the edits that stand."""

    def __init__(self, origins: Mapping[Key, Origin], standing: Iterable[Edit]) -> None:
        self._origins = origins
        self._edits = {origin_key(edit.kind, edit.key): edit.id for edit in standing}

    def of(self, *key: str) -> pb.Provenance:
        """Return the name of the resource with this key, its kind first."""
        origin = self._origins.get(key)
        return pb.Provenance(origin="" if origin is None else str(origin), edit_id=self._edits.get(key, 0))


def route(resource: Route, policies: Iterable[Policy], provenances: Provenances) -> pb.Route:
    """Return a route with its policies, counters aside."""
    page = resource.respond if isinstance(resource.respond, Page) else None
    fields = {
        **fields_of(resource),
        "backend": str(resource.backend),
        "respond": "" if page else resource.respond,
        "tls_cert": ", ".join(paths.each_of(resource.tls_cert)),
        "tls_key": ", ".join(paths.each_of(resource.tls_key)),
        "names": ", ".join(resource.names),
    }
    return pb.Route(
        listener=resource.listener,
        hostname=resource.hostname,
        **{name: fields[name] for name in ROUTE_FIELDS},
        respond_file=page.file if page else "",
        l7_policies=[policy(each, provenances) for each in policies],
        provenance=provenances.of("route", resource.listener, resource.hostname),
    )


def listener_fields(resource: Listener) -> dict[str, Any]:
    """Return the fields of a listener's own settings."""
    real_ip = resource.real_ip
    told = None if real_ip is None else pb.RealIp(header=real_ip.header, networks=real_ip.from_)
    fields = msgspec.structs.asdict(resource)
    del fields["tls"]  # as of routes, ListResources tells
    return {**fields, "real_ip": told}


def count_errors(message: pb.Route, counted: RouteTotals) -> None:
    """Add to a route what went wrong on it."""
    failures = counted.failures
    message.errors_total = sum(failures.values())
    message.errors.update(failures)
    message.client_aborts.update(counted.of("client"))
    message.grpc_requests.update(counted.grpc)


def add_trouble(message: pb.Route, trouble: Trouble | None) -> None:
    """Add to a route what failed on it last, and since when it fails."""
    if trouble is not None:
        _add_last_error(message, trouble)
        if trouble.since:
            message.failing_since.FromDatetime(_moment(trouble.since))


def add_failing(response: pb.GetStatusResponse, health: RouteHealth, routes: Mapping[RouteKey, Route]) -> None:
    """Add the routes that fail."""
    response.failing_routes_total = len(health.failing)
    for key, trouble in list(health.failing.items())[:_FAILING]:
        if key in routes:
            backend, errors = str(routes[key].backend), health.errors_of(key)
            message = response.failing_routes.add(listener=key[0], hostname=key[1], backend=backend, errors=errors)
            message.since.FromDatetime(_moment(trouble.since))
            _add_last_error(message, trouble)


def add_expiring(response: pb.GetStatusResponse, ends: Mapping[RouteKey, float], now: float) -> None:
    """Add the certificates that expire soon; ``ends`` is when, by route."""
    soon = sorted((end, key) for key, end in ends.items() if end - now < _SOON)
    for end, (addr, hostname) in soon[:_FAILING]:
        response.expiring_certificates.add(listener=addr, hostname=hostname).not_after.FromDatetime(_moment(end))


def _add_last_error(message: pb.Route | pb.FailingRoute, trouble: Trouble) -> None:
    message.last_error = str(trouble.failure)
    message.last_error_time.FromDatetime(_moment(trouble.time))


def policy(resource: Policy, provenances: Provenances) -> pb.L7Policy:
    """Return a policy, its counter aside."""
    key = (resource.listener, resource.hostname, resource.type, resource.value)
    return pb.L7Policy(
        **msgspec.structs.asdict(resource),
        provenance=provenances.of("policy", *key),
    )


def edit(edit: Edit) -> pb.Edit:
    """Return a runtime edit."""
    message = pb.Edit(
        id=edit.id,
        kind=edit.kind,
        target=name_of(edit.kind, edit.key),
        tombstone=edit.tombstone,
        value_json=_json(edit.value),
        author=edit.author,
        reason=edit.reason,
    )
    message.created.FromDatetime(_moment(edit.created))
    if edit.expires is not None:
        message.expires.FromDatetime(_moment(edit.expires))
    return message


def done(result: ChangeResult) -> pb.MutationResponse:
    """Return the answer to a request that changed something."""
    message = pb.MutationResponse(
        generation=result.generation,
        edits=map(edit, result.edits),
        warnings=map(violation, result.warnings),
        plan=result.plan,
        confirm_id=result.confirm_id,
        dry_run=result.dry_run,
    )
    if result.confirm_by:
        message.confirm_by.FromDatetime(_moment(result.confirm_by))
    if result.guarded_until:
        message.guarded_until.FromDatetime(_moment(result.guarded_until))
    return message


def violation(violation: Violation) -> pb.Violation:
    """Return what is wrong or doubtful about a field."""
    return pb.Violation(field=violation.field, message=violation.message)


def difference(difference: Difference, origins: Mapping[Key, Origin], *, in_fleet: bool = False) -> pb.Difference:
    """Return a difference; ``origins`` are those of the files, or of the document ``in_fleet``."""
    alone = in_fleet and not is_shared(difference.edit.id)
    kind, key = difference.kind, difference.key
    declared, effective = difference.declared, difference.effective
    action = "added" if declared is None else "removed" if effective is None else "changed"
    origin = origins.get(origin_key(kind, key))
    name = name_of(kind, key)
    if difference.suspended:
        summary = f"{name}: an edit without effect: {difference.suspended}"
    elif action == "changed":
        summary = f"{name}: {_changed_fields(declared, effective)}"
    else:
        summary = f"{name}: {'not in the file' if action == 'added' else 'removed, though the file declares it'}"
    return pb.Difference(
        kind=kind,
        target=name,
        action="suspended" if difference.suspended else action,
        declared_json=_json(declared),
        effective_json=_json(effective),
        origin="" if origin is None else str(origin),
        edit=edit(difference.edit),
        suspended=difference.suspended,
        summary=f"{summary} ({edit_name(difference.edit)}{', on this node alone' if alone else ''})",
        node_alone=alone if in_fleet else None,
    )


def revision(revision: Revision) -> pb.Revision:
    """Return a generation of the history."""
    message = pb.Revision(
        generation=revision.generation,
        origin=revision.origin,
        author=revision.author,
        file_sha256=revision.file_sha256,
        summary=revision.summary,
        label=revision.label,
    )
    message.time.FromDatetime(_moment(revision.time))
    return message


def record(record: Record) -> pb.EditRecord:
    """Return something that happened to an edit."""
    message = pb.EditRecord(
        id=record.id,
        event=record.event,
        detail=record.detail,
        audit_id=record.audit_id or 0,
        edit=edit(record.edit),
    )
    message.time.FromDatetime(_moment(record.time))
    return message


def audit_entry(entry: AuditEntry) -> pb.AuditEntry:
    """Return a request and what became of it."""
    mutation = entry.mutation
    message = pb.AuditEntry(
        id=entry.id,
        action=mutation.action,
        target=mutation.target,
        author=mutation.author,
        verified=mutation.verified,
        reason=mutation.reason,
        request_id=mutation.request_id,
        request_json=mutation.request,
        outcome=entry.outcome,
        detail=entry.detail,
    )
    message.time.FromDatetime(_moment(mutation.time))
    return message


def event(event: ControlEvent) -> pb.Event:
    """Return something that happened."""
    message = pb.Event(
        id=event.id,
        kind=event.kind,
        message=event.message,
        generation=event.generation,
        lines=event.lines,
        label=event.label,
    )
    message.time.FromDatetime(_moment(event.time))
    return message


def state_json(state: State) -> str:
    """Return a state as JSON: upstreams with their endpoints, filters, listeners with their routes and those with policies and cases, rules, settings."""
    policies: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for policy in state.policies.values():
        policies.setdefault((policy.listener, policy.hostname), []).append(fields_of(policy))
    cases: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _, case in sorted(state.cases.items()):
        cases.setdefault((case.listener, case.hostname), []).append(fields_of(case))
    routes: dict[str, list[dict[str, Any]]] = {}
    for key, route in sorted(state.routes.items()):
        children = {"l7_policies": policies.get(key, []), "cases": cases.get(key, [])}
        routes.setdefault(key[0], []).append({**fields_of(route), **children})
    endpoints: dict[str, list[dict[str, Any]]] = {}
    for _, endpoint in sorted(state.endpoints.items()):
        endpoints.setdefault(endpoint.upstream, []).append(fields_of(endpoint))
    tree = {
        "upstreams": {
            name: {**fields_of(upstream), "endpoints": endpoints.get(name, [])}
            for name, upstream in sorted(state.upstreams.items())
        },
        "filters": {name: fields_of(named) for name, named in sorted(state.filters.items())},
        "listeners": [
            {**fields_of(listener), "routes": routes.get(addr, [])}
            for addr, listener in sorted(state.listeners.items())
        ],
        "firewall": [fields_of(rule) for _, rule in sorted(state.rules.items())],
        "settings": dict(sorted(state.settings.items())),
    }
    return msgspec.json.encode(tree).decode()


def _changed_fields(declared: Resource | None, effective: Resource | None) -> str:
    """Return what differs, for people."""
    if isinstance(declared, msgspec.Struct) and isinstance(effective, msgspec.Struct):
        was, now = fields_of(declared), fields_of(effective)
        return ", ".join(
            f"{name}: {_field(was, declared, name)} -> {_field(now, effective, name)}"
            for name in differing(declared, effective)
        )
    return f"{_shown(declared)} -> {_shown(effective)}"


def _field(fields: Mapping[str, Any], resource: msgspec.Struct, name: str) -> str:
    """Return a field as the file has it, or its default; what is empty has a word of its own."""
    value = getattr(resource, name)
    if value is None:
        return "none"
    if isinstance(value, Check):  # without its type one that is all defaults would look like none
        return _json({"type": value.type, **fields.get(name, {})})
    return _shown(fields.get(name, value)) or "[]"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else _json(value)


def _json(value: object) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def broken_file(one: StandIn) -> pb.BrokenFile:
    """Return a file that is broken, and has its last good content in its place."""
    listener, hostname = one.route or ("", "")
    key = f"{one.owner[0]}s.{one.owner[1]}.{one.name}" if one.owner and not one.route else one.name
    if one.owner and one.owner[0] == "case":
        key = f"cases.{quote(one.owner[-1])}.{one.name}"
    return pb.BrokenFile(listener=listener, hostname=hostname, key=key, message=one.message)


def add_fleet(response: pb.GetStatusResponse, facts: FleetFacts) -> None:
    """Add how this node of a fleet does, if it is one."""
    if not facts.node:
        return
    message = response.fleet
    message.node, message.prefix, message.revision = facts.node, facts.prefix, facts.revision
    if facts.document is not None and facts.document.revision == facts.revision:
        message.label = facts.document.label
    message.canary = facts.role == "canary"
    message.fleet_revision = 0 if facts.fleet is None else facts.fleet.revision
    message.connected, message.why = facts.connected, facts.why
    message.since.FromMilliseconds(int(facts.since * 1000))
    message.problems.extend(facts.problems)
    message.nodes = len(facts.nodes)
    message.nodes_off = sum(state != "current" for state in facts.nodes.values())
    message.tried_revision = 0 if facts.rollout is None else facts.rollout.header.revision
    if facts.returned is not None:
        message.returned_revision, message.returned_why = facts.returned.header.revision, facts.returned.why


def add_guard(response: pb.GetStatusResponse, facts: GuardFacts) -> None:
    """Add what is watched, and what was undone last."""
    for one in facts.watches:
        message = response.guards.add(
            generation=one.generation,
            touched=one.touched[:_SUBJECTS_SHOWN],
            touched_total=len(one.touched),
            answered=one.answered,
            errors=one.errors,
        )
        message.until.FromMilliseconds(int(one.until * 1000))
    verdict = facts.undone
    if verdict is not None:
        last = response.last_guarded
        last.generation, last.outcome, last.detail = verdict.generation, verdict.outcome, verdict.detail
        last.time.FromMilliseconds(int(verdict.time * 1000))
