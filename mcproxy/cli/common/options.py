"""What both command lines take: options that many commands share, and how errors end them."""

import ipaddress
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec

import mcproxy
from mcproxy.cli.common.command_line import (
    App,
    Argument,
    Before,
    HelpRequested,
    Option,
    Parameter,
    UsageError,
    bundle,
    find,
    read,
)
from mcproxy.errors import McproxyError
from mcproxy.model.values import addresses, durations

if TYPE_CHECKING:  # slow to import, and help does not need it
    from mcproxy.policy.explain.query import Query

OK, FAILED, USAGE, DIFFERS, CHANGES_TRAFFIC = 0, 1, 2, 3, 4
"""Exit statuses."""

_INTERRUPTED = 130  # as shells tell of SIGINT

ConfigOption = Annotated[
    Path | None,
    Option("-c", "--config", metavar="FILE", help="The config file; default: that of MCPROXY_CONFIG.", complete="file"),
]
JsonOption = Annotated[bool, Option("--json", help="Print JSON, for machines.")]

ExitCodeOption = Annotated[bool, Option("--exit-code", help="Exit with status 3 if anything would change.")]

_VERSION = Parameter("version", Option("--version", help="Print the version."), bool, many=False, default=False)


def new_app(
    name: str,
    about: str,
    epilog: str = "",
    parameters: Sequence[Parameter] = (),
    details: Callable[[], str] = lambda: "",
) -> App:
    """Return a program without commands of its own, which tells its version, with ``details``, and helps."""
    app = App(name, about, epilog, (*parameters, _VERSION))

    @app.command("help", examples=["help"])
    def help_(
        command: Annotated[list[str] | None, Argument("COMMAND", "The command that is asked about.")] = None,
    ) -> int:
        """Show the help of a command, or of the program."""
        found, path, left = find(app, command or ())
        if left:
            raise UsageError(f"no such command {' '.join([*path[1:], *left])!r}")
        return _help(app, found, path)

    @app.command("completion", examples=["completion bash", "completion fish"])
    def completion(
        shell: Annotated[str, Argument("SHELL", "bash, zsh or fish.", complete=("bash", "zsh", "fish"))],
    ) -> int:
        """Print a script that completes command lines. Its first line tells how a shell reads it."""
        from mcproxy.cli.common.completion import SHELLS, script  # noqa: PLC0415 - no other command needs it

        if shell not in SHELLS:
            raise UsageError(f"there are scripts for {', '.join(SHELLS)}, not for {shell!r}")
        print(script(app, shell), end="")
        return OK

    @app.command("version", examples=["version"])
    def version() -> int:
        """Print the version."""
        print("\n".join(filter(None, (f"{name} {mcproxy.__version__}", details()))))
        return OK

    return app


def _help(app: App, found: object, path: Sequence[str]) -> int:
    from mcproxy.cli.common.usage import help_text  # noqa: PLC0415 - only help needs it

    print(help_text(found, path, app))  # type: ignore[arg-type]  # what `find` returns
    return OK


def run(app: App, args: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit; errors meant for the operator are short and on standard error.

    A value that the server refuses is told as ``field: message``, a line for each.
    """
    path = [app.name]
    _open_streams()
    try:
        status = _run(app, sys.argv[1:] if args is None else args, path)
        sys.stdout.flush()  # here, where it can be told what it means that nobody reads it
        sys.exit(status)
    except UsageError as error:
        name = " ".join(path)
        print(f"{name}: {error}\nTry '{name} --help'.", file=sys.stderr)
        sys.exit(USAGE)
    except BrokenPipeError:  # who read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except UnicodeEncodeError:  # the shell passed bytes on that are no text; messages and output have none
        print(f"{app.name}: an argument is not UTF-8", file=sys.stderr)
        sys.exit(USAGE)
    except (McproxyError, OSError) as error:
        violations = getattr(error, "violations", ())
        told = f"{error.filename or 'standard output'}: {error.strerror}" if isinstance(error, OSError) else error
        for line in [f"{field}: {message}" for field, message in violations] or [f"{app.name}: {told}"]:
            print(line, file=sys.stderr)
        _give_output_up()
        sys.exit(FAILED)


def _open_streams() -> None:
    """Have the three streams also where they were closed, as by ``>&-``: else the next file that is opened would be taken for one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - as long as the program


def _give_output_up() -> None:
    """Let what could not be written yet be forgotten: the interpreter would try it once more at its end, and complain again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(app: App, words: Sequence[str], path: list[str]) -> int:
    """Carry out a command line; ``path`` becomes the name of the command that it is about."""
    try:
        before, left = read(app.parameters, words, stop=True)
    except HelpRequested:
        return _help(app, app, path)
    if before.pop("version"):
        return app.commands["version"].run({}, Before())  # type: ignore[union-attr]  # it is no group
    if not left:
        _help(app, app, path)
        return USAGE
    found, path[:], left = find(app, left)
    if isinstance(found, App):
        wanted = bool(left) and left[0] in ("-h", "--help")
        if left and not wanted:
            raise UsageError(f"no such option {left[0]}")
        return _help(app, found, path) if wanted else (_help(app, found, path), USAGE)[1]
    try:
        values, _ = read(found.parameters, left)
    except HelpRequested:
        return _help(app, found, path)
    return found.run(values, Before(before))


def seconds(text: str, option: str, parse: Callable[[str], float] = durations.parse) -> float:
    """Return a duration, such as ``1m30s``, in seconds; wrong usage of ``option`` if it is none."""
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


class QueryOptions(msgspec.Struct, frozen=True):
    """A connection to explain, as it stands on a command line."""

    listener: str | None
    sni: str | None
    ip: str | None
    proxy_ip: str | None
    alpn: list[str] | None
    method: str | None
    path: str | None
    header: list[str] | None
    client_cert: str | None

    def query(self) -> "Query":
        """Return it in canonical form; wrong usage if a part of it has none."""
        from mcproxy.policy.explain.query import Query  # noqa: PLC0415 - what it explains with is slow to import

        try:
            return Query(
                listener=None if self.listener is None else addresses.parse_listen(self.listener),
                sni=self.sni,
                ip=None if self.ip is None else str(ipaddress.ip_address(self.ip)),
                proxy_ip=None if self.proxy_ip is None else str(ipaddress.ip_address(self.proxy_ip)),
                alpn=tuple(self.alpn) if self.alpn else None,
                method=self.method,
                path=self.path,
                headers=tuple(map(_header, self.header or ())),
                client_cert=self.client_cert,
            )
        except ValueError as error:
            raise UsageError(str(error)) from error


@bundle(QueryOptions)
def _query(
    sni: Annotated[
        str | None, Option(metavar="NAME", help="The server name the client asks for; without: none.")
    ] = None,
    listener: Annotated[
        str | None,
        Option(
            metavar="ADDR",
            help="The listener it connects to; without: each of them.",
        ),
    ] = None,
    ip: Annotated[str | None, Option(metavar="ADDR", help="The real client's IP address.")] = None,
    proxy_ip: Annotated[
        str | None,
        Option(metavar="ADDR", help="The IP address of a proxy that names the client in a PROXY header."),
    ] = None,
    alpn: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="l7: a protocol the client offers, h2 or http/1.1; repeatable."),
    ] = None,
    method: Annotated[str | None, Option(metavar="NAME", help="l7: the request's method.")] = None,
    path: Annotated[str | None, Option(metavar="PATH", help="l7: the request's path, with its query.")] = None,
    header: Annotated[
        list[str] | None, Option(metavar="'NAME: VALUE'", help="l7: one of the request's headers; repeatable.")
    ] = None,
    client_cert: Annotated[
        str | None,
        Option(metavar="NAME", help='l7: a name in the certificate that the client shows; "" for none.'),
    ] = None,
) -> QueryOptions:
    """Make a `QueryOptions` of a command's options."""
    return QueryOptions(listener, sni, ip, proxy_ip, alpn, method, path, header, client_cert)


def _header(text: str) -> tuple[str, str]:
    """Return name and value of a header; raises ValueError with a message for the user."""
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError(f"{text!r} is not a header; write it as 'Name: value'")
    return name, value.strip()
