"""The admin API's methods that tell of generations, of what differs between two, and of what made a resource what it is."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from mcproxy._pb import admin_pb2 as pb
from mcproxy.control.admin import messages
from mcproxy.control.admin.server import Caller
from mcproxy.control.history import past
from mcproxy.control.history.past import Then
from mcproxy.control.reconcile.current import Current
from mcproxy.control.store.revisions import Past, Revision
from mcproxy.errors import InvalidRequestError, NotFoundError
from mcproxy.model.edits import put
from mcproxy.model.history import blame
from mcproxy.model.history.changes import fields_of, told
from mcproxy.model.state.kinds import KindName, ResourceKey, name_of, parts_of, table_of
from mcproxy.model.state.plan import make_plan

_LIMIT = 100  # generations that are told when nobody says how many
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # of what google.protobuf.Timestamp can be


class AdminGenerations:
    """Answers ListRevisions, GetRevision, Blame and DiffGenerations.

    Attributes:
        unary: the methods by name, as in `admin_server.Handlers`.
    """

    def __init__(self, current: Current) -> None:
        self._current = current
        self.unary: Mapping[str, Callable[[Any, Caller], Awaitable[Any]]] = {
            "ListRevisions": self._list_revisions,
            "GetRevision": self._get_revision,
            "Blame": self._blame,
            "DiffGenerations": self._diff_generations,
        }

    async def _list_revisions(self, request: pb.ListRevisionsRequest, _: Caller) -> pb.ListRevisionsResponse:
        limit = request.limit or _LIMIT
        if not request.kind and request.key:
            raise InvalidRequestError((("kind", "of which kind is the resource?"),))
        if not request.kind:
            before = {"before": request.before} if request.before else {}
            found = await self._current.edits.store.revisions(limit=limit, **before)
            return pb.ListRevisionsResponse(revisions=map(messages.revision, found))
        kind, key = _resource(request)
        known = await self._known(kind, key)
        response = pb.ListRevisionsResponse(since=known.since)
        for place, (by, change) in enumerate(known.changes):
            if request.before and by.generation >= request.before:
                continue
            if len(response.revisions) == limit:
                break
            older = known.changes[place + 1][1] if place + 1 < len(known.changes) else None
            summary = told(change, older)
            response.revisions.append(messages.revision(msgspec.structs.replace(by, summary=summary)))
        return response

    async def _get_revision(self, request: pb.GetRevisionRequest, _: Caller) -> pb.GetRevisionResponse:
        if not request.generation:
            raise InvalidRequestError((("generation", "which one? See history"),))
        detail = await self._current.edits.store.revision(request.generation)
        if detail is None:
            raise NotFoundError(f"generation {request.generation} is not in the history; see history")
        return pb.GetRevisionResponse(
            revision=messages.revision(detail.revision),
            plan=detail.plan.get("lines", ()),
            state_json=messages.state_json(detail.state),
            plan_json=msgspec.json.encode(detail.plan).decode(),
        )

    async def _blame(self, request: pb.BlameRequest, _: Caller) -> pb.BlameResponse:
        kind, key = _resource(request)
        known = await self._known(kind, key)
        current = self._current
        resource = table_of(current.merged.state, kind).get(key)
        response = pb.BlameResponse(
            generation=current.applier.generation,
            target=name_of(kind, key),
            since=known.since,
            removed=resource is None,
        )
        if resource is None:
            by, change = known.changes[0]
            if change.action == "remove":
                response.removed_by.CopyFrom(_change(by, change.origin, known))
            return response
        values = put.plain_fields(kind, key, resource)
        for one in blame.blame(fields_of(kind, key, resource), list(values), known.changes):
            message = response.keys.add(
                name=one.name,
                value_json=msgspec.json.encode(values.get(one.name)).decode(),
                restored=one.restored,
            )
            for field, found in (("by", one.by), ("original", one.original)):
                if found is not None:
                    by, change = found
                    getattr(message, field).CopyFrom(_change(by, change.place(one.name), known))
        return response

    async def _known(self, kind: KindName, key: ResourceKey) -> Past:
        """Return what is known of a resource that is there, or was; raises NotFoundError if it is none of both."""
        known = await self._current.edits.store.past(kind, parts_of(key))
        if not known.changes and key not in table_of(self._current.merged.state, kind):
            kept = f" since generation {known.since}" if known.since else ""
            raise NotFoundError(f"there is no {name_of(kind, key)}, and the history has none{kept}")
        return known

    async def _diff_generations(self, request: pb.DiffGenerationsRequest, _: Caller) -> pb.DiffGenerationsResponse:
        if not request.HasField("from"):
            raise InvalidRequestError((("from", "which generation, or what time?"),))
        before = await then(self._current, getattr(request, "from"), "from")
        after = await then(self._current, request.to, "to")
        plan = make_plan(before.resolution.state, after.resolution.state, after.resolution.origins)
        revisions = {"from": messages.revision(before.revision), "to": messages.revision(after.revision)}
        return pb.DiffGenerationsResponse(
            **revisions,
            summary=plan.summary(),
            lines=plan.lines(),
            json=msgspec.json.encode(plan.builtins()).decode(),
        )


async def then(current: Current, moment: pb.Moment, field: str) -> Then:
    """Return what was live at a generation or time of a request's field, or is, if it says neither.

    Raises:
        InvalidRequestError: it says both, or a time that no calendar has.
        NotFoundError: that is not kept.
        StoreError: the database can't give it.
    """
    if moment.HasField("time"):
        if moment.generation:
            raise InvalidRequestError(((field, "a generation or a time, not both"),))
        if not _FIRST_SECOND <= moment.time.seconds <= _LAST_SECOND:
            raise InvalidRequestError(((field, "must be a time between the years 1 and 9999"),))
        return await past.at_time(current, moment.time.seconds + moment.time.nanos / 1e9)
    return await past.at_generation(current, moment.generation or current.applier.generation)


def _resource(request: pb.ListRevisionsRequest | pb.BlameRequest) -> tuple[KindName, ResourceKey]:
    """Return the resource of a request; raises InvalidRequestError."""
    kind = put.kind_of(request.kind)
    return kind, put.canonical_key(kind, tuple(request.key))


def _change(by: Revision, place: object, known: Past) -> pb.ResourceChange:
    message = pb.ResourceChange(
        generation=by.generation,
        origin=by.origin,
        author=by.author,
        label=by.label,
        place="" if place is None else str(place),
        unkept_since=known.gaps.get(by.generation, 0),
    )
    message.time.CopyFrom(messages.revision(by).time)
    return message
