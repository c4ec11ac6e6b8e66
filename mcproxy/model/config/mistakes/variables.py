"""Values that somebody else was to fill in: files of mcproxy have no variables, templates and references."""

import re
from collections.abc import Iterator, Mapping

from mcproxy.model.config.problems import KeyPath
from mcproxy.model.values.quoting import quote

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
            yield path, f"there are no variables: {quote(match[0])} is taken as it stands"


def may_refer(text: str) -> bool:
    """Tell whether a whole file may have such texts: a look that costs next to nothing."""
    return "${" in text or "{$" in text or "{{" in text or "{env." in text
