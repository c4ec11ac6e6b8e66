"""What a request says of a resource, in the words of the config file, judged as if it stood there.

The fields of a resource go through the walker and the checks that the file goes through, in a
small document of their own with as much of the live state around them as those checks look at. So a request gets the
same canonical values and the same messages as the file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from mcproxy.model.config import resolve, walker
from mcproxy.model.config import schema as config
from mcproxy.model.config.checking import checks, declarations
from mcproxy.model.config.document import Document, convert
from mcproxy.model.config.positions import Positions
from mcproxy.model.config.problems import KeyPath, Problem, Source, key_name
from mcproxy.model.config.upstreams import Upstream as UpstreamTable
from mcproxy.model.edits.stored import fields_of, to_json
from mcproxy.model.state.kinds import KindName, ResourceKey
from mcproxy.model.state.state import (
    Listener,
    Policy,
    Route,
    RouteKey,
    Rule,
    RuleType,
    SettingValue,
    State,
    Upstream,
    UpstreamEndpoint,
)
from mcproxy.model.state.upstream_options import UpstreamOptions
from mcproxy.model.values.leaf_types import (
    AllowedAddress,
    BlockedAddress,
    Country,
    EndpointAddress,
    HostnamePattern,
    ListenAddress,
    Network,
    NonEmpty,
    Text,
    UpstreamName,
)

R_co = TypeVar("R_co", covariant=True)


class Violation(msgspec.Struct, frozen=True):
    """What is wrong or doubtful about one field of a request; ``field`` is its name, with a path inside where it has one."""

    field: str
    message: str


class Checked(msgspec.Struct, Generic[R_co], frozen=True):
    """The outcome of a check.

    Attributes:
        result: in canonical form; None exactly when there are violations.
        violations: all that is wrong, field by field.
        warnings: what is doubtful.
    """

    result: R_co | None
    violations: tuple[Violation, ...] = ()
    warnings: tuple[Violation, ...] = ()


class _ListenerKey(msgspec.Struct):
    addr: ListenAddress


class _RouteKey(msgspec.Struct):
    listener: ListenAddress
    hostname: HostnamePattern


class _PolicyKey(msgspec.Struct):
    listener: ListenAddress
    hostname: HostnamePattern
    type: Literal["block_user_agent", "require_header"]
    value: NonEmpty


class _UpstreamKey(msgspec.Struct):
    name: UpstreamName


class _EndpointKey(msgspec.Struct):
    upstream: UpstreamName
    address: EndpointAddress


class _RuleKind(msgspec.Struct):
    type: RuleType
    value: Text


class _Address(msgspec.Struct):
    type: RuleType
    value: BlockedAddress


class _AllowedAddress(msgspec.Struct):
    type: RuleType
    value: AllowedAddress


class _Network(msgspec.Struct):
    type: RuleType
    value: Network


class _Country(msgspec.Struct):
    type: RuleType
    value: Country


_KEYS: dict[KindName, type[msgspec.Struct]] = {
    "listener": _ListenerKey,
    "route": _RouteKey,
    "policy": _PolicyKey,
    "upstream": _UpstreamKey,
    "endpoint": _EndpointKey,
}
_SOME_ADDRESS = "some.invalid:1"
_SOME_HOSTNAME = "some.invalid"
_RULE_KEYS: dict[str, type[msgspec.Struct]] = {
    "ip": _Address,
    "cidr": _Network,
    "country": _Country,
    "allowed_ip": _AllowedAddress,
    "allowed_cidr": _Network,
    "allowed_country": _Country,
}


def check_key(kind: KindName, fields: Mapping[str, object]) -> Checked[ResourceKey]:
    """Return the key of a resource that may or may not exist.

    Args:
        kind: any but "setting".
        fields: ``addr`` of a listener, ``listener`` and ``hostname`` of a route, these with ``type`` and ``value`` of a
            policy, ``type`` and ``value`` of a rule, ``name`` of an upstream, ``upstream`` and ``address`` of an endpoint; a field
            that is left out is empty.
    """
    struct = _RULE_KEYS.get(str(fields.get("type")), _RuleKind) if kind == "rule" else _KEYS[kind]
    violations: list[Violation] = []

    def report(path: KeyPath, message: str) -> None:
        violations.append(Violation(key_name(path), message))

    key = msgspec.structs.astuple(walker.convert(struct, _complete(struct, fields), "/", report))
    return Checked(None, tuple(violations)) if violations else Checked(key[0] if len(key) == 1 else key)


def check_listener(listener: Listener, fields: Mapping[str, object]) -> Checked[Listener]:
    """Return a listener that exists with other settings; ``fields`` are keys of ``[[listeners]]`` but addr and routes."""
    return _judge(
        {"listeners": [{**fields_of(listener), **fields, "addr": listener.addr}]},
        ("listeners", 0),
        "addr",
        "/",
        lambda state: state.listeners[listener.addr],
    )


def check_route(live: State, listener: str, fields: Mapping[str, object], folder: str) -> Checked[Route]:
    """Return a route, its policies aside; those of an existing route of the same name must suit it.

    Args:
        live: what is in effect.
        listener: the canonical address of a listener that exists.
        fields: the keys of ``[[listeners.routes]]`` but ``l7_policies``.
        folder: absolute; relative paths become absolute by it.
    """
    raw = _complete(config.Route, fields)
    key = check_key("route", {"listener": listener, "hostname": raw["hostname"]})
    if any(each.field == "hostname" for each in key.violations):  # of a route without a name not all would be told
        rest = check_route(live, listener, {**raw, "hostname": _SOME_HOSTNAME}, folder)
        return Checked(None, (*key.violations, *rest.violations), rest.warnings)
    policies = [] if key.result is None else _policies(live, cast("RouteKey", key.result))
    return _judge(
        {
            "upstreams": _upstreams(live, raw.get("backend")),
            "listeners": [{"addr": listener, "routes": [{**raw, "l7_policies": policies}]}],
        },
        ("listeners", 0, "routes", 0),
        "hostname",
        folder,
        lambda state: next(iter(state.routes.values())),
    )


def check_upstream(live: State, name: str, fields: Mapping[str, object], folder: str) -> Checked[Upstream]:
    """Return an upstream, its endpoints aside; those of an upstream that is there must suit it.

    Args:
        live: what is in effect.
        name: the upstream's, canonical.
        fields: the keys of ``[upstreams.NAME]`` but ``endpoints``.
        folder: absolute; relative paths become absolute by it.
    """
    endpoints = [fields_of(each) for each in _endpoints(live, name)] or [{"address": _SOME_ADDRESS}]
    told = {key: value for key, value in fields.items() if value != _upstream_defaults().get(key)}
    return _judge(
        {"upstreams": {name: {**told, "endpoints": endpoints}}},
        ("upstreams", name),
        "name",
        folder,
        lambda state: state.upstreams[name],
    )


def check_endpoint(live: State, upstream: str, address: str, fields: Mapping[str, object]) -> Checked[UpstreamEndpoint]:
    """Return an endpoint of an upstream that exists.

    Args:
        live: what is in effect.
        upstream: the name of the upstream.
        address: the endpoint's, canonical.
        fields: the keys of ``[[upstreams.NAME.endpoints]]`` but ``address``.
    """
    others = [fields_of(each) for each in _endpoints(live, upstream) if each.address != address]
    table = {
        **to_json("upstream", upstream, live.upstreams[upstream]),
        "endpoints": [{**fields, "address": address}, *others],
    }
    return _judge(
        {"upstreams": {upstream: table}},
        ("upstreams", upstream, "endpoints", 0),
        "address",
        "/",
        lambda state: state.endpoints[upstream, address],
    )


def check_policy(live: State, route: RouteKey, fields: Mapping[str, object]) -> Checked[Policy]:
    """Return a policy of a route that exists; ``fields`` are the keys of ``[[listeners.routes.l7_policies]]``."""
    raw = _complete(config.L7Policy, fields)
    parent = {**fields_of(live.routes[route]), "l7_policies": [raw]}
    return _judge(
        {
            "upstreams": _upstreams(live, live.routes[route].upstream),
            "listeners": [{"addr": route[0], "routes": [parent]}],
        },
        ("listeners", 0, "routes", 0, "l7_policies", 0),
        "hostname",
        "/",
        lambda state: next(iter(state.policies.values())),
    )


def check_setting(table: str, name: str, value: object) -> Checked[SettingValue]:
    """Return the value of a setting that is no path: the key ``name`` of a table."""
    try:
        return Checked(walker.read(declarations.SETTING_STRUCTS[table], name, value, "/"))
    except ValueError as error:
        return Checked(None, (Violation(name, str(error).removeprefix(f"{name}: ")),))


def check_value(live: State, path: str, value: object, folder: str) -> Checked[SettingValue]:
    """Return the value of a setting beside those of its table that are live; None stands for its default.

    Args:
        live: what is in effect.
        path: of a setting that there is.
        value: as the file would have it.
        folder: absolute; a relative path becomes absolute by it.
    """
    table, name = path.split(".", 1)
    around = {key: to_json("setting", key, it) for key, it in live.settings.items() if key.startswith(f"{table}.")}
    raw: dict[str, Any] = {key.removeprefix(f"{table}."): it for key, it in around.items()}
    for rule_type, rule in live.rules if table == "firewall" else ():
        raw.setdefault(declarations.RULE_LISTS[cast("RuleType", rule_type)], []).append(rule)
    raw = {key: it for key, it in {**raw, name: value}.items() if it is not None}
    return _judge({table: raw}, (table, name), "value", folder, lambda state: state.settings[path])


def check_new_upstream(name: str, fields: Mapping[str, object], folder: str) -> Checked[State]:
    """Return an upstream that is not there with its endpoints; ``fields`` are all keys of ``[upstreams.NAME]``."""
    raw = {"upstreams": {name: dict(fields)}}
    return _judge(raw, ("upstreams", name), "endpoints", folder, lambda state: state)


def check_rule(live: State, fields: Mapping[str, object]) -> Checked[Rule]:
    """Return a firewall rule; ``fields`` are its ``type`` and ``value``."""
    key = check_key("rule", fields)
    if key.result is None:
        return Checked(None, key.violations)
    rule_type, value = cast("tuple[RuleType, str]", key.result)
    database = live.settings.get("firewall.geoip_db", "")
    return _judge(
        {"firewall": {declarations.RULE_LISTS[rule_type]: [value], **({"geoip_db": database} if database else {})}},
        ("firewall", declarations.RULE_LISTS[rule_type], 0),
        "value",
        "/",
        lambda state: state.rules[rule_type, value],
    )


def _judge(
    raw: Mapping[str, object],
    target: KeyPath,
    itself: str,
    folder: str,
    pick: Callable[[State], R_co],
) -> Checked[R_co]:
    """Check a document of one resource and what is around it.

    Args:
        raw: as tomllib would give it.
        target: where the resource stands in it; what is wrong elsewhere does not matter here.
        itself: the field that stands for the resource as a whole.
        folder: absolute.
        pick: gets the resource out of the document's State.
    """
    wrong: list[tuple[KeyPath, str]] = []
    converted, doubts = convert(raw, folder, wrong, wrong)
    document = Document(Source("", "", folder), converted, Positions("", dict.fromkeys(_paths(raw, ()), 0)), doubts)
    problems = [document.problem(path, message) for path, message in wrong]
    state = resolve.state_of([document], document)
    problems += checks.check([document], document, tuple(declarations.declarations([document])), state)
    errors = _violations(problems, "error", target, itself)
    warnings = _violations(problems, "warning", target, itself)
    return Checked(None if errors else pick(state), errors, warnings)


def _violations(problems: Sequence[Problem], severity: str, target: KeyPath, itself: str) -> tuple[Violation, ...]:
    """Return the problems of the target and of what it is part of."""
    name = key_name(target)
    return tuple(
        Violation(
            problem.key.removeprefix(name).removeprefix(".") if len(problem.key) > len(name) else itself,
            problem.message,
        )
        for problem in problems
        if problem.severity == severity and (problem.key.startswith(name) or name.startswith(problem.key))
    )


def _complete(struct: type[msgspec.Struct], fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields with the required ones that are left out as empty strings: requests don't tell the two apart."""
    required = {field.encode_name: "" for field in msgspec.structs.fields(struct) if field.required}
    return {**required, **fields}


def _policies(live: State, route: RouteKey) -> list[dict[str, Any]]:
    return [fields_of(policy) for key, policy in live.policies.items() if key[:2] == route]


@cache
def _upstream_defaults() -> Mapping[str, object]:
    """Return the defaults of an upstream's keys as the file would have them: a request that names one says nothing by it."""
    return {
        key: walker.written(UpstreamTable, key, walker.default(UpstreamTable, key, ""), "")
        for key in UpstreamOptions.__struct_fields__
    }


def _endpoints(live: State, upstream: str) -> list[UpstreamEndpoint]:
    return [endpoint for key, endpoint in live.endpoints.items() if key[0] == upstream]


def _upstreams(live: State, backend: object) -> dict[str, Any]:
    """Return the upstream that a route leads to; the names of all where there is none, for one of them may be meant."""
    if not isinstance(backend, str) or backend not in live.upstreams:
        return {name: {"endpoints": [_SOME_ADDRESS]} for name in live.upstreams}
    return {backend: {**fields_of(live.upstreams[backend]), "endpoints": [_SOME_ADDRESS]}}


def _paths(value: object, path: KeyPath) -> Iterator[KeyPath]:
    yield path
    items: Sequence[tuple[str | int, object]] = ()
    if isinstance(value, Mapping):
        items = tuple(value.items())
    elif isinstance(value, list):
        items = tuple(enumerate(value))
    for name, item in items:
        yield from _paths(item, (*path, name))
