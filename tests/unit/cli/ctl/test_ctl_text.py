"""Values as people read them."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mcproxy._pb import admin_pb2 as pb
from mcproxy.cli.ctl import text as ctl_text


def test_rates_below_ten_have_a_digit_behind_the_point() -> None:
    """But none says that nothing happens."""
    assert [ctl_text.rate(rate) for rate in (0, 0.25, 9.5, 10.4, 1234.5)] == ["0", "0.2", "9.5", "10", "1234"]


def test_where_a_resource_comes_from() -> None:
    """The file, the edit, or both when the edit changed what the file says."""
    cases = [("/etc/a:1", 0), ("", 7), ("/etc/a:1", 7), ("edit 7 by ann", 7), ("", 0)]
    found = [ctl_text.source(pb.Provenance(origin=origin, edit_id=edit)) for origin, edit in cases]
    assert found == ["a:1", "edit 7", "edit 7, a:1", "edit 7 by ann", "-"]
    assert ctl_text.place("edit 5 by ci/deploy") == "edit 5 by ci/deploy"


@pytest.mark.usefixtures("elsewhere")
def test_no_time_is_a_dash() -> None:
    """An edit that never ends, a reload that never was."""
    assert ctl_text.moment(Timestamp()) == "-"
    assert ctl_text.moment(Timestamp(seconds=1_700_000_000, nanos=999_999_999)) == "2023-11-14 22:13:20Z"
