"""The part of the walk that an L7 route goes on with: the TLS session, and one request in it."""

import math
from collections.abc import Iterator

import msgspec
from msgspec import UNSET, UnsetType

from mcproxy.model.state.state import Case, Policy, Route
from mcproxy.model.state.tls_options import terms
from mcproxy.model.values.origins import Key, Origin
from mcproxy.model.values.quoting import quote
from mcproxy.policy.answers import Asking, OwnAnswer
from mcproxy.policy.authority import authority_host
from mcproxy.policy.explain.certificates import client_step, tls_step
from mcproxy.policy.explain.filters import Asked, InForce
from mcproxy.policy.explain.query import Live, Query, Step, count, host_of
from mcproxy.policy.explain.real_ip import Client, client_of
from mcproxy.policy.explain.tables import Tables
from mcproxy.policy.headers import REQUEST_ID, Headers, RequestHead, connection_options, kept_id
from mcproxy.policy.l7 import L7Rules
from mcproxy.policy.requests import RefusedError


class Session:
    """A session with the client of a route, and its request.

    Attributes:
        leads: the route with what is done with the request: of its case, if that has an action. None where the walk has ended
            before, or the request is answered.
        decides: the resource that says so.
        case: the request's, None for none.
        force: the filters that hold for it, None before that is known.
        place: what has its action: the route, or the case; None before that is known.
        head: the request as its client has sent it, None where it is refused before.
        gets: the request as the backend gets it, None where none does.
        forwarding: what backends are told of the client.
        asking: who asks, for variables.
    """

    def __init__(
        self,
        tables: Tables,
        query: Query,
        route: Route,
        asked: Asked,
        *,
        proxied: bool,
        live: Live | None = None,
    ) -> None:
        """Begin behind the choice of the route.

        Args:
            tables: of what is served.
            query: the connection and its request.
            route: where it has come to.
            asked: who connects: the real client, as far as the connection tells.
            proxied: another proxy has named the client.
            live: what is known of certificates that are ordered; None where nothing is.
        """
        self._tables = tables
        self._resolution = tables.resolution
        self._origins = tables.origins
        self._query = query
        self._route = route
        self._asked = asked
        self._proxied = proxied
        self._live = live
        self._listener = tables.state.listeners[route.listener]
        self._scheme = b"http" if self._listener.protocol == "http" else b"https"
        self._policies = tables.policies(route)
        self.leads: Route | None = None
        self.decides: Key = ("route", *_key(route))
        self.case: Case | None = None
        self.force: InForce | None = None
        self.place: Route | Case | None = None
        self.head: RequestHead | None = None
        self.gets: RequestHead | None = None
        self.forwarding: Headers = []
        self.asking = Asking("", b"", "")

    def steps(self) -> Iterator[Step]:
        """Yield the steps up to the one that refuses."""
        query, route = self._query, self._route
        if self._scheme == b"https":
            key = "certificate" if route.certificate else "tls_cert"
            step = tls_step(route, self._live, self._resolution.origin(("route", *_key(route)), key))
            yield step
            if step.outcome == "refused":
                return
            held = terms(self._listener.tls, route.tls)
            if held.client_auth != "off":
                step = client_step(held, query.client_cert, self._terms_origin("client_auth"))
                yield step
                if step.outcome == "refused":
                    return
            yield Step("alpn", "ok", _protocol(query.alpn), None)
        if query.method is None and query.path is None and not query.headers:
            yield from self._without_request()
            self.leads = route if route.action else None
            return
        client = self._client()
        try:
            head = self._head(client)
        except RefusedError as error:
            detail = f"answered with {error.status}: {error}"
            yield Step("authority", "refused", detail, None, error.status, (error.reason,))
            return
        self.head = head
        yield self._authority(route, head.authority)
        yield from self._request(client, head)

    def _terms_origin(self, key: str) -> Origin | None:
        """Return where it stands what a key about TLS is for the route: there, or with its listener."""
        own = self._route.tls is not None and getattr(self._route.tls, key) is not UNSET
        where: Key = ("route", *_key(self._route)) if own else ("listener", self._route.listener)
        return self._resolution.origin(where, f"tls.{key}")

    def _without_request(self) -> Iterator[Step]:
        """Yield what can be said of all requests."""
        number = len(self._tables.cases(self._route))
        if number:
            detail = f"{count(number, 'case')}, not judged without a request"
            yield Step("case", "ok", detail, self._of(self._route))
        else:
            yield from self._tables.in_force(self._route).admission(self._asked, None, [])
        if self._policies:
            number = len(self._policies)
            detail = f"{count(number, 'policy', 'policies')}, not judged without a request"
            yield Step("policy", "ok", detail, self._of(self._route))

    def _client(self) -> Client:
        """Return who the client is, as far as headers tell."""
        origin = self._resolution.origin(("listener", self._listener.addr), "real_ip")
        fields = _request(self._query, self._scheme)
        return client_of(self._listener, self._asked.client, self._scheme, host_of(self._query), fields, origin)

    def _head(self, client: Client) -> RequestHead:
        """Return the request as the session makes it; raises `RefusedError`."""
        if sum(name.lower() == "host" for name, _ in self._query.headers) > 1:
            raise RefusedError(400, "bad_host", "not exactly one Host")
        fields = _request(self._query, self._scheme)
        head = self._tables.request_rules(keeps_ids=self._proxied or client.trusted).from_http2(fields)
        upgrades = (b"upgrade", b"websocket") in fields and b"upgrade" in connection_options(fields)
        return msgspec.structs.replace(head, websocket=head.websocket or upgrades)

    def _request(self, client: Client, head: RequestHead) -> Iterator[Step]:
        """Yield what becomes of a request, in the order of the stages."""
        if client.step is not None:
            yield client.step
        asked = Asked(client.address, self._asked.country, self._query.client_cert)
        case, step = self._tables.cases(self._route).of(head)
        self.case = case
        self.force = force = self._tables.in_force(self._route, case)
        if step is not None:
            yield step
        forwarding = client.forwarding(head.authority)
        if not kept_id(head.headers):
            forwarding = [*forwarding, (REQUEST_ID, b"0" * 16)]
        self.forwarding = forwarding
        yield from force.admission(asked, head, forwarding)
        yield from self._judge_policies(client.address, head, forwarding)
        preflight = force.preflight(head)
        if preflight is not None:
            yield preflight
            return
        yield from force.cors(head)
        yield from force.body(head)
        yield from force.auth()
        self.asking = asking = Asking(
            client.address or "{client_ip}", kept_id(head.headers), self._query.sni or "", client.scheme.decode()
        )
        self.place = place = self._place(case, client, head, asking)
        if place is None:
            detail = "answered with 404: the redirect leads to where the client is already"
            yield Step(
                "action", "refused", detail, self._resolution.origin(self.decides, "redirect"), 404, ("no_case",)
            )
            return
        yield from force.changes(head, asking, forwarded=not place.answers)
        if place.answers:
            yield self._action(place, head, asking)
        elif not place.action:
            detail = "answered with 404: the route has no action of its own"
            yield Step("action", "refused", detail, self._of(self._route), 404, ("no_case",))
        else:
            self.gets = head if force.scope.request is None else force.scope.request.apply(head, asking)
            self.leads = msgspec.structs.replace(
                self._route,
                endpoints=place.endpoints,
                upstream=place.upstream,
                redirect="",
                respond="",
                status=0,
                idle_timeout=_as_declared(force.scope.idle_timeout, self._route.idle_timeout),
            )

    def _place(self, case: Case | None, client: Client, head: RequestHead, asking: Asking) -> Route | Case | None:
        """Return what has the request's action: its case, else the route; None where both redirect to where the client is."""
        places: list[Route | Case] = [self._route] if case is None or not case.action else [case, self._route]
        for place in places:
            key: Key = ("route", *_key(self._route))
            self.decides = ("case", *_key(self._route), place.match) if isinstance(place, Case) else key
            if not (client.trusted and place.answers and OwnAnswer(place).leads_back(head, asking)):
                return place
        return None

    def _authority(self, route: Route, authority: bytes) -> Step:
        host = authority_host(authority)
        serving = None if host is None else self._tables.routes(route.listener).find(host)
        if serving is None:
            detail = f"answered with 421: no route serves {authority.decode()}"
            origin = self._origins.get(("listener", route.listener))
            return Step("authority", "refused", detail, origin, 421, ("misdirected",))
        if serving is not route:
            detail = f"answered with 421: {authority.decode()} belongs to the route {serving.hostname}"
            return Step("authority", "refused", detail, self._of(serving), 421, ("misdirected",))
        return Step("authority", "ok", f"{authority.decode()} belongs to this route", self._of(route))

    def _judge_policies(self, client: str | None, head: RequestHead, forwarding: Headers) -> Iterator[Step]:
        policies = self._policies
        if client is None:
            unknown = [policy for policy in policies if _is_about_client(policy)]
            if unknown:
                number = count(len(unknown), "policy", "policies")
                yield Step("policy", "ok", f"{number}, not judged without a client address", None)
            policies = [policy for policy in policies if policy not in unknown]
        policy = L7Rules(policies).judge(head, forwarding)
        if policy is not None:
            origin = self._origins.get(("policy", policy.listener, policy.hostname, policy.type, policy.value))
            detail = f"answered with 403: {policy.type} {quote(policy.value)}"
            yield Step("policy", "refused", detail, origin, 403, (policy.type,))
        elif policies:
            detail = f"none of {count(len(policies), 'policy', 'policies')} blocks the request"
            yield Step("policy", "ok", detail, None)

    def _action(self, place: Route | Case, head: RequestHead, asking: Asking) -> Step:
        """Return what the route or case answers the request with."""
        answer = OwnAnswer(place)
        where = self._resolution.origin(self.decides, "redirect" if place.redirect else "respond")
        detail = f"answered with {answer.status}"
        if place.redirect:
            detail += f", to {(answer.target(head, asking) or b'').decode()}"
        return Step("action", "ok", detail, where, answer.status)

    def _of(self, route: Route) -> Origin | None:
        return self._origins.get(("route", *_key(route)))


def _as_declared(limit: float | None, otherwise: float | UnsetType) -> float | UnsetType:
    """Return a time limit of filters as a route would say it, what ``otherwise`` holds where they say nothing."""
    return otherwise if limit is None else 0.0 if limit == math.inf else limit


def _key(route: Route) -> tuple[str, str]:
    return route.listener, route.hostname


def _protocol(offered: tuple[str, ...] | None) -> str:
    """Say what the session speaks: what the client offers and the proxy likes best, HTTP/1.1 where nothing fits."""
    if offered is None:
        return "HTTP/2 if the client offers h2, else HTTP/1.1"
    if "h2" in offered:
        return "h2 is offered: HTTP/2"
    return "http/1.1 is offered: HTTP/1.1" if "http/1.1" in offered else "nothing that is known is offered: HTTP/1.1"


def _is_about_client(policy: Policy) -> bool:
    """Tell whether a policy asks for a value that depends on the client's address."""
    name, _, value = policy.value.partition(":")
    names = ("x-forwarded-for", "x-real-ip", "forwarded")
    return policy.type == "require_header" and name.strip().lower() in names and value.strip() != ""


def _request(query: Query, scheme: bytes) -> Headers:
    """Return the request as HTTP/2 says it; the headers' rules are the same for both versions."""
    headers = [(name.lower().encode(), value.strip().encode()) for name, value in query.headers]
    return [
        (b":method", (query.method or "GET").encode()),
        (b":scheme", scheme),
        (b":authority", host_of(query)),
        (b":path", (query.path or "/").encode()),
        *((name, value) for name, value in headers if name != b"host"),
    ]
