"""Options of many commands of `mcproxyctl`: the server that is asked, what a change says about itself."""

import os
import pwd
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from mcproxy.cli.common.command_line import Argument, Before, Option, Parameter, UsageError, bundle, declared
from mcproxy.cli.common.options import JsonOption, seconds

if TYPE_CHECKING:  # slow to import, and help does not need it
    from mcproxy.client import Client


class Server(msgspec.Struct, frozen=True):
    """The server that a command asks, and how its answer is printed.

    Attributes:
        options: what `mcproxy.client.Client` takes.
        as_json: print JSON instead of tables.
        wide: print all columns of tables, in lines of any length.
    """

    options: dict[str, Any]
    as_json: bool = False
    wide: bool = False

    def client(self) -> "Client":
        """Return a client of the server."""
        from mcproxy.client import Client

        return Client(**self.options)


_WAIT = 15.0  # seconds for all nodes of a fleet; the client itself waits for an answer for longer

KINDS = ("setting", "rule", "upstream", "endpoint", "filter", "listener", "route", "policy", "case")

KindArgument = Annotated[str, Argument("KIND", f"{', '.join(KINDS[:-1])} or {KINDS[-1]}.", complete=KINDS)]

KEYS = (
    "Of a setting its path, of a rule TYPE VALUE, of an upstream or filter NAME, of an endpoint UPSTREAM ADDRESS, of a listener ADDR, of a route LISTENER "
    "HOSTNAME, of a policy LISTENER HOSTNAME TYPE VALUE, of a case LISTENER HOSTNAME MATCH."
)

AddrOption = Annotated[
    str | None,
    Option(metavar="ADDR", help="The server: unix:/path or host:port. [env: MCPROXY_ADDR]", common=True),
]
ServerConfigOption = Annotated[
    str | None,
    Option(
        "-c",
        "--config",
        metavar="FILE",
        complete="file",
        help="Without --addr: the server's config file. [env: MCPROXY_CONFIG]",
        common=True,
    ),
]
CaOption = Annotated[
    str | None,
    Option(
        metavar="FILE",
        complete="file",
        help="host:port: PEM file of the server's CAs. [env: MCPROXY_TLS_CA]",
        common=True,
    ),
]
CertOption = Annotated[
    str | None,
    Option(
        metavar="FILE",
        complete="file",
        help="host:port: PEM file of the client's certificate. [env: MCPROXY_TLS_CERT]",
        common=True,
    ),
]
KeyOption = Annotated[
    str | None,
    Option(
        metavar="FILE",
        complete="file",
        help="host:port: PEM file of its private key. [env: MCPROXY_TLS_KEY]",
        common=True,
    ),
]
TimeoutOption = Annotated[
    str | None, Option(metavar="DURATION", help="How long to wait for an answer; default 30s.", common=True)
]

CONNECTION: Sequence[Parameter] = tuple(
    declared(name, option, None)
    for name, option in {
        "addr": AddrOption,
        "config": ServerConfigOption,
        "tls_ca": CaOption,
        "tls_cert": CertOption,
        "tls_key": KeyOption,
        "timeout": TimeoutOption,
    }.items()
)
"""The options that lead to a server; they stand before or behind the command."""

OutputOption = Annotated[
    str,
    Option(
        "-o",
        "--output",
        metavar="FORM",
        help="table: as much as the terminal has room for; wide: all columns; json.",
        complete=("table", "wide", "json"),
    ),
]


@bundle(Server)
def _server(
    before: Before,
    as_json: JsonOption = False,
    output: OutputOption = "table",
    addr: AddrOption = None,
    config: ServerConfigOption = None,
    tls_ca: CaOption = None,
    tls_cert: CertOption = None,
    tls_key: KeyOption = None,
    timeout: TimeoutOption = None,
) -> Server:
    """Make a `Server` of a command's options, and of those that stand before the command."""
    own = {"addr": addr, "config": config, "tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
    options = _given(before, own)
    if text := timeout or before.get("timeout"):
        options["timeout"] = seconds(text, "--timeout")
    return Server(options, as_json or output == "json", output == "wide")


def _given(before: dict[str, Any], own: dict[str, str | None]) -> dict[str, Any]:
    """Return each option as the command has it, else as it stands before the command, else as the environment has it."""
    variables = {name: f"MCPROXY_{name.upper()}" for name in ("tls_ca", "tls_cert", "tls_key")}
    return {
        name: value or before.get(name) or os.environ.get(variables.get(name, "")) or None
        for name, value in own.items()
    }


ListenerArgument = Annotated[str, Argument(metavar="LISTENER", help="The listener's address.", complete="listener")]
HostnameArgument = Annotated[str, Argument(metavar="HOSTNAME", help="The route's hostname.", complete="hostname")]
OptionalListener = Annotated[
    str,
    Argument(metavar="LISTENER", help="Of this listener alone.", complete="listener"),
]
OptionalHostname = Annotated[
    str,
    Argument(metavar="HOSTNAME", help="Of this route alone.", complete="hostname"),
]


class ChangeOptions(msgspec.Struct, frozen=True):
    """What a change says about itself, as the methods of `mcproxy.client.Client` take it."""

    arguments: dict[str, Any]


@bundle(ChangeOptions)
def _change(
    author: Annotated[
        str | None,
        Option(
            metavar="NAME", help="Author of the change; default: the user who runs this. On TCP the certificate counts."
        ),
    ] = None,
    reason: Annotated[str, Option(metavar="TEXT", help="Why.")] = "",
    expires: Annotated[
        str | None, Option(metavar="DURATION", help="The edit ends by itself after this time, such as 2h.")
    ] = None,
    request_id: Annotated[
        str,
        Option(metavar="ID", help="Done once, however often it is sent; default: a new one."),
    ] = "",
    expect_generation: Annotated[int, Option(metavar="N", least=0, help="Refuse unless this generation is live.")] = 0,
    dry_run: Annotated[bool, Option("--dry-run", help="Tell what would be done, and do nothing.")] = False,
    guard: Annotated[
        str | None,
        Option(
            metavar="WATCH",
            bare="",
            help="Undo it if too many requests of what it touches fail within this time; without WATCH that of [guard] watch, or 60s.",
        ),
    ] = None,
    node: Annotated[
        str,
        Option(
            metavar="NAME",
            help="Fleet: for the node of this name alone, which is to be asked itself; else for all nodes.",
        ),
    ] = "",
    local: Annotated[
        bool, Option("--local", help="Fleet: for the node that is asked alone, also while the fleet's store is away.")
    ] = False,
    wait: Annotated[
        str | None,
        Option(
            metavar="all", complete=("all",), help="Fleet: return when all nodes that are there have it, within 15s."
        ),
    ] = None,
) -> ChangeOptions:
    """Make a `ChangeOptions` of a command's options."""
    return ChangeOptions(
        {
            "author": user() if author is None else author,
            "reason": reason,
            "expires": None if expires is None else seconds(expires, "--expires"),
            "request_id": request_id,
            "expected_generation": expect_generation,
            "dry_run": dry_run,
            "guard": None if guard is None else seconds(guard, "--guard") if guard else 0.0,
            "node": node or ("." if local else ""),
            "wait": None if wait is None else _wait(wait),
        }
    )


def _wait(text: str) -> float:
    if text != "all":
        raise UsageError(f"--wait takes all, not {text!r}: a change is live on the node that is asked in any case")
    return _WAIT


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
        from mcproxy.cli.ctl.route_keys import is_path

        local = [name for name, text in self.given.items() if socket and text and is_path(name)]
        return {**self.given, **{name: str(Path(self.given[name]).absolute()) for name in local}}


def _route_keys() -> Sequence[Parameter]:
    from mcproxy.cli.ctl.route_keys import parameters

    return parameters()


@bundle(RouteFields, _route_keys)
def _route(**given: Any) -> RouteFields:
    """Make a `RouteFields` of a command's options."""
    return RouteFields({name: value for name, value in given.items() if value is not None})
