"""Figures as people read them: spans and times of the day, amounts of bytes."""

from datetime import UTC, datetime

_RECENT = 12 * 3600.0  # seconds; what is farther away is told with its date
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def age(seconds: float) -> str:
    """Return a span of time in its two largest units, such as ``3h12m``."""
    rest = max(0, int(seconds))
    parts: list[str] = []
    for unit, name in _UNITS:
        number, rest = divmod(rest, unit)
        if number or parts:
            parts.append(f"{number}{name}" if number else "")
    return "".join(parts[:2]) or "0s"


def amount(number: float) -> str:
    """Return a number of bytes, decimal and with a unit: ``0B``, ``1.2kB``, ``34MB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 999.5 or unit == "TB":
            break
        number /= 1000
    return f"{number:.0f}{unit}" if unit == "B" or number >= 9.95 else f"{number:.1f}{unit}"


def clock_time(moment: float, now: float) -> str:
    """Return a time in seconds since the epoch as ``14:02Z``, with its date where that is not clear."""
    return f"{datetime.fromtimestamp(moment, UTC):{'%H:%MZ' if now - moment < _RECENT else '%Y-%m-%d %H:%MZ'}}"
