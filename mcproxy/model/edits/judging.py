"""A small document of one resource and what is around it, judged by the walker and the checks that the file goes through."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from mcproxy.model.config import resolve
from mcproxy.model.config.checking import checks, declarations, modes
from mcproxy.model.config.document import Document, convert
from mcproxy.model.config.positions import Positions
from mcproxy.model.config.problems import KeyPath, Problem, Source, key_name
from mcproxy.model.state.state import State

R_co = TypeVar("R_co", covariant=True)


class Violation(msgspec.Struct, frozen=True):
    """What is wrong or doubtful about one field of a request; ``field`` is its name, with a path inside where it has one."""

    field: str
    message: str


class Checked(msgspec.Struct, Generic[R_co], frozen=True):
    """The outcome of a check.

    Attributes:
        result: in canonical form; None exactly when there are violations.
        violations: all that is wrong, field by field.
        warnings: what is doubtful.
    """

    result: R_co | None
    violations: tuple[Violation, ...] = ()
    warnings: tuple[Violation, ...] = ()


def judge(
    raw: Mapping[str, object],
    target: KeyPath,
    itself: str,
    folder: str,
    pick: Callable[[State], R_co],
) -> Checked[R_co]:
    """Check a document of one resource and what is around it.

    Args:
        raw: as tomllib would give it.
        target: where the resource stands in it; what is wrong elsewhere does not matter here.
        itself: the field that stands for the resource as a whole.
        folder: absolute.
        pick: gets the resource out of the document's State.
    """
    wrong: list[tuple[KeyPath, str]] = []
    converted, doubts = convert(raw, folder, wrong, wrong)
    read = Document(Source("", "", folder), converted, Positions("", dict.fromkeys(_paths(raw, ()), 0)), doubts)
    (document,) = modes.settled([read])
    problems = [document.problem(path, message) for path, message in wrong]
    state = resolve.state_of([document], document)
    problems += checks.check([document], document, tuple(declarations.declarations([document])), state)
    errors = _violations(problems, "error", target, itself)
    warnings = _violations(problems, "warning", target, itself)
    return Checked(None if errors else pick(state), errors, warnings)


def _violations(problems: Sequence[Problem], severity: str, target: KeyPath, itself: str) -> tuple[Violation, ...]:
    """Return the problems of the target and of what it is part of."""
    name = key_name(target)
    return tuple(
        Violation(
            problem.key.removeprefix(name).removeprefix(".") if len(problem.key) > len(name) else itself,
            problem.message,
        )
        for problem in problems
        if problem.severity == severity and (problem.key.startswith(name) or name.startswith(problem.key))
    )


def complete(struct: type[msgspec.Struct], fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields with the required ones that are left out as empty strings: requests don't tell the two apart."""
    required = {field.encode_name: "" for field in msgspec.structs.fields(struct) if field.required}
    return {**required, **fields}


def _paths(value: object, path: KeyPath) -> Iterator[KeyPath]:
    yield path
    items: Sequence[tuple[str | int, object]] = ()
    if isinstance(value, Mapping):
        items = tuple(value.items())
    elif isinstance(value, list):
        items = tuple(enumerate(value))
    for name, item in items:
        yield from _paths(item, (*path, name))
