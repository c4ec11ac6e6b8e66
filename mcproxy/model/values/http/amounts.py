"""Amounts with a unit of their own: numbers of requests in a time, and sizes in bytes."""

import re

import msgspec

from mcproxy.late_patterns import late
from mcproxy.model.values import durations
from mcproxy.model.values.quoting import quote

MOST_IN_WINDOW = (1 << 24) - 1
"""The highest rate limit: what the words that count clients can count to."""
LARGEST = 1 << 62
"""Bytes that a size may have."""
RATE_PATTERN = r"^$|^[0-9]+/([0-9]+(h|m|s|ms))+$"
SIZE_PATTERN = "^$|^[0-9]+ ?([kKMGT]i?)?B$"
"""Rough forms for editors; the functions below are the judges."""

_SIZE = late(r"([0-9]{1,20}) ?(?:([kKMGT])(i?))?B")
_LIKE_A_SIZE = late(r"([0-9]{1,20}) *(?:([kmgt])(i?))?(b?)", re.IGNORECASE)
_BINARY = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SLASHED_UNITS = {
    "s": "1s",
    "sec": "1s",
    "second": "1s",
    "m": "1m",
    "min": "1m",
    "minute": "1m",
    "h": "1h",
    "hour": "1h",
}


class Rate(msgspec.Struct, frozen=True):
    """So many requests in a window of time, which is in seconds; with 0 there is no limit."""

    count: int = 0
    window: float = 0.0

    def __bool__(self) -> bool:
        """Tell whether there is a limit."""
        return self.count > 0

    def __str__(self) -> str:
        """Return the form the config file uses, ``200/10s``; "" for no limit."""
        return f"{self.count}/{durations.render(self.window)}" if self.count else ""


def parse_rate(text: str) -> Rate:
    """Return the rate that a text such as ``200/10s`` says, none for ""; raises ValueError with a message for the user."""
    if not text:
        return Rate()
    number, slash, window = (part.strip() for part in text.partition("/"))
    count = number.removesuffix("r")
    if not slash or not (count.isascii() and count.isdecimal()):
        raise ValueError(f'{quote(text)} is no rate; write a number of requests and a time, such as "200/10s"')
    if number != count or window in _SLASHED_UNITS:
        meant = f"{count}/{_SLASHED_UNITS.get(window, window)}"
        raise ValueError(f"{quote(text)} is no rate; did you mean {quote(meant)}?")
    if not 1 <= int(count[:20]) <= MOST_IN_WINDOW or len(count) > 20:
        raise ValueError(f"{quote(text)}: the number of requests is 1 to {MOST_IN_WINDOW}")
    try:
        return Rate(int(count), durations.parse(window))
    except ValueError as error:
        raise ValueError(f"the time of the rate is wrong: {error}") from None


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``10MiB``; raises ValueError with a message for the user."""
    match = _SIZE.fullmatch(text)
    if match is None:
        hint = '; write a number of bytes with its unit, such as "10MiB" or "512KiB"'
        if like := _LIKE_A_SIZE.fullmatch(text):
            number, unit, binary, byte = like.groups("")
            meant = f"{number}{unit.upper()}{'i' if binary or (unit and not byte) else ''}B"
            hint = f"; did you mean {quote(meant)}?"
        raise ValueError(f"{quote(text)} is no size{hint}")
    number, unit, binary = match.groups("")
    factor = 1
    if unit:
        factor = _BINARY[unit.upper()] if binary else 1000 ** ("KMGT".index(unit.upper()) + 1)
    if int(number) * factor > LARGEST:
        raise ValueError(f"{quote(text)}: a size has at most {render_size(LARGEST)}")
    return int(number) * factor


def render_size(size: int) -> str:
    """Return the form the config file uses: the largest unit of 1024 that divides it."""
    for unit, factor in reversed(_BINARY.items()):
        if size and size % factor == 0:
            return f"{size // factor}{unit}iB"
    return f"{size}B"


def parse_optional_size(text: str) -> int | msgspec.UnsetType:
    """Return a size as `parse_size` does, UNSET for ""."""
    return parse_size(text) if text else msgspec.UNSET


def render_optional_size(size: int | msgspec.UnsetType) -> str:
    """Return the inverse of `parse_optional_size`."""
    return "" if size is msgspec.UNSET else render_size(size)
