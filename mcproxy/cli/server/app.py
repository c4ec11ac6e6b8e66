"""The command `mcproxy`: what it accepts. What the commands do lives in modules of their own, loaded when needed.

A home of typer.
"""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from mcproxy.cli.common.options import ConfigOption, JsonOption, QueryOptions, VersionOption, command, new_app, run
from mcproxy.cli.server import config_commands

app = new_app(
    "mcproxy",
    "A TLS edge proxy that follows one TOML file.",
    epilog="Exit status: 0 valid or done, 1 invalid or failed, 2 wrong usage.",
)

FileArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="The config file; default: that of --config.", show_default=False),
]


def main() -> NoReturn:
    """Run the command line and exit; errors meant for the operator are one line on standard error."""
    run(app, "mcproxy")


@app.callback()
def _options(version: VersionOption = False) -> None:
    """Take the options that stand before the command."""


@app.command(epilog="Exit status: 0 stopped by SIGTERM or SIGINT, 1 cannot serve, 2 wrong usage.")
def serve(
    config: ConfigOption = None,
    last_good: Annotated[
        bool,
        typer.Option(
            "--last-good", help="If the file is invalid, serve the last state that was live until it is mended."
        ),
    ] = False,
) -> None:
    """Serve a config file and follow its edits.

    SIGHUP reloads at once, SIGUSR1 opens the access log anew, SIGTERM drains and stops, a second SIGTERM stops at once;
    SIGQUIT writes where all threads are to standard error and goes on, SIGUSR2 does nothing yet.
    """
    file = _file(None, config)
    from mcproxy.cli.server import serve as command

    raise typer.Exit(command.serve(file, last_good=last_good))


@app.command(epilog="Exit status: 0 all went as it should, 1 something did not, 2 wrong usage.")
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the tour instead of staying up until Ctrl-C.")
    ] = False,
) -> None:
    """Take a tour on loopback: real TLS backends, a real proxy, real edits of its file and their effect."""
    from mcproxy.cli.demo import tour as command

    raise typer.Exit(command.demo(once=once))


@app.command("validate-config", epilog="Exit status: 0 valid, 1 invalid, 2 wrong usage.")
def validate_config(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Config files, - for standard input; default: that of --config."),
    ] = None,
    config: ConfigOption = None,
    syntax: Annotated[
        bool, typer.Option("--syntax", help="Look at the text alone: needs no certificates or other files.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as errors.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check config files.

    Every problem is printed as file:line:column: error|warning: key: message. In what comes from standard input, relative paths start at
    the working folder.
    """
    wanted = files or [_file(None, config)]
    raise typer.Exit(config_commands.validate(wanted, syntax=syntax, strict=strict, as_json=as_json))


@app.command(epilog="Exit status: 0 planned (changes or not), 1 a file is invalid, 2 wrong usage.")
def plan(
    against: Annotated[
        Path, typer.Option("--against", metavar="OLD", help="The config file that is taken as running now.")
    ],
    new: Annotated[
        Path | None, typer.Argument(metavar="[NEW]", help="The config file to get to; default: that of --config.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changes from one config file to another.

    The plan of a proxy that runs OLD and is to run NEW: + added, ~ changed, - removed.
    """
    raise typer.Exit(config_commands.plan(_file(new, config), against, as_json=as_json))


@app.command(epilog="Exit status: 0 explained, 1 the file is invalid, 2 wrong usage.")
@command
def explain(
    file: FileArgument = None, *, query: QueryOptions, config: ConfigOption = None, as_json: JsonOption = False
) -> int:
    """Show which lines decide about a connection, and on an l7 route about a request.

    Every step is taken by the code that the proxy itself runs.
    """
    asked = query.query()
    return config_commands.explain(_file(file, config), asked, as_json=as_json)


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a reference for people instead.")] = False,
) -> None:
    """Print the JSON Schema of the config file."""
    raise typer.Exit(config_commands.schema(markdown=markdown))


@app.command(epilog="Exit status: 0 written, 1 it exists or cannot be written, 2 wrong usage.")
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("mc-proxy.toml"),
    l7: Annotated[
        str | None, typer.Option("--l7", metavar="NAME", help="A site of this name, whose TLS ends at the proxy.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented config file to start from.

    Below /etc it is for the service of the systemd unit: port 443, and the folders that the unit may write to.
    """
    from mcproxy.cli.server import starter as command

    try:
        status = command.init(path, l7=l7, force=force)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--l7") from error
    raise typer.Exit(status)


@app.command(epilog="Exit status: 0 written, 1 a file cannot be written, 2 wrong usage.")
def assets(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write them; made if missing.")],
) -> None:
    """Write what an installation needs beside the program.

    The systemd unit, which starts the program that writes it, the Prometheus alert rules, the Grafana dashboard and the
    JSON Schema of the config file.
    """
    from mcproxy.cli.server import assets as command

    raise typer.Exit(command.assets(folder))


@app.command("dev-certs")
def dev_certs(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Host names or addresses; default: those of srv/mc-proxy.toml."),
    ] = None,
    folder: Annotated[Path, typer.Option("--dir", metavar="FOLDER", help="Where to write them.")] = Path("srv/certs"),
) -> None:
    """Make certificates for development.

    A certificate authority, kept as long as it is valid, and a server certificate for each name.
    """
    from mcproxy.cli.server import dev_certs as command

    raise typer.Exit(command.dev_certs(folder, names or command.DEFAULT_NAMES))


def _file(argument: Path | None, option: Path | None) -> Path:
    """Return the config file: the argument, else ``--config``, else ``MCPROXY_CONFIG``; usage error without any."""
    file = argument or option
    if file is None:
        raise typer.BadParameter("name a config file, or set MCPROXY_CONFIG")
    return file
