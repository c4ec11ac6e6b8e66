"""The methods of the admin API about certificates that are ordered from a CA: to look at them, to renew and to try."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin import messages
from mcproxy.control.admin.canonical import canonical
from mcproxy.control.admin.changes import content_of, told
from mcproxy.control.admin.server import Caller
from mcproxy.control.reconcile.current import Current
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.ledger import Mutation
from mcproxy.errors import InvalidRequestError, NotFoundError
from mcproxy.model.state.state import RouteKey
from mcproxy.model.values.acme.places import file_of
from mcproxy.model.values.hostnames import parse_pattern
from mcproxy.policy.acme.facts import CertificateFacts, OrderFacts, words

_SHOWN = 20  # certificates that fail, in the status


class Ordered(Protocol):
    """Who orders."""

    def facts(self) -> OrderFacts:
        """Return what is known of all certificates."""

    async def renew(self, name: str) -> CertificateFacts:
        """Order a new certificate for a hostname now."""

    async def try_out(self, name: str) -> tuple[str, CertificateFacts]:
        """Make a whole order, and throw the certificate away; return the directory, and what it was."""


class AdminCertificates:
    """Answers ListCertificates, RenewCertificate and TryCertificate; see `admin_server.Handlers`.

    Attributes:
        unary: the methods by name.
    """

    def __init__(self, current: Current, ordered: Ordered) -> None:
        self._current = current
        self._ordered = ordered
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {
            "ListCertificates": self._list,
            "RenewCertificate": self._renew,
            "TryCertificate": self._try,
        }

    async def _list(self, request: pb.ListCertificatesRequest, _: Caller) -> pb.ListCertificatesResponse:
        found = self._ordered.facts().certificates
        if request.name:
            name = canonical("name", request.name, parse_pattern)
            found = tuple(each for each in found if each.name == name)
            if not found:
                raise NotFoundError(f"no route orders a certificate for {name}")
        return pb.ListCertificatesResponse(
            generation=self._current.applier.generation, certificates=map(self._message, found)
        )

    async def _renew(self, request: pb.RenewCertificateRequest, caller: Caller) -> pb.RenewCertificateResponse:
        name = await self._asked("RenewCertificate", request, caller)
        return pb.RenewCertificateResponse(certificate=self._message(await self._ordered.renew(name)))

    async def _try(self, request: pb.TryCertificateRequest, caller: Caller) -> pb.TryCertificateResponse:
        name = await self._asked("TryCertificate", request, caller)
        directory, found = await self._ordered.try_out(name)
        message = self._message(found)
        message.ClearField("file")
        return pb.TryCertificateResponse(certificate=message, directory=directory)

    async def _asked(self, action: str, request: Any, caller: Caller) -> str:
        """Return the name that a request is about, once it is on record; that a database does not answer keeps nobody from ordering."""
        wrong: list[tuple[str, str]] = []
        author, reason = (told(name, getattr(request, name), name, wrong) for name in ("author", "reason"))
        name = ""
        try:
            name = canonical("name", request.name, parse_pattern)
        except InvalidRequestError as error:
            wrong = [*error.violations, *wrong]
        if not request.name:
            wrong.insert(0, ("name", "which one? See certificates list"))
        if wrong:
            raise InvalidRequestError(tuple(wrong))
        mutation = Mutation(
            time=time.time(),
            action=action,
            target=name,
            author=caller.name or author,
            verified=bool(caller.name),
            reason=reason,
            request=content_of(request),
        )
        with contextlib.suppress(StoreError):
            await self._current.edits.store.mutate(mutation)
        return name

    def add_to(self, response: pb.GetStatusResponse, ends: Mapping[RouteKey, float], now: float) -> None:
        """Add certificates that fail, and those that expire soon; ``ends`` is when, by route."""
        facts, routes = self._ordered.facts().certificates, self._current.applier.state.routes
        failing = [each for each in facts if each.error]
        response.failing_certificates.extend(map(self._message, failing[:_SHOWN]))
        response.failing_certificates_total = len(failing)
        in_time = {each.name for each in facts if each.served and not each.overdue(now)}
        others = {
            key: end
            for key, end in ends.items()
            if not (key in routes and routes[key].certificate and key[1] in in_time)
        }
        messages.add_expiring(response, others, now)

    def _message(self, facts: CertificateFacts) -> pb.Certificate:
        now = time.time()
        message = pb.Certificate(
            name=facts.name,
            names=facts.names,
            issuer=facts.issuer,
            ordering=facts.ordering,
            failures=facts.failures,
            error=facts.error,
            summary=words(facts, now),
            file=file_of(self._current.applier.state.settings, facts.name),
        )
        moments = (
            (message.not_before, facts.not_before),
            (message.not_after, facts.not_after),
            (message.renewal, facts.renewal),
            (message.next_try, facts.next_try if facts.next_try > now else 0.0),
        )
        for field, moment in moments:
            if moment:
                field.FromMilliseconds(int(moment * 1000))
        return message
