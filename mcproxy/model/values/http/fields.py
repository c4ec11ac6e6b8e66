"""Names and values of header fields, as filters set, add, remove, ask for and count by them; and other words of HTTP in filters.

Names have one form, ``X-Api-Key`` for ``x-api-key``, since they are compared without case. What a proxy has to say itself, or leave
to the connection, can't be set: the framing of messages, what belongs to one connection, Host, and what tells of the client.
"""

import re

from mcproxy.late_patterns import late
from mcproxy.model.values.quoting import quote
from mcproxy.model.values.texts import FIELD_NAME_PATTERN, VARIABLES

PAGES_PATTERN = "^[1-5](xx|[0-9]{2}(-[1-5][0-9]{2})?)$"
ORIGIN_PATTERN = r"^\*$|^[a-z][a-z0-9+.-]*://[^/?#@ ]+$"
RATE_KEY_PATTERN = "^client$|^header:.+$"

_NAME = late(FIELD_NAME_PATTERN)
_VARIABLE = late(r"\{([a-z_]+)\}")
_CONTROL = late(r"[\x00-\x1f\x7f]")
_FOLDED = late("[^0-9a-z]")
_OF_CONNECTION = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade", "http2-settings", "content-length", "expect"),
    )
)
_PAGES = late("([1-5])xx|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_ORIGIN = late(r"([A-Za-z][A-Za-z0-9+.-]*)://((?:[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\]))(?::([0-9]{1,5}))?")
_PORTS = {"http": "80", "https": "443"}
_AUTHORITY = late(r"(?:[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_MEDIA_TYPE = late(r"[0-9A-Za-z!#$&^_.+-]+/[0-9A-Za-z!#$&^_.+-]+(?: *; *[ -~]*)?")
_METHOD = late(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def parse_name(text: str) -> str:
    """Return the name of a header in its one form; raises ValueError with a message for the user."""
    if _NAME.fullmatch(text) is None:
        hint = "; leave the colon out" if _NAME.fullmatch(text.strip().removesuffix(":")) else ""
        raise ValueError(f'{quote(text)} is not the name of a header, as in "X-Api-Key"{hint}')
    return "-".join(part.capitalize() for part in text.split("-"))


def parse_request_name(text: str) -> str:
    """Return the name of a header that a filter may set in requests; raises ValueError with a message for the user."""
    name = _changeable(text)
    folded = fold(name)
    if folded == "host":
        raise ValueError(f"{quote(text)} can't be changed here; write rewrite_host")
    if folded in ("forwarded", "x-real-ip", "x-request-id", "x-forwarded") or folded.startswith("x-forwarded-"):
        raise ValueError(f"{quote(text)} can't be changed: it is what the proxy itself tells the backend of the client")
    return name


def parse_response_name(text: str) -> str:
    """Return the name of a header that a filter may set in responses; raises ValueError with a message for the user."""
    return _changeable(text)


def _changeable(text: str) -> str:
    name = parse_name(text)
    if fold(name) in _OF_CONNECTION:
        raise ValueError(
            f"{quote(text)} can't be changed: it belongs to the connection or the length of the message, which the proxy sees to"
        )
    return name


def fold(name: str) -> str:
    """Return a name as backends may read it: in lower case, with a hyphen for all that is no letter and no digit."""
    return _FOLDED.sub("-", name.lower())


def parse_value(text: str) -> str:
    """Return the value of a header, with variables in it; raises ValueError with a message for the user.

    ``{word}`` of lower-case letters is a variable; any other brace is what it is.
    """
    if control := _CONTROL.search(text):
        raise ValueError(f"{quote(text)} has the control character {quote(control[0])} in it, which no header may have")
    if text != text.strip(" "):
        raise ValueError(f"{quote(text)} begins or ends with a blank, which is not part of a header's value")
    for name in _VARIABLE.findall(text):
        if name not in VARIABLES:
            import difflib  # noqa: PLC0415 - it loads slowly, and names are mostly right

            near = difflib.get_close_matches(name[:50], VARIABLES, 1)
            known = (
                f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(f'{{{one}}}' for one in VARIABLES)}"
            )
            raise ValueError(f"there is no variable {quote(f'{{{name}}}')}; {known}")
    return text


def template(text: str) -> tuple[str, ...]:
    """Split a value into texts and names of variables, in turn; a single text where there are none."""
    return tuple(_VARIABLE.split(text))


def parse_demand(text: str) -> str:
    """Return what a request must have, ``Name`` or ``Name: value``; raises ValueError with a message for the user."""
    name, colon, value = text.partition(":")
    if _NAME.fullmatch(name) is None or _CONTROL.search(value):
        raise ValueError(f'{quote(text)} must be a header\'s name, or "Name: value"')
    return f"{parse_name(name)}: {value.strip()}" if colon else parse_name(name)


def parse_rate_key(text: str) -> str:
    """Return by what a rate is counted, ``client`` or ``header:NAME``; raises ValueError with a message for the user."""
    if text == "client":
        return text
    kind, colon, name = text.partition(":")
    if kind != "header" or not colon:
        raise ValueError(f'{quote(text)} must be "client", or "header:NAME" as in "header:X-Api-Key"')
    return f"header:{parse_name(name.strip())}"


def parse_pages(text: str) -> str:
    """Return the statuses of an error page, ``404``, ``502-504`` or ``5xx``; raises ValueError with a message for the user."""
    wanted = f'{quote(text)} is no status of an error; write one as "404", a range as "502-504", or a class as "5xx"'
    if _PAGES.fullmatch(text) is None:
        raise ValueError(wanted)
    low, high = pages_range(text)
    if low > high:
        raise ValueError(f"{quote(text)} is an empty range; did you mean {quote(f'{high}-{low}')}?")
    if low < 400:
        raise ValueError(wanted)
    return text


def pages_range(text: str) -> tuple[int, int]:
    """Return the first and last status that a text of `parse_pages` names."""
    match = _PAGES.fullmatch(text)
    if match is None:
        raise ValueError(f"{quote(text)} names no statuses")
    if match[1]:
        return int(match[1]) * 100, int(match[1]) * 100 + 99
    return int(match[2]), int(match[3] or match[2])


def parse_origin(text: str) -> str:
    """Return an origin as browsers send it (RFC 6454), or ``*``; raises ValueError with a message for the user."""
    if text == "*":
        return text
    match = _ORIGIN.fullmatch(text)
    if match is None:
        front = _ORIGIN.match(text)
        bare = _AUTHORITY.fullmatch(text)
        meant = (
            f"; did you mean {quote(front[0])}?"
            if front
            else f"; did you mean {quote(f'https://{text}')}?"
            if bare
            else ""
        )
        raise ValueError(f'{quote(text)} is no origin, as in "https://app.example.com", without a path{meant}')
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    return f"{scheme}://{host}" if port in (None, _PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def parse_method(text: str) -> str:
    """Return a method; raises ValueError with a message for the user."""
    if _METHOD.fullmatch(text) is None:
        raise ValueError(f'{quote(text)} is no method, as in "GET"')
    if text != text.upper():
        raise ValueError(f"{quote(text)}: methods are written in capitals; did you mean {quote(text.upper())}?")
    return text


def parse_authority(text: str) -> str:
    """Return a host, perhaps with a port, "" for none; raises ValueError with a message for the user."""
    if text and _AUTHORITY.fullmatch(text) is None:
        raise ValueError(f'{quote(text)} is no host, perhaps with a port, as in "app.internal"')
    return text.lower()


def parse_prefix(text: str) -> str:
    """Return the beginning of a path, of whole segments; raises ValueError with a message for the user."""
    if re.fullmatch(r"/[!-~]*", text) is None or any(mark in text for mark in "?#*\\"):
        raise ValueError(f'{quote(text)} is no beginning of a path, as in "/api"')
    if "//" in text or any(segment in (".", "..") for segment in text.split("/")):
        raise ValueError(f'{quote(text)} is read in several ways; write it without "//", "." and ".."')
    return text


def parse_media_type(text: str) -> str:
    """Return the type of a content, as Content-Type has it; raises ValueError with a message for the user."""
    if _MEDIA_TYPE.fullmatch(text) is None:
        raise ValueError(f'{quote(text)} is no type of a content, as in "text/html; charset=utf-8"')
    return text
