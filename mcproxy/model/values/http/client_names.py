"""Names that a client's certificate may have: patterns of DNS names, URIs and e-mail addresses, in canonical form.

What a certificate is for, its subjectAltName says (RFC 5280 section 4.2.1.6); its common name counts for nothing (RFC 9525
section 2). Whether a name fits is judged in `mcproxy.policy.certificates.clients`.
"""

from mcproxy.late_patterns import late
from mcproxy.model.values import hostnames
from mcproxy.model.values.quoting import quote

PATTERN = r"^[^\s]+$"
"""A rough form for editors; `parse` is the judge."""

_URI = late(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s]+)(/[!-~]*)?")
_MAIL = late(r"([!-?A-~]+)@(\S+)")


def parse(text: str) -> str:
    """Return a pattern in canonical form; raises ValueError with a message for the user."""
    if text == "*":
        raise ValueError('"*" would be everyone whom client_ca vouches for, and that is so without names; leave it out')
    if "://" in text:
        return _uri(text)
    return _mail(text) if "@" in text else hostnames.parse_pattern(text)


def _uri(text: str) -> str:
    match = _URI.fullmatch(text)
    if match is None:
        raise ValueError(f'{quote(text)} is not a URI with a host, such as "spiffe://example.org/service"')
    scheme, host, path = match[1].lower(), match[2].lower(), match[3] or ""
    if "*" in host or "*" in path.removesuffix("/*"):
        raise ValueError(f'{quote(text)}: in a URI "*" stands at the end alone, behind "/", as in "spiffe://prod/*"')
    if any(part in (".", "..") for part in path.split("/")):
        raise ValueError(f'{quote(text)}: a path with "." or ".." in it has no one meaning; write where it leads')
    return f"{scheme}://{host}{path}"


def _mail(text: str) -> str:
    match = _MAIL.fullmatch(text)
    if match is None or "*" in text:
        raise ValueError(f'{quote(text)} is not an e-mail address, such as "ops@example.com"; there are no wildcards')
    return f"{match[1]}@{hostnames.parse_name(match[2])}"
