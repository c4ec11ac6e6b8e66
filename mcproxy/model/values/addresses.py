"""Network addresses in canonical form: backends, listening addresses, IP addresses and networks.

IPv6 addresses are compressed (RFC 5952), IPv4-mapped ones become IPv4. A backend is an address if it has a port or begins with
``unix:``, else the name of an upstream.
"""

import ipaddress
from typing import TypeAlias

from mcproxy.late_patterns import late
from mcproxy.model.values import countries, hostnames
from mcproxy.model.values.endpoint import Endpoint, RouteBackend
from mcproxy.model.values.quoting import quote

UNIX_PATH_MAX = 107
"""Bytes of path that fit into a Unix socket's address (``sun_path`` of unix(7), without its final NUL)."""

_PORT_MAX = 65535
_OCTETS = frozenset(map(str, range(256)))
_SERVICES = {"http": 80, "https": 443}
_IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PORT_PATTERN = r":[0-9]{1,5}$"
"""A rough form for editors; the functions below are the judges."""


UPSTREAM_PATTERN = "^[a-z0-9-]{1,63}$"
"""The name of an upstream, and of a filter."""
_UPSTREAM = late(UPSTREAM_PATTERN[1:-1])


def parse_backend(text: str) -> Endpoint:
    """Return the endpoint of ``host:port``, ``[v6]:port`` or ``unix:/path``; raises ValueError for the user."""
    if text.startswith("unix:"):
        return Endpoint(path=_unix_path(text))
    if "://" in text:
        raise ValueError(
            f'{quote(text)} is a URL; a backend is "host:port", "[v6]:port" or "unix:/path"{_without_scheme(text)}'
        )
    if text.startswith("/"):
        raise ValueError(f"{quote(text)} has no port; a Unix socket is written {quote(f'unix:{text}')}")
    host, port = _split(text)
    if not host:
        raise ValueError(f"{quote(text)} has no host; did you mean {quote(f'127.0.0.1:{port}')}?")
    if _is_ipv4(host):  # the form of most; `ipaddress` takes a tenth of the time that a large file takes
        return Endpoint(host=host, port=port)
    address = _address(host)
    if address is not None:
        return Endpoint(host=str(address), port=port)
    if host.rpartition(".")[2].isdecimal():
        raise ValueError(f"{quote(text)}: {quote(host)} is not a valid IPv4 address")
    try:
        return Endpoint(host=hostnames.parse_name(host), port=port)
    except ValueError as error:
        raise ValueError(f"the backend's host is wrong: {error}") from None


def parse_upstream_name(text: str) -> str:
    """Return the name of an upstream; raises ValueError with a message for the user."""
    if _UPSTREAM.fullmatch(text) is None:
        raise ValueError(
            f'{quote(text)} is no name of an upstream: 1 to 63 lower-case letters, digits and "-", as in "web"'
        )
    return text


def parse_filter_name(text: str) -> str:
    """Return the name of a filter; raises ValueError with a message for the user."""
    if _UPSTREAM.fullmatch(text) is None:
        raise ValueError(
            f'{quote(text)} is no name of a filter: 1 to 63 lower-case letters, digits and "-", as in "office"'
        )
    return text


def parse_named_backend(text: str) -> RouteBackend:
    """Return the upstream or the address that a text names; raises ValueError with a message for the user."""
    if not text:
        raise ValueError("must name an upstream or an address")
    return parse_route_backend(text)


def parse_route_backend(text: str) -> RouteBackend:
    """Return what a single text says, for "" nothing; raises ValueError with a message for the user."""
    if not text:
        return RouteBackend()
    if _UPSTREAM.fullmatch(text) is not None:
        return RouteBackend((), text)
    if "," in text and not text.startswith("unix:"):
        parts = ", ".join(quote(part.strip()) for part in text.split(",") if part.strip())
        raise ValueError(f"{quote(text)}: several addresses are an array, [{parts}]")
    return RouteBackend((parse_backend(text),))


def parse_listed_backend(text: str) -> Endpoint:
    """Return one of several addresses; raises ValueError with a message for the user."""
    if _UPSTREAM.fullmatch(text) is not None:
        raise ValueError(
            f"{quote(text)} has no port, and a list takes addresses alone; the name of an upstream stands without a list"
        )
    return parse_backend(text)


def parse_canonical_backend(text: str) -> str:
    """Return an address in its one form; raises ValueError with a message for the user."""
    return str(parse_backend(text))


def several(endpoints: tuple[Endpoint, ...]) -> RouteBackend:
    """Return the backend of a list of addresses; raises ValueError with a message for the user when there are none."""
    if not endpoints:
        raise ValueError("must name at least one address")
    return RouteBackend(endpoints)


def listed(backend: RouteBackend) -> tuple[Endpoint, ...]:
    """Return the addresses that only a list can say; none for what is a single text."""
    return backend.endpoints if len(backend.endpoints) > 1 else ()


def parse_listen(text: str) -> str:
    """Return a listening address, ``:port``, ``v4:port`` or ``[v6]:port``; raises ValueError for the user."""
    if text.startswith(("unix:", "/", "@")):
        raise ValueError(
            f"{quote(text)} is a Unix socket, and this address is one of TCP: "
            '":port" (all addresses), "127.0.0.1:port" or "[::1]:port"; Unix sockets can be backends, and [grpc] socket is one'
        )
    if "://" in text:
        raise ValueError(
            f'{quote(text)} is a URL; a listening address is ":port", "127.0.0.1:port" or "[::1]:port"{_without_scheme(text)}'
        )
    host, port = _split(text)
    if not host:
        return f":{port}"
    if host == "*":
        raise ValueError(f"{quote(text)}: leave the host out to listen on all addresses: {quote(f':{port}')}")
    address = _address(host)
    if address is None:
        raise ValueError(
            f"{quote(text)}: {quote(host)} is not an IP address; a listening address is "
            f'":port" (all addresses), "127.0.0.1:port" or "[::1]:port"{_loopback(host, port)}'
        )
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def parse_optional_listen(text: str) -> str:
    """Return a listening address, or ``""`` (off) for ``""``; raises ValueError for the user."""
    return parse_listen(text) if text else ""


def parse_ip(text: str, networks: str = "blocked_cidrs") -> str:
    """Return an IP address; raises ValueError for the user, who finds a place for networks under the name ``networks``."""
    address = _address(text)
    if address is None:
        hint = f"; networks belong into {networks}" if "/" in text else ""
        raise ValueError(f"{quote(text)} is not an IP address{hint}")
    return str(address)


def parse_network(text: str) -> str:
    """Return a network as ``address/length``, a single address with its full length; raises ValueError for the user."""
    host, slash, length = text.partition("/")
    address = _plain_address(host)
    if address is None or (slash and not (length.isascii() and length.isdecimal() and len(length) <= 3)):
        raise ValueError(f'{quote(text)} is not a network; write it as "192.0.2.0/24" or "2001:db8::/32"')
    bits = int(length) if slash else address.max_prefixlen
    if bits > address.max_prefixlen:
        raise ValueError(f"{quote(text)}: an IPv{address.version} network has at most {address.max_prefixlen} bits")
    network = ipaddress.ip_network((address, bits), strict=False)
    if network.network_address != address:
        raise ValueError(f"{quote(text)} has host bits set; did you mean {quote(str(network))}?")
    # ::ffff:0:0/96 is where IPv4 lives in IPv6 (RFC 4291 section 2.5.5.2).
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None and bits >= 96:
        return f"{address.ipv4_mapped}/{bits - 96}"
    return str(network)


def parse_country(text: str) -> str:
    """Return an ISO 3166-1 alpha-2 country code in upper case; raises ValueError for the user."""
    code = text.upper()
    meant = _did_you_mean(countries.MEANT.get(code, ""))
    if len(text) != 2 or not (text.isascii() and text.isalpha()):
        raise ValueError(
            f'{quote(text)} is not a country code of two letters (ISO 3166-1 alpha-2), such as "SE"{meant}'
        )
    if code not in countries.CODES:
        raise ValueError(f"{quote(text)} is no country's code in ISO 3166-1, so it would match no client{meant}")
    return code


def listen_port(addr: str) -> int:
    """Return the port of a canonical listening address."""
    return int(addr.rpartition(":")[2])


def listens_on_loopback(addr: str) -> bool:
    """Tell whether a canonical listening address is reachable from its own machine alone."""
    host = _listen_host(addr)
    return bool(host) and ipaddress.ip_address(host).is_loopback


def is_ip(host: str) -> bool:
    """Tell whether a canonical host is an address, not a name."""
    return _plain_address(host) is not None


def overlap(first: str, second: str) -> bool:
    """Tell whether two canonical listening addresses cannot be bound at the same time.

    ``:port`` takes IPv4 and IPv6, ``0.0.0.0:port`` all of IPv4, ``[::]:port`` all of IPv6.
    """
    if listen_port(first) != listen_port(second):
        return False
    hosts = _listen_host(first), _listen_host(second)
    if hosts[0] == hosts[1] or "" in hosts:
        return True
    one, other = (ipaddress.ip_address(host) for host in hosts)
    return one.version == other.version and (one.is_unspecified or other.is_unspecified)


def _listen_host(addr: str) -> str:
    return addr.rpartition(":")[0].strip("[]")


def _split(text: str) -> tuple[str, int]:
    """Split ``host:port``; IPv6 hosts must be in brackets, which are taken off."""
    host, colon, digits = text.rpartition(":")
    if ":" in host and not host.startswith("["):
        raise ValueError(_without_brackets(text, host, digits))
    if not colon or (text.startswith("[") and text.endswith("]")):
        meant = f":{text}" if _is_port(text) else f"{text}:443" if colon or _plain_address(text) else ""
        raise ValueError(f"{quote(text)} has no port{_did_you_mean(meant)}")
    if not _is_port(digits):
        front, bracket, back = text.rpartition("]")
        meant = f"{front}]:{back}" if bracket and _is_port(back) else ""
        meant = f"{host}:{_SERVICES[digits]}" if digits in _SERVICES else meant
        raise ValueError(f"{quote(text)}: {quote(digits)} is not a port (1 to {_PORT_MAX}){_did_you_mean(meant)}")
    if host.startswith("[") and host.endswith("]"):
        inner = host[1:-1]
        address = _plain_address(inner)
        if address is None or address.version != 6:
            zone = " (zones such as %eth0 are not supported)" if "%" in inner else ""
            raise ValueError(f"{quote(text)}: {quote(inner)} is not an IPv6 address{zone}")
        return inner, int(digits)
    return host, int(digits)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= _PORT_MAX


def _without_brackets(text: str, host: str, digits: str) -> str:
    """Return what is wrong with an IPv6 address that has no brackets: what is behind its last colon may be the port."""
    is_address = _plain_address(text) is not None
    if _is_port(digits) and _plain_address(host) is not None:
        also = " (as it stands, it is an IPv6 address without a port)" if is_address else ""
        meant = quote(f"[{host}]:{digits}")
        return f"{quote(text)}: write an IPv6 address in brackets, with its port behind them: {meant}{also}"
    if is_address:
        return f"{quote(text)} is an IPv6 address without a port; write {quote(f'[{text}]:443')}"
    return f"{quote(text)}: write an IPv6 address in brackets, as in {quote(f'[::1]:{digits if _is_port(digits) else 443}')}"


def _did_you_mean(text: str) -> str:
    return f"; did you mean {quote(text)}?" if text else ""


def _without_scheme(url: str) -> str:
    """Return a hint at the address that a URL may stand for."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0].rpartition("@")[2]
    if scheme.lower() == "unix":
        return _did_you_mean(f"unix:/{rest.lstrip('/')}" if rest.strip("/") else "")
    port = {"http": 80, "ws": 80, "h2c": 80, "https": 443, "wss": 443}.get(scheme.lower())
    has_port = _is_port(authority.rpartition("]")[2].rpartition(":")[2]) and ":" in authority.rpartition("]")[2]
    meant = authority if has_port else f"{authority}:{port}" if authority and port else ""
    over_tls = "; for TLS to it set backend_tls = true on an l7 route" if port == 443 and meant else ""
    return _did_you_mean(meant) + over_tls


def _loopback(host: str, port: int) -> str:
    """Return a hint at the address that a name of loopback may stand for."""
    return _did_you_mean(f"127.0.0.1:{port}" if host.lower() == "localhost" else "")


def _is_ipv4(text: str) -> bool:
    """Tell whether a text is an IPv4 address, which has one form alone."""
    octets = text.split(".")
    return len(octets) == 4 and _OCTETS.issuperset(octets)


def _address(text: str) -> _IPAddress | None:
    """Return the address in ``text``, IPv4-mapped ones as IPv4, or None if it is none."""
    address = _plain_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _plain_address(text: str) -> _IPAddress | None:
    if "%" in text:  # an interface's zone is no part of an address that a file can know
        return None
    # Trying what the text looks like, and nothing else: an exception costs more than the parse.
    try:
        if ":" in text:
            return ipaddress.IPv6Address(text)
        return ipaddress.IPv4Address(text) if text[-1:].isdecimal() else None
    except ValueError:
        return None


def _unix_path(text: str) -> str:
    path = text.removeprefix("unix:")
    if not path.startswith("/"):
        raise ValueError(f'{quote(text)}: the path of a Unix socket must be absolute, as in "unix:/run/app.sock"')
    if not path.isprintable():
        raise ValueError(f"{quote(text)}: the path has characters that cannot be shown")
    if len(path.encode()) > UNIX_PATH_MAX:
        raise ValueError(f"{quote(text)}: the path of a Unix socket has at most {UNIX_PATH_MAX} bytes")
    return path
