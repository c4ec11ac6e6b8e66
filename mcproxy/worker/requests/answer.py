"""An answer of the proxy's own, as a session keeps it for later."""

from typing import TYPE_CHECKING, NamedTuple

from mcproxy.model.values.reasons import Failure
from mcproxy.policy.headers import ErrorResponse, RequestHead
from mcproxy.worker.requests.ledgers import Ledger
from mcproxy.worker.requests.visitors import Visitor

if TYPE_CHECKING:
    from mcproxy.worker.requests.passage import Passage


class Answer(NamedTuple):
    """See `Session.answer`."""

    stream: int
    head: RequestHead | None
    failure: Failure
    response: ErrorResponse
    ledger: Ledger | None
    request_id: bytes = b""
    passage: "Passage | None" = None
    visitor: Visitor | None = None
