"""Rules about certificates that are ordered from a CA: there has to be one, and it has to be able to issue them."""

from collections.abc import Iterator

from mcproxy.model.state.rules.violation import RuleViolation
from mcproxy.model.state.state import Route, State

MOST_NAMES = 100
"""Names that a certificate may have; CAs for everybody issue none with more."""


def without_ca(state: State) -> Iterator[RuleViolation]:
    """Yield the routes with an ordered certificate where no CA is named."""
    if state.settings.get("acme.directory"):
        return
    for key, route in state.routes.items():
        if route.certificate:
            message = f'certificate = "{route.certificate}" needs [acme], such as email = "ops@example.com": whom certificates are ordered from'
            yield RuleViolation(
                "no_ca",
                ("route", key),
                message,
                (("setting", "acme.directory"),),
                field="certificate",
                own="there is no [acme] to order its certificate by",
                other=f"the route {route.hostname} orders its certificate by it",
            )


def unfit_names(state: State) -> Iterator[RuleViolation]:
    """Yield the names of ordered certificates that no CA issues one for, or none by the challenge that is set."""
    challenge = str(state.settings.get("acme.challenge"))
    zone = str(state.settings.get("acme.dns.zone") or "") if challenge == "dns-01" else ""
    for key, route in state.routes.items():
        if not route.certificate or route.mode != "l7":
            continue
        for field, name, message in _unfit(route, challenge, zone):
            yield RuleViolation(
                "unfit_name",
                ("route", key),
                message,
                (("setting", "acme.challenge"),),
                field=field,
                item=name if field == "names" else "",
                own=message,
                other=message,
            )


def names_of(route: Route) -> tuple[str, ...]:
    """Return the names in a route's ordered certificate, in order."""
    return tuple(sorted({route.hostname, *(name for name in route.names if name)}))


def _unfit(route: Route, challenge: str, zone: str) -> Iterator[tuple[str, str, str]]:
    for field, name in (("hostname", route.hostname), *(("names", name) for name in route.names)):
        if name == "*":
            yield field, name, '"*" is every name, and a certificate has certain ones; name a hostname'
        elif "_" in name:
            yield field, name, f"no CA issues a certificate for {name}: names in certificates have no underscores"
        elif name.startswith("*.") and challenge != "dns-01":
            message = (
                f'a certificate for {name} needs challenge = "dns-01" in [acme]: a CA proves wildcards by DNS alone'
            )
            yield field, name, message
        elif zone and not f".{name}".endswith(f".{zone}"):
            yield field, name, f"{name} is not in the zone {zone} of dns in [acme], where its record would be set"
    if len(names_of(route)) > MOST_NAMES:
        yield "names", "", f"a certificate has at most {MOST_NAMES} names"
