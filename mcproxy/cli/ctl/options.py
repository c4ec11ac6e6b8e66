"""Options of many commands of `mcproxyctl`: the server that is asked, what a change says about itself. A home of typer."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from mcproxy.cli.common.options import JsonOption, bundle, seconds
from mcproxy.errors import McproxyError

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
        typer.Option(metavar="NAME", help="Who asks; default: the user who runs this. On TCP the certificate counts."),
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


class RouteOptions(msgspec.Struct, frozen=True):
    """Fields of a route beside its backend: those that were given, in the config file's terms."""

    given: dict[str, Any]

    def fields(self, socket: str) -> dict[str, Any]:
        """Return them as the server understands them: over a Unix socket it is on this machine, so where we are counts."""
        local = {name: str(Path(self.given[name]).absolute()) for name in _FILES if socket and self.given.get(name)}
        return {**self.given, **local}


_FILES = ("tls_cert", "tls_key", "backend_ca")


@bundle(RouteOptions)
def _route(
    mode: Annotated[
        Literal["l4", "l7"] | None, typer.Option(help="Pass TLS on (l4), or end it and proxy HTTP (l7).")
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option(metavar="FILE", help="l7: the route's certificate chain, PEM.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="l7: its private key, PEM.")] = None,
    backend_tls: Annotated[
        bool | None, typer.Option("--backend-tls/--no-backend-tls", help="l7: verified TLS to the backend, or none.")
    ] = None,
    backend_ca: Annotated[
        str | None, typer.Option(metavar="FILE", help="l7: CAs of the backend, PEM; default: the system's.")
    ] = None,
    backend_server_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="l7: name in the backend's certificate; default: its host.")
    ] = None,
    backend_protocol: Annotated[
        Literal["auto", "h2", "http/1.1"] | None, typer.Option(help="l7: HTTP version to the backend; default: auto.")
    ] = None,
    send_proxy_protocol: Annotated[
        bool | None,
        typer.Option(
            "--send-proxy-protocol/--no-send-proxy-protocol", help="Tell the backend the client's address, or don't."
        ),
    ] = None,
    on_remove: Annotated[
        Literal["keep", "drain", "close"] | None,
        typer.Option(help="What becomes of its connections when the route goes; default: drain."),
    ] = None,
) -> RouteOptions:
    """Make a `RouteOptions` of a command's options."""
    fields = {
        "mode": mode,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "backend_tls": backend_tls,
        "backend_ca": backend_ca,
        "backend_server_name": backend_server_name,
        "backend_protocol": backend_protocol,
        "send_proxy_protocol": send_proxy_protocol,
        "on_remove": on_remove,
    }
    return RouteOptions({name: value for name, value in fields.items() if value is not None})
