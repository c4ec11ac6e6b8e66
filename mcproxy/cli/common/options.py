"""What both command lines take: options that many commands share, and how errors end them. A home of typer.

Options that belong together are a *bundle*: a class with one field per option, and a function with `bundle` that makes
it of them. A command with a parameter of that class takes all of its options:

    @app.command()
    @command
    def status(server: Server) -> int: ...
"""

import inspect
import ipaddress
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import msgspec
import typer

import mcproxy
from mcproxy.errors import McproxyError
from mcproxy.model.values import addresses, durations

if TYPE_CHECKING:  # slow to import, and help does not need it
    from mcproxy.policy.explain import Query

OK, FAILED, DRIFT = 0, 1, 3
"""Exit statuses; 2 is wrong usage, by typer."""

_T = TypeVar("_T")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", envvar="MCPROXY_CONFIG", help="The config file."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

_bundles: dict[type, Callable[..., object]] = {}


def bundle(cls: type[_T]) -> Callable[[Callable[..., _T]], Callable[..., _T]]:
    """Say that a function makes a bundle: its parameters are the options."""

    def register(make: Callable[..., _T]) -> Callable[..., _T]:
        _bundles[cls] = make
        return make

    return register


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Make a function a command for typer: its bundles become options, what it returns becomes the exit status.

    Where two have an option of the same name, the function's own comes first, then that of the earlier bundle.
    """
    own = inspect.signature(function).parameters
    taken = {name for name, parameter in own.items() if parameter.annotation not in _bundles}
    parameters: list[inspect.Parameter] = []
    made: dict[str, tuple[Callable[..., object], list[str]]] = {}
    for parameter in own.values():
        options = [parameter]
        if make := _bundles.get(parameter.annotation):
            options = [one for one in inspect.signature(make).parameters.values() if one.name not in taken]
            made[parameter.name] = (make, [option.name for option in options])
            taken.update(option.name for option in options)
        parameters += [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]

    def run(**given: Any) -> None:
        bundles = {name: make(**{key: given.pop(key) for key in keys}) for name, (make, keys) in made.items()}
        raise typer.Exit(function(**given, **bundles))

    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # where inspect looks for it
    return run


def new_app(name: str, about: str, epilog: str | None = None) -> typer.Typer:
    """Return a command line without commands; plain help: rich would double the time until it appears."""
    return typer.Typer(
        name=name,
        help=about,
        epilog=epilog,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def run(app: typer.Typer, name: str, args: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit; errors meant for the operator are short and on standard error.

    A value that the server refuses is told as ``field: message``, a line for each.
    """
    try:
        app(args, prog_name=name)
    except (McproxyError, OSError) as error:
        violations = getattr(error, "violations", ())
        for line in [f"{field}: {message}" for field, message in violations] or [f"{name}: {error}"]:
            print(line, file=sys.stderr)
        sys.exit(FAILED)
    sys.exit(OK)


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        print(f"{context.info_name} {mcproxy.__version__}")
        raise typer.Exit(OK)


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
]


def seconds(text: str, option: str, parse: Callable[[str], float] = durations.parse) -> float:
    """Return a duration, such as ``1m30s``, in seconds; wrong usage of ``option`` if it is none."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


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

    def query(self) -> "Query":
        """Return it in canonical form; wrong usage if a part of it has none."""
        from mcproxy.policy.explain import Query  # noqa: PLC0415 - what it explains with is slow to import

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
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error


@bundle(QueryOptions)
def _query(
    sni: Annotated[
        str | None, typer.Option(metavar="NAME", help="The server name the client asks for; without: none.")
    ] = None,
    listener: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help="The listener it connects to; without: each of them.",
        ),
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
) -> QueryOptions:
    """Make a `QueryOptions` of a command's options."""
    return QueryOptions(listener, sni, ip, proxy_ip, alpn, method, path, header)


def _header(text: str) -> tuple[str, str]:
    """Return name and value of a header; raises ValueError with a message for the user."""
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError(f"{text!r} is not a header; write it as 'Name: value'")
    return name, value.strip()
