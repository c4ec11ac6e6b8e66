"""Figures that people can read, never longer than they have to be."""

import pytest

from mcproxy.model.values import figures
from tests.support.rows import each_row


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (61, "1m1s"),
        (3600, "1h"),
        (3605, "1h"),
        (7384, "2h3m"),
        (86_400 * 3 + 3600 * 4 + 300, "3d4h"),
    ],
)
def test_a_span_of_time_has_two_units_at_most(seconds: float, text: str) -> None:
    """The largest ones."""
    assert figures.age(seconds) == text


@each_row(
    ("number", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (999.7, "1.0kB"),
        (1000, "1.0kB"),
        (9_949, "9.9kB"),
        (9_960, "10kB"),
        (999_400, "999kB"),
        (999_600, "1.0MB"),
        (12_345_678, "12MB"),
        (5e9, "5.0GB"),
        (5e15, "5000TB"),
    ],
)
def test_bytes_have_a_unit_and_two_digits_or_three(number: float, text: str) -> None:
    """Rounding never leaves a thousand of the smaller unit."""
    assert figures.amount(number) == text
