"""What is known of a request and its response while they are under way."""

import math
from typing import Generic, TypeVar

import msgspec

from mcproxy.net.memory import grpc_statuses
from mcproxy.policy.headers import Headers, RequestHead, id_of, is_grpc
from mcproxy.wire.http1 import Spelling
from mcproxy.worker.stream.backend_side import BackendSide
from mcproxy.worker.stream.client_side import ClientSide
from mcproxy.worker.stream.course import Passage, Pool, Visit

RETRIES = 2
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})  # RFC 9110 section 9.2.2

E = TypeVar("E")
"""The exchange itself."""


class Record(msgspec.Struct, Generic[E], eq=False):
    """A request, the response to it, and how far both have come.

    Attributes:
        head: the request's head, in no version, as its backend gets it.
        ended: the request has no body, or all of it has come.
        length: bytes of the request's body as announced, None if it was not.
        pool: the backend's connections; of an upstream's, until an endpoint is chosen, those of all.
        forwarding: the fields that tell the backend who the client is.
        client: the connection it came on.
        stream: its number there.
        route: the index of the counters that it counts for.
        source: the packed address of who has sent it, where a trusted proxy has named another one than who is connected; else empty.
        idle_timeout: seconds that it may go on without anything moving; None for the settings' value.
        answer_by: until when its answer is to begin, whoever lets it wait.
        active_at: when something last moved (monotonic seconds, as all times here).
        began_at: when the request's head had come.
        attached_at: when a backend's connection was there for it that it had to wait for; else `began_at`.
        held_since: since when the client takes nothing of what is there for it, 0.0 if it does.
        answered_at: when the response's head was passed on, 0.0 before.
        status: the response's, 0 before.
        received, sent: bytes of the client's body, and of the one it was sent; of a tunnel, what went through it.
        whole: whether a whole window of the response may wait here, not only a small part.
        spelling: how the client spells the names in its head, where they are to be preserved; None where they are not.
        response_spelling: the same of the backend's response.
        dials: how many dials it has waited for in vain, or got the connection of; its pool counts.
        reason: how it ended, a word of `mcproxy.model.values.reasons`.
        detail: the same in words, where the word does not say it all.
        endpoint: the address of the backend that it went to, or was to go to last; "" for none.
        visit: which endpoint of an upstream it is at; None where its route leads to a single address.
        case: the match of the case that it came to, "" for none.
        passage: what the case and the filters that it came to do with it and its answer; None where there are none.
        grpc_status: the place in `grpc_statuses.NAMES` of the status that the client was told, None if that was no gRPC.
    """

    client: ClientSide[E]
    stream: int
    head: RequestHead
    forwarding: Headers
    pool: Pool[E]
    active_at: float
    began_at: float
    attached_at: float
    ended: bool
    length: int | None
    route: int = 0
    idle_timeout: float | None = None
    answer_by: float = math.inf
    source: bytes = b""
    held_since: float = 0.0
    answered_at: float = 0.0
    status: int = 0
    received: int = 0
    sent: int = 0
    whole: bool = False
    spelling: Spelling | None = None
    response_spelling: Spelling | None = None
    dials: int = 0
    reason: str = ""
    detail: str = ""
    endpoint: str = ""
    visit: Visit[E] | None = None
    case: str = ""
    passage: Passage[E] | None = None
    grpc_status: grpc_statuses.Place | None = None
    _backend: BackendSide | None = None
    _backend_stream: int = 0
    _early: list[bytes] | None = None  # of the body, before there was a backend
    _trailers: Headers | None = None
    _sent: bool = False  # a byte of the body went out: the request can't be repeated
    _going_on: bool = False  # the body has begun, or the client was told to send it (RFC 9110 section 10.1.1)
    _complete: bool = False
    _owed_client: int = 0
    _owed_backend: int = 0
    _retries: int = RETRIES
    _tries_before: int = 0  # at endpoints that it has left

    @property
    def asked(self) -> RequestHead:
        """The request's head as its client has sent it."""
        return self.head if self.passage is None else self.passage.head

    @property
    def number(self) -> bytes:
        """The request's id."""
        return id_of(self.asked, self.forwarding)

    @property
    def over(self) -> bool:
        """Whether nothing more is to be done for it."""
        return self._complete

    @property
    def tries(self) -> int:
        """How many connections to the backend were made or used for it, successfully or not."""
        return self._tries_before + max(1, self.dials) + RETRIES - self._retries

    @property
    def has_retries(self) -> bool:
        """Whether another connection to the same backend may be tried."""
        return self._retries > 0

    @property
    def bodiless(self) -> bool:
        """Whether the head is all there is of the request, as far as is known now."""
        return self.ended and self._early is None and self._trailers is None

    @property
    def safe_to_repeat(self) -> bool:
        """Whether sending the request twice does no harm (RFC 9110 section 9.2.2)."""
        return self.head.method in _IDEMPOTENT and not self._sent and not self.head.websocket

    @property
    def awaits_continue(self) -> bool:
        """Whether the client waits for a 100 (Continue) before it sends the body (RFC 9110 section 10.1.1)."""
        return not self._going_on and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self.asked.headers
        )

    @property
    def timeout_status(self) -> int:
        """What to answer when nothing moves any more: 408 if it is the client's turn, 504 if it is the backend's.

        A client that has asked for 100 or for a WebSocket, or speaks gRPC, may await an answer amid its request.
        """
        waits = self.ended or self._owed_client or self.awaits_continue or self.head.websocket
        return 504 if waits or self._backend is None or is_grpc(self.asked.headers) else 408
