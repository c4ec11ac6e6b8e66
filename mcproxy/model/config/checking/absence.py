"""What a configuration lacks though it can hardly be meant: an empty file is no wish to serve nothing."""

from collections.abc import Iterator, Sequence

from mcproxy.model.config.document import Reading
from mcproxy.model.config.problems import Problem


def absences(readings: Sequence[Reading]) -> Iterator[Problem]:
    """Return what valid files lack: any listener at all (an error), and each listener's routes (a warning).

    Args:
        readings: of the main file, then of those it includes. A node of a fleet has none of these in its own.
    """
    first = readings[0].document
    if first is not None and first.names("fleet"):
        readings = readings[1:]
    documents = [reading.document for reading in readings if reading.document is not None]
    if readings and not any(document.config.listeners for document in documents):
        where = "here or in an included file" if len(readings) > 1 else "here"
        message = f"no listener is declared {where}, so that nothing would be served; it needs [[listeners]]"
        yield Problem(readings[0].source.path, 1, 1, "error", "listeners", message)
    named = {route.listener for document in documents for route in document.config.routes}
    for document in documents:
        for index, listener in enumerate(document.config.listeners):
            if not listener.routes and listener.addr not in named:
                message = "has no routes: every connection is refused, unless routes are added at run time"
                yield document.problem(("listeners", index), message, "warning")
