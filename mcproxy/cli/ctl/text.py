"""How `mcproxyctl` writes values for people: times, amounts, where things come from. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from mcproxy.model.values.figures import age as age  # noqa: PLC0414 - part of this module's interface
from mcproxy.model.values.figures import amount as amount  # noqa: PLC0414 - likewise


class Timestamp(Protocol):
    """A protobuf timestamp."""

    seconds: int
    nanos: int


class Provenance(Protocol):
    """Where a resource comes from, as `mc_proxy.v1.Provenance` has it."""

    origin: str
    edit_id: int


def plain(value: Any) -> Any:
    """Return an answer's plain values with JSON texts as what they say: ``state_json`` becomes ``state``, "" null."""
    match value:
        case dict():
            return {
                key.removesuffix("_json"): (json.loads(item) if item else None)
                if key.endswith("_json")
                else plain(item)
                for key, item in value.items()
            }
        case list():
            return [plain(item) for item in value]
    return value


def moment(time: Timestamp) -> str:
    """Return a point in time, in UTC as logs and the status page have it, to the second; "-" for none."""
    if not time.seconds:
        return "-"
    return f"{datetime.fromtimestamp(time.seconds, UTC):%Y-%m-%d %H:%M:%SZ}"


def rate(per_second: float) -> str:
    """Return a rate per second, with as many digits as say something."""
    return f"{per_second:.1f}" if 0 < per_second < 10 else f"{per_second:.0f}"


def source(provenance: Provenance) -> str:
    """Return where a resource comes from: ``file:line``, the edit that made it, or both if it changed what the file says."""
    origin = place(provenance.origin)
    edit = f"edit {provenance.edit_id}" if provenance.edit_id else ""
    if origin.startswith(edit):
        return origin or "-"  # the server names the edit itself, and its author
    return f"{edit}, {origin}" if origin else edit


def place(origin: str) -> str:
    """Return ``file:line`` without the file's folder, as plans have it; what is no place stays."""
    return origin.rpartition("/")[2] if origin.startswith("/") else origin


def counts(by_name: Mapping[str, int]) -> str:
    """Return a total and what it is made of, the largest first: ``7 (no_route 5, ip 2)``."""
    parts = sorted(((number, name) for name, number in by_name.items() if number), key=lambda part: (-part[0], part[1]))
    total = sum(number for number, _ in parts)
    return f"{total} ({', '.join(f'{name} {number}' for number, name in parts)})" if parts else "0"
