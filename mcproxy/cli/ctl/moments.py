"""Times of the past as people write them."""

import re
from datetime import UTC, datetime, timedelta

from mcproxy.cli.common.command_line import UsageError
from mcproxy.model.values import durations

_UNITS = {"second": "s", "minute": "m", "hour": "h", "day": "d", "week": "w"}
_AGO = re.compile(r"(\d+) ?(second|minute|hour|day|week)s? ago", re.IGNORECASE)
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH = 1_000_000_000
"""Numbers from here on are seconds since the epoch, not generations."""


def at(text: str, option: str, now: datetime | None = None) -> datetime:
    """Return the time that a text means, in UTC where it names no zone; raises UsageError."""
    found = _read(text.strip(), datetime.now(UTC) if now is None else now)
    if found is None:
        raise UsageError(
            f'{option}: {text!r} is no time; write "2 hours ago", "90m ago", "14:02" or "2026-11-20 14:02", in UTC unless it names a zone'
        )
    return found


def generation_or_time(text: str, option: str) -> int | datetime:
    """Return the generation or time that a text means; raises UsageError."""
    if text.isascii() and text.isdigit() and 0 < int(text) < _EPOCH:
        return int(text)
    return at(text, option)


def _read(text: str, now: datetime) -> datetime | None:
    try:
        found = _meant(text, now)
        return None if found is None else found.astimezone(UTC)  # which some zones' first and last days are not within
    except (ValueError, OverflowError):
        return None


def _meant(text: str, now: datetime) -> datetime | None:
    """Return what is meant, None for nothing; raises ValueError or OverflowError for no time, too."""
    if text.lower() in ("now", "yesterday"):
        return now - timedelta(days=text.lower() == "yesterday")
    if ago := _AGO.fullmatch(text):
        return now - timedelta(seconds=int(ago[1]) * _SECONDS[_UNITS[ago[2].lower()]])
    if text.lower().endswith(" ago"):
        return now - timedelta(seconds=durations.parse(text[:-4].strip()))
    if _CLOCK.fullmatch(text):
        clock = datetime.strptime(text, "%H:%M:%S" if text.count(":") > 1 else "%H:%M").replace(tzinfo=UTC)
        today = now.astimezone(UTC).replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)
        return today if today <= now else today - timedelta(days=1)
    if text.isascii() and text.isdigit():
        return datetime.fromtimestamp(int(text), UTC) if int(text) >= _EPOCH else None
    found = datetime.fromisoformat(text.removesuffix(" UTC"))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
