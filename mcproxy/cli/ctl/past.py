"""The commands of `mcproxyctl` about earlier generations: what was, what has changed since, and the way back."""

from typing import Annotated

from mcproxy.cli.common.command_line import App, Argument, Option, UsageError
from mcproxy.cli.common.options import QueryOptions, seconds
from mcproxy.cli.ctl.options import KEYS, ChangeOptions, KindArgument, Server

past = App("past", "What was, and the way back.")

GenerationArgument = Annotated[int, Argument(metavar="GENERATION", least=1, help="As history shows it.")]
LimitOption = Annotated[int, Option(metavar="N", least=1, help="At most so many, newest first.")]
_MOMENT = 'A generation, or a time: 41, "2 hours ago", 14:02, "2026-11-20 14:02" (UTC).'


@past.command(examples=["history --limit 5", "history --resource route :443 app.example.com", "history --edits"])
def history(
    key: Annotated[list[str] | None, Argument("KEY", "With --resource: the parts of its key.", complete="key")] = None,
    edits: Annotated[bool, Option("--edits", help="Show what became of runtime edits instead.")] = False,
    audit: Annotated[bool, Option("--audit", help="Show every request for a change, refused ones too.")] = False,
    resource: Annotated[
        str, Option("--resource", metavar="KIND", help="Only what changed this resource: its kind, and behind it KEY.")
    ] = "",
    limit: LimitOption = 20,
    before: Annotated[
        int,
        Option(metavar="N", least=0, help="Only what is older than this generation (or number)."),
    ] = 0,
    *,
    server: Server,
) -> int:
    """Show the generations that were live. Newest first."""
    if edits + audit + bool(resource) > 1:
        raise UsageError("--edits, --audit and --resource are three lists; ask for one")
    if key and not resource:
        raise UsageError(f"what is {' '.join(key)!r}? A resource's key stands behind --resource KIND")
    from mcproxy.cli.ctl.show import history as ctl_history

    if resource:
        return ctl_history.of_resource(server, resource, key or (), limit, before)
    show = ctl_history.edit_records if edits else ctl_history.audit if audit else ctl_history.revisions
    return show(server, limit, before)


@past.command(examples=["show 12"])
def show(generation: GenerationArgument, *, server: Server) -> int:
    """Show one generation. What was done to get there; with --json its whole state too."""
    from mcproxy.cli.ctl.show import history as ctl_history

    return ctl_history.show(server, generation)


@past.command(examples=["blame route :443 app.example.com", "blame setting proxy.idle_timeout"], epilog=f"KEY: {KEYS}")
def blame(
    kind: KindArgument,
    key: Annotated[list[str], Argument("KEY", "The parts of its key.", complete="key")],
    *,
    server: Server,
) -> int:
    """Show who made a resource what it is. Each of its keys with since when, by whom, where, and why."""
    from mcproxy.cli.ctl.show import blame as ctl_blame

    return ctl_blame.blame(server, kind, key)


@past.command(examples=["diff 41", "diff 41 52", 'diff "2 hours ago"'])
def diff(
    before: Annotated[str, Argument("A", _MOMENT)],
    after: Annotated[str | None, Argument("B", "The same; without it: what is live.")] = None,
    *,
    server: Server,
) -> int:
    """Show what differs between two generations. As a plan: + added, ~ changed, - removed."""
    from mcproxy.cli.ctl.moments import generation_or_time
    from mcproxy.cli.ctl.show import history as ctl_history

    ends = generation_or_time(before, "A"), None if after is None else generation_or_time(after, "B")
    return ctl_history.diff(server, *ends)


@past.command(examples=["rollback 12 --confirm 60s"])
def rollback(
    generation: GenerationArgument,
    confirm: Annotated[
        str | None,
        Option(metavar="DURATION", help="Undo it by itself unless `mcproxyctl confirm` comes within this time."),
    ] = None,
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Bring an earlier generation back. By runtime edits, which drift shows and revert ends."""
    timeout = None if confirm is None else seconds(confirm, "--confirm")
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.rollback(generation, confirm_timeout=timeout, **change.arguments))


@past.command(examples=["confirm"])
def confirm(
    number: Annotated[
        int,
        Argument(metavar="NUMBER", least=0, help="As rollback told it; default: the one that waits."),
    ] = 0,
    *,
    server: Server,
) -> int:
    """Keep a rollback that would otherwise undo itself."""
    from mcproxy.cli.ctl import change as ctl_change

    return ctl_change.confirm(server, number)


@past.command(
    examples=[
        "explain --sni app.example.com --ip 192.0.2.7",
        'explain --sni app.example.com --path /a --at "2 hours ago"',
    ]
)
def explain(
    query: QueryOptions,
    probe: Annotated[
        bool, Option("--probe", help="Dial the backend from the server's machine, and tell what it says.")
    ] = False,
    at: Annotated[
        str | None,
        Option("--at", metavar="TIME", help='As it was then: "2 hours ago", 14:02, "2026-11-20 14:02" (UTC).'),
    ] = None,
    generation: Annotated[
        int, Option("--generation", metavar="N", least=1, help="As it was in this generation of the history.")
    ] = 0,
    *,
    server: Server,
) -> int:
    """Show what decides about a connection.

    And on an l7 route about a request, as the server runs now, or ran.

    Every step is taken by the code that the proxy itself runs; `mcproxy explain` asks a file instead.
    """
    if at is not None and generation:
        raise UsageError("--at and --generation are two moments; ask for one")
    if probe and (at is not None or generation):
        raise UsageError("--probe dials what is live, not what --at and --generation ask for")
    from mcproxy.cli.ctl.moments import at as time_of

    moment = generation or None if at is None else time_of(at, "--at")
    asked = query.query()
    from mcproxy.cli.ctl.show import explain as ctl_explain

    return ctl_explain.explain(server, asked, probe=probe, at=moment)
