"""The cases of a live route: which one a request belongs to, and where it goes."""

from typing import Any

from mcproxy.model.state.snapshot import CaseEntry, RouteEntry
from mcproxy.model.values.http import matches
from mcproxy.net.memory import sparse_counters
from mcproxy.policy.answers import OwnAnswer
from mcproxy.policy.cases.paths import Paths
from mcproxy.policy.cases.table import Ambiguous, CaseTable
from mcproxy.policy.headers import RequestHead
from mcproxy.worker.live.files import Files
from mcproxy.worker.live.filters import Filters, LiveScope
from mcproxy.worker.live.way import Way


class LiveCase(Way):
    """A case as the data path wants it.

    Attributes:
        entry: the case as the snapshot has it.
        acts: it has an action of its own; else its requests go where those of its route do.
        scope: what holds for them by filters.
    """

    __slots__ = ("acts", "entry", "scope")

    def __init__(self, entry: CaseEntry, route: RouteEntry, files: Files) -> None:
        """Prepare a case; raises `ChannelError` if a file has not come with the snapshot."""
        case = entry.case
        self.entry = entry
        self.scope: LiveScope | None = None
        answer = OwnAnswer(case, files.content(entry.page) if entry.page else b"") if case.answers else None
        single = bool(case.endpoints) and not entry.upstream
        self.acts = bool(answer is not None or entry.upstream or case.endpoints)
        super().__init__(files.backend(route, case.endpoints) if single else None, answer)
        self.name = case.match
        self.counter = sparse_counters.key(route.index, sparse_counters.CASE, case.match)


class LiveCases:
    """All cases of a route."""

    __slots__ = ("_paths", "_table", "all")

    def __init__(self, route: RouteEntry, files: Files) -> None:
        """Prepare them; raises `ChannelError` if a file has not come with the snapshot."""
        self.all = tuple(LiveCase(entry, route, files) for entry in route.cases)
        self._table: CaseTable[LiveCase] | None = None
        self._paths: Paths[Any] | None = None

    def update(self, filters: Filters) -> None:
        """Take over another version of the filters that they use."""
        self._paths = filters.paths
        for case in self.all:
            case.scope = filters.scope(case.entry.scope)

    def find(self, head: RequestHead) -> LiveCase | Ambiguous[LiveCase] | None:
        """Return the case of a request, None for none; the table is made when the first request asks for it."""
        table = self._table
        if table is None:
            table = self._table = CaseTable(((matches.parse(case.name), case) for case in self.all), self._paths)
        return table.find(head.method, head.path, head.headers)

    def plain(self, head: RequestHead, rest: Way) -> Way | None:
        """Return the case of a request if it has a backend and no filters, None if it has not; ``rest`` where it has no case."""
        found = self.find(head)
        if found is None:
            return rest
        return (
            found if type(found) is LiveCase and found.scope is None and found.acts and found.answer is None else None
        )
