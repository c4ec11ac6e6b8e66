import pytest
from msgspec import UNSET

from mcproxy.model.values import durations
from tests.support.rows import each_row


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("1m30s", 90.0),
        ("250ms", 0.25),
        ("2h", 7200.0),
        ("1.5s", 1.5),
        ("1h1m1s1ms", 3661.001),
        ("90s", 90.0),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Units add up; a fraction is allowed."""
    assert durations.parse(text) == seconds


@each_row("text", ["", "5", "s", "5 s", "-5s", "5S", "5m2h", "5s5s", "1d", "\u0665s", "1e3s", ".5s", "5s\n"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    """The message shows how a duration is written."""
    with pytest.raises(ValueError, match='write "250ms", "5s"'):
        durations.parse(text)


def test_zero_is_refused_where_no_time_makes_no_sense() -> None:
    """`parse` refuses zero, `parse_or_zero` takes it."""
    with pytest.raises(ValueError, match="shortest is 1ms"):
        durations.parse("0s")
    assert durations.parse_or_zero("0s") == 0


@pytest.mark.parametrize(("text", "message"), [("0.1ms", "too short"), ("8761h", "longest is 8760h")])
def test_durations_out_of_range_are_refused(text: str, message: str) -> None:
    """Less than a millisecond and more than a year are mistakes."""
    with pytest.raises(ValueError, match=message):
        durations.parse_or_zero(text)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (90, "1m30s"), (3661.001, "1h1m1s1ms")])
def test_seconds_are_shown_as_the_file_writes_them(seconds: float, text: str) -> None:
    """`render` leaves out units that count nothing."""
    assert durations.render(seconds) == text


def test_a_duration_may_be_left_to_another_key() -> None:
    """Then it has no text, and no value."""
    for parse in (durations.parse_optional, durations.parse_optional_or_zero):
        assert parse("") is UNSET
        assert parse("1m") == 60.0
        with pytest.raises(ValueError, match="is not a duration"):
            parse(" ")
    assert durations.parse_optional_or_zero("0s") == 0.0
    with pytest.raises(ValueError, match="no time at all"):
        durations.parse_optional("0s")
    assert [durations.render_optional(value) for value in (UNSET, 0.0, 60.0)] == ["", "0s", "1m"]
