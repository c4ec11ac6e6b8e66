"""`mcproxyctl fleet`: its commands and options."""

from pathlib import Path
from typing import Annotated

from mcproxy.cli.common.command_line import App, Argument, Option, UsageError
from mcproxy.cli.common.options import ExitCodeOption, seconds
from mcproxy.cli.ctl.options import Server, user

fleet = App("fleet", "Many servers with one configuration.", default="status")

FileArgument = Annotated[
    Path, Argument(metavar="FILE", help="The main config file; what it includes goes with it.", complete="file")
]
AuthorOption = Annotated[
    str | None,
    Option(metavar="NAME", help="Who does it; default: the user who runs this. On TCP the certificate counts."),
]


@fleet.command(examples=["fleet status", "fleet status --json"])
def status(server: Server) -> int:
    """Show the fleet. Its document and rollout, and each node that is there."""
    from mcproxy.cli.ctl.fleet import shown

    return shown.status(server)


@fleet.command(examples=["fleet diff mc-proxy.toml", "fleet diff mc-proxy.toml --exit-code"])
def diff(file: FileArgument, *, exit_code: ExitCodeOption = False, server: Server) -> int:
    """Show what pushing a file would change. Validated by the server that is asked, tests of the file included."""
    from mcproxy.cli.ctl.fleet import pushing

    return pushing.diff(server, file, exit_code=exit_code)


@fleet.command(
    examples=[
        'fleet push mc-proxy.toml --label "$(git rev-parse --short HEAD)"',
        "fleet push mc-proxy.toml --over 41",
        "fleet push mc-proxy.toml --canary 1 --watch 60s --max-errors 2%",
        "fleet push mc-proxy.toml --canary edge-2 --steps 1,25%,100%",
    ],
    epilog="Exit status: 0 live on every node that is there, 1 refused, returned, or not live everywhere, 2 wrong usage.",
)
def push(
    file: FileArgument,
    *,
    label: Annotated[str, Option(metavar="TEXT", help="What it is, such as the commit of the file.")] = "",
    author: AuthorOption = None,
    over: Annotated[
        int | None,
        Option(metavar="N", least=0, help="Refuse unless this revision is the fleet's, as diff told; 0: none."),
    ] = None,
    canary: Annotated[
        str | None, Option(metavar="N|NAME,...", help="Try it first on so many nodes, or on these.")
    ] = None,
    steps: Annotated[
        str | None, Option(metavar="STEPS", help="Go on to more nodes step by step, such as 1,25%,100%.")
    ] = None,
    watch: Annotated[
        str | None, Option(metavar="DURATION", help="Watch each canary for so long in each step; default 60s.")
    ] = None,
    max_errors: Annotated[
        str | None, Option(metavar="SHARE", help="By how much more than before may fail; default 2%.")
    ] = None,
    min_requests: Annotated[
        int | None, Option(metavar="N", least=1, help="Fewer answered requests say nothing; default 50.")
    ] = None,
    allow_shrink: Annotated[
        bool, Option("--allow-shrink", help="Even if it takes away most of what is served.")
    ] = False,
    detach: Annotated[bool, Option("--detach", help="Do not wait until it is live.")] = False,
    server: Server,
) -> int:
    """Make a file the fleet's configuration. Done when it is live on every node that is there.

    It is validated and planned by the server that is asked, and refused when somebody else has pushed since.
    """
    from mcproxy.cli.ctl.fleet import pushing

    asked = None
    if canary is not None or steps is not None:
        asked = pushing.Canary(
            canary or "",
            steps or "",
            None if watch is None else seconds(watch, "--watch"),
            None if max_errors is None else share(max_errors),
            min_requests,
        )
    elif watch is not None or max_errors is not None or min_requests is not None:
        raise UsageError("--watch, --max-errors and --min-requests are about canaries: say --canary or --steps, too")
    author = user() if author is None else author
    how = pushing.Push(label, author, over, asked, allow_shrink=allow_shrink, wait=not detach)
    return pushing.push(server, file, how)


@fleet.command(examples=["fleet history --limit 5"])
def history(
    limit: Annotated[int, Option(metavar="N", least=1, help="At most so many, newest first.")] = 20, *, server: Server
) -> int:
    """Show what was pushed, by whom, and what became of it. Newest first."""
    from mcproxy.cli.ctl.fleet import shown

    return shown.history(server, limit)


@fleet.command(examples=["fleet abort"])
def abort(*, author: AuthorOption = None, server: Server) -> int:
    """End the rollout that is going on. Its canaries run the fleet's configuration again."""
    from mcproxy.cli.ctl.fleet import pushing

    return pushing.abort(server, user() if author is None else author)


def share(text: str) -> float:
    """Return ``2%`` or ``0.02`` as a fraction; raises UsageError."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"--max-errors {text}: a share of requests is meant, such as 2% or 0.02")
    return value
