"""The admin API as both ends see it: its methods with their messages, and errors with their details.

Messages are those of `proto/mc_proxy/v1/admin.proto`, generated into `mcproxy._pb`. The home of google (protobuf and
the common error details) and grpc_status.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import msgspec
from google.protobuf import json_format, message_factory
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from mcproxy._pb import admin_pb2

_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["ProxyAdminService"]

SERVICE: str = _SERVICE.full_name
"""The service's full name, as reflection and health checks know it."""

MAX_MESSAGE = 256 << 20
"""Bytes of the largest message either end takes: the whole state of a large configuration."""

_TEXT_LIMIT = 1024
_VIOLATIONS_LIMIT = 3072
# Bytes of an error's text and of its violations. Errors travel as HTTP/2 header fields, the text percent-encoded, the
# details as base64 with the text in them once more, and a client refuses more than 8 KiB of these (gRPC's default).


class Method(msgspec.Struct, frozen=True):
    """One RPC.

    Attributes:
        name: such as ``AddRoute``.
        path: as gRPC calls it, ``/package.Service/Method``.
        request, response: the classes of its messages.
        streams: the server answers with any number of messages.
    """

    name: str
    path: str
    request: type[Message]
    response: type[Message]
    streams: bool


METHODS: Mapping[str, Method] = {
    method.name: Method(
        method.name,
        f"/{SERVICE}/{method.name}",
        message_factory.GetMessageClass(method.input_type),
        message_factory.GetMessageClass(method.output_type),
        method.server_streaming,
    )
    for method in _SERVICE.methods
}
"""Every RPC by its name."""


def to_builtins(message: Message) -> dict[str, Any]:
    """Return a message as plain dicts, lists and values: field names as in the file, numbers as numbers, no field left out."""
    plain: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _numbers(message, plain)


def invalid_argument(message: str, violations: Iterable[tuple[str, str]]) -> status_pb2.Status:
    """Return INVALID_ARGUMENT with a google.rpc.BadRequest: pairs of a field's name and what is wrong with it.

    Where there are more violations than an error can carry, the last one says how many are left out.
    """
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=error_text(message))
    details = error_details_pb2.BadRequest()
    pending = list(violations)
    while pending and details.ByteSize() < _VIOLATIONS_LIMIT - _TEXT_LIMIT:
        field, description = pending.pop(0)
        details.field_violations.add(field=error_text(field), description=error_text(description))
    if pending:
        details.field_violations.add(description=f"and {len(pending)} more")
    status.details.add().Pack(details)
    return status


def error_text(text: str) -> str:
    """Return a text that is short enough for an error: what is too long is cut."""
    size = 0
    for index, character in enumerate(text):
        size += 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode())
        if size > _TEXT_LIMIT:
            return f"{text[:index]} ..."
    return text


def trailing_metadata(status: status_pb2.Status) -> tuple[tuple[str, str | bytes], ...]:
    """Return the metadata that carries an error with its details."""
    return tuple(rpc_status.to_status(status).trailing_metadata)


def violations(error: grpc.Call) -> tuple[tuple[str, str], ...]:
    """Return the field violations of a failed call, empty if it carries none."""
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        return ()
    found: list[tuple[str, str]] = []
    for detail in () if status is None else status.details:
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(bad_request):
            found += [(violation.field, violation.description) for violation in bad_request.field_violations]
    return tuple(found)


def _numbers(message: Message, plain: dict[str, Any]) -> dict[str, Any]:
    """Turn 64-bit numbers back into numbers: JSON as protobuf writes it has them as strings."""
    for field in message.DESCRIPTOR.fields:
        value = plain.get(field.name)
        if value is None:
            continue
        wide = field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64)
        nested = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
                plain[field.name] = {key: int(number) for key, number in value.items()}
        elif field.is_repeated:
            if wide:
                plain[field.name] = [int(number) for number in value]
            elif field.message_type is not None:
                plain[field.name] = [_numbers(*pair) for pair in zip(nested, value, strict=True)]
        elif wide:
            plain[field.name] = int(value)
        elif isinstance(value, dict):
            plain[field.name] = _numbers(nested, value)
    return plain


def to_json(message: Message) -> str:
    """Return a message as JSON, the same text for the same message."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None, sort_keys=True)
