"""Durations: ``"5s"``, ``"1m30s"``, ``"250ms"``, ``"2h"`` in the file, seconds as a float everywhere else."""

import re

from msgspec import UNSET, UnsetType

from mcproxy.late_patterns import late
from mcproxy.model.values.quoting import quote

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
PATTERN = rf"^(?=[0-9])(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?$"
"""The form, as a regular expression that JSON Schema knows too."""

_PARTS = late(PATTERN.replace(_NUMBER, f"({_NUMBER})"))
_MILLISECONDS = (3_600_000, 60_000, 1_000, 1)
_UNITS = ("h", "m", "s", "ms")
_OTHER_UNITS = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
_OTHER_PARTS = late(
    rf"([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?) ?({'|'.join(sorted(_OTHER_UNITS, key=len, reverse=True))})(?![A-Za-z.])",
    re.IGNORECASE,
)
LONGEST = 365 * 24 * 3600.0


def parse(text: str) -> float:
    """Return a duration above zero in seconds, exact to the millisecond; raises ValueError with a message for the user."""
    seconds = parse_or_zero(text)
    if seconds == 0:
        raise ValueError(f"{quote(text)} is no time at all; the shortest is 1ms")
    return seconds


def parse_or_zero(text: str) -> float:
    """Return a duration in seconds, which may be zero; raises ValueError with a message for the user."""
    match = _PARTS.fullmatch(text)
    if match is None:
        meant = _meant(text)
        hint = f"; did you mean {quote(meant)}?" if meant else ""
        raise ValueError(
            f'{quote(text)} is not a duration; write "250ms", "5s", "1m30s" or "2h" (units h, m, s, ms, in this order){hint}'
        )
    exact = sum(float(part) * unit for part, unit in zip(match.groups(), _MILLISECONDS, strict=True) if part)
    milliseconds = round(exact)
    if exact and not milliseconds:
        raise ValueError(f"{quote(text)} is too short; durations are exact to 1ms")
    if milliseconds > LONGEST * 1000:
        raise ValueError(f"{quote(text)} is too long; the longest is {render(LONGEST)}")
    return milliseconds / 1000


def _meant(text: str) -> str:
    """Return the duration that a text in another form stands for, "" if none is known."""
    parts = _OTHER_PARTS.findall(text)
    if not parts or _OTHER_PARTS.sub("", text).strip(" ,"):
        return ""
    if not any(unit for _, unit in parts):
        return f"{text.strip()}s" if len(parts) == 1 else ""
    total = sum(float(number) * _OTHER_UNITS[unit.lower()] for number, unit in parts)
    return render(total) if 0 < total <= LONGEST else ""


def parse_optional(text: str) -> float | UnsetType:
    """Return a duration above zero in seconds, UNSET for ``""``; raises ValueError with a message for the user."""
    return parse(text) if text else UNSET


def parse_optional_or_zero(text: str) -> float | UnsetType:
    """Return a duration in seconds, which may be zero, UNSET for ``""``; raises ValueError with a message for the user."""
    return parse_or_zero(text) if text else UNSET


def render_optional(seconds: float | UnsetType) -> str:
    """Return seconds in the form of the file, ``""`` for UNSET."""
    return "" if isinstance(seconds, UnsetType) else render(seconds)


def render(seconds: float) -> str:
    """Return seconds in the form of the file, so that `parse_or_zero` gives them back (to the millisecond)."""
    rest = round(seconds * 1000)
    text = ""
    for unit, name in zip(_MILLISECONDS, _UNITS, strict=True):
        count, rest = divmod(rest, unit)
        text += f"{count}{name}" if count else ""
    return text or "0s"
