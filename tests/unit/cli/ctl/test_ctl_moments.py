"""Times as people write them on the command line."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mcproxy.cli.common.command_line import UsageError
from mcproxy.cli.ctl.moments import at, generation_or_time

NOW = datetime(2026, 11, 20, 14, 30, 15, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", NOW),
        ("yesterday", NOW - timedelta(days=1)),
        ("2 hours ago", NOW - timedelta(hours=2)),
        ("1 Hour ago", NOW - timedelta(hours=1)),
        ("3 weeks ago", NOW - timedelta(weeks=3)),
        ("90m ago", NOW - timedelta(minutes=90)),
        ("1h30m ago", NOW - timedelta(minutes=90)),
        ("14:02", datetime(2026, 11, 20, 14, 2, tzinfo=UTC)),
        ("14:30:15", datetime(2026, 11, 20, 14, 30, 15, tzinfo=UTC)),
        ("15:00", datetime(2026, 11, 19, 15, 0, tzinfo=UTC)),
        ("2026-11-02", datetime(2026, 11, 2, tzinfo=UTC)),
        ("2026-11-02 09:11", datetime(2026, 11, 2, 9, 11, tzinfo=UTC)),
        ("2026-11-02 09:11:05Z", datetime(2026, 11, 2, 9, 11, 5, tzinfo=UTC)),
        ("2026-11-02 09:11:05 UTC", datetime(2026, 11, 2, 9, 11, 5, tzinfo=UTC)),
        ("2026-11-02T09:11:05.5+02:00", datetime(2026, 11, 2, 9, 11, 5, 500_000, tzinfo=timezone(timedelta(hours=2)))),
        ("1795000000", datetime.fromtimestamp(1_795_000_000, UTC)),
    ],
)
def test_a_time_is_read(text: str, meant: datetime) -> None:
    """In UTC where it names no zone, as all that is shown."""
    assert at(text, "--at", NOW) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "soon",
        "2 hours",
        "99:00",
        "2026-13-01",
        "-1h ago",
        "ago",
        "99999999999999 weeks ago",
        "٣ hours",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_what_is_no_time_is_told_with_examples(text: str) -> None:
    """As wrong usage."""
    with pytest.raises(UsageError, match=r'--at: .* is no time; write "2 hours ago"'):
        at(text, "--at", NOW)


def test_small_numbers_are_generations() -> None:
    """And numbers that can't be are seconds since the epoch."""
    assert generation_or_time("41", "A") == 41
    assert generation_or_time("1795000000", "A") == datetime.fromtimestamp(1_795_000_000, UTC)
    with pytest.raises(UsageError):
        generation_or_time("0", "A")
