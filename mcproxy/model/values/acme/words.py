"""The words of `[acme]` and of the names in a certificate: directories of CAs, addresses, servers of zones, lists of names."""

from mcproxy.model.values import addresses, hostnames
from mcproxy.model.values.quoting import quote

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"

DNS_PORT = 53
_WORDS = {"staging": STAGING, "letsencrypt": LETS_ENCRYPT}


def parse_directory(text: str) -> str:
    """Return the URL of a CA's directory, "" for none; raises ValueError with a message for the user."""
    if text == "" or text in _WORDS:
        return _WORDS.get(text, text)
    from urllib.parse import urlsplit  # noqa: PLC0415 - slow to import, and workers read no such word

    try:
        parts = urlsplit(text)
        whole = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(
            f'{quote(text)} is no directory: write its URL, "https://..." (RFC 8555 section 6.1), or "staging"'
        )
    return text


def parse_email(text: str) -> str:
    """Return an e-mail address, "" for none; raises ValueError with a message for the user."""
    plain = text.removeprefix("mailto:")
    name, _, host = plain.rpartition("@")
    if plain and (not name or "@" in name or not host or not plain.isprintable() or set(" ,;<>") & set(plain)):
        raise ValueError(f'{quote(text)} is no e-mail address; write one, as in "ops@example.com"')
    return plain


def parse_server(text: str) -> str:
    """Return the address of a DNS server with its port, "" for none; raises ValueError with a message for the user."""
    if text == "":
        return text
    plain = text if ":" not in text or addresses.is_ip(text) else ""
    try:
        found = addresses.parse_ip(plain) if plain else ""
        whole = f"[{found}]:{DNS_PORT}" if ":" in found else f"{found}:{DNS_PORT}"
        server = addresses.parse_listen(whole if plain else text)
    except ValueError:
        server = ":"
    if server.startswith(":"):
        raise ValueError(f'{quote(text)} is no address of a DNS server: write "10.0.0.53" or "[2001:db8::53]:53"')
    return server


def parse_names(text: str) -> tuple[str, ...]:
    """Return names with commas between them, "" for none; raises ValueError with a message for the user."""
    return tuple(hostnames.parse_pattern(part.strip()) for part in text.split(",")) if text.strip() else ()


def several(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the value of an array of names."""
    return names


def listed(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names, which are an array in the file."""
    return names


def render_names(names: tuple[str, ...]) -> str:
    """Return names as one text: the inverse of `parse_names`."""
    return ", ".join(names)
