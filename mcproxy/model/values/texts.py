"""Small texts with a form of their own: file modes, paths, statuses, names of headers and cookies, redirects, texts that must say something."""

import re

from mcproxy.late_patterns import late
from mcproxy.model.values.quoting import quote

MODE_PATTERN = "^0?[0-7]{3}$"
FIELD_NAME_PATTERN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
"""The name of a header is a token (RFC 9110 section 5.6.2)."""
STATUS_PATTERN = "^[1-5][0-9]{2}(-[1-5][0-9]{2})?(, *[1-5][0-9]{2}(-[1-5][0-9]{2})?)*$"
COOKIE_PATTERN = FIELD_NAME_PATTERN.replace("]+$", "]*$")
"""The name of a cookie is a token too (RFC 6265 section 4.1.1); "" is none."""
ENDPOINT_PATHS = ("/", "/healthz", "/readyz", "/api/status")
"""What the metrics endpoint serves beside the metrics: status page, liveness, readiness, the page as JSON."""
STATIC_PATH = "/static/"
"""Where the parts of the status page are."""
SHARE_PATTERN = r"^(?:100|[0-9]{1,2}(?:\.[0-9]{1,3})?)%$"
VARIABLES = ("host", "uri", "path", "query", "client_ip", "request_id", "sni", "scheme", "client_cert")
"""The variables of redirects and of the values of headers, written in braces."""
REDIRECTS = (301, 302, 303, 307, 308)
"""The statuses of a redirect (RFC 9110 section 15.4)."""
LONGEST_TEXT = 1 << 16
"""Bytes that the text of an answer may have."""

CIPHERS_PATTERN = r"^[0-9A-Za-z@=!+:,._-]*$"
CURVE_PATTERN = "^[0-9A-Za-z_-]+$"

_IN_URLS = late(r"[!-~]*")
_BRACED = late(r"\{([^{}]*)\}")
_URL = late(r"(?:https?|\{scheme\})://([^/?#{}]*)((?:\{host\}[^/?#{}]*)?)(.*)")
_AUTHORITY = late(r"(?:[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_REST = late(r"(?:[/?#]|\{uri\}|\{path\}).*|")
_MODE = late(MODE_PATTERN)
_FIELD_NAME = late(FIELD_NAME_PATTERN)
_NEEDED_FIELDS = frozenset(
    ("connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade")
)
_STATUS = late("([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_COOKIE = late(COOKIE_PATTERN)
_HTTP_PATH = late(r"/[!-~]*")
_CIPHERS = late(CIPHERS_PATTERN)
_CURVE = late(CURVE_PATTERN)


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


def parse_target(text: str) -> str:
    """Return the target of a request, a path perhaps with a query; raises ValueError with a message for the user."""
    if _HTTP_PATH.fullmatch(text) is None:
        raise ValueError(f'{quote(text)} is not the path of a request; it begins with "/", as in "/healthz"')
    if "#" in text:
        raise ValueError(f'{quote(text)}: what follows "#" is never sent to a server; leave it out')
    return text


def parse_statuses(text: str) -> str:
    """Return statuses and ranges of them without blanks; raises ValueError with a message for the user."""
    parts = [part.strip() for part in text.split(",")]
    if not all(_STATUS.fullmatch(part) for part in parts):
        raise ValueError(
            f'{quote(text)} is no list of statuses (100 to 599) and ranges of them, such as "200-399" or "200,204,301-308"'
        )
    for low, high in statuses(",".join(parts)):
        if low > high:
            raise ValueError(f"{quote(text)}: the range {low}-{high} is empty; did you mean {quote(f'{high}-{low}')}?")
    return ",".join(parts)


def statuses(text: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges that a text of `parse_statuses` names: first and last status of each."""
    found = (_STATUS.fullmatch(part) for part in text.split(","))
    return tuple((int(match[1]), int(match[2] or match[1])) for match in found if match)


def parse_cookie_name(text: str) -> str:
    """Return the name of a cookie, "" for none; raises ValueError with a message for the user."""
    if _COOKIE.fullmatch(text) is None:
        raise ValueError(f'{quote(text)} is not the name of a cookie, as in "backend"')
    return text


def parse_redirect(text: str) -> str:
    """Return the target of a redirect, "" for none; raises ValueError with a message for the user."""
    if not text:
        return text
    if _IN_URLS.fullmatch(text) is None:
        raise ValueError(f"{quote(text)} has characters that a URL can't have; write them as %20, %C3%BC ...")
    for name in _BRACED.findall(text):
        if name not in VARIABLES:
            import difflib  # noqa: PLC0415 - it loads slowly, and names are mostly right

            near = difflib.get_close_matches(name[:50], VARIABLES, 1)
            known = (
                f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(f'{{{one}}}' for one in VARIABLES)}"
            )
            raise ValueError(f"there is no variable {quote(f'{{{name}}}')}; {known}")
    if set(_BRACED.sub("", text)) & set("{}"):
        raise ValueError(f"{quote(text)} has a brace without its other one; a literal brace is %7B or %7D")
    if text.startswith("/"):
        if text.startswith(("//", "/\\")):
            raise ValueError(
                f'{quote(text)} is no path, since it begins with "{text[:2]}"; name the host after https://'
            )
        return text
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError(
            f'{quote(text)} is neither a path, such as "/new", nor a URL, such as "https://{{host}}{{uri}}"'
        )
    authority = f"{match[1]}{match[2].replace('{host}', 'host')}"
    if _AUTHORITY.fullmatch(authority) is None:
        raise ValueError(f"{quote(match[1] + match[2])} is no host and port; {{host}} is the only variable in it")
    if _REST.fullmatch(match[3]) is None:
        raise ValueError(
            f'{quote(match[3])} would go on with the host: what follows it begins with "/", {{uri}} or {{path}}'
        )
    return text


def parse_answer(text: str) -> str:
    """Return the text of an answer, "" for none; raises ValueError with a message for the user."""
    size = len(text.encode(errors="surrogatepass"))
    if size > LONGEST_TEXT:
        raise ValueError(f"it has {size} bytes; a text has at most {LONGEST_TEXT}")
    return text


def parse_ciphers(text: str) -> str:
    """Return a list of ciphers in OpenSSL's words, "" for none; raises ValueError with a message for the user."""
    if _CIPHERS.fullmatch(text) is None:
        raise ValueError(
            f'{quote(text)} is no list of ciphers in OpenSSL\'s words, as in "ECDHE+AESGCM:ECDHE+CHACHA20"'
        )
    return text


def parse_curve(text: str) -> str:
    """Return the name of a group for the key exchange; raises ValueError with a message for the user."""
    if _CURVE.fullmatch(text) is None:
        raise ValueError(f'{quote(text)} is not the name of a group in OpenSSL\'s words, as in "X25519" or "P-256"')
    return text


def parse_share(text: str) -> str:
    """Return a share of a whole in canonical form, ``5%``, at most ``100%``; raises ValueError with a message for the user."""
    if re.fullmatch(SHARE_PATTERN, text):
        return f"{float(text[:-1]):g}%"
    bare = text.removesuffix("%").strip()
    meant = f"{bare}%"
    hint = f'; write "{meant}"' if meant != text and re.fullmatch(SHARE_PATTERN, meant) else ""
    raise ValueError(f"{quote(text)} is no share of 0% to 100%{hint}")


def fraction(share: str) -> float:
    """Return what a canonical share is of the whole: 0.05 for ``5%``."""
    return float(share[:-1]) / 100
