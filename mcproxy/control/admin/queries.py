"""The admin API's methods: requests in, messages out. Who may call, and how errors travel, is `admin_server`'s business.

Those that change something are in `admin_changes`.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

import mcproxy
from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin import messages
from mcproxy.control.admin.backups import AdminBackups
from mcproxy.control.admin.canonical import canonical, route_of
from mcproxy.control.admin.certificates import AdminCertificates, Ordered
from mcproxy.control.admin.changes import AdminChanges, content_of, told
from mcproxy.control.admin.clients.connections import AdminConnections
from mcproxy.control.admin.clients.why import AdminWhy
from mcproxy.control.admin.endpoints import AdminEndpoints, Health, add_troubled
from mcproxy.control.admin.explain import AdminExplain
from mcproxy.control.admin.fleet.judging import refuse_document
from mcproxy.control.admin.fleet.methods import AdminFleet
from mcproxy.control.admin.past.generations import AdminGenerations
from mcproxy.control.admin.resources import AdminResources, RouteCases, origins_of, provenances_of
from mcproxy.control.admin.server import Caller
from mcproxy.control.files import config_file
from mcproxy.control.files.look import look
from mcproxy.control.guard.facts import GuardFacts
from mcproxy.control.reconcile.changes import ChangeHandler
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.reconcile.reload import Reload
from mcproxy.control.store.errors import StoreError
from mcproxy.control.store.ledger import Mutation
from mcproxy.control.workers.supervisor import Workers
from mcproxy.errors import ConfigError, InvalidRequestError, PreconditionError
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.edits.requests import require_listener
from mcproxy.model.state.state import ListenerKey, Policy, RouteKey, State
from mcproxy.model.values.addresses import parse_listen
from mcproxy.model.values.reasons import FIREWALL
from mcproxy.policy.acme.facts import OrderFacts
from mcproxy.policy.fleet.facts import FleetFacts

_LIMIT = 100  # entries of a history that are told when nobody says how many


class Admin:
    """Answers every RPC; see `admin_server.Handlers`.

    Attributes:
        unary: the methods with one answer, by name.
        streams: those with many.
        restart: starts the program anew, and returns pid, version and generation of the control that serves then.
    """

    restart: Callable[[Mutation], Awaitable[tuple[int, str, int]]]

    def __init__(
        self,
        current: Current,
        reconciler: Reconciler,
        changes: ChangeHandler,
        workers: Workers,
        expiries: Callable[[], Awaitable[Mapping[RouteKey, float]]],
        health: Health,
        ordered: Ordered,
        guard: Callable[[], GuardFacts] = GuardFacts,
        orders: Callable[[], OrderFacts] = OrderFacts,
        fleet: Callable[[], FleetFacts] = FleetFacts,
    ) -> None:
        """Answer from these parts.

        Args:
            current: what is in effect.
            reconciler: reads the files.
            changes: makes changes.
            workers: those that serve.
            expiries: tells the end of each L7 route's certificate (seconds since the epoch).
            health: tells how endpoints are.
            ordered: orders certificates.
            guard: tells what the guard watches, and what it has undone.
            orders: tells of the certificates that are ordered.
            fleet: tells how this node of a fleet does.
        """
        self._current = current
        self._expiries = expiries
        self._guard = guard
        self._fleet = fleet
        self._reconciler = reconciler
        self._workers = workers
        self._certificates = AdminCertificates(current, ordered)
        self._started = time.time()
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {
            **AdminChanges(changes).unary,
            "GetStatus": self._get_status,
            "ListListeners": self._list_listeners,
            "ListRoutes": self._list_routes,
            "ListL7Policies": self._list_l7_policies,
            "GetFirewallRules": self._get_firewall_rules,
            "Plan": self._plan,
            "Reload": self._reload,
            "Restart": self._restart,
            "GetDrift": self._get_drift,
            "Export": self._export,
            "ListEditRecords": self._list_edit_records,
            "ListAudit": self._list_audit,
            **AdminGenerations(current).unary,
            **AdminExplain(current, health, orders).unary,
            **AdminEndpoints(current, health).unary,
            **AdminResources(current).unary,
            **self._certificates.unary,
            **AdminConnections(current, workers).unary,
            **AdminWhy(current, workers).unary,
            **AdminFleet(current.edits.shared.fleet, reconciler, current, fleet).unary,
        }
        self.streams: Mapping[str, Callable[[Any, Caller], AsyncIterator[Any]]] = {
            **AdminBackups(current).streams,
            "WatchEvents": self._watch_events,
        }

    # What runs

    async def _get_status(self, _: pb.GetStatusRequest, __: Caller) -> pb.GetStatusResponse:
        current, edits = self._current, self._current.edits
        response = pb.GetStatusResponse(
            version=mcproxy.__version__,
            pid=os.getpid(),
            config_path=str(self._reconciler.path),
            generation=current.applier.generation,
            label=current.revision.label,
            workers=[
                pb.Worker(pid=worker.pid, slot=worker.slot, generation=worker.generation, draining=draining)
                for worker, draining in self._workers.members()
            ],
            listeners=self._listeners(),
            routes=len(current.merged.state.routes),
            last_reload=_reload_message(self._reconciler.last),
            database=pb.Database(path=str(edits.path), error=edits.error, set_aside=edits.set_aside),
            drift=len(current.drift()),
            limits_hit=current.counters.limits_hit(),
            limits_hit_recently=current.counters.refused_recently(time.monotonic()).limits,
            worker_restarts=current.counters.worker_restarts(),
            broken_files=map(messages.broken_file, self._reconciler.stand_ins.now),
            data_path=current.applier.data_path.name,
            data_path_reason=current.applier.data_path.why or self._in_python(),
        )
        response.started.FromMilliseconds(int(self._started * 1000))
        messages.add_failing(response, current.counters.health, current.applier.state.routes)
        add_troubled(response, current)
        messages.add_guard(response, self._guard())
        messages.add_fleet(response, self._fleet())
        self._certificates.add_to(response, await self._expiries(), time.time())
        try:
            waiting = await edits.store.unconfirmed()
        except StoreError:
            waiting = ()
        if waiting:
            response.confirm_id = waiting[0].id
            response.confirm_by.FromMilliseconds(int((waiting[0].confirm_by or 0) * 1000))
        return response

    async def _list_listeners(self, _: pb.ListListenersRequest, __: Caller) -> pb.ListListenersResponse:
        return pb.ListListenersResponse(generation=self._current.applier.generation, listeners=self._listeners())

    def _listeners(self) -> list[pb.ListenerStatus]:
        current = self._current
        state, provenances = current.merged.state, provenances_of(current)
        totals = current.counters.totals()
        refused, failed, aborted = (
            totals.ended(*groups) for groups in (("refused",), ("backend", "proxy"), ("client",))
        )
        routes: dict[ListenerKey, int] = {}
        for addr, _ in state.routes:
            routes[addr] = routes.get(addr, 0) + 1
        counted = totals.listeners
        recently = current.counters.refused_recently(time.monotonic()).listeners
        return [
            pb.ListenerStatus(
                **messages.listener_fields(listener),
                routes=routes.get(addr, 0),
                active_connections=counted[addr].open if addr in counted else 0,
                accepted_connections=counted[addr].accepted if addr in counted else 0,
                health_checks=counted[addr].health_checks if addr in counted else 0,
                refused=refused.get(addr, {}),
                refused_recently=recently.get(addr, {}),
                failed=failed.get(addr, {}),
                client_aborts=aborted.get(addr, {}),
                provenance=provenances.of("listener", addr),
            )
            for addr, listener in sorted(state.listeners.items())
        ]

    def _in_python(self) -> str:
        """Return how many workers can't use the native core that they were given, "" for none."""
        serving = [worker for worker, draining in self._workers.members() if not draining]
        python = sum(worker.python for worker in serving)
        return f"but {python} of {len(serving)} workers in Python: the log says why" if python else ""

    async def _list_routes(self, request: pb.ListRoutesRequest, __: Caller) -> pb.ListRoutesResponse:
        current = self._current
        state, provenances = current.merged.state, provenances_of(current)
        counts = current.counters.totals()
        totals, cases = counts.routes, RouteCases(state, counts.filters)
        wanted = canonical("listener", request.listener, parse_listen)
        if wanted:
            require_listener(state, wanted)
        policies: dict[RouteKey, list[Policy]] = {}
        for _, policy in sorted(state.policies.items()):
            policies.setdefault((policy.listener, policy.hostname), []).append(policy)
        response = pb.ListRoutesResponse(generation=current.applier.generation)
        for key, route in sorted(state.routes.items()):
            if wanted in ("", key[0]):
                message = messages.route(route, policies.get(key, ()), provenances)
                counted = totals.get(key)
                if counted is not None:
                    message.active_connections, message.connections = counted.active, counted.connections
                    message.bytes_received, message.bytes_sent = counted.received, counted.sent
                    message.requests = counted.requests
                    messages.count_errors(message, counted)
                messages.add_trouble(message, current.counters.health.troubles.get(key))
                cases.add_to(message, provenances)
                response.routes.append(message)
        return response

    async def _list_l7_policies(self, request: pb.ListL7PoliciesRequest, __: Caller) -> pb.ListL7PoliciesResponse:
        current = self._current
        provenances, blocked = provenances_of(current), current.counters.policy_blocks()
        wanted, route = route_of(request)
        if wanted:
            require_listener(current.merged.state, wanted)
        response = pb.ListL7PoliciesResponse(generation=current.applier.generation)
        for (addr, hostname, kind, _), policy in sorted(current.merged.state.policies.items()):
            if wanted in ("", addr) and route in ("", hostname):
                message = messages.policy(policy, provenances)
                message.blocked_requests = blocked.get((addr, hostname), {}).get(kind, 0)
                response.policies.append(message)
        return response

    async def _get_firewall_rules(self, _: pb.GetFirewallRulesRequest, __: Caller) -> pb.GetFirewallRulesResponse:
        current = self._current
        state, provenances = current.merged.state, provenances_of(current)
        blocks = [listener.blocks for listener in current.counters.totals().listeners.values()]
        blocked = {reason: sum(each.get(reason, 0) for each in blocks) for reason in FIREWALL}
        response = pb.GetFirewallRulesResponse(
            generation=current.applier.generation,
            rules=[
                pb.FirewallRule(type=key[0], value=key[1], provenance=provenances.of("rule", *key))
                for key in sorted(state.rules)
            ],
            rate_limit=msgspec.convert(state.settings["firewall.rate_limit"], int),
            geoip_db=str(state.settings["firewall.geoip_db"]),
            blocked={reason: count for reason, count in blocked.items() if count},
            default=str(state.settings["firewall.default"]),
            connections_per_client=msgspec.convert(state.settings["firewall.connections_per_client"], int),
        )
        window = msgspec.convert(state.settings["firewall.rate_window"], float)
        response.rate_window.FromMilliseconds(int(window * 1000))
        return response

    # The files, and how they differ

    async def _plan(self, request: pb.PlanRequest, _: Caller) -> pb.PlanResponse:
        text = request.toml if request.HasField("toml") else None
        if text is not None:
            refuse_document(self._current.edits.shared.fleet, text)
        try:
            loaded = await look(
                config_file.load,
                self._reconciler.path,
                text=text,
                last_good=self._reconciler.stand_ins.last_good,
                documents=self._current.edits.shared.fleet.documents,
            )
            loaded.require_tests()
        except ConfigError as error:
            if text is None:
                raise PreconditionError(f"the files are invalid:\n{error}") from error
            raise InvalidRequestError(tuple(_toml_violations(error, str(self._reconciler.path)))) from error
        merged = self._current.edits.merge(loaded.resolution.state)
        plan = self._current.plan_for(loaded, merged)
        return pb.PlanResponse(
            summary=plan.summary(),
            lines=plan.lines(),
            json=msgspec.json.encode(plan.builtins()).decode(),
            warnings=map(str, loaded.resolution.warnings),
        )

    async def _reload(self, request: pb.ReloadRequest, _: Caller) -> pb.ReloadResponse:
        wrong: list[tuple[str, str]] = []
        label = told("label", request.label, "label", wrong)
        if wrong:
            raise InvalidRequestError(tuple(wrong))
        last = await self._reconciler.reload(allow_shrink=request.allow_shrink, label=label)
        if last.problems:
            raise PreconditionError("nothing changed:\n" + "\n".join(last.problems))
        labelled = 0
        if label:
            # who follows the files is mostly faster than who tells why they were changed
            labelled = last.generation if last.plan else await self._current.relabel(label)
        return pb.ReloadResponse(
            generation=last.generation,
            summary=last.plan.summary(),
            lines=last.plan.lines(),
            warnings=last.warnings,
            labelled=labelled,
        )

    async def _restart(self, request: pb.RestartRequest, caller: Caller) -> pb.RestartResponse:
        wrong: list[tuple[str, str]] = []
        author, reason = (told(name, getattr(request, name), name, wrong) for name in ("author", "reason"))
        if wrong:
            raise InvalidRequestError(tuple(wrong))
        pid, version, generation = await self.restart(
            Mutation(
                time=time.time(),
                action="Restart",
                target=f"mcproxy {mcproxy.__version__}",
                author=caller.name or author,
                verified=bool(caller.name),
                reason=reason,
                request=content_of(request),
            )
        )
        return pb.RestartResponse(pid=pid, version=version, generation=generation)

    async def _get_drift(self, _: pb.GetDriftRequest, __: Caller) -> pb.GetDriftResponse:
        current = self._current
        origins, in_fleet = origins_of(current), current.edits.shared.fleet.node is not None
        return pb.GetDriftResponse(
            generation=current.applier.generation,
            differences=[messages.difference(each, origins, in_fleet=in_fleet) for each in current.drift()],
        )

    async def _export(self, _: pb.ExportRequest, __: Caller) -> pb.ExportResponse:
        current = self._current
        generation, loaded = current.applier.generation, current.loaded
        if loaded is None or not loaded.sources:
            raise PreconditionError("what runs comes from the history, since the config file is invalid; mend it first")
        state = current.merged.state if loaded.fleet is None else current.edits.for_export(current.file).state
        files = await asyncio.to_thread(_export_files, loaded.sources, state)
        return pb.ExportResponse(generation=generation, files=files)

    # The past

    async def _list_edit_records(self, request: pb.ListEditRecordsRequest, _: Caller) -> pb.ListEditRecordsResponse:
        found = await self._current.edits.store.history(edit_id=request.edit_id or None, **_page(request))
        return pb.ListEditRecordsResponse(records=map(messages.record, found))

    async def _list_audit(self, request: pb.ListAuditRequest, _: Caller) -> pb.ListAuditResponse:
        found = await self._current.edits.store.audit(**_page(request))
        return pb.ListAuditResponse(entries=map(messages.audit_entry, found))

    # What happens

    async def _watch_events(self, request: pb.WatchEventsRequest, _: Caller) -> AsyncIterator[pb.Event]:
        async for event in self._current.events.watch(request.recent):
            yield messages.event(event)


def _export_files(sources: Sequence[Source], desired: State) -> list[pb.ExportedFile]:
    from mcproxy.control.export.export import export  # noqa: PLC0415 - tomlkit is slow to import

    return [
        pb.ExportedFile(
            path=file.path,
            text=file.after,
            changed=file.after != file.before,
            sha256=hashlib.sha256(file.before.encode()).hexdigest(),
        )
        for file in export(sources, desired)
    ]


def _toml_violations(error: ConfigError, path: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a text that was to take the place of the file at ``path``, which gave it no name."""
    for problem in error.problems:
        if isinstance(problem, Problem) and problem.severity == "error":
            where = f"{problem.line}:{problem.column}: {problem.message}"
            yield f"toml.{problem.key}" if problem.key else "toml", where if problem.file == path else str(problem)


def _reload_message(last: Reload) -> pb.Reload:
    message = pb.Reload(
        succeeded=not last.problems, problems=last.problems, tries=last.tries, failing_tests=last.failing
    )
    if last.next_try:
        message.next_try.FromMilliseconds(int(last.next_try * 1000))
    message.time.FromMilliseconds(int(last.time * 1000))
    return message


def _page(request: Any) -> dict[str, int]:
    """Return the part of a history that is asked for, as the store's arguments."""
    return {"limit": request.limit or _LIMIT, **({"before": request.before} if request.before else {})}
