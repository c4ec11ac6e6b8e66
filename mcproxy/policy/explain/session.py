"""The part of the walk that an L7 route goes on with: the TLS session, and one request in it."""

import math
from collections.abc import Iterator

import msgspec
from msgspec import UnsetType

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.state.state import Case, Policy, Route
from mcproxy.model.values.origins import Key, Origin
from mcproxy.model.values.quoting import quote
from mcproxy.policy.answers import Asking, OwnAnswer
from mcproxy.policy.authority import authority_host
from mcproxy.policy.explain.cases import case_of
from mcproxy.policy.explain.filters import Asked, InForce
from mcproxy.policy.explain.query import Query, Step, count, host_of
from mcproxy.policy.explain.real_ip import Client, client_of
from mcproxy.policy.headers import REQUEST_ID, Headers, RequestHead, connection_options, kept_id
from mcproxy.policy.l7 import L7Rules
from mcproxy.policy.requests import RefusedError, RequestRules
from mcproxy.policy.routing import RouteTable


class Session:
    """A session with the client of a route, and its request.

    Attributes:
        leads: the route with what is done with the request: of its case, if that has an action. None where the walk has ended
            before, or the request is answered.
        decides: the resource that says so.
    """

    def __init__(
        self,
        resolution: Resolution,
        query: Query,
        route: Route,
        table: RouteTable[Route],
        asked: Asked,
        *,
        proxied: bool,
    ) -> None:
        """Begin behind the choice of the route.

        Args:
            resolution: what is served.
            query: the connection and its request.
            route: where it has come to.
            table: of the listener.
            asked: who connects: the real client, as far as the connection tells.
            proxied: another proxy has named the client.
        """
        self._resolution = resolution
        self._state = resolution.state
        self._origins = resolution.origins
        self._query = query
        self._route = route
        self._table = table
        self._asked = asked
        self._proxied = proxied
        self._listener = self._state.listeners[route.listener]
        self._scheme = b"http" if self._listener.protocol == "http" else b"https"
        self._policies = [p for p in self._state.policies.values() if (p.listener, p.hostname) == _key(route)]
        self.leads: Route | None = None
        self.decides: Key = ("route", *_key(route))

    def steps(self) -> Iterator[Step]:
        """Yield the steps up to the one that refuses."""
        query, route = self._query, self._route
        if self._scheme == b"https":
            where = self._resolution.origin(("route", route.listener, route.hostname), "tls_cert")
            yield Step("tls", "ok", f"TLS is terminated with the certificate {route.tls_cert}", where)
            yield Step("alpn", "ok", _protocol(query.alpn), None)
        if query.method is None and query.path is None and not query.headers:
            yield from self._without_request()
            self.leads = route if route.action else None
            return
        client = self._client()
        try:
            head = self._head(client)
        except RefusedError as error:
            yield Step("authority", "refused", f"answered with {error.status}: {error}", None)
            return
        yield self._authority(route, head.authority)
        yield from self._request(client, head)

    def _without_request(self) -> Iterator[Step]:
        """Yield what can be said of all requests."""
        number = sum((case.listener, case.hostname) == _key(self._route) for case in self._state.cases.values())
        if number:
            detail = f"{count(number, 'case')}, not judged without a request"
            yield Step("case", "ok", detail, self._of(self._route))
        else:
            yield from InForce(self._resolution, self._route).admission(self._asked, None, [])
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
        removed = msgspec.convert(self._state.settings["limits.remove_request_headers"], tuple[str, ...])
        fields = _request(self._query, self._scheme)
        head = RequestRules(removed, keeps_ids=self._proxied or client.trusted).from_http2(fields)
        upgrades = (b"upgrade", b"websocket") in fields and b"upgrade" in connection_options(fields)
        return msgspec.structs.replace(head, websocket=head.websocket or upgrades)

    def _request(self, client: Client, head: RequestHead) -> Iterator[Step]:
        """Yield what becomes of a request, in the order of the stages."""
        if client.step is not None:
            yield client.step
        asked = Asked(client.address, self._asked.country)
        case, step = case_of(self._resolution, self._route, head)
        if step is not None:
            yield step
        force = InForce(self._resolution, self._route, case)
        forwarding = client.forwarding(head.authority)
        if not kept_id(head.headers):
            forwarding = [*forwarding, (REQUEST_ID, b"0" * 16)]
        yield from force.admission(asked, head, forwarding)
        yield from self._judge_policies(client.address, head, forwarding)
        preflight = force.preflight(head)
        if preflight is not None:
            yield preflight
            return
        yield from force.cors(head)
        yield from force.body(head)
        yield from force.auth()
        asking = Asking(
            client.address or "{client_ip}", kept_id(head.headers), self._query.sni or "", client.scheme.decode()
        )
        place = self._place(case, client, head, asking)
        if place is None:
            detail = "answered with 404: the redirect leads to where the client is already"
            yield Step("action", "refused", detail, self._resolution.origin(self.decides, "redirect"))
            return
        yield from force.changes(head, asking, forwarded=not place.answers)
        if place.answers:
            yield self._action(place, head, asking)
        elif not place.action:
            detail = "answered with 404: the route has no action of its own"
            yield Step("action", "refused", detail, self._of(self._route))
        else:
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
        serving = None if host is None else self._table.find(host)
        if serving is None:
            detail = f"answered with 421: no route serves {authority.decode()}"
            return Step("authority", "refused", detail, self._origins.get(("listener", route.listener)))
        if serving is not route:
            detail = f"answered with 421: {authority.decode()} belongs to the route {serving.hostname}"
            return Step("authority", "refused", detail, self._of(serving))
        return Step("authority", "ok", f"{authority.decode()} belongs to this route", self._of(route))

    def _judge_policies(self, client: str | None, head: RequestHead, forwarding: Headers) -> Iterator[Step]:
        policies = self._policies
        if client is None:
            unknown = [policy for policy in policies if _is_about_client(policy)]
            if unknown:
                number = count(len(unknown), "policy", "policies")
                yield Step("policy", "ok", f"{number}, not judged without a client address", None)
            policies = [policy for policy in policies if policy not in unknown]
        blocked = L7Rules(policies).judge(head, forwarding)
        # The rules tell the type that blocks; asked one by one they tell which of this type.
        policy = next((p for p in policies if p.type == blocked and L7Rules([p]).judge(head, forwarding)), None)
        if policy is not None:
            origin = self._origins.get(("policy", policy.listener, policy.hostname, policy.type, policy.value))
            yield Step("policy", "refused", f"answered with 403: {policy.type} {quote(policy.value)}", origin)
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
        return Step("action", "ok", detail, where)

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
