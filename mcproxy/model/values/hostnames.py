"""Hostnames and hostname patterns in canonical form: lower case, A-labels, no trailing dot.

A pattern is an exact name, ``*.example.com`` (any depth below the name, not the name itself) or ``*``.
Names are checked by the rules of RFC 1123 section 2.1 and RFC 5890; underscores are let through, because real
clients send them. This is the home of the ``idna`` package (RFC 5891, UTS #46).
"""

import ipaddress
import re
import unicodedata

from mcproxy.late_patterns import late
from mcproxy.model.values.quoting import quote

PATTERN = r"^(?:\*|(?:\*\.)?[^\s*:/@\[\]]+)$"
"""A rough form for editors; `parse_pattern` is the judge."""

_LABEL_PATTERN = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_LABEL = late(_LABEL_PATTERN)
_NAME = late(rf"{_LABEL_PATTERN}(?:\.{_LABEL_PATTERN})*")
_NUMERIC_END = late(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$")
LONGEST_NAME = 253
"""Characters of the longest hostname, without a trailing dot (RFC 1035 section 2.3.4, less what the wire form adds)."""

# UTS #46 can shorten a name, but no text of this length becomes one of 253 characters by accident.
_LONGEST_TEXT = 1024


def parse_pattern(text: str) -> str:
    """Return a route's hostname in canonical form; raises ValueError with a message for the user."""
    if text == "*":
        return text
    if "*" not in text:
        return parse_name(text)
    base = text.removeprefix("*.")
    if "*" in base or not base:
        inner = base.rpartition("*")[2].lstrip(".")
        hint = f"; did you mean {quote('*.' + inner)}?" if _NAME.fullmatch(inner.lower()) else ""
        raise ValueError(
            f'{quote(text)} is not a pattern: "*" stands alone or once in front, as in "*.example.com", '
            f"and there matches any depth{hint}"
        )
    return f"*.{parse_name(base)}"


def parse_name(text: str) -> str:
    """Return an exact hostname in canonical form; raises ValueError with a message for the user."""
    if not text:
        raise ValueError("a hostname must not be empty")
    name = text.lower().removesuffix(".") if text.isascii() else _to_ascii(text)
    if _NAME.fullmatch(name) is None or len(name) > LONGEST_NAME or _NUMERIC_END.search(name):
        raise ValueError(_complaint(text, name))
    if "xn--" in name:
        _check_a_labels(text, name)
    return name


def parse_optional_name(text: str) -> str:
    """Return an exact hostname in canonical form, or ``""`` for ``""``; raises ValueError."""
    return parse_name(text) if text else ""


def _to_ascii(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"{quote(text)} is longer than a hostname can be ({LONGEST_NAME} characters)")
    import idna  # noqa: PLC0415 - slow to import; few names need it, and workers none

    try:
        return idna.encode(text, uts46=True).decode("ascii").lower().removesuffix(".")
    except UnicodeError as error:  # idna.IDNAError is one
        if symbol := _symbol(text):
            raise ValueError(f"{quote(text)} is not a valid internationalised hostname: {_no_letter(symbol)}") from None
        raise ValueError(f"{quote(text)} is not a valid internationalised hostname: {_reason(error)}") from None


def _check_a_labels(text: str, name: str) -> None:
    import idna  # noqa: PLC0415 - likewise

    for label in name.split("."):
        if label.startswith("xn--"):
            try:
                idna.ulabel(label)
            except UnicodeError as error:
                raise ValueError(
                    f"{quote(text)} is not a valid hostname: {quote(label)} is no valid A-label: {_wrong_label(label, error)}"
                ) from None


def _wrong_label(label: str, error: UnicodeError) -> str:
    """Return why a label is not what a name of other scripts becomes in ASCII."""
    try:
        meant = label.removeprefix("xn--").encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return "it does not decode (RFC 3492)"
    if symbol := _symbol(meant):
        return f"it means {quote(meant)}, where {_no_letter(symbol)}"
    return f"it means {quote(meant)}: {_reason(error)}"


def _symbol(text: str) -> str:
    """Return the first symbol in a text, such as an emoji; "" if there is none."""
    return next((character for character in text if unicodedata.category(character) in ("So", "Sm", "Sc")), "")


def _no_letter(symbol: str) -> str:
    return (
        f"{quote(symbol)} is a symbol: hostnames have letters, digits and hyphens of any script, and no others (IDNA 2008); "
        'a pattern such as "*.example.com" matches it'
    )


def _reason(error: UnicodeError) -> str:
    reason = str(error)
    return reason if reason.isprintable() else ascii(reason)


def _complaint(text: str, name: str) -> str:
    """Say what is wrong with a name that is known to be wrong."""
    if _is_address(name):
        return (
            f"{quote(text)} is an IP address, not a hostname: clients send no server name for an address; "
            'use "*" to route them'
        )
    if "://" in name:
        return f"{quote(text)} is a URL; a hostname stands alone, without scheme, port and path"
    if ":" in name:
        return f"{quote(text)} has a port; a hostname stands alone"
    if len(name) > LONGEST_NAME:
        return f"{quote(text)} is longer than a hostname can be ({LONGEST_NAME} characters)"
    for label in name.split("."):
        if not label:
            return f"{quote(text)} has an empty label (two dots in a row, or a dot in front)"
        if len(label) > 63:  # RFC 1035 section 2.3.4
            return f"{quote(text)} has a label of more than 63 characters"
        if label.startswith("-") or label.endswith("-"):
            return f"{quote(text)} has a label that starts or ends with a hyphen: {quote(label)}"
        if _LABEL.fullmatch(label) is None:
            wrong = next(character for character in label if not re.match("[a-z0-9_-]", character))
            return f"{quote(text)} is not a hostname: {quote(wrong)} is not allowed in one"
    return f"{quote(text)} is not a hostname: its last label is a number"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
