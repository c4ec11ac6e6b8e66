"""Options of many commands of `mcproxyctl`: the server that is asked, what a change says about itself. A home of typer."""

import inspect
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import msgspec
import typer

from mcproxy.cli.common.options import JsonOption, bundle, seconds
from mcproxy.errors import McproxyError
from mcproxy.model.state.route_options import RouteOptions, description
from mcproxy.model.values import durations, hostnames, paths

if TYPE_CHECKING:  # slow to import, and help does not need it
    from mcproxy.client import Client


class Server(msgspec.Struct, frozen=True):
    """The server that a command asks, and how its answer is printed.

    Attributes:
        options: what `mcproxy.client.Client` takes.
        as_json: print JSON instead of tables.
    """

    options: dict[str, Any]
    as_json: bool = False

    def client(self) -> "Client":
        """Return a client of the server."""
        from mcproxy.client import Client

        return Client(**self.options)


AddrOption = Annotated[
    str | None,
    typer.Option(metavar="ADDR", help="The server: unix:/path or host:port. [env: MCPROXY_ADDR]", show_default=False),
]
ServerConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="Without --addr: the server's config file. [env: MCPROXY_CONFIG]"
    ),
]
CaOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="host:port: PEM file of the server's CAs. [env: MCPROXY_TLS_CA]"),
]
CertOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="host:port: PEM file of the client's certificate. [env: MCPROXY_TLS_CERT]"),
]
KeyOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="host:port: PEM file of its private key. [env: MCPROXY_TLS_KEY]"),
]
TimeoutOption = Annotated[
    str | None, typer.Option(metavar="DURATION", help="How long to wait for an answer; default 30s.")
]


@bundle(Server)
def _server(
    context: typer.Context,
    as_json: JsonOption = False,
    addr: AddrOption = None,
    config: ServerConfigOption = None,
    tls_ca: CaOption = None,
    tls_cert: CertOption = None,
    tls_key: KeyOption = None,
    timeout: TimeoutOption = None,
) -> Server:
    """Make a `Server` of a command's options, and of those that stand before the command."""
    own = {"addr": addr, "config": config, "tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
    options = _given(context.find_root().params, own)
    if text := timeout or context.find_root().params.get("timeout"):
        options["timeout"] = seconds(text, "--timeout")
    return Server(options, as_json)


def _given(before: dict[str, Any], own: dict[str, str | None]) -> dict[str, Any]:
    """Return each option as the command has it, else as it stands before the command, else as the environment has it."""
    variables = {name: f"MCPROXY_{name.upper()}" for name in ("tls_ca", "tls_cert", "tls_key")}
    return {
        name: value or before.get(name) or os.environ.get(variables.get(name, "")) or None
        for name, value in own.items()
    }


def complete_listener(context: typer.Context, incomplete: str) -> list[str]:
    """Return the live listeners' addresses, for shells; nothing if the server does not answer at once."""
    return _completed(context, incomplete, lambda client: [row.addr for row in client.list_listeners().listeners])


def complete_hostname(context: typer.Context, incomplete: str) -> list[str]:
    """Return the hostnames of the live routes, for shells; those of the listener that stands before, if one does."""
    listener = context.params.get("listener") or ""
    return _completed(context, incomplete, lambda client: [row.hostname for row in client.list_routes(listener).routes])


def _completed(context: typer.Context, incomplete: str, ask: "Callable[[Client], list[str]]") -> list[str]:
    own = {name: context.params.get(name) for name in ("addr", "config")}
    options = _given(context.find_root().params, {**own, "tls_ca": None, "tls_cert": None, "tls_key": None})
    try:
        with Server({**options, "timeout": 0.5}).client() as client:
            return [word for word in dict.fromkeys(ask(client)) if word.startswith(incomplete)]
    except (McproxyError, OSError):
        return []


ListenerArgument = Annotated[
    str, typer.Argument(metavar="LISTENER", help="The listener's address.", autocompletion=complete_listener)
]
HostnameArgument = Annotated[
    str, typer.Argument(metavar="HOSTNAME", help="The route's hostname.", autocompletion=complete_hostname)
]
OptionalListener = Annotated[
    str,
    typer.Argument(
        metavar="LISTENER", help="Of this listener alone.", autocompletion=complete_listener, show_default=False
    ),
]
OptionalHostname = Annotated[
    str,
    typer.Argument(
        metavar="HOSTNAME", help="Of this route alone.", autocompletion=complete_hostname, show_default=False
    ),
]


class ChangeOptions(msgspec.Struct, frozen=True):
    """What a change says about itself, as the methods of `mcproxy.client.Client` take it."""

    arguments: dict[str, Any]


@bundle(ChangeOptions)
def _change(
    author: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Author of the change; default: the user who runs this. On TCP the certificate counts."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.", show_default=False)] = "",
    expires: Annotated[
        str | None, typer.Option(metavar="DURATION", help="The edit ends by itself after this time, such as 2h.")
    ] = None,
    request_id: Annotated[
        str,
        typer.Option(metavar="ID", help="Done once, however often it is sent; default: a new one.", show_default=False),
    ] = "",
    expect_generation: Annotated[
        int, typer.Option(metavar="N", min=0, help="Refuse unless this generation is live.", show_default=False)
    ] = 0,
) -> ChangeOptions:
    """Make a `ChangeOptions` of a command's options."""
    return ChangeOptions(
        {
            "author": user() if author is None else author,
            "reason": reason,
            "expires": None if expires is None else seconds(expires, "--expires"),
            "request_id": request_id,
            "expected_generation": expect_generation,
        }
    )


def user() -> str:
    """Return who runs this: behind sudo the user who called it."""
    if os.getuid() == 0 and (caller := os.environ.get("SUDO_USER")):
        return caller
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return str(os.getuid())


class RouteFields(msgspec.Struct, frozen=True):
    """Fields of a route beside its backend: those that were given, in the config file's terms."""

    given: dict[str, Any]

    def fields(self, socket: str) -> dict[str, Any]:
        """Return them as the server understands them: over a Unix socket it is on this machine, so where we are counts."""
        local = [name for name, text in self.given.items() if socket and text and "locate" in _marks(_DECLARED[name])]
        return {**self.given, **{name: str(Path(self.given[name]).absolute()) for name in local}}


_DECLARED: dict[str, Any] = get_type_hints(RouteOptions, include_extras=True)
_METAVARS = {durations: "DURATION", hostnames: "NAME", paths: "FILE"}


def _route(**given: Any) -> RouteFields:
    """Make a `RouteFields` of a command's options."""
    return RouteFields({name: value for name, value in given.items() if value is not None})


def _option(name: str) -> inspect.Parameter:
    """Return the option for a key of a route's table, as the key is declared."""
    declared = _DECLARED[name]
    text = description(name).partition(" Default ")[0].replace(", relative to this file", "")
    kind: Any = declared.__origin__
    names: list[str] = []
    metavar = None
    if kind is bool:
        words = name.replace("_", "-")
        names.append(f"--{words}/--no-{words}")
    elif "parse" in (marks := _marks(declared)):
        kind, metavar = str, _METAVARS.get(sys.modules[marks["parse"].__module__], "TEXT")
    annotation: Any = Annotated[kind | None, typer.Option(*names, metavar=metavar, help=text)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _marks(declared: Any) -> dict[str, Any]:
    """Return how a type is read from a string in the file; nothing where it is none."""
    return {
        name: mark
        for meta in declared.__metadata__
        if isinstance(meta, msgspec.Meta)
        for name, mark in (meta.extra or {}).items()
    }


_route.__signature__ = inspect.Signature([_option(name) for name in _DECLARED])  # type: ignore[attr-defined]  # where inspect looks for it
bundle(RouteFields)(_route)
