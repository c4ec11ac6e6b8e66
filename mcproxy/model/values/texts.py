"""Small texts with a form of their own: file modes, the metrics' path, texts that must say something."""

import re

from mcproxy.model.values.quoting import quote

MODE_PATTERN = "^0?[0-7]{3}$"
ENDPOINT_PATHS = ("/", "/healthz", "/readyz")
"""What the metrics endpoint serves beside the metrics: status page, liveness, readiness."""
STATIC_PATH = "/static/"
"""Where the parts of the status page are."""

_MODE = re.compile(MODE_PATTERN)
_HTTP_PATH = re.compile(r"/[!-~]*")


def parse_mode(text: str) -> str:
    """Return permission bits as four octal digits; raises ValueError with a message for the user."""
    if _MODE.fullmatch(text) is None:
        raise ValueError(f'{quote(text)} is not a file mode; write three octal digits, such as "0600"')
    return text.zfill(4)


def parse_metrics_path(text: str) -> str:
    """Return the path of a URL that the endpoint serves nothing else at; raises ValueError with a message for the user."""
    if _HTTP_PATH.fullmatch(text) is None or "?" in text or "#" in text:
        raise ValueError(f'{quote(text)} is not the path of a URL; it begins with "/", as in "/metrics"')
    if text in ENDPOINT_PATHS or text.startswith(STATIC_PATH):
        raise ValueError(f'{quote(text)} is taken by the endpoint itself; use another path, such as "/metrics"')
    return text


def parse_printable(text: str) -> str:
    """Return a text, possibly empty; raises ValueError with a message for the user."""
    if not text.isprintable():
        raise ValueError(f"{quote(text)} must not contain control characters")
    return text


def parse_non_empty(text: str) -> str:
    """Return a text that is not blank; raises ValueError with a message for the user."""
    if not text.strip():
        raise ValueError("must not be empty")
    return parse_printable(text)
