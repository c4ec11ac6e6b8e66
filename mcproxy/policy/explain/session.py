"""The part of the walk that an L7 route goes on with: the TLS session, and one request in it."""

from collections.abc import Iterator

import msgspec

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.state.state import Policy, Route
from mcproxy.model.values.origins import Origin
from mcproxy.model.values.quoting import quote
from mcproxy.policy.answers import Asking, OwnAnswer
from mcproxy.policy.authority import authority_host
from mcproxy.policy.explain.query import Query, Step, count, host_of
from mcproxy.policy.headers import REQUEST_ID, Forwarding, Headers, RequestHead, connection_options, kept_id
from mcproxy.policy.l7 import L7Rules
from mcproxy.policy.requests import RefusedError, RequestRules
from mcproxy.policy.routing import RouteTable


class Session:
    """A session with the client of a route, and its request."""

    def __init__(
        self,
        resolution: Resolution,
        query: Query,
        route: Route,
        table: RouteTable[Route],
        client: str | None,
        *,
        proxied: bool,
        clear: bool = False,
    ) -> None:
        """Begin behind the choice of the route.

        Args:
            resolution: what is served.
            query: the connection and its request.
            route: where it has come to.
            table: of the listener.
            client: the real client's address, None if it is left open.
            proxied: another proxy has named the client.
            clear: it speaks HTTP without TLS.
        """
        self._resolution = resolution
        self._state = resolution.state
        self._origins = resolution.origins
        self._query = query
        self._route = route
        self._table = table
        self._client = client
        self._proxied = proxied
        self._scheme = b"http" if clear else b"https"

    def steps(self) -> Iterator[Step]:
        """Yield the steps up to the one that refuses."""
        query, route = self._query, self._route
        if self._scheme == b"https":
            where = self._resolution.origin(("route", route.listener, route.hostname), "tls_cert")
            yield Step("tls", "ok", f"TLS is terminated with the certificate {route.tls_cert}", where)
            yield Step("alpn", "ok", _protocol(query.alpn), None)
        policies = [p for p in self._state.policies.values() if (p.listener, p.hostname) == _key(route)]
        if query.method is None and query.path is None and not query.headers:
            if policies:
                number = count(len(policies), "policy", "policies")
                yield Step("policy", "ok", f"{number}, not judged without a request", self._of(route))
            return
        try:
            head = self._head()
        except RefusedError as error:
            yield Step("authority", "refused", f"answered with {error.status}: {error}", None)
            return
        yield self._authority(route, head.authority)
        yield from self._policies(policies, head)
        if route.answers:
            yield self._action(route, head)

    def _head(self) -> RequestHead:
        """Return the request as the session makes it; raises `RefusedError`."""
        if sum(name.lower() == "host" for name, _ in self._query.headers) > 1:
            raise RefusedError(400, "bad_host", "not exactly one Host")
        removed = msgspec.convert(self._state.settings["limits.remove_request_headers"], tuple[str, ...])
        fields = _request(self._query, self._scheme)
        head = RequestRules(removed, keeps_ids=self._proxied).from_http2(fields)
        upgrades = (b"upgrade", b"websocket") in fields and b"upgrade" in connection_options(fields)
        return msgspec.structs.replace(head, websocket=head.websocket or upgrades)

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

    def _policies(self, policies: list[Policy], head: RequestHead) -> Iterator[Step]:
        if self._client is None:
            unknown = [policy for policy in policies if _is_about_client(policy)]
            if unknown:
                number = count(len(unknown), "policy", "policies")
                yield Step("policy", "ok", f"{number}, not judged without a client address", None)
            policies = [policy for policy in policies if policy not in unknown]
        forwarding = Forwarding(self._client or "", self._scheme).fields(head.authority)
        if not kept_id(head.headers):
            forwarding = [*forwarding, (REQUEST_ID, b"0" * 16)]
        blocked = L7Rules(policies).judge(head, forwarding)
        # The rules tell the type that blocks; asked one by one they tell which of this type.
        policy = next((p for p in policies if p.type == blocked and L7Rules([p]).judge(head, forwarding)), None)
        if policy is not None:
            origin = self._origins.get(("policy", policy.listener, policy.hostname, policy.type, policy.value))
            yield Step("policy", "refused", f"answered with 403: {policy.type} {quote(policy.value)}", origin)
        elif policies:
            detail = f"none of {count(len(policies), 'policy', 'policies')} blocks the request"
            yield Step("policy", "ok", detail, None)

    def _action(self, route: Route, head: RequestHead) -> Step:
        """Return what the route answers the request with."""
        answer = OwnAnswer(route)
        where = self._resolution.origin(("route", *_key(route)), "redirect" if route.redirect else "respond")
        detail = f"answered with {answer.status}"
        if route.redirect:
            asking = Asking(self._client or "", kept_id(head.headers), self._query.sni or "")
            detail += f", to {(answer.target(head, asking) or b'').decode()}"
        return Step("action", "ok", detail, where)

    def _of(self, route: Route) -> Origin | None:
        return self._origins.get(("route", *_key(route)))


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
