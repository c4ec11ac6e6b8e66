"""What a request comes to, and what is wrong with the files that it names."""

from collections.abc import Callable

import msgspec

from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.content_checks import FileProblem, file_problems
from mcproxy.control.files.contents import Contents
from mcproxy.control.files.look import OverdueError, look
from mcproxy.control.reconcile.change.request import ChangeRequest
from mcproxy.errors import InvalidRequestError, RequestError
from mcproxy.model.edits.judging import Violation
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.edits.requests import Draft, EditMetadata, View
from mcproxy.model.state.named_files import Owner
from mcproxy.model.values.origins import Key

Judge = Callable[[View, EditMetadata], Draft]
"""Says what a request comes to; raises `RequestError` if it can't be done."""


class Judged(msgspec.Struct, frozen=True):
    """What a request comes to.

    Attributes:
        loaded: the files that it was judged by.
        draft: its edits.
        merged: what files and edits mean with them.
        named: what names files of all that it changes.
        moment: of the fleet's edits that it was judged by; see `Fleet.moment`.
    """

    loaded: Loaded
    draft: Draft
    merged: Merged
    named: dict[Key, Owner]
    moment: int


class Seen(msgspec.Struct, frozen=True):
    """What was found in the files that some routes and upstreams name."""

    named: dict[Key, Owner] = {}
    problems: list[FileProblem] = []

    def judge(self, judged: Judged) -> Draft | None:
        """Return the draft with what is doubtful about the files; None if it is about others than these.

        Raises:
            InvalidRequestError: something is wrong with the files.
        """
        if judged.named != self.named:
            return None
        wrong = tuple((problem.name, problem.message) for problem in self.problems if problem.severity == "error")
        if wrong:
            raise InvalidRequestError(wrong)
        doubts = tuple(Violation(problem.name, problem.message) for problem in self.problems)
        return msgspec.structs.replace(judged.draft, warnings=(*judged.draft.warnings, *doubts))


async def look_at(judged: Judged) -> Seen:
    """Return what is in the files that a request names."""
    try:
        problems = await look(file_problems, judged.merged.state, judged.named, Contents())
    except OverdueError:  # once more: what hangs is told at its key now
        problems = await look(file_problems, judged.merged.state, judged.named, Contents())
    return Seen(judged.named, problems)


def drafted(request: ChangeRequest, judge: Judge, view: View, metadata: EditMetadata) -> Draft:
    """Return what a request comes to; raises InvalidRequestError with all that is wrong about it."""
    wrong = request.wrong
    try:
        draft = judge(view, metadata)
    except InvalidRequestError as error:
        wrong = (*error.violations, *wrong)
    except RequestError:
        if not wrong:
            raise
    if wrong:
        raise InvalidRequestError(wrong)
    return draft
