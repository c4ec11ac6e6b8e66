"""Values that somebody else was to fill in: files of mcproxy have no variables, templates and references."""

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.values.quoting import quote

_TAKEN = "there are no variables"
# ${NAME}, $NAME, {$NAME}, {{ name }}, {env.NAME}, %NAME%, <NAME>, <%= name %>, @NAME@, __NAME__
_REFERENCE = re.compile(
    r"\$\{[^{}]*\}|\{\$[^{}]*\}|\{\{.*?\}\}|\{(?:env|file|secret)[.:][^{}]*\}|<%.*?%>|%[A-Za-z_]\w*%|\$\(?[A-Za-z_]\w*\)?"
    r"|@[A-Z_]{2,}@|\b__[A-Z]\w*__\b|<[A-Z_]{2,}>"
)
# What names of files hardly ever have in them.
_IN_PATHS = re.compile(r"\$\{[^{}]*\}|\{\$[^{}]*\}|\{\{.*?\}\}|\{env\.[^{}]*\}")


def refusal(text: str) -> str:
    """Return what is told of a wrong value that refers to a variable; "" if it doesn't."""
    match = _REFERENCE.search(text)
    return (
        f"{quote(text)}: there are no variables here, so {quote(match[0])} stands for nothing; write the value itself"
        if match
        else ""
    )


def references(raw: Mapping[str, object]) -> Iterator[tuple[KeyPath, str]]:
    """Return the paths of texts that seem to refer to variables where any text is right, with what is told of them."""
    stack: list[tuple[KeyPath, object]] = [((), raw)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack += (((*path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            stack += (((*path, index), item) for index, item in enumerate(value))
        elif isinstance(value, str) and (match := _IN_PATHS.search(value)):
            yield path, f"{_TAKEN}: {quote(match[0])} is taken as it stands"


def may_refer(text: str) -> bool:
    """Tell whether a whole file may have such texts: a look that costs next to nothing."""
    return "${" in text or "{$" in text or "{{" in text or "{env." in text


def joined(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems, with what is told of a variable added to the error that it causes at the same place."""
    told = {_place(one): one.message for one in problems if one.message.startswith(_TAKEN)}
    caused = told.keys() & {_place(one) for one in problems if one.severity == "error"}
    return [
        msgspec.structs.replace(one, message=f"{one.message}; {told[_place(one)]}") if _place(one) in caused else one
        for one in problems
        if _place(one) not in caused or not one.message.startswith(_TAKEN)
    ]


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column
