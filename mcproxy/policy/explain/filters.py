"""What the filters in force do with a connection or a request, and which line of which file says so."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.state.filter_options import Cors, FilterOptions, l4_keys
from mcproxy.model.state.scopes import CASE_FILTER, ROUTE_FILTER, FilterKey, filter_name, scope_of
from mcproxy.model.state.state import Case, Route
from mcproxy.model.values import durations
from mcproxy.model.values.http.amounts import render_size
from mcproxy.model.values.origins import Origin
from mcproxy.policy.answers import Asking
from mcproxy.policy.certificates.clients import named
from mcproxy.policy.explain.query import CountryOf, Step, count
from mcproxy.policy.filters.forward_auth import claims_of, without
from mcproxy.policy.filters.refusal import Refusal
from mcproxy.policy.filters.scope import Scope
from mcproxy.policy.firewall import unmap
from mcproxy.policy.headers import Headers, RequestHead
from mcproxy.policy.rate_window import client_key

_SAID = {ROUTE_FILTER: "the route's filter", CASE_FILTER: "the case's filter"}


class Asked(msgspec.Struct, frozen=True):
    """Who asks.

    Attributes:
        client: the client's address, None if it is left open.
        country: looks up a packed address.
        certificate: a name in the client's certificate, "" for none, None leaves it open.
    """

    client: str | None
    country: CountryOf
    certificate: str | None = None


class InForce:
    """The filters that hold in a place, and what they do there.

    Attributes:
        keys: which filters these are, the outermost first.
        scope: the same, compiled.
    """

    def __init__(
        self,
        resolution: Resolution,
        declared: Mapping[FilterKey, FilterOptions],
        route: Route,
        case: Case | None = None,
    ) -> None:
        """Find and compile them.

        Args:
            resolution: what is served.
            declared: all filters of its state, by their keys.
            route: of the state.
            case: the request's, None for none.
        """
        self._resolution = resolution
        listener = resolution.state.listeners[route.listener]
        self.keys = scope = scope_of(listener, route, case)
        self._place: FilterKey = ("route", route.listener, route.hostname)
        if case is not None:
            self._place = ("case", case.listener, case.hostname, case.match)
        self._held = [(key, _said(key), declared[key]) for key in scope]
        lifted = (*listener.use, *route.use)
        self._lifted = [name for name in dict.fromkeys(lifted) if ("filter", name) not in scope]
        self.scope = Scope([(name, options) for _, name, options in self._held])

    def admission(
        self, asked: Asked, head: RequestHead | None, forwarding: Headers, *, l4: bool = False
    ) -> Iterator[Step]:
        """Yield the steps ``allow`` and ``rate``; without a request as far as they are about the client alone."""
        yield from self._allow(asked, head, forwarding, l4=l4)
        for rule in self.scope.rates or ():
            if l4 and rule.header:
                continue  # see `without_effect`
            name, options = self._held[rule.filter][1:]
            who = "each client" if asked.client is None else counted_as(asked.client)
            if rule.header and rule.subject(bytes(4), [] if head is None else head.headers)[:1] == b"h":
                who = f"who sends this {options.rate_key.removeprefix('header:')}"
            verb = "connect" if l4 else "ask"
            detail = f"{who} may {verb} {count(rule.limit, 'time')} in {durations.render(rule.window)} ({name})"
            names = self._names(rule.filter, "rate_limit", "filter_rate")
            yield Step("rate", "ok", detail, self._origin(rule.filter, "rate_limit"), 0 if l4 else 429, names)

    def _allow(self, asked: Asked, head: RequestHead | None, forwarding: Headers, *, l4: bool) -> Iterator[Step]:
        access, demands = self.scope.access, self.scope.demands if head is not None else None
        refusal: Refusal | None = None
        if access is not None and asked.client is not None:
            packed = ipaddress.ip_address(asked.client).packed
            refusal = access.judge(packed, asked.country)
            if refusal is not None:
                yield self._refused(refusal, asked, l4=l4)
        holders = self.scope.holders
        if refusal is None and holders is not None and asked.certificate is not None:
            refusal = holders.judge(named(asked.certificate) if asked.certificate else None)
            if refusal is not None:
                yield self._refused(refusal, asked, l4=False)
        if refusal is None and demands is not None and head is not None:
            refusal = demands.judge(head, forwarding)
            if refusal is not None:
                yield self._refused(refusal, asked, l4=False)
        if refusal is not None:
            return
        guards = self._with(("allow_cidrs", "block_cidrs", "allow_countries", "block_countries"))
        if head is not None:
            guards += [place for place in self._with(("block_user_agents", "require_headers")) if place not in guards]
        guards += [place for place in self._with(("client_names",)) if place not in guards]
        names = ", ".join(self._held[place][1] for place in sorted(guards))
        lifted = f"{', '.join(self._lifted)} {'is' if len(self._lifted) == 1 else 'are'} lifted (without)"
        origin = self._first(guards)
        if holders is not None and asked.certificate is None:
            detail = f"{names}: client_names not judged without a name in the client's certificate"
        elif access is not None and asked.client is None:
            detail = f"{names}: not judged without a client address"
        elif guards:
            detail = f"nothing refuses {asked.client or 'the request'}: {names}"
        elif self._lifted:
            yield Step("allow", "ok", lifted, self._resolution.origin(self._place, "without"))
            return
        else:
            return
        yield Step("allow", "ok", f"{detail}; {lifted}" if self._lifted else detail, origin)

    def _refused(self, refusal: Refusal, asked: Asked, *, l4: bool) -> Step:
        name = self._held[refusal.place][1]
        who = asked.client or ""
        code = asked.country(unmap(ipaddress.ip_address(who).packed)) if refusal.key.endswith("countries") else None
        where = f"in {code}" if code else "in no known country"
        why = {
            "allow_cidrs": f"{who} is in none of allow_cidrs",
            "block_cidrs": f"{who} is in one of block_cidrs",
            "allow_countries": f"{who} is {where}, which is none of allow_countries",
            "block_countries": f"{who} is {where}, one of block_countries",
            "client_names": "the client's certificate has none of client_names"
            if asked.certificate
            else "the client shows no certificate, and client_names wants one",
            "block_user_agents": "the user agent is one of block_user_agents",
            "require_headers": "one of require_headers is missing, or has another value",
        }[refusal.key]
        then = "the connection is reset" if l4 else f"answered with {refusal.status}"
        origin = self._origin(refusal.place, refusal.key)
        names = self._names(refusal.place, refusal.key, refusal.reason)
        return Step("allow", "refused", f"{then}: {why} ({name})", origin, 0 if l4 else refusal.status, names)

    def without_effect(self) -> Iterator[Step]:
        """Yield what of the filters does nothing on an l4 route."""
        effective = l4_keys() | {"rate_key"}  # that is told with its limit
        idle = [
            (place, key)
            for place, (_, _, options) in enumerate(self._held)
            for key in FilterOptions.__struct_fields__
            if getattr(options, key) != _DEFAULTS[key]
            and (key not in effective or (key == "rate_limit" and options.rate_key != "client"))
        ]
        if idle:
            words = ", ".join(f"{key} ({self._held[place][1]})" for place, key in idle)
            yield Step("filters", "ok", f"without effect on l4: {words}", self._origin(*idle[0]))

    def told(self, head: RequestHead, fields: Headers, asking: Asking) -> Headers:
        """Return what the client gets of an answer that has these fields."""
        if self.scope.cors is not None:
            fields = self.scope.cors.fields(head, fields)
        return fields if self.scope.response is None else self.scope.response.apply(fields, head, asking)

    def passed(self, head: RequestHead) -> RequestHead:
        """Return what passes of a request where other servers or passwords are asked about it."""
        copied = [auth.copy_headers for _, _, options in self._held if (auth := options.forward_auth) is not None]
        gone = claims_of(name for names in copied for name in names)
        asked = [options for _, _, options in self._held if options.basic_auth]
        if asked and not any(options.pass_credentials for options in asked):
            gone |= {b"authorization"}
        return without(head, gone) if gone else head

    def saying(self, key: str) -> Iterator[tuple[str, FilterOptions, Origin | None]]:
        """Yield name, keys and the place of ``key`` of each filter that says something of it, the innermost first."""
        for place in reversed(self._with((key,))):
            yield self._held[place][1], self._held[place][2], self._origin(place, key)

    def preflight(self, head: RequestHead) -> Step | None:
        """Return the step of a request that is answered with what pages of its origin may do; None if it is none."""
        rule = self.scope.cors
        answer = None if rule is None else rule.preflight(head)
        if answer is None:
            return None
        allowed = any(name == b"access-control-allow-origin" for name, _ in answer.headers)
        step = self._cors_step(f"answered with {answer.status}", head, allowed=allowed)
        return msgspec.structs.replace(step, status=answer.status)

    def cors(self, head: RequestHead) -> Iterator[Step]:
        """Yield what browsers are told with the answer."""
        if self.scope.cors is not None:
            fields = self.scope.cors.fields(head, [])
            allowed = any(name == b"access-control-allow-origin" for name, _ in fields)
            yield self._cors_step("answers say", head, allowed=allowed)

    def _cors_step(self, what: str, head: RequestHead, *, allowed: bool) -> Step:
        origins = [value.decode(errors="replace") for name, value in head.headers if name == b"origin"]
        place = self._with(("cors",))[-1]
        cors = self._held[place][2].cors
        says = f"{origins[0]} {'may' if allowed else 'may not'} ask" if len(origins) == 1 else _origins(cors)
        return Step("cors", "ok", f"{what}: {says} ({self._held[place][1]})", self._origin(place, "cors"))

    def body(self, head: RequestHead) -> Iterator[Step]:
        """Yield the step of the body's length."""
        limit = self.scope.max_body
        if limit is None:
            return
        origin = self._origin(limit.filter, "max_body")
        sizes = [value for name, value in head.headers if name == b"content-length"]
        most = f"{render_size(limit.size)} ({self._held[limit.filter][1]})"
        if sizes and sizes[0].isdigit() and int(sizes[0]) > limit.size:
            detail = f"answered with 413: {sizes[0].decode()} bytes, and at most {most}"
            names = self._names(limit.filter, "max_body", "body_too_large")
            yield Step("body", "refused", detail, origin, 413, names)
        else:
            yield Step("body", "ok", f"the body may have {most}", origin)

    def auth(self) -> Iterator[Step]:
        """Yield who would be asked; they are not asked here."""
        for place, (_, name, options) in enumerate(self._held):
            if options.basic_auth:
                detail = f"a name and password of {options.basic_auth} are asked for ({name})"
                names = self._names(place, "basic_auth")
                yield Step("auth", "ok", detail, self._origin(place, "basic_auth"), 401, names)
        for place, (_, name, options) in enumerate(self._held):
            auth = options.forward_auth
            if auth is not None:
                copied = f", which says {', '.join(auth.copy_headers)}" if auth.copy_headers else ""
                detail = f"GET {auth.path} is asked of {auth.backend}{copied} ({name})"
                yield Step(
                    "auth", "ok", detail, self._origin(place, "forward_auth"), names=self._names(place, "forward_auth")
                )

    def changes(self, head: RequestHead, asking: Asking, *, forwarded: bool) -> Iterator[Step]:
        """Yield what becomes of the request and its answer; ``forwarded``: there is a backend that gets the request."""
        change = self.scope.request
        gets = None
        if change is not None and forwarded:
            gets = change.apply(head, asking)
            place = (self._with(("rewrite",)) or self._with(("rewrite_host",)) or [-1])[-1]
            if gets is None:
                detail = (
                    "answered with 400, ambiguous_path: the rewritten path can be read as leading out of rewrite.to"
                )
                names = self._names(place, "rewrite", "ambiguous_path")
                yield Step("rewrite", "refused", detail, self._origin(place, "rewrite"), 400, names)
                return
            if place >= 0:
                key = "rewrite" if self._held[place][2].rewrite is not None else "rewrite_host"
                host = f" of {gets.authority.decode()}" if gets.authority != head.authority else ""
                detail = f"the backend gets {gets.path.decode()}{host} ({self._held[place][1]})"
                yield Step("rewrite", "ok", detail, self._origin(place, key))
        said = []
        if gets is not None and change is not None and change.operations is not None:
            said.append(_change("the backend", head.headers, gets.headers))
        if self.scope.response is not None:
            gone = sorted(name.decode() for name in self.scope.response.gone)
            said.append(_told("clients", self.scope.response.apply([], head, asking), gone))
        if any(said):
            place = self._with(_HEADER_KEYS)[-1]
            key = next(key for key in _HEADER_KEYS if getattr(self._held[place][2], key))
            yield Step("headers", "ok", "; ".join(filter(None, said)), self._origin(place, key))

    def _names(self, place: int, *words: str) -> tuple[str, ...]:
        """Return what a refusal by a filter can be called."""
        return (filter_name(self._held[place][0]), *words)

    def _with(self, keys: Sequence[str]) -> list[int]:
        """Return the places of the filters that say something of one of these keys."""
        return [
            place
            for place, (_, _, options) in enumerate(self._held)
            if any(getattr(options, key) != _DEFAULTS[key] for key in keys)
        ]

    def _first(self, places: Sequence[int]) -> Origin | None:
        return self._resolution.origins.get(self._held[places[0]][0]) if places else None

    def _origin(self, place: int, key: str) -> Origin | None:
        owner = self._held[place][0]
        return self._resolution.origin(owner, key if owner[0] == "filter" else f"filter.{key}")


_HEADER_KEYS = tuple(
    key for key in FilterOptions.__struct_fields__ if key.endswith(("request_headers", "response_headers"))
)
_DEFAULTS = {key: getattr(FilterOptions(), key) for key in FilterOptions.__struct_fields__}


def counted_as(ip: str) -> str:
    """Return what rate limits count an address as."""
    key = client_key(ipaddress.ip_address(ip).packed)
    return str(ipaddress.ip_address(key)) if len(key) == 4 else f"{ipaddress.ip_address(key + bytes(8))}/64"


def _said(key: FilterKey) -> str:
    name = filter_name(key)
    return _SAID.get(name, name)


def _origins(cors: Cors | None) -> str:
    return "" if cors is None else f"pages of {', '.join(cors.origins)} may ask"


def _change(who: str, before: Headers, after: Headers) -> str:
    gone = sorted({name.decode() for name, _ in before} - {name.decode() for name, _ in after})
    return _told(who, [field for field in after if field not in before], gone)


def _told(who: str, added: Headers, gone: Sequence[str]) -> str:
    """Say which fields a side gets, and which it does not get."""
    names = {name.decode() for name, _ in added}
    gets = ", ".join(f"{name.decode()}: {value.decode(errors='replace')}" for name, value in added)
    lost = ", ".join(name for name in gone if name not in names)
    words = [f"get{'' if who == 'clients' else 's'} {gets}"] if gets else []
    if lost:
        words.append(f"without {lost}")
    return f"{who} {', '.join(words)}" if words else ""
