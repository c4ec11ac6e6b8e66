"""The command `mcproxy`: what it accepts. What the commands do lives in modules of their own, loaded when needed.

The home of typer.
"""

import ipaddress
import re
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import mcproxy
from mcproxy.cli import config_commands
from mcproxy.cli.config_commands import INVALID, OK
from mcproxy.errors import McproxyError
from mcproxy.model.addresses import parse_listen
from mcproxy.policy.explain import Query

EXIT_CODES = "Exit status: 0 valid or done, 1 invalid or failed, 2 wrong usage."

# Plain help: rich would double the time until it appears.
app = typer.Typer(
    name="mcproxy",
    help="A TLS edge proxy that follows one TOML file.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", envvar="MCPROXY_CONFIG", help="The config file."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
FileArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="The config file; default: that of --config.", show_default=False),
]


def main() -> NoReturn:
    """Run the command line and exit; errors meant for the operator are one line on standard error."""
    try:
        app()
    except (McproxyError, OSError) as error:
        print(f"mcproxy: {error}", file=sys.stderr)
        sys.exit(INVALID)
    sys.exit(OK)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mcproxy {mcproxy.__version__}")
        raise typer.Exit(OK)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
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

    SIGHUP reloads at once, SIGTERM drains and stops, a second SIGTERM stops at once.
    """
    file = _file(None, config)
    from mcproxy.cli import serve as command  # noqa: PLC0415 - event loop and log are slow to import

    raise typer.Exit(command.serve(file, last_good=last_good))


@app.command(epilog="Exit status: 0 all went as it should, 1 something did not, 2 wrong usage.")
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the tour instead of staying up until Ctrl-C.")
    ] = False,
) -> None:
    """Take a tour on loopback: real TLS backends, a real proxy, real edits of its file and their effect."""
    from mcproxy.cli import demo as command  # noqa: PLC0415 - cryptography is slow to import

    raise typer.Exit(command.demo(once=once))


@app.command("validate-config", epilog="Exit status: 0 valid, 1 invalid, 2 wrong usage.")
def validate_config(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Config files; default: that of --config.")
    ] = None,
    config: ConfigOption = None,
    syntax: Annotated[
        bool, typer.Option("--syntax", help="Look at the text alone: needs no certificates or other files.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as errors.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check config files.

    Every problem is printed as file:line:column: error|warning: key: message.
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
def explain(
    file: FileArgument = None,
    *,
    sni: Annotated[
        str | None, typer.Option(metavar="NAME", help="The server name the client asks for; without: none.")
    ] = None,
    listener: Annotated[
        str | None, typer.Option(metavar="ADDR", help="The listener it connects to; without: each of them.")
    ] = None,
    ip: Annotated[str | None, typer.Option(metavar="ADDR", help="The real client's IP address.")] = None,
    proxy_ip: Annotated[
        str | None,
        typer.Option(metavar="ADDR", help="The IP address of a proxy that names the client in a PROXY header."),
    ] = None,
    alpn: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="l7: a protocol the client offers, h2 or http/1.1; repeatable."),
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="l7: the request's method.")] = None,
    path: Annotated[str | None, typer.Option(metavar="PATH", help="l7: the request's path, with its query.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="l7: one of the request's headers; repeatable.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which lines decide about a connection, and on an l7 route about a request.

    Every step is taken by the code that the proxy itself runs.
    """
    try:
        query = Query(
            listener=None if listener is None else parse_listen(listener),
            sni=sni,
            ip=None if ip is None else str(ipaddress.ip_address(ip)),
            proxy_ip=None if proxy_ip is None else str(ipaddress.ip_address(proxy_ip)),
            alpn=tuple(alpn) if alpn else None,
            method=method,
            path=path,
            headers=tuple(map(_header, header or ())),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    raise typer.Exit(config_commands.explain(_file(file, config), query, as_json=as_json))


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a reference for people instead.")] = False,
) -> None:
    """Print the JSON Schema of the config file."""
    raise typer.Exit(config_commands.schema(markdown=markdown))


@app.command(epilog="Exit status: 0 written, 1 it exists or cannot be written, 2 wrong usage.")
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("mc-proxy.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented config file to start from."""
    raise typer.Exit(config_commands.init(path, force=force))


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
    from mcproxy.cli import dev_certs as command  # noqa: PLC0415 - cryptography is slow to import

    raise typer.Exit(command.dev_certs(folder, names or command.DEFAULT_NAMES))


def _header(text: str) -> tuple[str, str]:
    """Return name and value of a header; raises ValueError with a message for the user."""
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError(f"{text!r} is not a header; write it as 'Name: value'")
    return name, value.strip()


def _file(argument: Path | None, option: Path | None) -> Path:
    """Return the config file: the argument, else ``--config``, else ``MCPROXY_CONFIG``; usage error without any."""
    file = argument or option
    if file is None:
        raise typer.BadParameter("name a config file, or set MCPROXY_CONFIG")
    return file
