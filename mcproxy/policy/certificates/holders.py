"""Which names in certificates of clients filters want, each of them one of its own: `client_names`."""

from collections.abc import Sequence

from mcproxy.model.state.filter_options import FilterOptions
from mcproxy.policy.certificates.clients import ClientCertificate, ClientNames
from mcproxy.policy.filters.refusal import Refusal


class Holders:
    """What all filters of a scope want.

    Args:
        filters: names and keys of the filters, the outermost first.
    """

    __slots__ = ("_wanted",)

    def __init__(self, filters: Sequence[tuple[str, FilterOptions]]) -> None:
        self._wanted: list[tuple[ClientNames, Refusal]] = []
        for place, (name, options) in enumerate(filters):
            if options.client_names:
                key, detail = "client_names", f"client_names of the filter {name}"
                refusal = Refusal("allow", name, 403, "client_certificate", detail, place=place, key=key)
                self._wanted.append((ClientNames(options.client_names), refusal))

    def __bool__(self) -> bool:
        """Whether anybody could be refused."""
        return bool(self._wanted)

    def judge(self, shown: ClientCertificate | None) -> Refusal | None:
        """Return what refuses a client with a certificate, or without, the outermost filter first; None lets it pass."""
        for names, refusal in self._wanted:
            if shown is None or not names.fit(shown.names):
                return refusal
        return None
