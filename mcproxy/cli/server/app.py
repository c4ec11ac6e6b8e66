"""The command `mcproxy`: what it accepts. What the commands do lives in modules of their own, loaded when needed."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

from mcproxy.cli.common.command_line import Argument, Option, UsageError
from mcproxy.cli.common.options import ConfigOption, ExitCodeOption, JsonOption, QueryOptions, new_app, run


def _data_path() -> str:
    """Return what relays l4 connections here where the configuration does not say."""
    from mcproxy.control.system.data_path import told

    name, why = told()
    return f"data path: {name}" + (f" ({why})" if why else "")


app = new_app(
    "mcproxy",
    "A TLS edge proxy that follows one TOML file.",
    epilog="Exit status: 0 valid or done, 1 invalid or failed, 2 wrong usage.",
    details=_data_path,
)

FileArgument = Annotated[
    Path | None,
    Argument(metavar="FILE", help="The config file; default: that of --config.", complete="file"),
]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; errors meant for the operator are one line on standard error."""
    run(app, args)


@app.command(
    examples=["serve --config /etc/mcproxy/mc-proxy.toml"],
    epilog="Exit status: 0 stopped by SIGTERM or SIGINT, 1 cannot serve, 2 wrong usage.",
)
def serve(
    config: ConfigOption = None,
    last_good: Annotated[
        bool,
        Option("--last-good", help="If the file is invalid, serve the last state that was live until it is mended."),
    ] = False,
    strict_tests: Annotated[
        bool,
        Option(
            "--strict-tests", help="Serve no file of which a test fails; else the start tells it and serves the file."
        ),
    ] = False,
    managed: Annotated[
        bool,
        Option(
            "--managed",
            help="Under systemd, as mcproxy.service does: it keeps the listening sockets over restarts, and open connections drain on their own.",
        ),
    ] = False,
) -> int:
    """Serve a config file and follow its edits.

    SIGHUP reloads at once, SIGUSR1 opens the access log anew, SIGTERM drains and stops, a second SIGTERM stops at once;
    SIGUSR2 starts the program anew, which takes over without a gap (as mcproxyctl restart); SIGQUIT writes where all threads are
    to standard error and goes on.
    """
    file = _file(None, config)
    from mcproxy.cli.server import serve as command

    return command.serve(file, last_good=last_good, strict_tests=strict_tests, managed=managed)


@app.command(
    examples=["demo --once", "demo --trust", "demo --fleet"],
    epilog="Exit status: 0 all went as it should, 1 something did not, 2 wrong usage.",
)
def demo(
    once: Annotated[bool, Option("--once", help="End after the tour instead of staying up until Ctrl-C.")] = False,
    trust: Annotated[
        bool, Option("--trust", help="Make four mistakes instead, which tests in the file refuse or the guard undoes.")
    ] = False,
    fleet: Annotated[
        bool, Option("--fleet", help="Run three nodes with one configuration instead, which a real etcd keeps.")
    ] = False,
) -> int:
    """Take a tour on loopback: real TLS backends, a real proxy, real edits of its file and their effect."""
    if trust:
        from mcproxy.cli.demo import trust as mistakes

        return mistakes.demo()
    if fleet:
        from mcproxy.cli.demo import fleet as nodes

        return nodes.demo()
    from mcproxy.cli.demo import tour as command

    return command.demo(once=once)


@app.command(
    "validate-config",
    examples=["validate-config mc-proxy.toml", "validate-config --syntax - < mc-proxy.toml"],
    epilog="Exit status: 0 valid, 1 invalid, 2 wrong usage.",
)
def validate_config(
    files: Annotated[
        list[Path] | None,
        Argument(
            metavar="FILE", help="Config files, - for standard input; default: that of --config.", complete="file"
        ),
    ] = None,
    config: ConfigOption = None,
    syntax: Annotated[
        bool, Option("--syntax", help="Look at the text alone: needs no certificates or other files.")
    ] = False,
    strict: Annotated[bool, Option("--strict", help="Count warnings as errors.")] = False,
    coverage: Annotated[
        bool, Option("--coverage", help="Tell also which routes, cases and filters no test comes by.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Check config files, and run their tests.

    Every problem is printed as file:line:column: error|warning|note: key: message. In what comes from standard input, relative paths start at
    the working folder.
    """
    from mcproxy.cli.server import config_commands as command

    wanted = files or [_file(None, config)]
    return command.validate(wanted, syntax=syntax, strict=strict, coverage=coverage, as_json=as_json)


@app.command(
    examples=[
        "plan new.toml --against mc-proxy.toml",
        "plan new.toml --against mc-proxy.toml --traffic access.log --exit-code",
    ],
    epilog="Exit status: 0 planned (changes or not), 1 a file is invalid, 2 wrong usage, 3 (--exit-code) something would change, "
    "4 (--exit-code) requests of --traffic would be answered differently.",
)
def plan(
    against: Annotated[
        Path, Option("--against", metavar="OLD", help="The config file that is taken as running now.", complete="file")
    ],
    new: Annotated[
        Path | None,
        Argument(metavar="NEW", help="The config file to get to; default: that of --config.", complete="file"),
    ] = None,
    config: ConfigOption = None,
    traffic: Annotated[
        list[str] | None,
        Option(
            "--traffic",
            metavar="LOG",
            help="Tell also which requests of an access log would be answered differently; - is standard input, gzip is read too; repeatable.",
        ),
    ] = None,
    exit_code: ExitCodeOption = False,
    as_json: JsonOption = False,
) -> int:
    """Show what changes from one config file to another.

    The plan of a proxy that runs OLD and is to run NEW: + added, ~ changed, - removed.
    """
    from mcproxy.cli.server import config_commands as command

    logs = list(map(Path, traffic or ()))
    return command.plan(_file(new, config), against, logs, exit_code=exit_code, as_json=as_json)


@app.command(
    examples=[
        "explain mc-proxy.toml --sni app.example.com --ip 192.0.2.7",
        "explain mc-proxy.toml --sni api.example.com --method POST --path /v1",
    ],
    epilog="Exit status: 0 explained, 1 the file is invalid, 2 wrong usage.",
)
def explain(
    file: FileArgument = None, *, query: QueryOptions, config: ConfigOption = None, as_json: JsonOption = False
) -> int:
    """Show which lines decide about a connection, and on an l7 route about a request.

    Every step is taken by the code that the proxy itself runs.
    """
    from mcproxy.cli.server import config_commands as command

    asked = query.query()
    return command.explain(_file(file, config), asked, as_json=as_json)


@app.command(examples=["schema > mc-proxy.schema.json"])
def schema(
    markdown: Annotated[bool, Option("--markdown", help="Print a reference for people instead.")] = False,
) -> int:
    """Print the JSON Schema of the config file."""
    from mcproxy.cli.server import config_commands as command

    return command.schema(markdown=markdown)


@app.command(
    examples=["init", "init --l7 www.example.com site.toml"],
    epilog="Exit status: 0 written, 1 it exists or cannot be written, 2 wrong usage.",
)
def init(
    path: Annotated[
        Path, Argument(metavar="FILE", help="Where to write it; default: mc-proxy.toml.", complete="file")
    ] = Path("mc-proxy.toml"),
    l7: Annotated[
        str | None, Option("--l7", metavar="NAME", help="A site of this name, whose TLS ends at the proxy.")
    ] = None,
    force: Annotated[bool, Option("--force", help="Replace an existing file.")] = False,
) -> int:
    """Write a commented config file to start from.

    Below /etc it is for the service of the systemd unit: port 443, and the folders that the unit may write to.
    """
    from mcproxy.cli.server import starter as command

    try:
        status = command.init(path, l7=l7, force=force)
    except ValueError as error:
        raise UsageError(f"--l7: {error}") from error
    return status


@app.command(examples=["assets ./assets"], epilog="Exit status: 0 written, 1 a file cannot be written, 2 wrong usage.")
def assets(
    folder: Annotated[Path, Argument(metavar="DIR", help="Where to write them; made if missing.", complete="folder")],
) -> int:
    """Write what an installation needs beside the program.

    The systemd units, which start the program that writes them, the Prometheus alert rules, the Grafana dashboard, the JSON
    Schema of the config file, and the completions of bash, zsh and fish.
    """
    from mcproxy.cli.server import assets as command

    return command.assets(folder)


@app.command("dev-certs", examples=["dev-certs app.localhost web.localhost"])
def dev_certs(
    names: Annotated[
        list[str] | None,
        Argument(metavar="NAME", help="Host names or addresses; default: those of srv/mc-proxy.toml."),
    ] = None,
    folder: Annotated[
        Path, Option("--dir", metavar="FOLDER", help="Where to write them; default: srv/certs.", complete="folder")
    ] = Path("srv/certs"),
) -> int:
    """Make certificates for development.

    A certificate authority, kept as long as it is valid, and a server certificate for each name.
    """
    from mcproxy.cli.server import dev_certs as command

    return command.dev_certs(folder, names or command.DEFAULT_NAMES)


def _file(argument: Path | None, option: Path | None) -> Path:
    """Return the config file: the argument, else ``--config``, else ``MCPROXY_CONFIG``; usage error without any."""
    file = argument or option or os.environ.get("MCPROXY_CONFIG")
    if not file:
        raise UsageError("name a config file, or set MCPROXY_CONFIG")
    return Path(file)
