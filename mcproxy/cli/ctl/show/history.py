"""The commands of `mcproxyctl` about what was: generations, edits, requests."""

from mcproxy import api
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import print_json, print_plan, print_table
from mcproxy.cli.ctl.options import Server
from mcproxy.cli.ctl.text import moment, plain


def revisions(server: Server, limit: int, before: int) -> int:
    """Print the generations that were live, newest first."""
    with server.client() as client:
        answer = client.list_revisions(limit, before)
    if server.as_json:
        print_json([api.to_builtins(revision) for revision in answer.revisions])
        return OK
    print_table(
        ("GENERATION", "TIME", "ORIGIN", "AUTHOR", "FILE SHA256", "SUMMARY"),
        [
            (
                str(row.generation),
                moment(row.time),
                row.origin,
                row.author or "-",
                row.file_sha256[:12] or "-",
                row.summary,
            )
            for row in answer.revisions
        ],
        right=("GENERATION",),
        drop=("FILE SHA256", "AUTHOR"),
        wide=server.wide,
    )
    return OK


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
            ("file sha256", revision.file_sha256 or "-"),
            ("summary", revision.summary),
        ],
        header=False,
    )
    if answer.plan:
        print()
        print_plan(answer.plan)
    return OK
