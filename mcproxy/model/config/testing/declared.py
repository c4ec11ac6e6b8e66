"""The tests that files declare: where each stands, and what is wrong with one whatever comes of it."""

from collections.abc import Iterator, Sequence

import msgspec

from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.testing.shape import ConfigTest, Expect

_OF_REQUESTS = ("headers", "body")
OF_CONNECTIONS = ("route", "backend", "refused_by", "reset", "step", "filter")
"""What a connection without a request can be expected to come to."""


class DeclaredTest(msgspec.Struct, frozen=True):
    """A test, the file that declares it, and its place in there."""

    test: ConfigTest
    document: Document
    path: KeyPath

    @property
    def expected(self) -> tuple[str, ...]:
        """The expectations that the file names, in the order in which they are declared; those within ``filter`` not."""
        return tuple(key for key in Expect.__struct_fields__ if self.document.names(*self.path, "expect", key))


def tests(documents: Sequence[Document]) -> Iterator[DeclaredTest]:
    """Return the tests of all files."""
    for document in documents:
        for index, test in enumerate(document.config.tests):
            yield DeclaredTest(test, document, ("tests", index))


def check_tests(documents: Sequence[Document]) -> Iterator[Problem]:
    """Return what is wrong with the tests of files, beyond single values."""
    for each in tests(documents):
        yield from _check(each)


def _check(each: DeclaredTest) -> Iterator[Problem]:
    document, path = each.document, each.path
    misspelt = any(doubt[: len(path)] == path for doubt in document.doubts)
    asked = [key for key in ("request", "connect") if document.names(*path, key)]
    if len(asked) == 2:
        yield document.problem((*path, "connect"), "a test has request or connect, not both")
    elif not asked and not misspelt:
        yield document.problem(path, 'asks nothing: it needs request = "METHOD URL", or connect = "name:port"')
    if document.names(*path, "expect") and not each.expected and not misspelt:
        message = f"expects nothing: it needs one of {', '.join(Expect.__struct_fields__)}"
        yield document.problem((*path, "expect"), message)
    if asked != ["connect"]:
        return
    for key in _OF_REQUESTS:
        if document.names(*path, key):
            yield document.problem((*path, key), "needs a request; a connection alone (connect) has none")
    for key in each.expected:
        if key not in OF_CONNECTIONS:
            message = f"needs a request; of a connection alone (connect) can be expected: {', '.join(OF_CONNECTIONS)}"
            yield document.problem((*path, "expect", key), message)
