"""On how many examples properties are tried: a third in the default suite, all in the long tests.

The examples are drawn anew by each run, so the default suite comes to them all as well, over some runs.
"""

from typing import Any

from hypothesis import settings

THOROUGH = "thorough"
"""The profile of hypothesis with which all examples are tried (``--hypothesis-profile thorough``)."""

_PART = 3
_USUAL = 100
"""The examples of a property that says no number."""


def register() -> None:
    """Make the profiles known, and use that of the default suite where the command line names none."""
    # no test asserts a speed: a busy machine takes longer over an example, and that says nothing about the code
    settings.register_profile(THOROUGH, deadline=None, max_examples=_USUAL)
    settings.register_profile("mcproxy", deadline=None, max_examples=_USUAL // _PART)
    settings.load_profile("mcproxy")


def examples(count: int, **others: Any) -> settings:
    """Return settings with so many examples in the long tests, and a third of them in the default suite."""
    part = 1 if settings.get_current_profile_name() == THOROUGH else _PART
    return settings(max_examples=-(-count // part), **others)
