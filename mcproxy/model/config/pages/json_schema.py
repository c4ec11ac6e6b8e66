"""The JSON Schema of the config file, for editors that complete and check TOML by one (draft 2020-12)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from mcproxy.model.config.schema import Config
from mcproxy.model.values import durations

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema: the file's own form, so durations are strings with a pattern, and nothing unknown is allowed."""
    (root,), definitions = msgspec.json.schema_components([Config], ref_template="#/$defs/{name}")
    # What forbids unknown fields is a table, what doesn't is a value that a string stands for.
    tables = {
        name: _table(schema, definitions)
        for name, schema in sorted(definitions.items())
        if name != "Config" and schema.get("additionalProperties") is False
    }
    assert root == {"$ref": "#/$defs/Config"}  # noqa: S101  # how msgspec refers to a struct
    top = _table(definitions["Config"], definitions)
    schema = {"$schema": _DIALECT, **top, "title": "mcproxy configuration", "$defs": tables}
    # As JSON has it: no tuples.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(schema))
    return plain


def _table(schema: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    required = schema.get("required", ())
    properties = {
        key: _value(schema["properties"][key], definitions, required=key in required)
        for key in dict.fromkeys((*required, *schema["properties"]))
    }
    return {**schema, "properties": properties}


def _value(schema: dict[str, Any], definitions: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """Return a value's schema as the file has it: what is parsed from a string is a string, tables need no default."""
    schema = dict(schema)
    if of := schema.pop("x-map", None):
        return _map(schema, of)
    if schema.pop("x-text", False):
        table = next((each for each in schema.pop("anyOf", ()) if "$ref" in each), None)
        schema.pop("$ref", None)
        schema["type"] = "string"
        if isinstance(schema.get("default"), float):
            schema["default"] = durations.render(schema["default"])
        elif isinstance(schema.get("default"), dict):
            schema["default"] = ""  # of what a string says
        elif not required:
            schema.setdefault("default", "")  # for UNSET, which msgspec says nothing of
        if (items := schema.pop("x-items", None)) is not None:
            return _string_or_array(schema, items)
        if table is not None:
            return {**{key: it for key, it in schema.items() if key != "type"}, "anyOf": [{"type": "string"}, table]}
    if short := schema.pop("x-short", ""):
        address = definitions[schema["$ref"].rpartition("/")[2]]["properties"][short]
        return {"anyOf": [_value(address, definitions, required=True), schema]}
    if "anyOf" in schema:  # a table that may be left out
        schema |= schema.pop("anyOf")[0]
    if "$ref" in schema:
        schema.pop("default", None)
    if "items" in schema:
        schema["items"] = _value(schema["items"], definitions, required=True)
    if "propertyNames" in schema:
        schema["propertyNames"] = _value(schema["propertyNames"], definitions, required=True)
        schema.pop("default", None)
    return schema


def _string_or_array(schema: dict[str, Any], items: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a string, or an array of strings of the form ``items``."""
    string = {key: schema.pop(key) for key in ("type", "pattern", "examples") if key in schema}
    least = 0 if schema.get("default") == [] else 1
    return {**schema, "anyOf": [string, {"type": "array", "items": {"type": "string", **items}, "minItems": least}]}


def _map(schema: dict[str, Any], of: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a table of texts by names."""
    name, text = ({**_value(of[part], {}, required=True)} for part in ("names", "values"))
    value = {"anyOf": [text, {"type": "array", "items": text}]} if of["several"] else text
    rest = {key: it for key, it in schema.items() if key not in ("items", "default", "type")}
    return {**rest, "type": "object", "propertyNames": name, "additionalProperties": value}
