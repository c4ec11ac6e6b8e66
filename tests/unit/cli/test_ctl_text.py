"""Values as people read them."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli import ctl_text


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
    assert ctl_text.age(seconds) == text


@pytest.mark.parametrize(
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
    assert ctl_text.amount(number) == text


def test_rates_below_ten_have_a_digit_behind_the_point() -> None:
    """But none says that nothing happens."""
    assert [ctl_text.rate(rate) for rate in (0, 0.25, 9.5, 10.4, 1234.5)] == ["0", "0.2", "9.5", "10", "1234"]


def test_where_a_resource_comes_from() -> None:
    """The file, the edit, or both when the edit changed what the file says."""
    cases = [("/etc/a:1", 0), ("", 7), ("/etc/a:1", 7), ("edit 7 by ann", 7), ("", 0)]
    found = [ctl_text.source(pb.Provenance(origin=origin, edit_id=edit)) for origin, edit in cases]
    assert found == ["a:1", "edit 7", "edit 7, a:1", "edit 7 by ann", "-"]
    assert ctl_text.place("edit 5 by ci/deploy") == "edit 5 by ci/deploy"


@pytest.mark.usefixtures("utc")
def test_no_time_is_a_dash() -> None:
    """An edit that never ends, a reload that never was."""
    assert ctl_text.moment(Timestamp()) == "-"
    assert ctl_text.moment(Timestamp(seconds=1_700_000_000, nanos=999_999_999)) == "2023-11-14 22:13:20"
