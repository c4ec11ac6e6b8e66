"""Fields of requests in canonical form, or the error that names the field."""

from collections.abc import Callable
from typing import Any

from mcproxy.errors import InvalidRequestError
from mcproxy.model.values.addresses import parse_listen
from mcproxy.model.values.hostnames import parse_pattern


def route_of(request: Any) -> tuple[str, str]:
    """Return the listener and hostname of a request that asks about routes, "" for any, in canonical form."""
    return (
        canonical("listener", request.listener, parse_listen),
        canonical("hostname", request.hostname, parse_pattern),
    )


def canonical(field: str, text: str, parse: Callable[[str], str]) -> str:
    """Return the value of a field in canonical form, "" for none; raises InvalidRequestError."""
    try:
        return parse(text) if text else ""
    except ValueError as error:
        raise InvalidRequestError(((field, str(error)),)) from error
