"""What comes of a connection or request: the end of a walk, as tests in the file judge it."""

from collections.abc import Callable, Sequence

from mcproxy.model.state.filter_options import Page
from mcproxy.model.state.state import Case, Route
from mcproxy.model.values.endpoint import RouteBackend
from mcproxy.model.values.origins import Key
from mcproxy.policy.answers import OwnAnswer, challenge
from mcproxy.policy.explain.filters import InForce
from mcproxy.policy.explain.query import Step
from mcproxy.policy.explain.session import Session
from mcproxy.policy.explain.walk import Walk
from mcproxy.policy.filters.error_pages import media_type
from mcproxy.policy.headers import Headers, error_response, to_http1

PASSING = ("limit", "rate_limit", "connections", "rate", "auth")
"""The steps whose verdict depends on what else goes on, or on who is asked."""


class Outcome:
    """The end of a walk.

    Args:
        walk: not yet gone.
        refuses: tells of a step in `PASSING` whether it is taken to refuse.

    Attributes:
        steps: the decisions up to the end.
        refused: whether the last one ends it.
        route: what it came to, None for none.
        case: the request's, None for none.
        backend: where it goes; nowhere if it is refused or answered.
    """

    def __init__(self, walk: Walk, refuses: Callable[[Step], bool]) -> None:
        self.steps: list[Step] = []
        self.refused = False
        for step in walk.steps():
            self.steps.append(step)
            self.refused = step.outcome == "refused" or (step.step in PASSING and refuses(step))
            if self.refused:
                break
        self._walk = walk
        self._session: Session | None = walk.session
        self.route = walk.route
        self.case = None if self._session is None else self._session.case
        leads = walk.found if self.last.step == "backend" and not self.refused else None
        self.backend = RouteBackend() if leads is None else leads.backend

    @property
    def last(self) -> Step:
        """The step at which it ends."""
        return self.steps[-1]

    @property
    def status(self) -> int | None:
        """What the proxy answers with; 0 for nothing, None where that is the business of whom `forward_auth` asks."""
        if self.last.step == "auth" and not self.last.status:
            return None
        return self.last.status

    @property
    def reset(self) -> bool:
        """Whether the connection is reset."""
        return self.refused and self.status == 0

    @property
    def place(self) -> Route | Case | None:
        """What answers the request itself, None where nothing does."""
        session = self._session
        return session.place if session is not None and self.last.step == "action" and not self.refused else None

    @property
    def location(self) -> str:
        """Where the client is sent, "" for nowhere."""
        session, place = self._session, self.place
        if session is None or place is None or session.head is None or not place.redirect:
            return ""
        return (OwnAnswer(place).target(session.head, session.asking) or b"").decode()

    @property
    def respond(self) -> str | Page:
        """What the client is answered with, "" for nothing."""
        return "" if self.place is None else self.place.respond

    def told(self) -> tuple[Headers, frozenset[bytes], bool]:
        """Return headers that the client gets, names of those that it does not get, and whether a backend may add others."""
        session = self._session
        if session is None or session.head is None or session.force is None or self.reset:
            return self._page(None), frozenset(), self.route is not None and not self.refused
        fields: Headers = []
        cors = session.force.scope.cors
        preflight = cors.preflight(session.head) if cors is not None and self.last.step == "cors" else None
        if preflight is not None:
            fields += preflight.headers
        elif self.place is not None:
            fields += OwnAnswer(self.place).to(session.head, session.asking).headers
        else:
            fields += self._page(session.force)
        gone = frozenset[bytes]() if session.force.scope.response is None else session.force.scope.response.gone
        return (
            session.force.told(session.head, fields, session.asking),
            gone,
            self.status is None or bool(self.backend.endpoints or self.backend.upstream),
        )

    def _page(self, force: InForce | None) -> Headers:
        """Return the headers of the proxy's own page if it refuses; in parentheses what is another one each time."""
        status = self.status
        if not self.refused or not status:
            return []
        fields = list(error_response(status, b"(16 hex digits.)").headers)
        pages = None if force is None else force.scope.pages
        if pages is not None and (page := pages.page(status, own=True)) is not None:
            fields = [(b"content-type", media_type(page)), (b"content-length", b"(that of the page)"), *fields[2:]]
        if self.last.step == "rate":
            fields.append((b"retry-after", b"(seconds)"))
        elif self.last.step == "auth":
            fields.append(challenge(self.last.names[0]))
        return fields

    def given(self) -> Headers | None:
        """Return the headers that the backend gets; None where none gets the request."""
        session = self._session
        if session is None or session.gets is None or session.force is None or self.refused:
            return None
        return to_http1(session.force.passed(session.gets), session.forwarding)

    def target(self) -> tuple[str, str] | None:
        """Return path and host that the backend gets; None where none gets the request."""
        session = self._session
        if session is None or session.gets is None or self.refused:
            return None
        return session.gets.path.decode(), session.gets.authority.decode()

    @property
    def force(self) -> InForce | None:
        """The filters that hold, None where it has come to no route."""
        return self._walk.force

    def touched(self) -> Sequence[Key]:
        """Return the routes, cases and filters that it has come by."""
        if self.route is None:
            return []
        key = (self.route.listener, self.route.hostname)
        found: list[Key] = [("route", *key)]
        if self.case is not None:
            found.append(("case", *key, self.case.match))
        return found if self.force is None else [*found, *self.force.keys]
