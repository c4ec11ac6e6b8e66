"""Small texts with a form of their own: file modes, the metrics' path, names of headers, texts that must say something."""

import re

from mcproxy.model.values.quoting import quote

MODE_PATTERN = "^0?[0-7]{3}$"
FIELD_NAME_PATTERN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
"""The name of a header is a token (RFC 9110 section 5.6.2)."""
ENDPOINT_PATHS = ("/", "/healthz", "/readyz", "/api/status")
"""What the metrics endpoint serves beside the metrics: status page, liveness, readiness, the page as JSON."""
STATIC_PATH = "/static/"
"""Where the parts of the status page are."""

_MODE = re.compile(MODE_PATTERN)
_FIELD_NAME = re.compile(FIELD_NAME_PATTERN)
_NEEDED_FIELDS = frozenset(
    ("connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade")
)
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


def parse_removable_header(text: str) -> str:
    """Return the name of a header that a proxy can leave out of requests; raises ValueError with a message for the user."""
    if _FIELD_NAME.fullmatch(text) is None:
        raise ValueError(f'{quote(text)} is not the name of a header, as in "X-Client-IP"')
    if re.sub("[^0-9a-z]", "-", text.lower()) in _NEEDED_FIELDS:
        raise ValueError(f"{quote(text)} cannot be removed: the proxy itself needs it, or replaces it")
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
