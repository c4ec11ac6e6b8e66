"""`mcproxyctl blame`: since when each key of a resource is as it is, and by whose doing."""

from collections.abc import Sequence

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import print_json, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import moment, place, plain

_HEADERS = ("KEY", "VALUE", "GENERATION", "TIME", "ORIGIN", "AUTHOR", "PLACE", "LABEL")


def blame(server: Server, kind: str, key: Sequence[str]) -> int:
    """Print a resource's keys, each with what made it so."""
    with server.client() as client:
        answer = client.blame(kind, key)
    if server.as_json:
        print_json(plain(api.to_builtins(answer)))
        return OK
    rows = [row for one in answer.keys for row in _rows(one, answer.since)]
    if answer.removed:
        rows = [_row("removed", "-", answer.removed_by if answer.HasField("removed_by") else None, answer.since)]
    print_table(_HEADERS, rows, right=("GENERATION",), drop=("AUTHOR",), wide=server.wide)
    return OK


def _rows(key: pb.BlamedKey, since: int) -> list[tuple[str, ...]]:
    name, value = (key.name, _value(key.value_json)) if key.name else ("added", "-")
    rows = [_row(name, value, key.by if key.HasField("by") else None, since)]
    if key.restored:
        rows.append(_row("", "  given back, from", key.original if key.HasField("original") else None, since))
    return rows


def _row(name: str, value: str, by: pb.ResourceChange | None, since: int) -> tuple[str, ...]:
    if by is None:
        return (
            name,
            value,
            "-",
            "-",
            f"before generation {since}, not kept" if since > 1 else "not kept",
            "-",
            "-",
            "-",
        )
    generation = f"{by.unkept_since} to {by.generation}" if by.unkept_since else str(by.generation)
    return (
        name,
        value,
        generation,
        moment(by.time),
        by.origin,
        by.author or "-",
        place(by.place) or "-",
        by.label or "-",
    )


def _value(text: str) -> str:
    """Return a value as the file has it, a single text without its quotes."""
    return text[1:-1] if text.startswith('"') and "\\" not in text else text
