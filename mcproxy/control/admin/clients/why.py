"""The admin API's method that tells why a request, or a client's connections, were refused."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.canonical import canonical
from mcproxy.control.admin.explain import country_lookup
from mcproxy.control.admin.server import Caller
from mcproxy.control.history.past import at_generation
from mcproxy.control.reconcile.current import Current
from mcproxy.control.store.errors import StoreError
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import InvalidRequestError, NotFoundError
from mcproxy.model.values import addresses
from mcproxy.model.values.reasons import REASONS
from mcproxy.net.ipc import AskRefusals
from mcproxy.net.sockets import address_text, packed_address
from mcproxy.net.told import KeptRefusal
from mcproxy.policy.explain.query import Step
from mcproxy.policy.explain.refused import Refused, why
from mcproxy.policy.explain.walk import Walker

_LAST = 5  # refusals that are told when nobody says how many
_MOST = 1000
_WALKERS = 3  # of generations that were live before; each may take some MB
_is_id = re.compile(r"[0-9A-Za-z._~+/=:@-]{1,128}").fullmatch


class AdminWhy:
    """Answers Why.

    Attributes:
        unary: the method by its name, as in `admin_server.Handlers`.
    """

    def __init__(self, current: Current, workers: Workers) -> None:
        self._current = current
        self._workers = workers
        self._walkers: dict[int, Walker] = {}
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {"Why": self._why}

    async def _why(self, request: pb.WhyRequest, _: Caller) -> pb.WhyResponse:
        client = canonical("ip", request.ip, addresses.parse_ip)
        if request.id and not _is_id(request.id):
            raise InvalidRequestError((("id", "is no id of a request: error pages and the access log have them"),))
        if bool(request.id) == bool(client):
            raise InvalidRequestError((("id", "name the id of a request, or else the address of a client"),))
        limit = min(request.last or _LAST, _MOST)
        packed = packed_address(client) if client else b""
        answers = await self._workers.questions.refusals(AskRefusals(0, request.id, packed, limit))
        response = pb.WhyResponse()
        for pid, told, _found in answers:
            memory = response.workers.add(pid=pid, answered=told is not None)
            if told is not None:
                memory.kept = told.kept
                memory.since.FromMilliseconds(int(told.since * 1000))
                memory.began.FromMilliseconds(int(told.began * 1000))
        all_found = ((kept, pid) for pid, _told, found in answers for kept in found)
        country = country_lookup(self._current)
        for kept, pid in sorted(all_found, key=lambda pair: -pair[0].at)[:limit]:
            walker, told_by = await self._walker(kept.generation)
            response.refusals.append(_message(kept, pid, why(_refused(kept), walker, country), told_by))
        return response

    async def _walker(self, generation: int) -> tuple[Walker, str]:
        """Return what walks through a generation; what is live where that is not kept, and then words for that."""
        current = self._current
        known = self._walkers.get(generation)
        if known is not None:
            return known, ""
        try:
            then = await at_generation(current, generation)
        except (NotFoundError, StoreError):
            live = current.applier.generation
            return current.walker, f"generation {live}, which is live: generation {generation} is not in the history"
        if then.live:
            return current.walker, ""
        if len(self._walkers) >= _WALKERS:
            self._walkers.clear()
        walker = self._walkers[generation] = Walker(then.resolution)
        return walker, ""


def _message(kept: KeptRefusal, pid: int, decision: tuple[Step, Sequence[Step]], told_by: str) -> pb.Refusal:
    decided, passed = decision
    reason = REASONS[kept.reason]
    host = address_text(kept.client) if kept.client else ""
    port = f":{kept.port}" if kept.port else ""
    message = pb.Refusal(
        generation=kept.generation,
        told_by=told_by,
        listener=kept.listener,
        route=kept.route,
        client=f"[{host}]{port}" if port and ":" in host else f"{host}{port}",
        sni=kept.sni,
        id=kept.id,
        method=kept.method,
        authority=kept.authority,
        path=kept.path,
        case=kept.case,
        filter=kept.filter,
        reason=kept.reason,
        meaning=reason.meaning,
        advice=reason.advice,
        detail=kept.detail,
        status=kept.status,
        endpoint=kept.endpoint,
        worker_pid=pid,
        decided=_step(decided),
        passed=map(_step, passed),
    )
    message.time.FromMilliseconds(int(kept.at * 1000))
    return message


def _refused(kept: KeptRefusal) -> Refused:
    return Refused(
        listener=kept.listener,
        reason=kept.reason,
        client=address_text(kept.client),
        peer=address_text(kept.peer) if kept.peer else "",
        route=kept.route,
        sni=kept.sni,
        method=kept.method,
        authority=kept.authority,
        path=kept.path,
        case=kept.case,
        filter=kept.filter,
        detail=kept.detail,
        status=kept.status,
    )


def _step(step: Step) -> pb.Step:
    return pb.Step(step=step.step, outcome=step.outcome, detail=step.detail, decided_by=str(step.origin or ""))
