"""The admin API's method that tells what the data plane does with a connection or request."""

import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin import messages
from mcproxy.control.admin.canonical import canonical
from mcproxy.control.admin.endpoints import Health, candidates
from mcproxy.control.admin.past.generations import then
from mcproxy.control.admin.probe import probe_route
from mcproxy.control.admin.server import Caller
from mcproxy.control.history.past import Then
from mcproxy.control.reconcile.current import Current
from mcproxy.control.store.revisions import Revision
from mcproxy.errors import InvalidRequestError
from mcproxy.model.values.addresses import parse_listen
from mcproxy.net.geoip import CountryDatabase
from mcproxy.policy.acme.facts import OrderFacts
from mcproxy.policy.explain.query import CountryOf, Live, Query
from mcproxy.policy.explain.walk import Walker

_COUNTRIES = "countries are those of today's database"


class AdminExplain:
    """Answers Explain.

    Attributes:
        unary: the method by its name, as in `admin_server.Handlers`.
    """

    def __init__(self, current: Current, health: Health, orders: Callable[[], OrderFacts]) -> None:
        self._current = current
        self._health = health
        self._orders = orders
        self._earlier: tuple[Revision, Walker] | None = None
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {"Explain": self._explain}

    async def _explain(self, request: pb.ExplainRequest, _: Caller) -> pb.ExplainResponse:
        query = Query(
            listener=canonical("listener", request.listener, parse_listen) or None,
            sni=request.sni if request.HasField("sni") else None,
            ip=canonical("ip", request.ip, _ip) or None,
            proxy_ip=canonical("proxy_ip", request.proxy_ip, _ip) or None,
            alpn=tuple(request.alpn) or None,
            method=request.method or None,
            path=request.path or None,
            headers=tuple((header.name, header.value) for header in request.headers),
            client_cert=request.client_cert if request.HasField("client_cert") else None,
        )
        current = self._current
        country, assets = country_lookup(current), current.applier.assets
        walker, known, response = current.walker, None, pb.ExplainResponse(generation=current.applier.generation)
        if request.HasField("then"):
            if request.probe:
                raise InvalidRequestError((("probe", "only what is live can be probed"),))
            asked = await then(current, request.then, "then")
            walker = self._walker(asked)
            response.then.CopyFrom(messages.revision(asked.revision))
            if assets is not None and assets.countries >= 0:
                response.notes.append(_COUNTRIES)
        else:
            known = Live(time.time(), candidates(self._health), self._orders())
        for step in walker.explain(query, country, known):
            place = str(step.origin or "")
            response.steps.add(step=step.step, outcome=step.outcome, detail=step.detail, decided_by=place)
        if request.probe:
            for route in current.walker.reached(query, country):
                for finding in await probe_route(route, current.applier, query.sni or ""):
                    outcome = "ok" if finding.good else "failed"
                    response.steps.add(step="probe", outcome=outcome, detail=finding.words)
        return response

    def _walker(self, asked: Then) -> Walker:
        """Return what explains a generation; the last one's is kept, for whoever asks about many requests."""
        if self._earlier is None or self._earlier[0] != asked.revision:
            self._earlier = asked.revision, Walker(asked.resolution)
        return self._earlier[1]


def country_lookup(current: Current) -> CountryOf:
    """Return the lookup in the country database that workers have; without one no address has a country."""
    assets = current.applier.assets
    countries = -1 if assets is None else assets.countries
    return CountryDatabase(countries).country if countries >= 0 else lambda _: None


def _ip(text: str) -> str:
    return str(ipaddress.ip_address(text))
