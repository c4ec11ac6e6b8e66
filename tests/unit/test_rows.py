"""Tables that are tried in one test: no row is left out, and all that fail are named."""

from pathlib import Path

import pytest

from tests.support.rows import each_row


def test_all_rows_that_fail_are_told() -> None:
    """And those that don't are tried as well, in their order."""
    tried = []

    @each_row(("left", "right"), [(1, 1), (2, 3), (4, 5), (6, 6)])
    def same(left: int, right: int) -> None:
        tried.append(left)
        assert left == right

    with pytest.raises(ExceptionGroup, match=r"^2 of 4 rows fail: in the row 1: 2, 3, in the row 2: 4, 5$") as failed:
        same()
    assert tried == [1, 2, 4, 6]
    assert [error.__notes__ for error in failed.value.exceptions] == [["in the row 1: 2, 3"], ["in the row 2: 4, 5"]]


def test_rows_have_the_names_that_they_are_given() -> None:
    """From a function of each value, or a list."""
    for names in (lambda value: f"<{value}>", ["<1>", "<2>"]):

        @each_row("value", [1, 2], ids=names)
        def one(value: int) -> None:
            assert value == 1

        with pytest.raises(ExceptionGroup, match=r"^1 of 2 rows fail: in the row <2>$"):
            one()


def test_a_table_without_rows_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="tests nothing"):
        each_row("value", [])


@each_row("number", [1, 2])
@each_row("text", ["a", "b"])
def test_fixtures_are_there_for_all_rows(number: int, text: str, tmp_path: Path) -> None:
    """Also where two tables are combined."""
    (tmp_path / f"{number}{text}").touch(exist_ok=False)
    assert len(list(tmp_path.iterdir())) == ["1a", "1b", "2a", "2b"].index(f"{number}{text}") + 1
