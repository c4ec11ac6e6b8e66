"""What a request says of a resource, in the words of the config file, judged as if it stood there.

The fields of a resource go through the walker and the checks that the file goes through, in a small document of their own
with as much of the live state around them as those checks look at (`judging`). So a request gets the same canonical values
and the same messages as the file. What is about upstreams is in `upstream_fields`.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec

from mcproxy.model.config import schema as config
from mcproxy.model.config import walker
from mcproxy.model.config.checking import declarations
from mcproxy.model.config.problems import KeyPath, key_name
from mcproxy.model.edits.judging import Checked, Violation, complete, judge
from mcproxy.model.edits.stored import fields_of, to_json
from mcproxy.model.edits.surroundings import around, children_around, listener_around
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
)
from mcproxy.model.values.http.filter_types import CaseMatch, FilterName
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


class _CaseKey(msgspec.Struct):
    listener: ListenAddress
    hostname: HostnamePattern
    match: CaseMatch


class _FilterKey(msgspec.Struct):
    name: FilterName


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
    "case": _CaseKey,
    "filter": _FilterKey,
    "upstream": _UpstreamKey,
    "endpoint": _EndpointKey,
}
_SOME_HOSTNAME = "some.invalid"
_SOME_BACKEND = "some.invalid:1"
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
            policy or with ``match`` of a case, ``type`` and ``value`` of a rule, ``name`` of an upstream or filter, ``upstream`` and
            ``address`` of an endpoint; a field that is left out is empty.
    """
    struct = _RULE_KEYS.get(str(fields.get("type")), _RuleKind) if kind == "rule" else _KEYS[kind]
    violations: list[Violation] = []

    def report(path: KeyPath, message: str) -> None:
        violations.append(Violation(key_name(path), message))

    key = msgspec.structs.astuple(walker.convert(struct, complete(struct, fields), "/", report))
    return Checked(None, tuple(violations)) if violations else Checked(key[0] if len(key) == 1 else key)


def check_listener(live: State, listener: Listener, fields: Mapping[str, object], folder: str) -> Checked[Listener]:
    """Return a listener that exists with other settings.

    Args:
        live: what the listener would be part of.
        listener: as it is.
        fields: keys of ``[[listeners]]`` but addr and routes.
        folder: absolute; relative paths become absolute by it.
    """
    whole = {**fields_of(listener), **fields, "addr": listener.addr}
    key = listener.addr, "*"
    if whole["protocol"] == "tcp" and key in live.routes:  # whether others stand in the way, the whole State tells
        whole["routes"] = [{"hostname": "*", "mode": live.routes[key].mode, "backend": _SOME_BACKEND}]
    return judge(
        {**around(live, "", whole), "listeners": [whole]},
        ("listeners", 0),
        "addr",
        folder,
        lambda state: state.listeners[listener.addr],
    )


def check_route(live: State, listener: str, fields: Mapping[str, object], folder: str) -> Checked[Route]:
    """Return a route, its policies and cases aside; those of an existing route of the same name must suit it.

    Args:
        live: what is in effect.
        listener: the canonical address of a listener that exists.
        fields: the keys of ``[[listeners.routes]]`` but ``l7_policies`` and ``cases``.
        folder: absolute; relative paths become absolute by it.
    """
    raw = complete(config.Route, fields)
    key = check_key("route", {"listener": listener, "hostname": raw["hostname"]})
    if any(each.field == "hostname" for each in key.violations):  # of a route without a name not all would be told
        rest = check_route(live, listener, {**raw, "hostname": _SOME_HOSTNAME}, folder)
        return Checked(None, (*key.violations, *rest.violations), rest.warnings)
    children = {} if key.result is None else children_around(live, cast("RouteKey", key.result))
    return judge(
        {
            **around(live, listener, raw),
            "listeners": [{**listener_around(live, listener), "routes": [{**raw, **children}]}],
        },
        ("listeners", 0, "routes", 0),
        "hostname",
        folder,
        lambda state: next(iter(state.routes.values())),
    )


def check_policy(live: State, route: RouteKey, fields: Mapping[str, object]) -> Checked[Policy]:
    """Return a policy of a route that exists; ``fields`` are the keys of ``[[listeners.routes.l7_policies]]``."""
    raw = complete(config.L7Policy, fields)
    parent = {**fields_of(live.routes[route]), "l7_policies": [raw]}
    return judge(
        {**around(live, route[0], parent), "listeners": [{**listener_around(live, route[0]), "routes": [parent]}]},
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


def check_value(live: State, path: str, value: object) -> Checked[SettingValue]:
    """Return the value of a setting that is no path beside those of its table that are live; None stands for its default.

    Args:
        live: what is in effect.
        path: of a setting that there is.
        value: as the file would have it.
    """
    table, name = path.split(".", 1)
    around = {key: to_json("setting", key, it) for key, it in live.settings.items() if key.startswith(f"{table}.")}
    raw: dict[str, Any] = {key.removeprefix(f"{table}."): it for key, it in around.items()}
    for rule_type, rule in live.rules if table == "firewall" else ():
        raw.setdefault(declarations.RULE_LISTS[rule_type], []).append(rule)
    raw = {key: it for key, it in {**raw, name: value}.items() if it is not None}
    return judge({table: raw}, (table, name), "value", "/", lambda state: state.settings[path])


def check_rule(live: State, fields: Mapping[str, object]) -> Checked[Rule]:
    """Return a firewall rule; ``fields`` are its ``type`` and ``value``."""
    key = check_key("rule", fields)
    if key.result is None:
        return Checked(None, key.violations)
    rule_type, value = cast("tuple[RuleType, str]", key.result)
    database = live.settings.get("firewall.geoip_db", "")
    return judge(
        {"firewall": {declarations.RULE_LISTS[rule_type]: [value], **({"geoip_db": database} if database else {})}},
        ("firewall", declarations.RULE_LISTS[rule_type], 0),
        "value",
        "/",
        lambda state: state.rules[rule_type, value],
    )
