"""Header names as a peer spells them: HTTP compares them without case, but some old devices do not.

Everything here works on whole heads, before they are parsed and after they are made, so nothing between needs to know.
"""

import re
from typing import TypeAlias

from mcproxy.late_patterns import late

Spelling: TypeAlias = dict[bytes, list[bytes]]
"""By name in lower case, how it was spelled each time that it came."""

_name = late(rb"^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:", re.MULTILINE)


def spelling(head: bytes) -> Spelling:
    """Return how the names in a head are spelled, given from its first byte to its empty line."""
    found: Spelling = {}
    for name in _name.findall(head, head.find(b"\n") + 1):
        found.setdefault(name.lower(), []).append(name)
    return found


def respelled(head: bytes, names: Spelling) -> bytes:
    """Return a head with its names spelled so: the first of several alike as the first was; unknown ones as they are."""
    start, *lines = head.split(b"\r\n")
    seen: dict[bytes, int] = {}
    for index, line in enumerate(lines):
        name, colon, value = line.partition(b":")
        spelled = names.get(name.lower())
        if spelled:
            number = seen[name] = seen.get(name, -1) + 1
            lines[index] = spelled[min(number, len(spelled) - 1)] + colon + value
    return b"\r\n".join((start, *lines))
