"""A request to change what runs, beside what it is about, and its answer."""

import time

import msgspec

from mcproxy.control.store.ledger import Mutation
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.judging import Violation


class ChangeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request, beside what it is about.

    Attributes:
        action: the RPC's name.
        about: the resource, for the audit.
        author, verified, reason, request_id: as in `Mutation`.
        expires: seconds after which its edits end; None for never.
        expected_generation: refuse unless this one is live; 0 for any.
        guard: seconds to watch what it touches, and to undo it if that fails; 0.0 for as long as the settings say, None for not at all.
        node: make its edits for this node of a fleet alone, whose name this is; "" for the whole fleet.
        wait: seconds to wait until all nodes of a fleet that are there have made it live, too; 0.0 for not at all.
        dry_run: judge it and tell what would be done, but do and record nothing.
        content: the whole request, as JSON.
        wrong: what is wrong with any of these: pairs of a field's name and why.
    """

    action: str
    about: str = ""
    author: str = ""
    verified: bool = False
    reason: str = ""
    request_id: str = ""
    expires: float | None = None
    expected_generation: int = 0
    guard: float | None = None
    node: str = ""
    wait: float = 0.0
    dry_run: bool = False
    content: str = ""
    wrong: tuple[tuple[str, str], ...] = ()


class ChangeResult(msgspec.Struct, frozen=True):
    """What a request was answered with: the store keeps it for a retry.

    Attributes:
        generation: that is live with it.
        edits: it has made.
        warnings: what is doubtful.
        plan: what was done.
        confirm_id: what `ChangeHandler.confirm` takes; 0 when the request needs no confirmation.
        confirm_by: until when, in seconds since the epoch.
        dry_run: nothing of it was done; the edits have no ids.
        guarded_until: until when what it touches is watched, in seconds since the epoch; 0.0 for not at all.
        shared: revision of the fleet's store with it; 0 if it is of this node alone, or was answered before.
    """

    generation: int
    edits: tuple[Edit, ...] = ()
    warnings: tuple[Violation, ...] = ()
    plan: tuple[str, ...] = ()
    confirm_id: int = 0
    confirm_by: float = 0.0
    dry_run: bool = False
    guarded_until: float = 0.0
    shared: int = 0


class Answer(msgspec.Struct, frozen=True):
    """A `ChangeResult` as the store keeps it, without the edits: those have a form of their own."""

    generation: int
    warnings: tuple[Violation, ...]
    plan: tuple[str, ...]
    confirm_id: int
    confirm_by: float
    guarded_until: float = 0.0

    @classmethod
    def of(cls, done: ChangeResult) -> "Answer":
        """Return what is to be kept of an answer."""
        return cls(done.generation, done.warnings, done.plan, done.confirm_id, done.confirm_by, done.guarded_until)

    def done(self, edits: tuple[Edit, ...]) -> ChangeResult:
        """Return the answer with the edits that the request has made."""
        return ChangeResult(
            self.generation,
            edits,
            self.warnings,
            self.plan,
            self.confirm_id,
            self.confirm_by,
            guarded_until=self.guarded_until,
        )


def mutation_of(request: ChangeRequest) -> Mutation:
    """Return a request as the audit keeps it."""
    return Mutation(
        time=time.time(),
        action=request.action,
        target=request.about,
        author=request.author,
        verified=request.verified,
        reason=request.reason,
        request_id=request.request_id,
        request=request.content,
    )
