"""The log of the control process: structlog on stderr, for people or as JSON lines."""

import logging
import os
import sys
from typing import Any, cast

import structlog

from mcproxy.control.system.log_repeats import Repeats
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
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def dropped() -> int:
    """Return how many lines were lost because standard error took no more."""
    return sys.stderr.dropped if isinstance(sys.stderr, LogStream) else 0


def logger() -> structlog.typing.FilteringBoundLogger:
    """Return the logger; it follows later calls of `configure`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


def relative(text: str) -> str:
    """Shorten the folder of the process in a message, as compilers do."""
    return text.replace(f"{os.getcwd()}/", "")  # noqa: PTH109 - a string is wanted
