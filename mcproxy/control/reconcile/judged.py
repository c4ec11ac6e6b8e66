"""What a change request comes to, and what the files that its routes name say about it."""

import msgspec

from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.contents import Contents
from mcproxy.control.files.edit_files import FileProblem, route_problems
from mcproxy.control.files.look import OverdueError, look
from mcproxy.errors import InvalidRequestError
from mcproxy.model.edits.fields import Violation
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.edits.requests import Draft
from mcproxy.model.state.state import Route, RouteKey


class Judged(msgspec.Struct, frozen=True):
    """What a request comes to.

    Attributes:
        loaded: the files it was judged against.
        draft: the edits that it adds and ends.
        merged: what would be in effect.
        routes: those of them whose own files count.
    """

    loaded: Loaded
    draft: Draft
    merged: Merged
    routes: dict[RouteKey, Route]


class Seen(msgspec.Struct, frozen=True):
    """What was found in the files that some routes name."""

    routes: dict[RouteKey, Route] = {}
    problems: list[FileProblem] = []

    def judge(self, judged: Judged) -> Draft | None:
        """Return the draft with what is doubtful about the files; None if it is about others than these.

        Raises:
            InvalidRequestError: something is wrong with the files.
        """
        if judged.routes != self.routes:
            return None
        wrong = tuple((problem.name, problem.message) for problem in self.problems if problem.severity == "error")
        if wrong:
            raise InvalidRequestError(wrong)
        doubts = tuple(Violation(problem.name, problem.message) for problem in self.problems)
        return msgspec.structs.replace(judged.draft, warnings=(*judged.draft.warnings, *doubts))


async def look_at(judged: Judged) -> Seen:
    """Return what is in the files that a request's routes name."""
    try:
        problems = await look(route_problems, judged.merged.state, judged.routes, Contents())
    except OverdueError:  # once more: what hangs is told at its key now
        problems = await look(route_problems, judged.merged.state, judged.routes, Contents())
    return Seen(judged.routes, problems)
