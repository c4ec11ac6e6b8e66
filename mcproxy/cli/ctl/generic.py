"""The commands of `mcproxyctl` for resources of any kind: put, remove and list, in the words of the config file."""

import difflib
import json
import math
import shlex
from collections.abc import Sequence
from typing import Any

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.command_line import UsageError
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import print_json, print_table
from mcproxy.cli.ctl.change import make
from mcproxy.cli.ctl.options import ChangeOptions, Server
from mcproxy.cli.ctl.text import plain, source
from mcproxy.model.config import toml_text
from mcproxy.model.edits import stored
from mcproxy.model.state.kinds import KIND, KINDS, Kind, key_from


def put(server: Server, kind: str, words: Sequence[str], change: ChangeOptions) -> int:
    """Change keys of a resource, or add it; ``words`` are the parts of its key, then ``name=value``."""
    known = _kind(kind)
    key, rest = _key(known, words)
    fields: dict[str, Any] = {}
    for word in rest:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UsageError(f"{word!r} is no NAME=VALUE; the key of a {kind} is {_parts(known)}")
        if name in fields:
            raise UsageError(f"{name} is given twice")
        fields[name] = value(text)
    return make(server, lambda client: client.put_resource(kind, key, fields, **change.arguments))


def remove(server: Server, kind: str, words: Sequence[str], change: ChangeOptions) -> int:
    """Remove a resource; ``words`` are the parts of its key."""
    known = _kind(kind)
    key, rest = _key(known, words)
    if rest:
        raise UsageError(f"unexpected argument {rest[0]!r}; the key of a {kind} is {_parts(known)}")
    return make(server, lambda client: client.remove_resource(kind, key, **change.arguments))


def show(server: Server, kind: str, words: Sequence[str]) -> int:
    """Print the resources of a kind whose keys begin with some parts, with what is not as by default."""
    known = _kind(kind)
    with server.client() as client:
        answer = client.list_resources(kind, words)
    if server.as_json:
        print_json(plain(api.to_builtins(answer)))
        return OK
    headers = [part.upper() for part in known.key]
    print_table(
        (*headers, "FIELDS", "FROM"),
        [(*row.key, fields_text(row), source(row.provenance)) for row in answer.resources],
        whole=headers,
        drop=("FROM",),
        wide=server.wide,
    )
    return OK


def value(text: str) -> Any:
    """Return what a word of a command line says as a value: TOML where it is that, else a text; nothing is the default, None."""
    if not text:
        return None
    try:
        found = toml_text.loads(f"it = {text}")
    except (ValueError, RecursionError):  # a TOMLDecodeError is a ValueError
        return text
    it = found.get("it")
    is_number = isinstance(it, int | float) and math.isfinite(it) and abs(it) < 1 << 63
    return it if len(found) == 1 and (is_number or isinstance(it, str | list | dict)) else text


def fields_text(row: pb.Resource) -> str:
    """Return a resource's fields but those that are as by default, as `put` takes them."""
    fields: dict[str, Any] = json.loads(row.fields_json)
    kind = next(each.name for each in KINDS if each.name == row.kind)
    if kind != "setting":
        try:
            key = key_from(kind, tuple(row.key))
            differing = stored.to_json(kind, key, stored.from_json(kind, key, fields))
        except ValueError:  # the server is of another version: all are told
            differing = fields
        fields = {name: it for name, it in fields.items() if name in differing}
    return " ".join(f"{name}={shown(it)}" for name, it in fields.items())


def shown(it: Any) -> str:
    """Return a value as a word of a command line, of which `value` makes it again; quoted as shells need it."""
    return shlex.quote(it if isinstance(it, str) and value(it) == it else _toml(it)) if it is not None else ""


def _toml(it: Any) -> str:
    match it:
        case dict():
            return f"{{ {', '.join(f'{name} = {_toml(inner)}' for name, inner in it.items())} }}" if it else "{}"
        case list():
            return f"[{', '.join(map(_toml, it))}]"
    return json.dumps(it, ensure_ascii=False)


def _kind(text: str) -> Kind:
    for kind in KIND.values():
        if kind.name == text:
            return kind
    near = difflib.get_close_matches(text, list(KIND), 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"there is no kind {text!r}, but {', '.join(KIND)}{hint}")


def _key(kind: Kind, words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the parts of a key, and the words behind it."""
    size = len(kind.key)
    if len(words) < size:
        raise UsageError(f"the key of a {kind.name} is {_parts(kind)}")
    return words[:size], words[size:]


def _parts(kind: Kind) -> str:
    return " ".join(part.upper() for part in kind.key)
