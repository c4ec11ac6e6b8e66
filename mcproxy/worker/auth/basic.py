"""The guard of ``basic_auth`` (RFC 7617): whose password is known passes at once, who comes with a new one waits for its hash."""

import msgspec

from mcproxy.model.values.reasons import Failure
from mcproxy.policy.answers import challenge
from mcproxy.policy.field_names import fold
from mcproxy.policy.filters.passwords import Users, credentials
from mcproxy.policy.headers import ErrorResponse, RequestHead, error_response, is_grpc
from mcproxy.policy.rate_window import client_key
from mcproxy.worker.auth.hashing import Check, Hashing
from mcproxy.worker.stream.exchange import Exchange

_AGAIN = b"5"
"""Seconds after which all that waits now has been checked, as a rule."""
_WRONG = Failure("basic_auth", "no such user, or not that password")
_NOTHING = Failure("basic_auth", "no user and password, or none that can be read")
_BUSY = Failure("basic_auth_busy")


class BasicAuth:
    """A filter's guard, as a pool that hands exchanges on to what is behind it.

    Args:
        name: of the filter.
        users: who may pass.
        keeps: whether the backend gets the password, too.
        hashing: checks passwords.
    """

    __slots__ = ("_asked", "_challenge", "_hashing", "_keeps", "_name", "_users")

    def __init__(self, name: str, users: Users, hashing: Hashing, *, keeps: bool) -> None:
        self._name = name
        self._users = users
        self._hashing = hashing
        self._keeps = keeps
        self._challenge = challenge(name)
        self._asked: dict[Exchange, _Waiter] = {}

    def acquire(self, exchange: Exchange) -> None:
        """Let an exchange pass, refuse it, or have it wait for the hash of its password."""
        found = credentials(exchange.asked.headers)
        if found is None:
            self._refuse(exchange, 401, _NOTHING, self._challenge)
            return
        user, password = found
        stored = self._users.hashes.get(user)
        known = stored is not None
        stored = stored or self._users.nobody
        key = self._hashing.key(stored, user, password)
        right = self._hashing.verdict(key)
        if right is not None:
            self.decide(exchange, right=right)
            return
        waiter = _Waiter(self, exchange, key)
        client = client_key(exchange.source or exchange.client.source)
        check = Check(key, stored, password, known, client, [waiter])
        if self._hashing.ask(check):
            self._asked[exchange] = waiter
        else:
            self._refuse(exchange, 503, _BUSY, (b"retry-after", _AGAIN))

    def abandon(self, exchange: Exchange) -> bool:
        """Forget an exchange that waits for a hash; tell whether it did."""
        waiter = self._asked.pop(exchange, None)
        return waiter is not None and self._hashing.forget(waiter.key, waiter)

    def decide(self, exchange: Exchange, *, right: bool) -> None:
        """Let an exchange pass, or not."""
        self._asked.pop(exchange, None)
        passage = exchange.passage
        if passage is None or exchange.over:
            return
        if not right:
            self._refuse(exchange, 401, _WRONG, self._challenge)
            return
        if not self._keeps:
            exchange.head = _without_password(exchange.head)
        passage.go_on(exchange)

    def _refuse(self, exchange: Exchange, status: int, failure: Failure, field: tuple[bytes, bytes]) -> None:
        if exchange.passage is not None:
            exchange.passage.refused("auth", self._name)
        error = error_response(status, exchange.number, grpc=is_grpc(exchange.asked.headers))
        exchange.answer(ErrorResponse(error.status, (*error.headers, field), error.body), failure)


class _Waiter(msgspec.Struct, eq=False):
    """An exchange that waits."""

    guard: BasicAuth
    exchange: Exchange
    key: bytes

    def on_verdict(self, *, right: bool) -> None:
        """Go on."""
        try:
            self.guard.decide(self.exchange, right=right)
        except Exception:
            self.exchange.break_off()
            raise


def _without_password(head: RequestHead) -> RequestHead:
    kept = [header for header in head.headers if fold(header[0]) != b"authorization"]
    return RequestHead(head.method, head.authority, head.path, kept, head.websocket, head.checked)
