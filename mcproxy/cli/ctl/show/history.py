"""The commands of `mcproxyctl` about what was: generations, edits, requests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import print_json, print_plan, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import moment, plain

if TYPE_CHECKING:  # slow to import
    from mcproxy.client import Moment


def revisions(server: Server, limit: int, before: int) -> int:
    """Print the generations that were live, newest first."""
    with server.client() as client:
        answer = client.list_revisions(limit, before)
    if server.as_json:
        print_json([api.to_builtins(revision) for revision in answer.revisions])
        return OK
    print_table(
        *_table(answer.revisions, ("FILE SHA256",)), drop=("FILE SHA256", "AUTHOR"), **_LAID_OUT, wide=server.wide
    )
    return OK


def of_resource(server: Server, kind: str, key: Sequence[str], limit: int, before: int) -> int:
    """Print the generations that changed a resource, newest first."""
    with server.client() as client:
        answer = client.list_revisions(limit, before, kind, key)
    if server.as_json:
        print_json(api.to_builtins(answer))
        return OK
    print_table(*_table(answer.revisions), drop=("AUTHOR",), **_LAID_OUT, wide=server.wide)
    if answer.since != 1:
        print(f"\nwhat was before generation {answer.since} is not kept" if answer.since else "\nnothing of it is kept")
    return OK


def diff(server: Server, before: "Moment", after: "Moment | None") -> int:
    """Print what differs between what was live at two moments."""
    with server.client() as client:
        answer = client.diff_generations(before, after)
    if server.as_json:
        ends = {name: api.to_builtins(getattr(answer, name)) for name in ("from", "to")}
        print_json({**ends, **msgspec.json.decode(answer.json), "lines": list(answer.lines)})
        return OK
    for name in ("from", "to"):
        one = getattr(answer, name)
        print(f"{name:<4}  generation {one.generation}  {moment(one.time)}  {one.label or one.origin}")
    print()
    print_plan([*answer.lines, answer.summary])
    return OK


_LAID_OUT: dict[str, Any] = {"right": ("GENERATION",)}


def _table(revisions: Sequence[pb.Revision], more: Sequence[str] = ()) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headers and rows; without labels where there are none."""
    columns = {
        "GENERATION": [str(row.generation) for row in revisions],
        "TIME": [moment(row.time) for row in revisions],
        "ORIGIN": [row.origin for row in revisions],
        "AUTHOR": [row.author or "-" for row in revisions],
    }
    if "FILE SHA256" in more:
        columns["FILE SHA256"] = [row.file_sha256[:12] or "-" for row in revisions]
    if any(row.label for row in revisions):
        columns["LABEL"] = [row.label or "-" for row in revisions]
    columns["SUMMARY"] = [row.summary for row in revisions]
    return tuple(columns), list(zip(*columns.values(), strict=True))


def edit_records(server: Server, limit: int, before: int) -> int:
    """Print what became of runtime edits, newest first."""
    with server.client() as client:
        answer = client.list_edit_records(limit, before)
    if server.as_json:
        print_json([plain(api.to_builtins(record)) for record in answer.records])
        return OK
    print_table(
        ("NUMBER", "TIME", "EVENT", "EDIT", "RESOURCE", "AUTHOR", "REASON", "DETAIL"),
        [
            (
                str(row.id),
                moment(row.time),
                row.event,
                str(row.edit.id),
                f"no {row.edit.target}" if row.edit.tombstone else row.edit.target,
                row.edit.author or "-",
                row.edit.reason or "-",
                row.detail or "-",
            )
            for row in answer.records
        ],
        right=("NUMBER", "EDIT"),
        drop=("AUTHOR", "REASON", "DETAIL"),
        wide=server.wide,
    )
    return OK


def audit(server: Server, limit: int, before: int) -> int:
    """Print every request that wanted to change something, newest first."""
    with server.client() as client:
        answer = client.list_audit(limit, before)
    if server.as_json:
        print_json([plain(api.to_builtins(entry)) for entry in answer.entries])
        return OK
    print_table(
        ("NUMBER", "TIME", "OUTCOME", "ACTION", "TARGET", "AUTHOR", "REASON", "DETAIL"),
        [
            (
                str(row.id),
                moment(row.time),
                row.outcome,
                row.action,
                row.target or "-",
                f"{row.author} (verified)" if row.verified else row.author or "-",
                row.reason or "-",
                row.detail or "-",
            )
            for row in answer.entries
        ],
        [_STYLES.get(row.outcome, "") for row in answer.entries],
        right=("NUMBER",),
        drop=("REASON", "DETAIL"),
        wide=server.wide,
    )
    return OK


_STYLES = {"refused": "red", "withdrawn": "yellow"}


def show(server: Server, generation: int) -> int:
    """Print a generation: what was done to get there; as JSON its whole state too."""
    with server.client() as client:
        answer = client.get_revision(generation)
    if server.as_json:
        whole = api.to_builtins(answer)
        lines = {"lines": whole.pop("plan")}
        read = plain(whole)
        print_json({**read, "plan": read["plan"] | lines})
        return OK
    revision = answer.revision
    print_table(
        ("", ""),
        [
            ("generation", str(revision.generation)),
            ("time", moment(revision.time)),
            ("origin", revision.origin),
            ("author", revision.author or "-"),
            ("label", revision.label or "-"),
            ("file sha256", revision.file_sha256 or "-"),
            ("summary", revision.summary),
        ],
        header=False,
    )
    if answer.plan:
        print()
        print_plan(answer.plan)
    return OK
