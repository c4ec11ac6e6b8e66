"""A server that decides about requests like oauth2-proxy: who has a session passes as somebody, others are sent to log in."""

import threading
from types import TracebackType
from typing import ClassVar, Self

import msgspec

from tests.support.http_thread import Handler, HttpThread

SESSION = "session=anna"


class Question(msgspec.Struct, frozen=True):
    """What the server was asked: method, path, and the fields in lower case."""

    method: str
    path: str
    fields: dict[str, str]


class AuthServer:
    """The running server.

    Attributes:
        questions: what it was asked.
        silent: it answers no question until this is reset.
        page: the body of its refusals.
        names: of the fields that tell who passes.
    """

    def __init__(self, user: str = "X-User", groups: str = "X-Groups") -> None:
        """Tell who passes in the fields ``user`` and ``groups``."""
        self.names = user, groups
        self.questions: list[Question] = []
        self.silent = threading.Event()
        self.page = b"<p>log in</p>"
        self._over = threading.Event()
        self._thread = HttpThread(type("Decides", (_Decides,), {"server_": self}))

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._thread.port

    def wait(self) -> None:
        """Return when the test is over."""
        self._over.wait(60)

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.__exit__(kind, value, traceback)


class _Decides(Handler):
    server_: ClassVar[AuthServer]

    def serve(self) -> None:
        server = self.server_
        fields = {name.lower(): value for name, value in self.headers.items()}
        server.questions.append(Question(self.command, self.path, fields))
        if server.silent.is_set():
            server.wait()
        elif SESSION in fields.get("cookie", ""):
            user, groups = server.names
            self.answer(202, b"", "text/plain", (user, "anna"), (groups, "a,b"), ("X-Other", "1"))
        else:
            self.answer(302, server.page, "text/html", ("Location", "/login"), ("Set-Cookie", "csrf=1"))
