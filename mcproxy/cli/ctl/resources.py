"""The commands of `mcproxyctl` about resources: listeners, routes, policies, firewall."""

from typing import Annotated

from mcproxy.cli.common.command_line import App, Argument, Option, UsageError
from mcproxy.cli.common.options import seconds
from mcproxy.cli.ctl.options import (
    ChangeOptions,
    HostnameArgument,
    ListenerArgument,
    OptionalHostname,
    OptionalListener,
    RouteFields,
    Server,
    user,
)
from mcproxy.model.values import durations

listeners = App("listeners", "The addresses that clients connect to.")
routes = App("routes", "Where hostnames lead.")
policies = App("policies", "What l7 routes refuse.")
firewall = App("firewall", "Who may connect at all.")
connections = App("connections", "Open connections.", default="list")

_EPILOG = "--tls-cert and --tls-key are the route's here; those of the connection stand before the command."

PolicyArgument = Annotated[
    str,
    Argument(
        metavar="TYPE", help="block_user_agent or require_header.", complete=("block_user_agent", "require_header")
    ),
]
PolicyValueArgument = Annotated[
    str, Argument(metavar="VALUE", help='A part of the user agent; or "Name" or "Name: value" of a header.')
]
RuleArgument = Annotated[
    str,
    Argument(
        metavar="TYPE",
        help="ip, cidr or country; allowed_ip, allowed_cidr or allowed_country.",
        complete=("ip", "cidr", "country", "allowed_ip", "allowed_cidr", "allowed_country"),
    ),
]
RuleValueArgument = Annotated[str, Argument(metavar="VALUE", help="192.0.2.1, 192.0.2.0/24 or SE.")]
SortOption = Annotated[
    str,
    Option(
        metavar="BY",
        help="hostname, errors, active, total or bytes; the highest first.",
        complete=("hostname", "errors", "active", "total", "bytes"),
    ),
]


@listeners.command("list", examples=["listeners list"])
def list_listeners(server: Server) -> int:
    """Show every listener, its limit and what it refused."""
    from mcproxy.cli.ctl.show import lists as ctl_lists

    return ctl_lists.listeners(server)


@listeners.command("set-max-connections", examples=["listeners set-max-connections :443 20000"])
def set_max_connections(
    listener: ListenerArgument,
    limit: Annotated[int, Argument(metavar="N", least=0, help="Open connections at most; 0: unlimited.")],
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Limit a listener's open connections."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.set_listener_max_connections(listener, limit, **change.arguments))


@routes.command(
    "list", examples=["routes list :443", "routes list --sort errors --limit 10", "routes list --match shop"]
)
def list_routes(
    listener: OptionalListener = "",
    sort: SortOption = "hostname",
    match: Annotated[
        str,
        Option(metavar="TEXT", help="Only those with this text in their hostname, backend or where they are declared."),
    ] = "",
    limit: Annotated[int, Option(metavar="N", least=1, help="At most so many.")] = 0,
    *,
    server: Server,
) -> int:
    """Show routes, where they lead, what passed, and what went wrong."""
    from mcproxy.cli.ctl.show import lists as ctl_lists

    return ctl_lists.routes(server, listener, sort, match, limit)


@routes.command(
    examples=[
        'routes add :443 new.example.com 10.0.0.5:443 --reason "a try" --expires 1h',
        "routes add :443 www.example.com 10.0.0.6:8080 --mode l7 --tls-cert www.crt --tls-key www.key",
    ],
    epilog=_EPILOG,
)
def add(
    listener: ListenerArgument,
    hostname: Annotated[str, Argument(metavar="HOSTNAME", help='Exact, "*.example.com" or "*".')],
    backend: Annotated[
        str,
        Argument(
            metavar="BACKEND",
            help='host:port, [v6]:port, unix:/path, or the name of an upstream; "" with --redirect or --respond.',
        ),
    ],
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


@routes.command(examples=["routes update :443 app.example.com --backend 10.0.0.7:443"], epilog=_EPILOG)
def update(
    listener: ListenerArgument,
    hostname: HostnameArgument,
    backend: Annotated[
        str | None, Option(metavar="BACKEND", help="host:port, [v6]:port, unix:/path, or the name of an upstream.")
    ] = None,
    *,
    route: RouteFields,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Change what is given of a route and leave the rest; "" brings a text back to its default."""
    if backend is None and not route.given:
        raise UsageError("say what to change, such as --backend")
    from mcproxy.cli.ctl.change import make

    return make(
        server,
        lambda client: client.update_route(
            listener, hostname, backend=backend, **route.fields(client.target.socket), **change.arguments
        ),
    )


@routes.command("remove", examples=["routes remove :443 old.example.com"])
def remove_route(
    listener: ListenerArgument, hostname: HostnameArgument, *, change: ChangeOptions, server: Server
) -> int:
    """Remove a route and its policies."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.remove_route(listener, hostname, **change.arguments))


@policies.command("list", examples=["policies list :443 api.example.com"])
def list_policies(listener: OptionalListener = "", hostname: OptionalHostname = "", *, server: Server) -> int:
    """Show policies and how many requests they blocked; of a listener or route, or all."""
    from mcproxy.cli.ctl.show import lists as ctl_lists

    return ctl_lists.policies(server, listener, hostname)


@policies.command("add", examples=['policies add :443 api.example.com require_header "X-Env: prod"'])
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


@policies.command("remove", examples=["policies remove :443 api.example.com block_user_agent BadBot"])
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


@firewall.command("list", examples=["firewall list"])
def list_rules(server: Server) -> int:
    """Show rules, rate limit, and how many connections they refused."""
    from mcproxy.cli.ctl.show import lists as ctl_lists

    return ctl_lists.firewall(server)


@firewall.command("add", examples=["firewall add cidr 192.0.2.0/24 --expires 1h --reason abuse"])
def add_rule(kind: RuleArgument, value: RuleValueArgument, *, change: ChangeOptions, server: Server) -> int:
    """Refuse connections of an address, a network or a country, or let them in whatever refuses them (allowed_...)."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.add_firewall_rule(kind, value, **change.arguments))


@firewall.command(
    "set-rate-limit",
    examples=["firewall set-rate-limit 100 --window 10s --expires 1h --reason flood", "firewall set-rate-limit 0"],
)
def set_rate_limit(
    limit: Annotated[int, Argument("N", "Connections per client address and window; 0: no limit.", least=0)],
    window: Annotated[str | None, Option(metavar="DURATION", help="Length of the window; without: as it is.")] = None,
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Limit the connections of each client address."""
    length = None if window is None else seconds(window, "--window")
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.set_firewall_rate_limit(limit, length, **change.arguments))


@firewall.command("set-default", examples=["firewall set-default deny --reason maintenance --expires 2h"])
def set_default(
    word: Annotated[str, Argument("WORD", "allow or deny.", complete=("allow", "deny"))],
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Allow or deny clients that no rule names; deny needs a rule that allows somebody."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.set_firewall(default=word, **change.arguments))


@firewall.command("set-connections-per-client", examples=["firewall set-connections-per-client 50"])
def set_connections_per_client(
    limit: Annotated[int, Argument("N", "Open connections per client address; 0: no limit.", least=0)],
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Limit the open connections of each client address."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.set_firewall(connections_per_client=limit, **change.arguments))


@firewall.command("remove", examples=["firewall remove ip 192.0.2.66"])
def remove_rule(kind: RuleArgument, value: RuleValueArgument, *, change: ChangeOptions, server: Server) -> int:
    """Refuse them no longer, or no longer let them in in any case."""
    from mcproxy.cli.ctl.change import make

    return make(server, lambda client: client.remove_firewall_rule(kind, value, **change.arguments))


@connections.command("list", examples=["connections list :443 app.example.com --limit 20", "connections"])
def list_connections(
    listener: OptionalListener = "",
    hostname: OptionalHostname = "",
    limit: Annotated[int, Option(metavar="N", least=1, help="At most so many, oldest first.")] = 1000,
    *,
    server: Server,
) -> int:
    """Show open connections, oldest first."""
    from mcproxy.cli.ctl.show import lists as ctl_lists

    return ctl_lists.connections(server, listener, hostname, limit)


@connections.command(
    examples=["connections close --client 192.0.2.66", "connections close :443 app.example.com --drain 30s"],
    epilog="The audit keeps who closed them: mcproxyctl history --audit.",
)
def close(
    listener: OptionalListener = "",
    hostname: OptionalHostname = "",
    client: Annotated[str, Option(metavar="ADDR", help="Of this client: an address, or an address and its port.")] = "",
    every: Annotated[bool, Option("--all", help="All there are.")] = False,
    drain: Annotated[
        str | None,
        Option(metavar="DURATION", help="They may finish within this time; without: they are closed at once."),
    ] = None,
    author: Annotated[str | None, Option(metavar="NAME", help="Who does it; default: the user who runs this.")] = None,
    reason: Annotated[str, Option(metavar="TEXT", help="Why.")] = "",
    *,
    server: Server,
) -> int:
    """Close open connections."""
    if bool(listener or hostname or client) == every:
        raise UsageError("say which: a listener, a route or --client, or --all")
    length = None if drain is None else seconds(drain, "--drain", durations.parse_or_zero)
    from mcproxy.cli.ctl.show import lists as ctl_lists

    asked = {"all": every, "drain": length, "author": user() if author is None else author, "reason": reason}
    return ctl_lists.close_connections(server, listener, hostname, client, **asked)
