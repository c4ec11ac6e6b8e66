"""Who may connect and who may not: by address, by network, by country.

The rate limit, which is judged after these, is in `rate_window`.

Addresses are packed, 4 or 16 bytes in network order. IPv4-mapped IPv6 addresses (``::ffff:192.0.2.1``), which a
dual-stack socket shows for IPv4 clients, are judged as the IPv4 address they hold, and so are rules written that way.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable
from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["ip", "cidr", "country"]
Reason: TypeAlias = Literal["ip", "cidr", "country", "not_allowed"]

_MAPPED = bytes(10) + b"\xff\xff"
_MAPPED_PREFIX = 0xFFFF << 32
_MAPPED_LENGTH = 96


def unmap(packed: bytes) -> bytes:
    """Return the IPv4 address inside an IPv4-mapped IPv6 one; any other address as it is."""
    return packed[12:] if len(packed) == 16 and packed.startswith(_MAPPED) else packed


class CidrSet:
    """A set of networks that tells whether one of them holds an address.

    Networks are nested or disjoint, never overlapping otherwise. So those inside another one are dropped, and of the
    rest only the last one that starts at or below the address can hold it: one binary search, whatever the number of
    different prefix lengths (with IPv6 there can be 128 of them).

    Args:
        cidrs: ``address/length`` with no bits set behind the length, IPv4 and IPv6 in any order.

    Raises:
        ValueError: one of them is not of this form.
    """

    __slots__ = ("_v4", "_v6")

    def __init__(self, cidrs: Iterable[str]) -> None:
        v4: list[tuple[int, int]] = []
        v6: list[tuple[int, int]] = []
        for cidr in cidrs:
            bits, start, length = _parse_cidr(cidr)
            (v4 if bits == 32 else v6).append((start, length))
        self._v4 = _disjoint(v4, 32)
        self._v6 = _disjoint(v6, 128)

    def __bool__(self) -> bool:
        """Whether there is any network."""
        return bool(self._v4[0] or self._v6[0])

    def __contains__(self, packed: bytes) -> bool:
        """Whether a network holds the address, which is not IPv4-mapped (see `unmap`)."""
        return self.holds(packed)

    def holds(self, packed: bytes) -> bool:
        """Tell what ``in`` does, without the way from the operator to a method."""
        starts, shifts = self._v4 if len(packed) == 4 else self._v6
        if not starts:
            return False
        value = int.from_bytes(packed)
        # An address below the first network gets index -1, the last network, which does not hold it either.
        index = bisect_right(starts, value) - 1
        return not (value ^ starts[index]) >> shifts[index]

    def find(self, packed: bytes) -> str | None:
        """Return the widest network that holds the address, in canonical form; for explanations, not for the hot path."""
        if packed not in self:
            return None
        starts, shifts = self._v4 if len(packed) == 4 else self._v6
        index = bisect_right(starts, int.from_bytes(packed)) - 1
        first = starts[index].to_bytes(len(packed))
        return f"{ipaddress.ip_address(first)}/{len(packed) * 8 - shifts[index]}"


def trusts(proxies: CidrSet, packed: bytes) -> bool:
    """Tell whether a peer may say in a PROXY header who the client is; nobody named means anybody."""
    return not proxies or unmap(packed) in proxies


def _parse_cidr(cidr: str) -> tuple[int, int, int]:
    """Return bits of the family, first address and prefix length."""
    # A third of the time of ipaddress.ip_network: 100,000 of these are read between two turns of a worker's loop.
    host, _, suffix = cidr.partition("/")
    address = ipaddress.IPv6Address(host) if ":" in host else ipaddress.IPv4Address(host)
    bits, start, length = address.max_prefixlen, int(address), int(suffix)
    if not 0 <= length <= bits or start & (1 << bits - length) - 1:
        raise ValueError(f"{cidr}: bits set behind the prefix length, or a length that does not fit the address")
    if bits == 128 and length >= _MAPPED_LENGTH and start & ~0xFFFFFFFF == _MAPPED_PREFIX:
        return 32, start & 0xFFFFFFFF, length - _MAPPED_LENGTH
    return bits, start, length


def _disjoint(networks: list[tuple[int, int]], bits: int) -> tuple[list[int], bytes]:
    """Return first addresses, ascending, and how many bits each network leaves free, without those inside others."""
    starts: list[int] = []
    shifts = bytearray()
    last = -1
    for start, length in sorted(networks):  # of networks with the same start the widest comes first
        if start > last:
            starts.append(start)
            shifts.append(bits - length)
            last = start | (1 << bits - length) - 1
    return starts, bytes(shifts)


class Rules(msgspec.Struct, frozen=True):
    """Whom the firewall blocks and allows.

    Attributes:
        ips: addresses.
        cidrs: networks, as `CidrSet` takes them.
        countries: ISO 3166 alpha-2 codes, upper case.
    """

    ips: Collection[str] = ()
    cidrs: Collection[str] = ()
    countries: Collection[str] = ()


class _Clients:
    """A set of clients: by address, by network, by country."""

    __slots__ = ("cidrs", "countries", "ips")

    def __init__(self, rules: Rules) -> None:
        self.ips = frozenset(unmap(ipaddress.ip_address(ip).packed) for ip in rules.ips)
        self.cidrs = CidrSet(rules.cidrs) or None
        self.countries = frozenset(rules.countries)

    def find(self, packed: bytes, country: Callable[[bytes], str | None]) -> Kind | None:
        """Return by what a client, whose address is not IPv4-mapped, is in the set; the country is asked for last."""
        if packed in self.ips:
            return "ip"
        if self.cidrs is not None and self.cidrs.holds(packed):
            return "cidr"
        if self.countries and country(packed) in self.countries:
            return "country"
        return None

    def value(self, kind: Kind, packed: bytes, country: Callable[[bytes], str | None]) -> str:
        """Return the value of the rule of a kind that a client is in the set by."""
        if kind == "ip":
            return str(ipaddress.ip_address(packed))
        return (self.cidrs.find(packed) if kind == "cidr" and self.cidrs else country(packed)) or ""


class Firewall:
    """The firewall's rules, ready to judge: who is allowed passes; of the others those that are not blocked, unless all are denied.

    Args:
        ips, cidrs, countries: who is refused, as in `Rules`.
        allowed: who passes whatever else is said of them.
        denies: whether all others are refused.

    Raises:
        ValueError: an address or a network is malformed.
    """

    __slots__ = ("_allowed", "_blocked", "_denies")

    def __init__(
        self,
        ips: Iterable[str],
        cidrs: Iterable[str],
        countries: Iterable[str],
        allowed: Rules | None = None,
        *,
        denies: bool = False,
    ) -> None:
        self._blocked = _Clients(Rules(tuple(ips), tuple(cidrs), tuple(countries)))
        self._allowed = None if allowed is None else _Clients(allowed)
        self._denies = denies

    def judge(self, packed: bytes, country: Callable[[bytes], str | None]) -> Reason | None:
        """Return why the client is refused, the first reason in the order ip, cidr, country; None lets it pass.

        Args:
            packed: the client's address.
            country: tells an address's country, None if it is not known; asked only when a country is allowed or blocked
                and nothing else decides about the client.
        """
        if len(packed) == 16 and packed.startswith(_MAPPED):
            packed = packed[12:]
        if self._allowed is not None and self._allowed.find(packed, country) is not None:
            return None
        return self._blocked.find(packed, country) or ("not_allowed" if self._denies else None)

    def find(self, packed: bytes, country: Callable[[bytes], str | None]) -> tuple[str, str] | None:
        """Return type and value of the rule that decides; for explanations, not for the hot path.

        Types of rules are those of the State; None if no rule names the client.
        """
        packed = unmap(packed)
        for clients, prefix in ((self._allowed, "allowed_"), (self._blocked, "")):
            kind = clients.find(packed, country) if clients is not None else None
            if clients is not None and kind is not None:
                return f"{prefix}{kind}", clients.value(kind, packed, country)
        return None
