"""The command `mcproxyctl`: what it accepts, built on `mcproxy.client` alone.

What the commands do lives in modules of their own, loaded when needed.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

from mcproxy.cli.common.command_line import Argument, Option, UsageError
from mcproxy.cli.common.options import ExitCodeOption, new_app, run, seconds
from mcproxy.cli.ctl.certificates.commands import certificates
from mcproxy.cli.ctl.endpoints import endpoints, upstreams
from mcproxy.cli.ctl.fleet.commands import fleet
from mcproxy.cli.ctl.options import CONNECTION, KEYS, ChangeOptions, KindArgument, Server
from mcproxy.cli.ctl.past import past
from mcproxy.cli.ctl.resources import connections, firewall, listeners, policies, routes

EXIT_CODES = (
    "Exit status: 0 done, 1 failed or refused, 2 wrong usage, 3 (drift, and plan --exit-code) something differs."
)

app = new_app("mcproxyctl", "Look at a running mcproxy, change it, and take changes back.", EXIT_CODES, CONNECTION)
app.add(listeners)
app.add(routes)
app.add(policies)
app.add(firewall)
app.add(upstreams)
app.add(endpoints)
app.add(connections)
app.add(certificates)
app.add(fleet)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; errors meant for the operator are short and on standard error."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its messages on standard error; the client's errors say the same
    run(app, args)


@app.command(examples=["status", "-c /etc/mcproxy/mc-proxy.toml status"])
def status(server: Server) -> int:
    """Show the state of the server. Workers, listeners, the last reload, and whether anything differs from the files."""
    from mcproxy.cli.ctl.show import status as ctl_status

    return ctl_status.status(server)


@app.command(examples=["plan", "plan new.toml"])
def plan(
    file: Annotated[
        Path | None,
        Argument(
            metavar="FILE",
            help="Plan as if this file took the config file's place; - is standard input.",
            complete="file",
        ),
    ] = None,
    *,
    exit_code: ExitCodeOption = False,
    server: Server,
) -> int:
    """Show what a reload would do now.

    + added, ~ changed, - removed.
    """
    from mcproxy.cli.ctl import files as ctl_files

    return ctl_files.plan(server, file, exit_code=exit_code)


@app.command(examples=["reload", 'reload --label "incident 7"'])
def reload(
    server: Server,
    *,
    label: Annotated[
        str, Option(metavar="TEXT", help="Why the files were changed, for the history; default: their commit, in git.")
    ] = "",
    allow_shrink: Annotated[
        bool, Option("--allow-shrink", help="Apply the content that was refused for taking away too much.")
    ] = False,
) -> int:
    """Read the files again. Done when the result is live in every worker."""
    from mcproxy.cli.ctl import files as ctl_files

    return ctl_files.reload(server, label, allow_shrink=allow_shrink)


@app.command(
    examples=["restart", 'restart --reason "security update"'],
    epilog="Exit status: 0 restarted, 1 not restarted: the server goes on as it was, 2 wrong usage.",
)
def restart(
    *,
    author: Annotated[
        str | None,
        Option(metavar="NAME", help="Who wants it; default: the user who runs this. On TCP the certificate counts."),
    ] = None,
    reason: Annotated[str, Option(metavar="TEXT", help="Why.")] = "",
    server: Server,
) -> int:
    """Start the program anew without a gap. It may be another version; open connections drain. Done when it serves."""
    from mcproxy.cli.ctl.show import live as ctl_live

    return ctl_live.restart(server, author, reason)


@app.command(examples=["drift"], epilog="Exit status: 0 nothing differs, 1 failed, 2 wrong usage, 3 something differs.")
def drift(server: Server) -> int:
    """Show what differs from the files. And who changed it."""
    from mcproxy.cli.ctl.show import drift as ctl_drift

    return ctl_drift.drift(server)


@app.command(examples=["revert 12", "revert route :443 app.example.com", 'revert --all --reason "the test is over"'])
def revert(
    key: Annotated[
        list[str] | None,
        Argument(metavar="KEY", help='An edit\'s number, or a resource as drift shows it: "route :8443 a.org".'),
    ] = None,
    every: Annotated[bool, Option("--all", help="End all runtime edits.")] = False,
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """End runtime edits, so that the files count again."""
    words = key or []
    if bool(words) == every:
        raise UsageError("say which edit to end, or --all; drift shows them")
    from mcproxy.cli.ctl.change import make

    if words and all(word.isdecimal() for word in words):
        return make(server, lambda client: client.revert_edit(edit_ids=map(int, words), **change.arguments))
    return make(server, lambda client: client.revert_edit(target=" ".join(words), all=every, **change.arguments))


@app.command(examples=["export", "export --write"])
def export(
    file: Annotated[
        Path | None, Option(metavar="PATH", help="Only this one of several files, the main file or an include.")
    ] = None,
    write: Annotated[
        bool, Option("--write", help="Replace the files on this machine, if nobody has changed them meanwhile.")
    ] = False,
    *,
    server: Server,
) -> int:
    """Print the files with the runtime edits in them. Comments, order and layout are kept."""
    from mcproxy.cli.ctl import files as ctl_files

    return ctl_files.export(server, file, write=write)


app.commands |= past.commands


@app.command(
    examples=[
        "put route :443 app.example.com backend=10.0.0.7:443 --expires 2h",
        "put setting proxy.idle_timeout value=2m",
        'put case :443 app.example.com "/*" respond="Back soon" status=503 --expires 1h',
        "put filter office max_body=10MiB set_response_headers.X-Env=prod",
    ],
    epilog=f"KEY: {KEYS}",
)
def put(
    kind: KindArgument,
    words: Annotated[
        list[str],
        Argument(
            "KEY... NAME=VALUE",
            "The parts of its key, then keys of its table in the config file: a value is TOML where it is that (5, true, [...], {...}), "
            "else a text; NAME= is its default, A.B= the key B of the table A. Relative paths start at the config file's folder.",
            complete="key",
        ),
    ],
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Change keys of a resource of any kind, or add one. What is not named stays as it is."""
    from mcproxy.cli.ctl import generic as ctl_generic

    return ctl_generic.put(server, kind, words, change)


@app.command(examples=["remove route :443 old.example.com", "remove rule ip 192.0.2.66"], epilog=f"KEY: {KEYS}")
def remove(
    kind: KindArgument,
    key: Annotated[list[str], Argument("KEY", "The parts of its key.", complete="key")],
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Remove a resource of any kind, and what belongs to it."""
    from mcproxy.cli.ctl import generic as ctl_generic

    return ctl_generic.remove(server, kind, key, change)


@app.command("list", examples=["list setting", "list route :443"], epilog=f"KEY: {KEYS}")
def list_(
    kind: KindArgument,
    key: Annotated[
        list[str] | None, Argument("KEY", "Only those whose key begins with these parts.", complete="key")
    ] = None,
    *,
    server: Server,
) -> int:
    """Show the resources of a kind. With the keys that are not as by default, as put takes them."""
    from mcproxy.cli.ctl import generic as ctl_generic

    return ctl_generic.show(server, kind, key or ())


@app.command(examples=["backup mc-proxy.db.bak"])
def backup(
    file: Annotated[Path, Argument(metavar="FILE", help="Where to write it; - is standard output.", complete="file")],
    *,
    force: Annotated[bool, Option("--force", help="Replace an existing file.")] = False,
    server: Server,
) -> int:
    """Write a copy of the server's database. All runtime edits and the history, as they are now."""
    from mcproxy.cli.ctl import files as ctl_files

    return ctl_files.backup(server, file, force=force)


@app.command(examples=["why 5f2a9c03d1e84b77", "why --ip 203.0.113.9 --last 1"])
def why(
    request_id: Annotated[
        str | None,
        Argument(metavar="ID", help="The request id that an error page or the access log tells."),
    ] = None,
    ip: Annotated[str | None, Option(metavar="ADDR", help="What was refused to this client, instead.")] = None,
    last: Annotated[int, Option(metavar="N", least=1, help="At most so many, newest first.")] = 5,
    *,
    server: Server,
) -> int:
    """Show why a request was refused, or a client. Also why they failed.

    The step that decided it stands first, with its line, then those that were passed before.

    Each worker keeps its last thousand refusals in memory; exit status 1: none of them is it.
    """
    if (request_id is None) == (ip is None):
        raise UsageError("name the id of a request, or a client by --ip")
    from mcproxy.cli.ctl.show import why as ctl_why

    return ctl_why.why(server, request_id or "", ip or "", last)


@app.command(examples=["events --recent 20"])
def events(
    recent: Annotated[int, Option(metavar="N", least=0, help="Begin with so many events of the recent past.")] = 0,
    *,
    server: Server,
) -> int:
    """Follow what happens, until Ctrl-C. With --json one object per line."""
    from mcproxy.cli.ctl.show import live as ctl_live

    return ctl_live.events(server, recent)


@app.command(examples=["top --interval 5s"])
def top(
    interval: Annotated[str, Option(metavar="DURATION", help="Time from one sample to the next.")] = "1s",
    once: Annotated[bool, Option("--once", help="Print one sample, after one interval.")] = False,
    *,
    server: Server,
) -> int:
    """Watch the busiest routes, until Ctrl-C. With --json one object per sample and line."""
    pause = seconds(interval, "--interval")
    from mcproxy.cli.ctl.show import live as ctl_live

    return ctl_live.top(server, pause, once=once)


@app.command(hidden=True)
def names(server: Server) -> int:
    """Print each listener with each of its hostnames, for the completion of shells."""
    from mcproxy.cli.ctl.show import names as ctl_names

    return ctl_names.names(server)


if __name__ == "__main__":
    main()
