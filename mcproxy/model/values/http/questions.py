"""What tests in the file ask: the line of a request, where a connection goes to, and who comes; with "" where that is left open."""

import re

import msgspec

from mcproxy.model.values import addresses, hostnames
from mcproxy.model.values.http import fields, matches
from mcproxy.model.values.quoting import quote

REQUEST_PATTERN = r"^[!#$%&'*+.^_`|~0-9A-Z-]+ https?://[^/?#\s]+(/[!-~]*|\?[!-~]*)?$"
CONNECT_PATTERN = r"^\S*:[0-9]{1,5}$"

ORDER = (
    *("listener", "limit", "proxy_header", "firewall", "rate_limit", "connections", "hello", "route"),
    *("tls", "client_certificate", "alpn", "request", "limits", "authority", "real_ip", "case"),
    *("allow", "rate", "policy", "cors", "body", "auth", "rewrite", "headers", "filters", "action", "backend"),
)
"""The steps at which a connection or request is decided about, in their order."""

STEPS = tuple(
    step for step in ORDER if step not in ("tls", "alpn", "request", "limits", "real_ip", "headers", "filters")
)
"""The steps at which the explanation of a connection or request can end."""

_LINE = re.compile(r"(?:(\S+) +)?(?:([A-Za-z][A-Za-z0-9+.-]*)://)?([^/?#\s]*)(\S*)")
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_is_target = re.compile(r"[/?][!\"$-~]*|").fullmatch
_PORTS = {"http": 80, "https": 443}
_HIGHEST = 65535


class Place(msgspec.Struct, frozen=True):
    """Where a client connects to.

    Attributes:
        host: the name that it asks for, an address of IPv6 in brackets; "" for none.
        port: where it connects.
    """

    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        """Return the form the config file uses; "" for nowhere."""
        return f"{self.host}:{self.port}" if self.port else ""

    @property
    def sni(self) -> str | None:
        """The server name of its handshake; None where it knows no name but an address."""
        return None if not self.host or self.host[0] == "[" or addresses.is_ip(self.host) else self.host


class RequestLine(msgspec.Struct, frozen=True):
    """A request.

    Attributes:
        method: as it is sent.
        scheme: ``https`` or ``http``.
        place: where it goes to.
        target: path and query.
        told: the host as the request names it, perhaps with a port.
    """

    method: str = ""
    scheme: str = ""
    place: Place = Place()
    target: str = ""
    told: str = ""

    def __str__(self) -> str:
        """Return the form the config file uses; "" for none."""
        return f"{self.method} {self.scheme}://{self.told}{self.target}" if self.method else ""


def parse_request(text: str) -> RequestLine:
    """Return a request of the form ``METHOD URL``; raises ValueError with a message for the user."""
    found = _LINE.fullmatch(text.strip())
    if found is None or not found[3]:
        raise ValueError(f'{quote(text)} must be a method and a URL, as in "GET https://www.example.com/"')
    method, scheme, authority, target = found.groups()
    if scheme is None or scheme.lower() not in _PORTS:
        meant = quote(f"{method or 'GET'} https://{authority}{target}")
        raise ValueError(f"{quote(text)}: the URL must begin with https:// or http://; did you mean {meant}?")
    if method is None:
        raise ValueError(f"{quote(text)} has no method; did you mean {quote(f'GET {text.strip()}')}?")
    scheme = scheme.lower()
    place = _place(authority, _PORTS[scheme], text)
    if not place.host:
        raise ValueError(f"{quote(text)}: the URL has no host")
    if _is_target(target) is None:
        why = (
            "a fragment (#...) is never sent"
            if "#" in target
            else "a path has visible ASCII only; write the rest as %XX"
        )
        raise ValueError(f"{quote(text)}: {why}")
    told = place.host if place.port == _PORTS[scheme] else str(place)
    return RequestLine(fields.parse_method(method), scheme, place, target if target[:1] == "/" else f"/{target}", told)


def parse_connect(text: str) -> Place:
    """Return where a connection goes to, of the form ``name:port``; raises ValueError with a message for the user."""
    if "://" in text or "/" in text:
        raise ValueError(
            f'{quote(text)} must be a name and a port, as in "db.example.com:443"; a URL belongs into request'
        )
    place = _place(text.strip(), 0, text)
    if not place.port:
        meant = quote(f"{text.strip() or 'db.example.com'}:443")
        raise ValueError(f"{quote(text)} has no port; write it as in {meant}")
    return place


def _place(authority: str, port: int, text: str) -> Place:
    found = _HOST.fullmatch(authority)
    if found is None or int(found[2] or port) > _HIGHEST or (found[2] and not int(found[2])):
        raise ValueError(f"{quote(text)}: {quote(authority)} is no host and port")
    host = found[1]
    if host[:1] == "[":
        return Place(f"[{addresses.parse_ip(host[1:-1])}]", int(found[2] or port))
    if host and not addresses.is_ip(host):
        host = hostnames.parse_name(host)
    return Place(host, int(found[2] or port))


def parse_step(text: str) -> str:
    """Return where a walk ends, "" for what is not judged; raises ValueError with a message for the user."""
    if text and text not in STEPS:
        import difflib  # noqa: PLC0415 - it loads slowly, and names are mostly right

        near = difflib.get_close_matches(text[:50].lower(), STEPS, 1)
        known = f"did you mean {quote(near[0])}?" if near else f"there are {', '.join(STEPS)}"
        raise ValueError(f"there is no step {quote(text)}; {known}")
    return text


def parse_client(text: str) -> str:
    """Return a client's address, "" for the default; raises ValueError with a message for the user."""
    if "/" in text:
        raise ValueError(f"{quote(text)} is not an IP address; a test has one client, of one address")
    return text and addresses.parse_ip(text)


def parse_client_country(text: str) -> str:
    """Return the country of a client, "" for what the database says; raises ValueError with a message for the user."""
    return text and addresses.parse_country(text)


def parse_found_route(text: str) -> str:
    """Return the hostname of a route, "" for none; raises ValueError with a message for the user."""
    return text and hostnames.parse_pattern(text)


def parse_found_case(text: str) -> str:
    """Return the match of a case, "" for none; raises ValueError with a message for the user."""
    return text and str(matches.parse(text))
