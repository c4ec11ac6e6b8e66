"""The log of the control process: structlog on stderr, for people or as JSON lines."""

import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from mcproxy.control.system.log_repeats import Repeats
from mcproxy.control.system.structured import structlog
from mcproxy.model.config.problems import Problem
from mcproxy.net.log_stream import LogStream

_repeats = Repeats()


def configure(level: str, style: str) -> None:
    """Set level (``debug`` ... ``error``) and style (``console`` or ``json``); may be called again at any time."""
    renderer: Any
    if style == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _repeats,
            _with_places if style == "json" else _without_places,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _with_places(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Tell as fields what the text says for people: the parts of a place."""
    event.update(event.pop("place", {}))
    return event


def _without_places(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("place", None)
    return event


def tell(problem: object) -> None:
    """Log a problem of the configuration as compilers do; as JSON with its parts as fields, too: file, line, column, key, message.

    Args:
        problem: a `Problem`, or a text.
    """
    if not isinstance(problem, Problem):
        logger().error(relative(str(problem)))
        return
    say = {"error": logger().error, "warning": logger().warning}.get(problem.severity, logger().info)
    parts = ("file", "line", "column", "key", "message")
    say(relative(str(problem)), place={name: getattr(problem, name) for name in parts})


def dropped() -> int:
    """Return how many lines were lost because standard error took no more."""
    return sys.stderr.dropped if isinstance(sys.stderr, LogStream) else 0


def together() -> AbstractContextManager[None]:
    """Write what is logged meanwhile in one go: see `LogStream.together`."""
    stream = sys.stderr
    return stream.together() if isinstance(stream, LogStream) else nullcontext()


def logger() -> structlog.typing.FilteringBoundLogger:
    """Return the logger; it follows later calls of `configure`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


def relative(text: str) -> str:
    """Shorten the folder of the process in a message, as compilers do."""
    return text.replace(f"{os.getcwd()}/", "")  # noqa: PTH109 - a string is wanted
