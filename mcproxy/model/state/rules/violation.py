"""What breaks a rule over several resources, and how it is told."""

from typing import Literal, TypeAlias

import msgspec

from mcproxy.model.state.kinds import KindName, ResourceKey, name_of

ResourceId: TypeAlias = tuple[KindName, ResourceKey]
Rule: TypeAlias = Literal[
    "overlap",
    "policy_on_l4",
    "api_without_tls",
    "country_without_database",
    "nobody_allowed",
    "unknown_upstream",
    "cookie_on_l4",
    "no_endpoints",
    "route_on_tcp",
    "route_on_http",
    "no_certificate",
    "unknown_filter",
    "filter_without_database",
    "filter_on_l4",
    "case_on_l4",
    "modifier_twice",
    "header_to_auth",
    "tied_cases",
    "client_auth_without_ca",
    "names_without_certificates",
    "no_ca",
    "unfit_name",
]

NOBODY_ALLOWED = (
    'nobody could connect: default = "deny" needs an entry in allowed_ips, allowed_cidrs or allowed_countries'
)


class RuleViolation(msgspec.Struct, frozen=True):
    """Resources that can't be together as they are.

    Attributes:
        rule: which one it breaks.
        subject: the one that asks for what the others don't allow; of two that are alike the one that comes later.
        message: what is wrong, for the operator.
        others: the others; a setting may be among them that is not there.
        rival: the one of the others that asks for the same thing; None where it is not about that.
        addr: what a setting asks for that can't be bound beside a listener.
        field: the subject's key that is wrong, of a table within it with dots; "" where that is clear, or none.
        item: of a list that is the one at fault; "" where it is no list.
        told: keys of others that a message about files names with their places, each behind its resource.
        own, other: why an edit of the subject, or of another one, can't be in effect; "" where the rule alone says it.
    """

    rule: Rule
    subject: ResourceId
    message: str
    others: tuple[ResourceId, ...]
    rival: ResourceId | None = None
    addr: str = ""
    field: str = ""
    item: str = ""
    told: tuple[tuple[ResourceId, str], ...] = ()
    own: str = ""
    other: str = ""

    @property
    def resources(self) -> tuple[ResourceId, ...]:
        """All of them, the subject first."""
        return (self.subject, *self.others)

    def reason(self, resource: ResourceId) -> str:
        """Return why a runtime edit of one of them can't be in effect: what drift shows of it."""
        if self.own:
            return self.own if resource == self.subject else self.other
        kind = resource[0]
        other = self.others[0] if self.others and resource == self.subject else self.subject
        match self.rule:
            case "overlap" if kind == other[0] == "setting":
                return "grpc.addr and metrics.addr overlap"
            case "overlap" if kind == "setting":
                return f"{self.addr} can't be bound beside the listener {other[1]}"
            case "overlap":
                return f"it can't be bound beside {other[1] if other[0] == 'setting' else f'the listener {other[1]}'}"
            case "policy_on_l4" if kind == "policy":
                return "the route is l4 now, and sees no requests"
            case "policy_on_l4":
                return "the file has policies for this route, and an l4 route sees no requests"
            case "api_without_tls":
                return "grpc.addr needs tls_cert, tls_key and client_ca too"
            case "country_without_database":
                if kind == "rule":
                    return "firewall.geoip_db is not set"
                doing = "allowed" if self.subject[1][0] == "allowed_country" else "blocked"
                return f"the file's {doing}_countries need it"
            case "nobody_allowed":
                return NOBODY_ALLOWED
            case "route_on_tcp" if kind == "listener":
                return f"its {name_of(*self.subject)} can't be served by tcp"
            case "route_on_tcp":
                return 'the listener has protocol = "tcp", which takes one l4 route "*"'
            case "route_on_http" if kind == "listener":
                return f"its {name_of(*self.subject)} can't be served without TLS"
            case "route_on_http":
                return 'the listener has protocol = "http", which takes l7 routes without certificates'
            case "no_certificate" if kind == "listener":
                return f"its {name_of(*self.subject)} has no certificate"
            case "no_certificate":
                return "the listener's clients speak TLS, and the route has no certificate"
            case "no_endpoints" if kind == "endpoint":
                return f"it would leave the {name_of(*self.subject)} without endpoints"
            case "no_endpoints":
                return "it has no endpoints"
            case "cookie_on_l4" if kind == "route":
                return f"the upstream {self.others[0][1]} has a sticky_cookie, and an l4 route sees no cookies"
            case "cookie_on_l4":
                return f"the l4 {name_of(*self.subject)} leads to it, and sees no cookies"
        return self.message
