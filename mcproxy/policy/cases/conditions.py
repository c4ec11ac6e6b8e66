"""Conditions of cases on a request's headers and query.

A header counts in every spelling that a backend may read as its name (`field_names.fold`). Fields of one name are one value (RFC 9110
section 5.3), so no request has two values that cases could disagree about; a query parameter that is repeated with different values is
there, but has none of them.
"""

from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from mcproxy.model.values.http.matches import Match
from mcproxy.policy.field_names import fold
from mcproxy.policy.headers import Headers

Asked: TypeAlias = tuple[tuple[bytes, bytes | None], ...]
"""Names and values of conditions, None for any value; a parameter's name begins with ``?``, a header's is folded."""

Facts: TypeAlias = dict[bytes, bytes]
"""What a request says of the names that are asked for."""

_SEVERAL = b"\n"  # no condition has it as its value


def asked(match: Match) -> Asked:
    """Return the conditions of a match."""
    return (
        *((fold(name.encode()), _value(value)) for name, value in match.headers),
        *((b"?" + name.encode(), _value(value)) for name, value in match.query),
    )


def facts(names: frozenset[bytes], query: bytes, headers: Headers) -> Facts:
    """Return what a request says of some names.

    Args:
        names: as in `Asked`.
        query: as received, without its question mark.
        headers: the request's fields.
    """
    found: Facts = {}
    for name, value in headers:
        folded = name if name in names else fold(name)
        if folded in names:
            # crumbs of one cookie belong together as RFC 9113 section 8.2.3 says
            found[folded] = (
                value if folded not in found else (b"; " if name == b"cookie" else b", ").join((found[folded], value))
            )
    if query:
        for parameter in query.split(b"&"):
            name, _, value = parameter.partition(b"=")
            key = b"?" + _decoded(name)
            if key in names:
                decoded = _decoded(value)
                found[key] = decoded if found.get(key, decoded) == decoded else _SEVERAL
    return found


def fits(wanted: Asked, known: Facts) -> bool:
    """Tell whether a request meets all conditions."""
    for name, value in wanted:
        said = known.get(name)
        if said is None or (value is not None and said != value):
            return False
    return True


def _value(text: str) -> bytes | None:
    return None if text == "*" else text.encode()


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text
