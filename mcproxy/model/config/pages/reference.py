"""The reference of the config file for people: every key with its type, its default and what it means, as Markdown.

Made from the structs of `config` and their descriptions, so that it cannot say anything else than the code does. What is
written here is what the structs do not know: what the types look like in a file, and an example of each table.
"""

import re
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from mcproxy.model.config import walker
from mcproxy.model.config.pages.examples import EXAMPLES
from mcproxy.model.config.pages.value_forms import FORMS
from mcproxy.model.config.schema import Config
from mcproxy.model.state.tls_options import RouteTls, TlsTerms
from mcproxy.model.values.leaf_types import INT32_MAX
from mcproxy.model.values.quoting import quote

_INTRODUCTION = """\
# The config file

<!-- Made by `just schemas` from mcproxy/model/config/ (schema.py, settings.py, limits.py, upstreams.py, fleet/shape.py, testing/shape.py) and mcproxy/model/state/
(route_options.py, upstream_options.py); edit those. -->

One TOML file (and the files it includes) declares what mcproxy serves. Every key is optional unless it is marked required; a key that
does not exist, or that has a value of the wrong form, makes the whole file invalid, and an invalid file changes nothing.
`mcproxy validate-config FILE` reports every error with its line, `mcproxy schema` prints a JSON Schema for editors, and `mcproxy init`
writes a file to start from.

## Several files

`include` names more files. Tables of settings may be spread over them, key by key; `[[listeners]]`, `[[routes]]`, `[upstreams.NAME]`, `[[tests]]` and the lists of the
firewall add up. `[[routes]]` with `listener` stands in any of them, so that each team can have a file of its own for
routes of a shared listener. What is declared twice is an error that names both places. A runtime edit of a resource is exported into the file
that declares it, a new route into the file that declares its listener, a new endpoint into the file that declares its upstream, a new
listener or upstream into the main file.

## Backends

`backend` of a route is an address if it has a port or begins with `unix:`, else the name of an upstream. What is to be operated by name, gets
a name: an upstream and each of its endpoints can be changed, drained and watched one by one, while the running proxy goes on. A list of addresses is a value
of its route: short, balanced in turn, endpoints that fail are left out for a while, and it is replaced as a whole. How endpoints are chosen and checked: [Backends: balancing and health](backends.md).

```toml
[[listeners]]
addr = ":8443"
routes = [
    { hostname = "app.example.com", backend = "10.0.0.5:443" },                     # one address
    { hostname = "db.example.com", backend = ["10.0.2.1:5432", "10.0.2.2:5432"] },  # several, in turn
    { hostname = "www.example.com", backend = "web" },                              # [upstreams.web]
]

[upstreams.web]
endpoints = ["10.0.0.3:443", "10.0.0.4:443"]

[[tests]]
connect = "www.example.com:8443"
expect = { backend = "web" }
```

With a named upstream, how its endpoints are spoken to is said there, for all routes that lead to it. On the route these keys are errors then:

| With addresses, on the route | With a name, in the upstream |
|---|---|
| `backend_tls`, `backend_ca`, `backend_server_name`, `backend_cert`, `backend_key` | `tls = { ca = ..., server_name = ..., cert = ..., key = ... }` |
| `backend_protocol` | `protocol` |
| `send_proxy_protocol`, `proxy_protocol_version`, `proxy_protocol_destination`, `proxy_protocol_tlvs`, `connect_timeout` | the same |

## Cases and filters

What becomes of a request of an l7 route is said by match, guards, modifiers and one action; the order of lines, tables and files says nothing. [Routing HTTP](routing-http.md) has
an example for each of the rules:

1. A backend is an address if it has a port or begins with `unix:`, else the name of an upstream.
2. What is to be operated by name, gets a name: an upstream, a filter; a case is named by its match.
3. The host, then the case: exact before prefix, longer before shorter, with method before without, more headers, more query parameters. A tie is an error.
4. Guards add up from listener to route to case, and only `without` lifts one; modifiers override key by key, the inner place wins.
5. The stages have one order: real ip, allow, rate, CORS preflight, body, auth, rewrite, request headers, backend, response headers, error pages.
6. One action: `backend`, `redirect` or `respond`.
7. Variables and stages are closed lists; a typo is an error with the nearest name.

## No substitution

Nothing in a file is replaced: `$HOME`, `${APP}` or `{{ app }}` are what they are, text. So what is checked, compared and exported is what stands there.
Values that come from the environment or from a store of secrets are written by a generator, checked and put in place in one step:

```sh
sed "s|@APP@|$APP|" mc-proxy.toml.in > mc-proxy.toml.new       # or any other generator
mcproxy validate-config - < mc-proxy.toml.new                  # exit status 1 if it is invalid
mv mc-proxy.toml.new mc-proxy.toml                             # in one step: the proxy reads all of it or none
```

Keys and certificates are files anyway, and are read again when they change: let a store of secrets write those.
"""


def reference() -> str:
    """Return the whole page, ending in a newline."""
    sections = [_INTRODUCTION, _values()]
    sections += (_section(path, table, repeated=repeated) for path, table, repeated in tables())
    return "\n".join(sections)


def tables() -> Iterator[tuple[str, inspect.StructType, bool]]:
    """Yield every table of the file with its dotted path ("" is the top level) and whether it is an array of tables."""
    root = inspect.type_info(Config)
    assert isinstance(root, inspect.StructType)  # noqa: S101 - what Config is
    pending: list[tuple[str, inspect.StructType, bool]] = [("", root, False)]
    paths: dict[type, str] = {}
    while pending:
        path, table, repeated = pending.pop(0)
        if table.cls in paths:  # a table that several keys stand for
            continue
        paths[table.cls] = path
        if table.cls.__base__ in paths:
            table = msgspec.structs.replace(table, fields=_own_fields(table))
        yield path, table, repeated
        inner = [(_inner_path(path, field), *_table(_plain(field.type))) for field in table.fields]
        pending[:0] = [(where, found, many) for where, found, many in inner if found]


@cache
def _places() -> dict[type, str]:
    """Return the path of each table."""
    return {table.cls: path for path, table, _ in tables()}


def _inner_path(path: str, field: inspect.Field) -> str:
    """Return the dotted path of the table that a key stands for; tables with names of their own have NAME in it."""
    named = ".NAME" if isinstance(_plain(field.type), inspect.DictType) else ""
    return f"{path}.{field.encode_name}{named}".lstrip(".")


def _own_fields(table: inspect.StructType) -> tuple[inspect.Field, ...]:
    base = inspect.type_info(table.cls.__base__)
    assert isinstance(base, inspect.StructType)  # noqa: S101 - the base of a table is one
    inherited = {field.encode_name for field in base.fields}
    return tuple(field for field in table.fields if field.encode_name not in inherited)


def example(path: str) -> str:
    """Return an example of a table: TOML that is valid by itself."""
    return EXAMPLES[path]


def without_default(description: str) -> tuple[str, str]:
    """Split ``Default X`` off a description, since the page has a column for it.

    Returns:
        The description without the words, and the X they named, as TOML; "" if they named none. Where an explanation of
        the default follows (``Default 0 = one per CPU``) the value stays in the description.
    """
    before, word, after = description.partition("Default ")
    if not word:
        return description, ""
    literal = _literal(after)
    rest = after[len(literal) :]
    if rest[:2] in ("; ", ", "):
        return f"{before.removesuffix('. ')}; {rest[2:]}", literal
    if rest[:2] in (". ", "."):
        return f"{before}{rest[2:]}".strip(), literal
    return f"{before}`{literal}`{rest}", literal


def without_required(description: str) -> str:
    """Drop the word ``Required`` off a description, since the page says it in the column of defaults."""
    return re.sub(r"\. Required([;,.])", lambda match: "." if match[1] == "." else ";", description)


def _literal(text: str) -> str:
    """Return the TOML value (a string, an empty array or a word) that ``text`` starts with."""
    if text.startswith('"'):
        return text[: text.index('"', 1) + 1]
    return text.split(maxsplit=1)[0].rstrip(".,;:")


def _values() -> str:
    lines = ["## Values\n", "| Type | Form |", "|---|---|"]
    lines += (f"| {name} | {_cell(form)} |" for name, form in FORMS.values())
    return "\n".join(lines) + "\n"


def _section(path: str, table: inspect.StructType, *, repeated: bool) -> str:
    title = f"`[[{path}]]`" if repeated else f"`[{path}]`" if path else "Top level"
    about = table.cls.__doc__
    if len(table.fields) < len(table.cls.__struct_fields__):
        about = f"{about} It has all keys of `[[listeners.{path}]]`, and:"
    lines = [f"## {title}\n", f"{about}\n", "| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    lines += (_row(table, field) for field in sorted(table.fields, key=lambda field: not field.required))
    return "\n".join([*lines, f"\n```toml\n{example(path)}```\n"])


def _row(table: inspect.StructType, field: inspect.Field) -> str:
    key = field.encode_name
    inner, repeated = _table(_plain(field.type))
    meaning, _ = without_default(without_required(_description(field.type)))
    if inner is not None:
        where = _places()[inner.cls]
        kind, default = _kind_of_tables(table, field, repeated=repeated)
        meaning += f" See `{f'[[{where}]]' if repeated else f'[{where}]'}`."
    else:
        declared = typing.get_type_hints(table.cls)[field.name]
        kind = _type_name(field.type, declared)
        default = "required" if field.required else f"`{toml_default(table.cls, field)}`"
    return f"| `{key}` | {_cell(kind)} | {default} | {_cell(meaning)} |"


def _kind_of_tables(table: inspect.StructType, field: inspect.Field, *, repeated: bool) -> tuple[str, str]:
    """Return the name of a type that is made of tables, and what it has by default."""
    info = _plain(field.type)
    if "table" in _extra(field.type):
        return f"{_type_name(field.type, None)}, or table", f"`{toml_default(table.cls, field)}`"
    if isinstance(info, inspect.DictType):
        return "tables by their names", "none"
    if repeated and isinstance(info, inspect.VarTupleType) and isinstance(info.item_type, inspect.Metadata):
        kind = "array of: string or table"
    else:
        kind = "array of tables" if repeated else "table"
    return kind, "required" if field.required else "none" if repeated or field.default is None else ""


def toml_default(table: type[msgspec.Struct], field: inspect.Field) -> str:
    """Return the default of a key that is not required, as it would stand in the file."""
    key = field.encode_name
    if table is RouteTls:  # what it leaves out is the listener's, and only at last a value
        return msgspec.json.encode(getattr(TlsTerms(), key)).decode()
    return msgspec.json.encode(walker.written(table, key, walker.default(table, key, ""), "")).decode()


def _type_name(info: inspect.Type, declared: Any) -> str:
    extra = _extra(info)
    if "names" in extra:
        names, values = (_type_name(inspect.type_info(extra[part]), None) for part in ("names", "values"))
        return f"table: {names} = {values}{', or an array of them' if extra['several'] else ''}"
    if extra.get("join") in FORMS:
        return FORMS[extra["join"]][0]
    if "parse" in extra:
        return FORMS[getattr(extra["parse"], "func", extra["parse"])][0]  # of a partial what it completes
    match _plain(info):
        case inspect.BoolType():
            return "boolean"
        case inspect.IntType(ge=int(least), le=int(most)):
            return f"integer, at least {least}" if most == INT32_MAX else f"integer, {least} to {most}"
        case inspect.LiteralType():
            words = next(
                (each for each in typing.get_args(declared) if typing.get_origin(each) is typing.Literal), declared
            )
            return " or ".join(f"`{quote(value)}`" for value in typing.get_args(words))  # in the declared order
        case inspect.VarTupleType(item_type=item):
            return f"array of: {_type_name(item, None)}"
    raise TypeError(f"no name for {info!r}")


def _table(info: inspect.Type) -> tuple[inspect.StructType | None, bool]:
    """Return the table that a key's type stands for, or None, and whether there may be many."""
    if isinstance(info, inspect.VarTupleType):
        table, _ = _table(_plain(info.item_type))
        return table, True
    if isinstance(info, inspect.DictType):
        return _table(_plain(info.value_type))
    if isinstance(info, inspect.UnionType):  # a table that may be left out, or a string in its place
        return _table(next((each for each in info.types if isinstance(each, inspect.StructType)), info.types[0]))
    return (
        (info, False)
        if isinstance(info, inspect.StructType) and info.forbid_unknown_fields  # a table, no value
        else (None, False)
    )


def _extra(info: inspect.Type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while isinstance(info, inspect.Metadata):
        found, info = found | (info.extra or {}), info.type
    return found


def _plain(info: inspect.Type) -> inspect.Type:
    while isinstance(info, inspect.Metadata):
        info = info.type
    return info


def _description(info: inspect.Type) -> str:
    schema = info.extra_json_schema or {} if isinstance(info, inspect.Metadata) else {}
    return str(schema["description"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
