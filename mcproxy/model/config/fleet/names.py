"""The texts of ``[fleet]``: addresses of the store, its prefix, the names of nodes and where they listen."""

import re

from mcproxy.model.values import addresses
from mcproxy.model.values.quoting import quote

NODE_PATTERN = "^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
PREFIX_PATTERN = "^/[A-Za-z0-9._/-]*[A-Za-z0-9._-]$"

_NODE = re.compile(NODE_PATTERN[1:-1])
_PREFIX = re.compile("(?:/[A-Za-z0-9._-]+)+")


def parse_store(text: str) -> str:
    """Return the address of a member of the store in its one form; raises ValueError with a message for the user."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("http", "https"):
        tls = "; that it is spoken to by TLS is said by `ca`" if scheme == "https" else ""
        raise ValueError(
            f'{quote(text)} is a URL; a member of etcd is "host:port": did you mean {quote(rest.strip("/"))}?{tls}'
        )
    endpoint = addresses.parse_backend(text)
    if endpoint.path:
        raise ValueError(f'{quote(text)} is a Unix socket; a member of etcd is "host:port", as in "10.0.0.11:2379"')
    return str(endpoint)


def parse_node(text: str) -> str:
    """Return the name of a node; raises ValueError with a message for the user."""
    if _NODE.fullmatch(text) is None:
        raise ValueError(
            f'{quote(text)} is no name of a node: 1 to 63 letters, digits, ".", "_" and "-", with a letter or digit at both ends, as in "edge-1"'
        )
    return text


def parse_prefix(text: str) -> str:
    """Return what all keys of the fleet begin with, without a slash at its end; raises ValueError with a message for the user."""
    found = text.rstrip("/")
    if _PREFIX.fullmatch(found) is None:
        hint = f"; did you mean {quote('/' + found)}?" if _PREFIX.fullmatch(f"/{found}") else ""
        raise ValueError(
            f'{quote(text)} is no prefix: it begins with "/", and has letters, digits, ".", "_" and "-" '
            f'between slashes, as in "/mcproxy/edge"{hint}'
        )
    return found


def parse_address(text: str) -> str:
    """Return the IP address that a node listens at; raises ValueError with a message for the user."""
    if not text:
        return ""
    if not addresses.is_ip(text):
        raise ValueError(
            f'{quote(text)} is no IP address, as in "192.0.2.11" or "2001:db8::11"; ports are those of the listeners'
        )
    return addresses.parse_ip(text)
