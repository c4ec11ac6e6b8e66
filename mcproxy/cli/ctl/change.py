"""The commands of `mcproxyctl` that change something: what was done, and what is still to do."""

import sys
from collections.abc import Callable

from mcproxy import api
from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.common.options import OK
from mcproxy.cli.common.output import print_json, print_plan
from mcproxy.cli.ctl.options import Server, user
from mcproxy.cli.ctl.text import moment, plain
from mcproxy.client import Client


def make(server: Server, change: Callable[[Client], pb.MutationResponse]) -> int:
    """Make a change and print what was done."""
    with server.client() as client:
        answer = change(client)
    if server.as_json:
        print_json(plain(api.to_builtins(answer)))
        return OK
    for warning in answer.warnings:
        print(
            f"warning: {warning.field}: {warning.message}" if warning.field else f"warning: {warning.message}",
            file=sys.stderr,
        )
    print_plan(answer.plan)
    if answer.dry_run:
        print(f"dry run: nothing was changed, generation {answer.generation} is live")
        return OK
    print(_live(answer))
    for edit in answer.edits:
        if edit.HasField("expires"):
            print(f"edit {edit.id} ends by itself at {moment(edit.expires)}")
    if answer.HasField("guarded_until"):
        print(f"watched by guard until {moment(answer.guarded_until)}")
    if answer.confirm_id:
        print(f"undone at {moment(answer.confirm_by)} unless confirmed: mcproxyctl confirm {answer.confirm_id}")
    return OK


def _live(answer: pb.MutationResponse) -> str:
    edits = ", ".join(str(edit.id) for edit in answer.edits)
    made = f" ({'edit' if len(answer.edits) == 1 else 'edits'} {edits})" if edits else ""
    return f"generation {answer.generation} is live{made}"


def confirm(server: Server, number: int) -> int:
    """Keep a rollback that would otherwise undo itself."""
    with server.client() as client:
        answer = client.confirm(number, author=user())
    if server.as_json:
        print_json(api.to_builtins(answer))
    else:
        print(f"confirmed: generation {answer.generation} stays live")
    return OK
