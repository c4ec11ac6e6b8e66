"""GetFleet, PlanFleet, PushFleet, ListFleetHistory, AbortRollout."""

import contextlib
import importlib
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin.changes import content_of, told
from mcproxy.control.admin.fleet import messages
from mcproxy.control.admin.fleet.judging import Judged, judge
from mcproxy.control.admin.server import Caller
from mcproxy.control.certificates.ordered import wanted_by
from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.reconcile.shrinking import taken_away
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.ledger import Mutation
from mcproxy.control.system import log
from mcproxy.control.system.work_thread import in_thread
from mcproxy.errors import InvalidRequestError, NotFoundError, PreconditionError, UnavailableError
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.fleet import keys
from mcproxy.model.fleet.contents import Commit, Conflict
from mcproxy.model.fleet.document import FleetFile, Header
from mcproxy.model.fleet.view import FleetView
from mcproxy.model.values.acme.places import folder
from mcproxy.policy.fleet import driving, pushing
from mcproxy.policy.fleet.facts import FleetFacts
from mcproxy.policy.fleet.pushing import Canary, Pushed
from mcproxy.policy.fleet.steps import parse_steps

_LIMIT = 100
_ATTEMPTS = 20  # at a commit, while others change the fleet, too
_NOBODYS = -1  # a version that no key has


class AdminFleet:
    """Answers the RPCs about the fleet.

    Attributes:
        unary: the methods by name, as in `admin_server.Handlers`.
    """

    def __init__(self, fleet: Fleet, reconciler: Reconciler, current: Current, facts: Callable[[], FleetFacts]) -> None:
        self._facts = facts
        self._fleet = fleet
        self._reconciler = reconciler
        self._current = current
        self._log = log.logger()
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {
            "GetFleet": self._get_fleet,
            "PlanFleet": self._plan_fleet,
            "PushFleet": self._push_fleet,
            "ListFleetHistory": self._list_fleet_history,
            "AbortRollout": self._abort_rollout,
            "FetchCertificate": self._fetch_certificate,
        }

    async def _get_fleet(self, _: pb.GetFleetRequest, __: Caller) -> pb.GetFleetResponse:
        node = self._node()
        problems = tuple(dict.fromkeys((*self._fleet.view.problems, *self._facts().problems)))
        return messages.fleet(node, self._fleet.contact, self._fleet.view, self._fleet.ahead, problems)

    async def _plan_fleet(self, request: pb.PlanFleetRequest, _: Caller) -> pb.PlanFleetResponse:
        self._node()
        judged = await judge(self._reconciler, _files(request.files))
        await self._fleet.look()
        view = self._fleet.view
        plan = self._current.plan_for(judged.loaded, self._current.edits.merge(judged.loaded.resolution.state))
        return pb.PlanFleetResponse(
            summary=plan.summary(),
            lines=plan.lines(),
            json=msgspec.json.encode(plan.builtins()).decode(),
            warnings=self._warnings(judged, view),
            document=None if view.doc is None else messages.document(view.doc.header),
            same=view.doc is not None and view.doc.header.hash == judged.hash,
        )

    async def _push_fleet(self, request: pb.PushFleetRequest, caller: Caller) -> pb.PushFleetResponse:
        node = self._node()
        wrong: list[tuple[str, str]] = []
        author, label = (told(name, getattr(request, name), name, wrong) for name in ("author", "label"))
        canary = _canary(request.canary, wrong) if request.HasField("canary") else None
        if wrong:
            raise InvalidRequestError(tuple(wrong))
        judged = await judge(self._reconciler, _files(request.files))
        merged = self._current.edits.merge(judged.loaded.resolution.state)
        self._refuse_shrinking(judged, allowed=request.allow_shrink)
        plan = self._current.plan_for(judged.loaded, merged)
        warnings = self._warnings(judged, self._fleet.view)

        def commit(view: FleetView) -> tuple[Header, Commit]:
            revision = 0 if view.doc is None else view.doc.header.revision
            seen = not request.HasField("over") or request.over == revision
            return pushing.push(
                view,
                Pushed(
                    hash=judged.hash,
                    packed=judged.packed,
                    author=caller.name or author,
                    label=label,
                    node=node.node,
                    now=time.time(),
                    over=view.version(keys.DOC) if seen else _NOBODYS,
                    after=self._fleet.wanted.numbers,
                ),
                canary,
            )

        header = await self._made(commit)
        view = self._fleet.view
        canaries = view.rollout.nodes if view.rollout is not None and canary is not None else ()
        what = f"revision {header.revision} is pushed to the fleet"
        await self._record(request, caller, f"revision {header.revision}", header.author, header.label)
        self._tell(what, header.author, header.label)
        return pb.PushFleetResponse(
            document=messages.document(header),
            canaries=canaries,
            summary=plan.summary(),
            lines=plan.lines(),
            warnings=warnings,
        )

    async def _list_fleet_history(self, request: pb.ListFleetHistoryRequest, _: Caller) -> pb.ListFleetHistoryResponse:
        self._node()
        return pb.ListFleetHistoryResponse(past=map(messages.past, self._fleet.view.past[: request.limit or _LIMIT]))

    async def _abort_rollout(self, request: pb.AbortRolloutRequest, caller: Caller) -> pb.AbortRolloutResponse:
        self._node()
        wrong: list[tuple[str, str]] = []
        author = caller.name or told("author", request.author, "author", wrong)
        if wrong:
            raise InvalidRequestError(tuple(wrong))

        def commit(view: FleetView) -> tuple[Header | None, Commit]:
            header = None if view.next is None else view.next.header
            return header, driving.abort(view, author, time.time())

        header = await self._made(commit)
        revision = 0 if header is None else header.revision
        await self._record(request, caller, f"revision {revision}", author, "")
        self._tell(f"the rollout of revision {revision} is ended", author, "")
        return pb.AbortRolloutResponse(document=None if header is None else messages.document(header))

    async def _fetch_certificate(
        self, request: pb.FetchCertificateRequest, caller: Caller
    ) -> pb.FetchCertificateResponse:
        self._node()
        if not caller.name or caller.name not in self._fleet.view.nodes:
            who = f"{caller.name} is none" if caller.name else "who calls has shown no certificate"
            raise PreconditionError(f"keys are for the nodes of the fleet alone, and {who}")
        state = self._current.applier.state
        if request.name not in wanted_by(state):
            raise NotFoundError(f"no route orders a certificate for {request.name} here")
        files = await in_thread(importlib.import_module, "mcproxy.control.acme.folder")
        try:
            bundle = await in_thread(files.Folder(Path(folder(state.settings))).read, request.name)
        except OSError as error:
            raise PreconditionError(f"the certificate for {request.name} can't be read: {error.strerror}") from error
        if bundle is None:
            raise NotFoundError(f"there is no certificate for {request.name} here yet")
        self._log.info("a certificate is given to another node", name=request.name, node=caller.name)
        return pb.FetchCertificateResponse(chain=bundle.chain, key=bundle.key)

    def _node(self) -> FleetNode:
        node = self._fleet.node
        if node is None:
            raise PreconditionError("this server is no node of a fleet: [fleet] in its config file makes it one")
        return node

    async def _made(self, decide: Callable[[FleetView], tuple[Any, Commit]]) -> Any:
        """Make the commit that is decided by what the store holds, and return what was decided with it.

        Raises:
            McproxyError: what the decision raises; `UnavailableError` when the store does not take it.
        """
        await self._fleet.look()
        for _ in range(_ATTEMPTS):
            result, commit = decide(self._fleet.view)
            if not isinstance(await self._fleet.commit(commit), Conflict):
                return result
        raise UnavailableError("the fleet is being changed by many at once; try again")

    def _refuse_shrinking(self, judged: Judged, *, allowed: bool) -> None:
        """Refuse what takes away most of what is served here, unless that is allowed."""
        before, live = self._current.loaded, self._current.applier.state
        if before is None or allowed or judged.loaded.resolution.state.settings["proxy.allow_shrink"]:
            return
        desired = self._current.edits.merge(judged.loaded.resolution.state).state
        if reasons := taken_away(before, judged.loaded, live, desired):
            raise PreconditionError(f"{'; '.join(reasons)}. If that is meant: fleet push --allow-shrink")

    def _warnings(self, judged: Judged, view: FleetView) -> list[str]:
        warnings = list(judged.warnings)
        here = self._running()
        if view.doc is not None and here != view.doc.header.revision:
            runs = f"runs revision {here}" if here else "runs no document yet"
            warnings.append(
                f"this node {runs}, the fleet's is revision {view.doc.header.revision}: what is shown is what changes here"
            )
        return warnings

    def _running(self) -> int:
        """Return the revision of the document that is live here, 0 for none."""
        loaded = self._current.loaded
        return 0 if loaded is None or loaded.document is None else loaded.document.header.revision

    async def _record(self, request: Any, caller: Caller, target: str, author: str, reason: str) -> None:
        """Put what was done on record; that a database does not answer does not undo it."""
        with contextlib.suppress(StoreError):
            await self._current.edits.store.mutate(
                Mutation(
                    time=time.time(),
                    action=type(request).__name__.removesuffix("Request"),
                    target=target,
                    author=author,
                    verified=bool(caller.name),
                    reason=reason,
                    request=content_of(request),
                )
            )

    def _tell(self, what: str, author: str, label: str) -> None:
        self._log.info(what, author=author, label=label)
        by = f" by {author}" if author else ""
        self._current.events.publish("fleet", f"{what}{by}", self._current.applier.generation, label=label)


def _files(files: Any) -> tuple[FleetFile, ...]:
    return tuple(FleetFile(file.name, file.text) for file in files)


def _canary(message: pb.FleetCanary, wrong: list[tuple[str, str]]) -> Canary:
    """Return how a push is tried first; what is wrong with it is added to ``wrong``."""
    defaults = Canary()
    steps = defaults.steps
    if message.steps:
        try:
            steps = parse_steps(",".join(message.steps))
        except ValueError as error:
            wrong.append(("canary.steps", str(error)))
    watch = message.watch.seconds + message.watch.nanos / 1e9 if message.HasField("watch") else defaults.watch
    if not 1 <= watch <= 86_400:
        wrong.append(("canary.watch", "must be between 1 s and 24 h"))
    max_errors = message.max_errors if message.HasField("max_errors") else defaults.max_errors
    if not 0 <= max_errors <= 1:
        wrong.append(("canary.max_errors", "must be between 0 and 1, which is 100%"))
    least = message.min_requests if message.HasField("min_requests") else defaults.min_requests
    if not least:
        wrong.append(("canary.min_requests", "must be at least 1"))
    return Canary(named=tuple(message.nodes), steps=steps, watch=watch, max_errors=max_errors, min_requests=least)
