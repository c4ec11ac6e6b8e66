"""How long a request may take: for its answer to begin, and without anything moving."""

import math

from mcproxy.model.values.reasons import Failure
from mcproxy.worker.stream.exchange import Exchange


def check(exchange: Exchange, now: float, idle: float) -> float:
    """Fail a request whose time is over; return when to look again (monotonic seconds), infinite if it is.

    Args:
        exchange: the request.
        now: the time.
        idle: seconds that it may go on without anything moving, if it has no such limit of its own.
    """
    if exchange.idle_timeout is not None:
        idle = exchange.idle_timeout
    idle_at = exchange.active_at + idle
    if now >= idle_at:
        exchange.fail(*_silence(exchange, idle))
        return math.inf
    if exchange.status:
        return idle_at
    if now >= exchange.answer_by:
        exchange.fail(*_lateness(exchange))
        return math.inf
    return min(idle_at, exchange.answer_by, exchange.go_on(now))


def _silence(exchange: Exchange, seconds: float) -> tuple[int, Failure]:
    """Return how to answer a request for which nothing has moved for so long."""
    status = exchange.timeout_status
    if status == 408:
        return status, Failure("request_timeout", f"nothing of the body came for {seconds:g} s")
    if not exchange.attached:
        return status, Failure("backend_timeout", f"no connection to it within {seconds:g} s")
    return status, Failure("response_timeout", f"it sent nothing for {seconds:g} s")


def _lateness(exchange: Exchange) -> tuple[int, Failure]:
    """Return how to answer a request whose answer has not begun within its filter's ``request_timeout``."""
    status, limit = exchange.timeout_status, f"the request_timeout of {exchange.answer_by - exchange.began_at:g} s"
    if status == 408:
        return status, Failure("request_timeout", f"the body was not there within {limit}")
    if not exchange.attached:
        return status, Failure("backend_timeout", f"no connection to it within {limit}")
    return status, Failure("response_timeout", f"no answer within {limit}")
