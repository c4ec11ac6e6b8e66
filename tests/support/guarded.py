"""A request that comes to a guard, as the guard sees it."""

import asyncio
import time
from collections.abc import Callable

from mcproxy.model.values.reasons import Failure
from mcproxy.policy.headers import ErrorResponse, Headers, RequestHead
from mcproxy.worker.stream.course import Pool
from mcproxy.worker.stream.exchange import Exchange
from tests.support.fake_exchange import FakeSide, make_exchange

GRPC: Headers = [(b"content-type", b"application/grpc")]


def turn_until(loop: asyncio.AbstractEventLoop, done: Callable[[], bool]) -> None:
    """Let a loop turn until something is so, half a minute at most."""
    limit = time.monotonic() + 30
    while not done():
        assert time.monotonic() < limit
        loop.run_until_complete(asyncio.sleep(0.001))


class Client(FakeSide):
    """A client that keeps what it is answered.

    Attributes:
        answers: the fields of the answer.
        body: what has come of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: Headers = []
        self.body = b""

    @property
    def fields(self) -> dict[bytes, bytes]:
        return dict(self.answers)

    def respond(self, stream: int, status: int, headers: Headers, *, end: bool, checked: bool = False) -> None:
        super().respond(stream, status, headers, end=end, checked=checked)
        self.answers = headers

    def send(self, stream: int, data: bytes, *, end: bool) -> None:
        super().send(stream, data, end=end)
        self.body += data


class Guarded:
    """The request, and its passage.

    Attributes:
        exchange: itself.
        client: who has sent it.
        passed: whether the guard has let it go on.
        refusals: what guards have said of it.
        failing: what lies behind the guard raises an error.
        case, filter, head: see `course.Passage`.
    """

    def __init__(self, guard: Pool[Exchange], head: RequestHead) -> None:
        self.client = Client()
        self.exchange = make_exchange(self.client, guard, head, now=1000.0)
        self.exchange.passage = self
        self.passed = self.failing = False
        self.refusals: list[tuple[str, str]] = []
        self.head = head
        self.case = self.filter = ""
        self.paged: list[bool] = []

    def verdicts(self) -> list[str]:
        """Return what guards have decided."""
        return [*(["passed"] if self.passed else []), *(name for _, name in self.refusals)]

    def go_on(self, exchange: Exchange) -> None:
        assert exchange is self.exchange
        if self.failing:
            raise RuntimeError
        self.passed = True

    def refused(self, stage: str, name: str) -> None:
        self.refusals.append((stage, name))

    def admits(self, received: int) -> bool:
        return received < 1 << 20

    def too_long(self) -> Failure:
        return Failure("body_too_large")

    def request_trailers(self, headers: Headers) -> Headers:
        return headers

    def response(self, _status: int, headers: Headers) -> Headers:
        return headers

    def response_trailers(self, headers: Headers) -> Headers:
        return headers

    def instead(self, _status: int, _headers: Headers) -> ErrorResponse | None:
        return None

    def own(self, response: ErrorResponse, *, paged: bool) -> ErrorResponse:
        self.paged.append(paged)
        return response
