"""`Annotated`, as the declarations of keys use it: a type, and beside it what is said to whoever reads files, edits or describes them.

Workers decode what control has checked, and need the types alone. What is said beside them would take a tenth of a worker's start.
"""

import typing
from typing import Any

if typing.TYPE_CHECKING:
    from typing import Annotated as Annotated  # noqa: PLC0414 - passed on
else:
    Annotated = typing.Annotated


class _TypeAlone:
    """What `Annotated` is where nothing else is wanted."""

    def __class_getitem__(cls, declared: tuple[Any, ...]) -> Any:
        return declared[0]


def types_alone() -> None:
    """Leave out what is said beside the types, in all declarations that are imported from now on in this process."""
    globals()["Annotated"] = _TypeAlone


def said_of(declared: Any) -> tuple[Any, ...]:
    """Return what is said beside a type; nothing where that is left out."""
    return getattr(declared, "__metadata__", ())
