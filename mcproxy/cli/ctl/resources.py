"""The commands of `mcproxyctl` about resources: listeners, routes, policies, firewall. A home of typer."""

from typing import Annotated

import typer

from mcproxy.cli.common.options import command, new_app
from mcproxy.cli.ctl.options import (
    ChangeOptions,
    HostnameArgument,
    ListenerArgument,
    OptionalHostname,
    OptionalListener,
    RouteFields,
    Server,
)

listeners = new_app("listeners", "The addresses that clients connect to.")
routes = new_app("routes", "Where hostnames lead.")
policies = new_app("policies", "What l7 routes refuse.")
firewall = new_app("firewall", "Who may connect at all.")

_EPILOG = "--tls-cert and --tls-key are the route's here; those of the connection stand before the command."

PolicyArgument = Annotated[str, typer.Argument(metavar="TYPE", help="block_user_agent or require_header.")]
PolicyValueArgument = Annotated[
    str, typer.Argument(metavar="VALUE", help='A part of the user agent; or "Name" or "Name: value" of a header.')
]
SortOption = Annotated[
    str, typer.Option("--sort", metavar="BY", help="hostname, errors, active, total or bytes; the highest first.")
]
RuleArgument = Annotated[str, typer.Argument(metavar="TYPE", help="ip, cidr or country.")]
RuleValueArgument = Annotated[str, typer.Argument(metavar="VALUE", help="192.0.2.1, 192.0.2.0/24 or SE.")]


@listeners.command("list")
@command
def list_listeners(server: Server) -> int:
    """Show every listener, its limit and what it refused."""
    from mcproxy.cli.ctl import look as ctl_look

    return ctl_look.listeners(server)


@listeners.command("set-max-connections")
@command
def set_max_connections(
    listener: ListenerArgument,
    limit: Annotated[int, typer.Argument(metavar="N", min=0, help="Open connections at most; 0: unlimited.")],
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Limit a listener's open connections."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.set_listener_max_connections(listener, limit, **change.arguments))


@routes.command("list")
@command
def list_routes(listener: OptionalListener = "", sort: SortOption = "hostname", *, server: Server) -> int:
    """Show routes, where they lead, what passed, and what went wrong."""
    from mcproxy.cli.ctl import look as ctl_look

    if sort not in ctl_look.ORDERS:
        raise typer.BadParameter(f"--sort {sort}: must be one of {', '.join(ctl_look.ORDERS)}")
    return ctl_look.routes(server, listener, sort)


@routes.command(epilog=_EPILOG)
@command
def add(
    listener: ListenerArgument,
    hostname: Annotated[str, typer.Argument(metavar="HOSTNAME", help='Exact, "*.example.com" or "*".')],
    backend: Annotated[str, typer.Argument(metavar="BACKEND", help="host:port, [v6]:port or unix:/path.")],
    *,
    route: RouteFields,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Add a route; it serves when the command is done."""
    from mcproxy.cli.ctl.change import make

    return make(
        server,
        lambda client: client.add_route(
            listener, hostname, backend, **route.fields(client.target.socket), **change.arguments
        ),
    )


@routes.command(epilog=_EPILOG)
@command
def update(
    listener: ListenerArgument,
    hostname: HostnameArgument,
    backend: Annotated[str | None, typer.Option(metavar="BACKEND", help="host:port, [v6]:port or unix:/path.")] = None,
    *,
    route: RouteFields,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Change what is given of a route and leave the rest; "" brings a text back to its default."""
    if backend is None and not route.given:
        raise typer.BadParameter("say what to change, such as --backend")
    from mcproxy.cli.ctl.change import make

    return make(
        server,
        lambda client: client.update_route(
            listener, hostname, backend=backend, **route.fields(client.target.socket), **change.arguments
        ),
    )


@routes.command("remove")
@command
def remove_route(
    listener: ListenerArgument, hostname: HostnameArgument, *, change: ChangeOptions, server: Server
) -> int:
    """Remove a route and its policies."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.remove_route(listener, hostname, **change.arguments))


@policies.command("list")
@command
def list_policies(listener: OptionalListener = "", hostname: OptionalHostname = "", *, server: Server) -> int:
    """Show policies and how many requests they blocked; of a listener or route, or all."""
    from mcproxy.cli.ctl import look as ctl_look

    return ctl_look.policies(server, listener, hostname)


@policies.command("add")
@command
def add_policy(
    listener: ListenerArgument,
    hostname: HostnameArgument,
    kind: PolicyArgument,
    value: PolicyValueArgument,
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Add a policy to an l7 route."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.add_l7_policy(listener, hostname, kind, value, **change.arguments))


@policies.command("remove")
@command
def remove_policy(
    listener: ListenerArgument,
    hostname: HostnameArgument,
    kind: PolicyArgument,
    value: PolicyValueArgument,
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Remove a policy of an l7 route."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.remove_l7_policy(listener, hostname, kind, value, **change.arguments))


@firewall.command("list")
@command
def list_rules(server: Server) -> int:
    """Show rules, rate limit, and how many connections they refused."""
    from mcproxy.cli.ctl import look as ctl_look

    return ctl_look.firewall(server)


@firewall.command("add")
@command
def add_rule(kind: RuleArgument, value: RuleValueArgument, *, change: ChangeOptions, server: Server) -> int:
    """Refuse connections of an address, a network or a country."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.add_firewall_rule(kind, value, **change.arguments))


@firewall.command("remove")
@command
def remove_rule(kind: RuleArgument, value: RuleValueArgument, *, change: ChangeOptions, server: Server) -> int:
    """Refuse them no longer."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.remove_firewall_rule(kind, value, **change.arguments))
