"""The methods of `Client` that make runtime edits of resources."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from mcproxy._pb import admin_pb2 as pb
from mcproxy.client.calls import Calls, duration, mutation_options
from mcproxy.client.options import MutationOptions, RouteFields


class EditCalls(Calls):
    """Runtime edits: each answers when it is live in every worker."""

    def set_listener_max_connections(
        self, listener: str, max_connections: int, **change: Unpack[MutationOptions]
    ) -> pb.MutationResponse:
        """Limit a listener's open connections; 0: unlimited."""
        request = pb.SetListenerMaxConnectionsRequest(
            listener=listener, max_connections=max_connections, options=mutation_options(change)
        )
        return self._change("SetListenerMaxConnections", request, change)

    def add_route(
        self, listener: str, hostname: str, backend: str, **fields: Unpack[RouteFields]
    ) -> pb.MutationResponse:
        """Add a route; what is left out or "" has its default."""
        request = pb.AddRouteRequest(
            listener=listener, hostname=hostname, backend=backend, options=mutation_options(fields), **_own(fields)
        )
        return self._change("AddRoute", request, fields)

    def update_route(
        self, listener: str, hostname: str, *, backend: str | None = None, **fields: Unpack[RouteFields]
    ) -> pb.MutationResponse:
        """Change what is given of a route; what is left out or None stays as it is, "" has its default."""
        request = pb.UpdateRouteRequest(
            listener=listener, hostname=hostname, backend=backend, options=mutation_options(fields), **_own(fields)
        )
        return self._change("UpdateRoute", request, fields)

    def remove_route(self, listener: str, hostname: str, **change: Unpack[MutationOptions]) -> pb.MutationResponse:
        """Remove a route and its policies."""
        request = pb.RemoveRouteRequest(listener=listener, hostname=hostname, options=mutation_options(change))
        return self._change("RemoveRoute", request, change)

    def add_l7_policy(
        self,
        listener: str,
        hostname: str,
        type: str,  # noqa: A002 - the field's name
        value: str,
        **change: Unpack[MutationOptions],
    ) -> pb.MutationResponse:
        """Add a policy to an L7 route."""
        request = pb.AddL7PolicyRequest(
            listener=listener, hostname=hostname, type=type, value=value, options=mutation_options(change)
        )
        return self._change("AddL7Policy", request, change)

    def remove_l7_policy(
        self,
        listener: str,
        hostname: str,
        type: str,  # noqa: A002 - the field's name
        value: str,
        **change: Unpack[MutationOptions],
    ) -> pb.MutationResponse:
        """Remove a policy of an L7 route."""
        request = pb.RemoveL7PolicyRequest(
            listener=listener, hostname=hostname, type=type, value=value, options=mutation_options(change)
        )
        return self._change("RemoveL7Policy", request, change)

    def add_firewall_rule(self, type: str, value: str, **change: Unpack[MutationOptions]) -> pb.MutationResponse:  # noqa: A002
        """Block an ``ip``, a ``cidr`` or a ``country``."""
        request = pb.AddFirewallRuleRequest(type=type, value=value, options=mutation_options(change))
        return self._change("AddFirewallRule", request, change)

    def set_firewall(
        self,
        *,
        default: str | None = None,
        connections_per_client: int | None = None,
        **change: Unpack[MutationOptions],
    ) -> pb.MutationResponse:
        """Change what happens to clients that no rule names ("allow" or "deny"), or limit the connections of each; 0: unlimited."""
        request = pb.SetFirewallRequest(
            default=default, connections_per_client=connections_per_client, options=mutation_options(change)
        )
        return self._change("SetFirewall", request, change)

    def remove_firewall_rule(self, type: str, value: str, **change: Unpack[MutationOptions]) -> pb.MutationResponse:  # noqa: A002
        """Block an ``ip``, a ``cidr`` or a ``country`` no longer."""
        request = pb.RemoveFirewallRuleRequest(type=type, value=value, options=mutation_options(change))
        return self._change("RemoveFirewallRule", request, change)

    def set_firewall_rate_limit(
        self, rate_limit: int | None = None, rate_window: float | None = None, **change: Unpack[MutationOptions]
    ) -> pb.MutationResponse:
        """Limit the connections of each client address per ``rate_window`` seconds; 0: no limit, None: as it is."""
        request = pb.SetFirewallRateLimitRequest(
            rate_limit=rate_limit, rate_window=duration(rate_window), options=mutation_options(change)
        )
        return self._change("SetFirewallRateLimit", request, change)

    def put_resource(
        self,
        kind: str,
        key: Sequence[str],
        fields: Mapping[str, Any],
        *,
        must_exist: bool = False,
        **change: Unpack[MutationOptions],
    ) -> pb.MutationResponse:
        """Change the given keys of a resource of any kind, or add one.

        Args:
            kind: setting, rule, upstream, endpoint, filter, listener, route, policy or case.
            key: the parts of its key: ``[":443", "app.example.com"]`` of a route.
            fields: keys of its table in the config file with values as there; None brings one back to its default. Of a setting ``value``.
            must_exist: add nothing.
            change: see `MutationOptions`.
        """
        request = pb.PutResourceRequest(
            kind=kind,
            key=key,
            fields_json=json.dumps(fields, separators=(",", ":"), default=str),  # of numbers of any size
            must_exist=must_exist,
            options=mutation_options(change),
        )
        return self._change("PutResource", request, change)

    def remove_resource(self, kind: str, key: Sequence[str], **change: Unpack[MutationOptions]) -> pb.MutationResponse:
        """Remove a resource with what belongs to it; ``kind`` and ``key`` as of `put_resource`."""
        request = pb.RemoveResourceRequest(kind=kind, key=key, options=mutation_options(change))
        return self._change("RemoveResource", request, change)


def _own(fields: RouteFields) -> dict[str, Any]:
    """Return what is said of the route."""
    return {name: value for name, value in fields.items() if name not in MutationOptions.__annotations__}
