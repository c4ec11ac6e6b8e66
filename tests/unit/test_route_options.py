"""A key of a route is declared once: everything that has to know it goes by the declaration, or fails here."""

from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from google.protobuf.descriptor import FieldDescriptor
from msgspec import inspect

from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.command_line import find
from mcproxy.cli.ctl import app as command_line
from mcproxy.client.options import MutationOptions, RouteFields
from mcproxy.control.admin import messages
from mcproxy.model.config import schema as config
from mcproxy.model.config.pages import reference
from mcproxy.model.state.route_options import RouteOptions
from mcproxy.model.state.state import Route

KEYS = RouteOptions.__struct_fields__
PROTO_TYPES: dict[type, int] = {
    bool: FieldDescriptor.TYPE_BOOL,
    int: FieldDescriptor.TYPE_UINT32,
    str: FieldDescriptor.TYPE_STRING,
}
COUNTED = (
    "errors",
    "client_aborts",
    "grpc_requests",
    "last_error",
    "last_error_time",
    "failing_since",
    "filters",
    "cases",
    "filter_blocks",
    "respond_file",
)
"""What a route in an answer has beside its keys, and single counters."""


def type_of(key: str) -> type[bool | int | str]:
    """Return whether a key is true or false, a number or a text."""
    (field,) = (field for field in msgspec.structs.fields(RouteOptions) if field.name == key)
    info = inspect.type_info(field.type)
    match info.type if isinstance(info, inspect.Metadata) else info:
        case inspect.BoolType():
            return bool
        case inspect.IntType():
            return int
    return str


def is_flag(key: str) -> bool:
    return type_of(key) is bool


def test_file_and_state_have_the_same_keys_with_the_same_defaults() -> None:
    """So that what the file says can be taken over as it is."""
    for struct in (config.Route, Route):
        fields = {field.name: field.default for field in msgspec.structs.fields(struct) if field.name in KEYS}
        assert fields == {field.name: field.default for field in msgspec.structs.fields(RouteOptions)}
        assert len(fields) == len(KEYS)


@pytest.mark.parametrize("message", [pb.Route, pb.AddRouteRequest, pb.UpdateRouteRequest])
def test_the_messages_of_the_admin_api_have_every_key(message: Any) -> None:
    """In the file's words: texts and flags. An update tells what is left out from what is empty."""
    fields = message.DESCRIPTOR.fields_by_name
    for key in ("backend", *KEYS):
        kind = str if key == "backend" else type_of(key)
        assert fields[key].type == PROTO_TYPES[kind], key
        assert fields[key].has_presence == (message is pb.UpdateRouteRequest), key
    rest = {"listener", "hostname", "options", "l7_policies", "provenance", *COUNTED}
    assert {name for name in fields if name not in rest and fields[name].type != FieldDescriptor.TYPE_UINT64} == {
        *messages.ROUTE_FIELDS
    }


def test_the_client_takes_every_key() -> None:
    """And nothing else, beside what every change may say."""
    own = {
        name: set(get_args(hint))
        for name, hint in get_type_hints(RouteFields).items()
        if name not in get_type_hints(MutationOptions)
    }
    assert own == {key: {type_of(key), type(None)} for key in KEYS}


@pytest.mark.parametrize("name", ["add", "update"])
def test_mcproxyctl_has_an_option_for_every_key(name: str) -> None:
    """With a help that is part of the key's description; a flag can be taken back."""
    command, _, _ = find(command_line.app, ["routes", name])
    options = {option.name: option for option in command.parameters}
    section = reference.reference().partition("\n## `[[listeners.routes]]`\n")[2].partition("\n## ")[0]
    rows = {line.split("|")[1].strip(" `"): line for line in section.splitlines() if line.startswith("| `")}
    for key in KEYS:
        assert options[key].names == (f"--{key.replace('_', '-')}",)
        assert bool(options[key].off_names) == is_flag(key)
        assert len(options[key].spec.help) > 10
        assert "Default" not in options[key].spec.help
        assert options[key].spec.help.partition(",")[0].rstrip(".") in rows[key].replace("\\|", "|")
