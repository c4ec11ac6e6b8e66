"""Tables of many rows: each is tried in one test, which names all that fail."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

Names: TypeAlias = Callable[[Any], object] | Sequence[str]

_SHOWN = 80  # characters of a row that has no name


def each_row(
    arguments: str | Sequence[str], table: Iterable[Any], ids: Names | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test once for each row of a table, as ``pytest.mark.parametrize`` does, and fail with all rows that fail.

    A test costs pytest as much as some hundred lines of code: for rows that take less than that it is made once. What the
    test asks for besides, its fixtures, is shared by all rows.

    Args:
        arguments: the names of a row's values.
        table: the rows: tuples, or with one name the values themselves.
        ids: the name of each row, or what returns the name of a value; the row itself unless told.
    """
    names = [arguments] if isinstance(arguments, str) else list(arguments)
    values = [(row,) if isinstance(arguments, str) else tuple(row) for row in table]
    assert values, "a table without rows tests nothing"
    told = [_named(row, ids, number) for number, row in enumerate(values)]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def each(**fixtures: Any) -> None:
            failed: list[Exception] = []
            for row, name in zip(values, told, strict=True):
                try:
                    test(**dict(zip(names, row, strict=True)), **fixtures)
                except Exception as error:  # noqa: BLE001 - each is told
                    error.add_note(f"in the row {name}")
                    failed.append(error)
            if failed:
                shown = ", ".join(note for error in failed for note in error.__notes__[-1:])
                raise ExceptionGroup(f"{len(failed)} of {len(values)} rows fail: {shown}", failed)

        signature = inspect.signature(test)
        rest = [parameter for name, parameter in signature.parameters.items() if name not in names]
        each.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]  # what pytest asks for
        return each

    return decorate


def _named(row: tuple[Any, ...], ids: Names | None, number: int) -> str:
    if ids is None:
        return f"{number}: {', '.join(map(repr, row))}"[:_SHOWN]
    return "-".join(str(ids(value)) for value in row) if callable(ids) else ids[number]
