"""The commands of `mcproxyctl` about upstreams and their endpoints."""

from typing import Annotated, Any

from mcproxy.cli.common.command_line import App, Argument, UsageError
from mcproxy.cli.ctl.options import ChangeOptions, Server

upstreams = App("upstreams", "Named sets of backends.", default="list")
endpoints = App("endpoints", "The backends of upstreams, one by one.", default="list")

UpstreamArgument = Annotated[str, Argument("UPSTREAM", "Its name.", complete="upstream")]
AddressArgument = Annotated[str, Argument("ADDRESS", "The endpoint's, as the file has it.", complete="endpoint")]


@upstreams.command("list", examples=["upstreams list", "upstreams"])
def list_upstreams(server: Server) -> int:
    """Show every upstream, and how many of its endpoints are usable."""
    from mcproxy.cli.ctl.show import upstreams as ctl_upstreams

    return ctl_upstreams.upstreams(server)


@endpoints.command("list", examples=["endpoints list web", "endpoints"])
def list_endpoints(
    upstream: Annotated[str, Argument("UPSTREAM", "Of this upstream alone.", complete="upstream")] = "",
    *,
    server: Server,
) -> int:
    """Show endpoints. What the operator, checks and traffic say of each, its last check, and what is open there."""
    from mcproxy.cli.ctl.show import upstreams as ctl_upstreams

    return ctl_upstreams.endpoints(server, upstream)


@endpoints.command(examples=["endpoints drain web 10.0.0.4:80 --expires 2h --reason upgrade"])
def drain(upstream: UpstreamArgument, address: AddressArgument, *, change: ChangeOptions, server: Server) -> int:
    """Send an endpoint nothing new; what is open there goes on, and clients with its cookie still come to it."""
    return _put(server, upstream, address, change, state="drain")


@endpoints.command(examples=["endpoints ready web 10.0.0.4:80"])
def ready(upstream: UpstreamArgument, address: AddressArgument, *, change: ChangeOptions, server: Server) -> int:
    """Use an endpoint again."""
    return _put(server, upstream, address, change, state="ready")


@endpoints.command(examples=["endpoints maintenance web 10.0.0.4:80 --expires 30m"])
def maintenance(upstream: UpstreamArgument, address: AddressArgument, *, change: ChangeOptions, server: Server) -> int:
    """Send an endpoint nothing at all, and end what is open there."""
    return _put(server, upstream, address, change, state="maintenance")


@endpoints.command(examples=["endpoints weight web 10.0.0.4:80 3"])
def weight(
    upstream: UpstreamArgument,
    address: AddressArgument,
    number: Annotated[int, Argument("N", "1 to 256; its share beside those of the others.")],
    *,
    change: ChangeOptions,
    server: Server,
) -> int:
    """Give an endpoint another share beside those of the others."""
    return _put(server, upstream, address, change, weight=number)


def _put(server: Server, upstream: str, address: str, change: ChangeOptions, **fields: Any) -> int:
    """Change an endpoint that there is; raises UsageError for one that can't be named."""
    if " " in upstream:
        raise UsageError(
            f"{upstream} is what a route has for itself; endpoints of [upstreams.NAME] can be changed one by one"
        )
    from mcproxy.cli.ctl.change import make

    return make(
        server,
        lambda client: client.put_resource(
            "endpoint", (upstream, address), fields, must_exist=True, **change.arguments
        ),
    )
