"""Who may come: the networks and countries that filters allow and block.

Guards add up: a client has to be in the networks and in the countries that each filter allows, and in none that one blocks.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.policy.filters.refusal import Refusal
from mcproxy.policy.firewall import CidrSet, unmap

CountryOf: TypeAlias = Callable[[bytes], str | None]
"""Tells the country of a packed address, None if it is not known."""


class Access:
    """The networks and countries of all filters of a scope.

    Args:
        filters: names and keys of the filters, the outermost first.
    """

    __slots__ = ("_guards",)

    def __init__(self, filters: Sequence[tuple[str, FilterOptions]]) -> None:
        self._guards: list[tuple[CidrSet | frozenset[str], bool, Refusal]] = []
        for place, (name, options) in enumerate(filters):
            for key, values, allows in (
                ("block_cidrs", options.block_cidrs, False),
                ("allow_cidrs", options.allow_cidrs, True),
                ("block_countries", options.block_countries, False),
                ("allow_countries", options.allow_countries, True),
            ):
                if values:
                    members = CidrSet(values) if key.endswith("cidrs") else frozenset(values)
                    reason = f"filter_{'network' if isinstance(members, CidrSet) else 'country'}"
                    refusal = Refusal("allow", name, 403, reason, f"{key} of the filter {name}", place=place, key=key)
                    self._guards.append((members, allows, refusal))

    def __bool__(self) -> bool:
        """Whether anybody could be refused."""
        return bool(self._guards)

    def judge(self, packed: bytes, country: CountryOf) -> Refusal | None:
        """Return what refuses a client, the outermost filter first; None lets it pass.

        Args:
            packed: the client's address.
            country: asked at most once, and only where networks have not decided. Who is in no known country is in none that is
                allowed, and in none that is blocked.
        """
        packed = unmap(packed)
        code: str | None = None
        known = False
        for members, allows, refusal in self._guards:
            if isinstance(members, CidrSet):
                inside = packed in members
            else:
                if not known:
                    code, known = country(packed), True
                inside = code in members
            if inside is not allows:
                return refusal
        return None
