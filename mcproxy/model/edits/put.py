"""What a request for a resource of any kind means, which it names by kind and key: put and remove.

The request says keys of the resource's table in the file, and the walker and the checks of the file judge them. A resource that is
there keeps the keys that the request does not name; one that is not there is added with their defaults.
"""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from mcproxy.errors import InvalidRequestError, NotFoundError, PreconditionError
from mcproxy.model.edits import fields as edit_fields
from mcproxy.model.edits import requests, scope_fields, upstream_fields
from mcproxy.model.edits.edit import make_edit
from mcproxy.model.edits.judging import Checked
from mcproxy.model.edits.requests import Draft, EditMetadata, View
from mcproxy.model.edits.stored import fields_of, to_json
from mcproxy.model.state import kinds
from mcproxy.model.state.kinds import KIND, KindName, Resource, ResourceKey, name_of, parent_of, parts_of, table_of
from mcproxy.model.state.named_files import owners, pages_of
from mcproxy.model.state.state import Case, Filter, Listener, Route, State
from mcproxy.model.values.quoting import quote

_CHILDREN: Mapping[KindName, Mapping[str, KindName]] = {
    "upstream": {"endpoints": "endpoint"},
    "listener": {"routes": "route"},
    "route": {"l7_policies": "policy", "cases": "case"},
}
"""The keys of a table that hold what belongs to a resource, and the kinds of that; it is put by itself."""
_CONDITIONS = ("headers", "query")
"""The keys of a case that are part of its match."""
FILE_ALONE = frozenset({"database", "grpc", "metrics", "acme", "proxy.user", "log.access", "firewall.geoip_db"})
"""Settings, and tables of them, that requests can't change: who may call, where control listens, which files it reads and writes, whom it asks
for certificates and what it runs for that."""
_MOST = 200  # resources among which the nearest is looked for
_SHOWN = 10  # that an error names


def kind_of(text: str) -> KindName:
    """Return the kind that a word names; raises InvalidRequestError."""
    words = [kind.name for kind in kinds.KINDS if kind.name in PUT]
    known = next((word for word in words if word == text), None)
    if known is None:
        wrong = f"must be one of {', '.join(words)}, not {quote(text)}{_nearest(text, words)}"
        raise InvalidRequestError((("kind", wrong),))
    return known


def put(
    view: View,
    metadata: EditMetadata,
    kind: str,
    key: Sequence[str],
    fields_json: str,
    *,
    must_exist: bool = False,
) -> Draft:
    """Change the given keys of a resource, or add it with them.

    Args:
        view: what the request is judged against.
        metadata: of its edits.
        kind: the resource's.
        key: the parts of its key.
        fields_json: a JSON object of keys of its table; null stands for the default, a dotted name for a key within a table.
        must_exist: add nothing.

    Raises:
        InvalidRequestError: something is wrong with the fields.
        NotFoundError: what the resource belongs to is not there, or it is not there itself and must be.
        PreconditionError: edits can't change it.
    """
    known = kind_of(kind)
    where = canonical_key(known, key)
    given = _object(fields_json)
    if known == "setting":
        return _put_setting(view, metadata, str(where), given)
    for parent in list(kinds.lineage(known, where))[1:]:
        require(view.live, *parent)
    if must_exist:
        require(view.live, known, where)
    present = table_of(view.live, known).get(where)
    if known == "upstream" and where not in view.file.upstreams and present is None:
        return _put_with_endpoints(view, metadata, str(where), given)
    own = KIND[known].key
    before = {} if present is None else {name: it for name, it in fields_of(present).items() if name not in own}
    whole = _changed(requests.one_action(before, given) if known in ("route", "case") else before, given)
    wrong = tuple(_misplaced(known, where, whole))
    if wrong:
        raise InvalidRequestError(wrong)
    checked = _CHECKS[known](view, where, whole)
    value = requests.valid(checked)
    _check_pages(view, present, value)
    draft = requests.place(view, metadata, known, where, value, checked.warnings)
    return _renewed(view, metadata, known, where, draft)


def remove(view: View, metadata: EditMetadata, kind: str, key: Sequence[str]) -> Draft:
    """Remove a resource, with what belongs to it; ``key`` are the parts of its key.

    Raises:
        InvalidRequestError: something is wrong with the key.
        NotFoundError: there is no such resource.
        PreconditionError: it is a setting.
    """
    known = kind_of(kind)
    where = canonical_key(known, key)
    require(view.live, known, where)
    if known == "setting":
        raise PreconditionError(f"{name_of(known, where)} always has a value: put another one, or revert its edit")
    return requests.remove(view, metadata, known, dict(zip(KIND[known].key, parts_of(where), strict=True)))


def plain_fields(kind: KindName, key: ResourceKey, resource: Resource) -> dict[str, Any]:
    """Return what `put` could be asked to make the resource as it is: all keys of its table but those of its key."""
    if kind == "setting":
        return {"value": to_json(kind, key, resource)}
    return {name: value for name, value in fields_of(resource).items() if name not in KIND[kind].key}


def require(live: State, kind: KindName, key: ResourceKey) -> None:
    """Raise NotFoundError, with those that there are, unless a resource is live."""
    if key not in table_of(live, kind):
        parent = parent_of(kind, key)
        if parent is not None:
            require(live, *parent)
        raise NotFoundError(_absent(live, kind, key))


def matching(live: State, kind: KindName, key: Sequence[str]) -> list[tuple[ResourceKey, Resource]]:
    """Return the live resources of a kind whose keys begin with some parts, canonical or not, in the order of their keys.

    Raises:
        InvalidRequestError: a part can't be one of a key.
        NotFoundError: the parts are a whole key, or that of a parent, of what is not there.
    """
    wanted: tuple[str, ...] = tuple(key)
    named: KindName | None = kind
    while named is not None and len(wanted) < len(KIND[named].key):
        named = KIND[named].parent
    if wanted and named is not None:
        where = canonical_key(named, wanted)
        require(live, named, where)
        wanted = parts_of(where)
    found = sorted(table_of(live, kind).items())
    return [(each, it) for each, it in found if parts_of(each)[: len(wanted)] == wanted]


def canonical_key(kind: KindName, parts: Sequence[str]) -> ResourceKey:
    """Return the canonical key of a resource; raises InvalidRequestError."""
    names = KIND[kind].key
    if len(parts) != len(names):
        words = " ".join(name.upper() for name in names)
        number = f"{len(names)} parts" if len(names) > 1 else "one part"
        raise InvalidRequestError((("key", f"the key of a {kind} has {number}, {words}, not {len(parts)}"),))
    if kind == "setting":
        return parts[0]
    return requests.valid(edit_fields.check_key(kind, dict(zip(names, parts, strict=True))))


def _object(text: str) -> dict[str, Any]:
    """Return what a JSON object says; raises InvalidRequestError."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidRequestError(
            (("fields_json", f'must be a JSON object, such as {{"key": "value"}}: {why}'),)
        ) from None


def _put_setting(view: View, metadata: EditMetadata, path: str, given: Mapping[str, object]) -> Draft:
    require(view.live, "setting", path)
    if path in FILE_ALONE or path.partition(".")[0] in FILE_ALONE:
        raise PreconditionError(f"{path} is set in the file alone: callers of the admin API are not trusted with it")
    if list(given) != ["value"]:
        raise InvalidRequestError((("value", "a setting has this field, and no other"),))
    checked = edit_fields.check_value(view.live, path, given["value"])
    draft = requests.place(view, metadata, "setting", path, requests.valid(checked), checked.warnings)
    return _renewed(view, metadata, "setting", path, draft)


def _put_with_endpoints(view: View, metadata: EditMetadata, name: str, given: Mapping[str, Any]) -> Draft:
    """Add an upstream and its endpoints, since it is none without."""
    checked = upstream_fields.check_new_upstream(name, _changed({}, given), view.folder)
    new = requests.valid(checked)
    draft = requests.place(view, metadata, "upstream", name, new.upstreams[name], checked.warnings)
    with_it = msgspec.structs.replace(
        view, live=msgspec.structs.replace(view.live, upstreams={**view.live.upstreams, **new.upstreams})
    )
    drafts = [draft]
    drafts += (requests.place(with_it, metadata, "endpoint", key, one, ()) for key, one in new.endpoints.items())
    return Draft(
        tuple(edit for each in drafts for edit in each.add),
        warnings=draft.warnings,
        changed=tuple(resource for each in drafts for resource in each.changed),
    )


def _changed(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys with some changed: null takes one away, a dotted name is one within a table; raises InvalidRequestError."""
    whole = dict(before)
    for name, value in given.items():
        head, dot, rest = name.partition(".")
        inner = whole.get(head)
        if dot:
            if inner is not None and not isinstance(inner, dict):
                raise InvalidRequestError(((name, f"{head} is no table, and has no keys"),))
            whole[head] = _changed(inner or {}, {rest: value})
        elif value is None:
            whole.pop(name, None)
        else:
            whole[name] = value
    return whole


def _misplaced(kind: KindName, key: ResourceKey, given: Collection[str]) -> list[tuple[str, str]]:
    """Return what is wrong with fields that the table has, but not this resource: its key, and what belongs to it."""
    wrong = []
    for name in given:
        if name in KIND[kind].key:
            wrong.append((name, f"is part of the key of {name_of(kind, key)}; put another one, and remove this one"))
        if kind == "case" and name in _CONDITIONS:
            wrong.append((name, 'are part of the match: "/a ?v=2 X-Env=prod"; put another case, and remove this one'))
        if name in _CHILDREN.get(kind, ()):
            child = KIND[_CHILDREN[kind][name]]
            words = " ".join([child.name, *parts_of(key), *(part.upper() for part in child.key[len(parts_of(key)) :])])
            wrong.append((name, f"are resources of their own: put {words}"))
    return wrong


def _check_pages(view: View, present: Resource | None, wanted: Resource) -> None:
    """Raise PreconditionError where clients would get to see a file that the configuration does not name as a page."""
    if not isinstance(wanted, Route | Case | Filter):
        return
    known = {path for owner in owners(view.file).values() for _, path in pages_of(owner)}
    if isinstance(present, Route | Case | Filter):
        known |= {path for _, path in pages_of(present)}
    for name, path in pages_of(wanted):
        if path not in known:
            raise PreconditionError(
                f"{name}: clients would get to see {path}, and callers of the admin API are not trusted with what files the proxy shows: name it in the "
                "configuration, as a page of any filter, route or case, or give the text itself"
            )


def _renewed(view: View, metadata: EditMetadata, kind: KindName, key: ResourceKey, draft: Draft) -> Draft:
    """Return a draft that takes over the time until which an edit is asked for whose value is live already."""
    own = next((edit for edit in view.edits if (edit.kind, edit.key) == (kind, key)), None)
    if draft.changed or own is None or own.tombstone or own.expires == metadata.expires:
        return draft
    edit = make_edit(view.file, view.live, kind, key, own.value, **msgspec.structs.asdict(metadata))
    return Draft((edit,), (), draft.warnings, ((kind, key),))


def _absent(live: State, kind: KindName, key: ResourceKey) -> str:
    """Return that a resource is not there, which is nearest, and which there are beside it."""
    *above, own = parts_of(key)
    there = [each[-1] for each in map(parts_of, table_of(live, kind)) if each[:-1] == tuple(above)]
    near = _nearest(own, there) if len(there) <= _MOST else ""
    shown = ", ".join(sorted(there)[:_SHOWN]) or "none at all"
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    known = KIND[kind]
    of = f" of {' '.join(above)}" if known.parent else f" of {known.key[0]} {' '.join(above)}" if above else ""
    plural = "policies" if kind == "policy" else f"{kind}s"
    return f"there is no {name_of(kind, key)}{near}; {plural}{of}: {shown}{more}"


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word[:_MOST], known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _check_listener(view: View, key: ResourceKey, fields: Mapping[str, object]) -> Checked[Any]:
    return edit_fields.check_listener(view.live, Listener(str(key)), fields, view.folder)


def _check_route(view: View, key: ResourceKey, fields: Mapping[str, object]) -> Checked[Any]:
    listener, hostname = parts_of(key)
    return edit_fields.check_route(view.live, listener, {**fields, "hostname": hostname}, view.folder)


def _check_filter(view: View, key: ResourceKey, fields: Mapping[str, object]) -> Checked[Any]:
    return scope_fields.check_filter(view.live, str(key), fields, view.folder)


def _check_case(view: View, key: ResourceKey, fields: Mapping[str, object]) -> Checked[Any]:
    listener, hostname, match = parts_of(key)
    return scope_fields.check_case(view.live, (listener, hostname, match), fields, view.folder)


def _check_policy(view: View, key: ResourceKey, fields: Mapping[str, object]) -> Checked[Any]:
    listener, hostname, type_, value = parts_of(key)
    return edit_fields.check_policy(view.live, (listener, hostname), {**fields, "type": type_, "value": value})


def _check_rule(view: View, key: ResourceKey, fields: Mapping[str, object]) -> Checked[Any]:
    if fields:
        raise InvalidRequestError(
            tuple((name, "unknown key; a rule has no keys but type and value") for name in fields)
        )
    return edit_fields.check_rule(view.live, dict(zip(KIND["rule"].key, parts_of(key), strict=True)))


def _check_upstream(view: View, key: ResourceKey, fields: Mapping[str, object]) -> Checked[Any]:
    return upstream_fields.check_upstream(view.live, str(key), fields, view.folder)


def _check_endpoint(view: View, key: ResourceKey, fields: Mapping[str, object]) -> Checked[Any]:
    upstream, address = parts_of(key)
    return upstream_fields.check_endpoint(view.live, upstream, address, fields)


_CHECKS: Mapping[KindName, Callable[[View, ResourceKey, Mapping[str, object]], Checked[Any]]] = {
    "listener": _check_listener,
    "route": _check_route,
    "policy": _check_policy,
    "rule": _check_rule,
    "upstream": _check_upstream,
    "endpoint": _check_endpoint,
    "filter": _check_filter,
    "case": _check_case,
}
"""How the fields of a resource are judged, beside what is live; settings have one each."""
PUT: Collection[KindName] = ("setting", *_CHECKS)
"""The kinds that requests may name."""
