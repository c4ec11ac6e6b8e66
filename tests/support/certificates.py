"""Certificates for tests, as files: one CA for the whole run, and leaves of it."""

from datetime import datetime
from pathlib import Path

import msgspec

from mcproxy.control.files.certificates import issue, make_ca


class Leaf(msgspec.Struct, frozen=True):
    """Paths of a certificate and its key (PEM)."""

    certificate: Path
    key: Path


class Certificates:
    """A CA in a folder, issuing leaves into it.

    Attributes:
        ca: path of the CA's certificate, for clients to trust.
    """

    def __init__(self, folder: Path, common_name: str = "test CA") -> None:
        self._folder = folder
        self._ca = make_ca(common_name)
        self._leaves: dict[object, Leaf] = {}
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(self._ca.certificate)

    def server(self, *names: str, not_before: datetime | None = None, not_after: datetime | None = None) -> Leaf:
        """Return a server certificate for exactly these names; the same one when asked again."""
        return self._leaf(names, not_before, not_after, client=False)

    def client(self, name: str) -> Leaf:
        """Return a client certificate whose subject is ``CN=name``."""
        return self._leaf((name,), None, None, client=True)

    def _leaf(
        self, names: tuple[str, ...], not_before: datetime | None, not_after: datetime | None, *, client: bool
    ) -> Leaf:
        key = (names, not_before, not_after, client)
        if key not in self._leaves:
            pair = issue(self._ca, names, not_before=not_before, not_after=not_after, client=client)
            stem = self._folder / f"leaf-{len(self._leaves)}"
            leaf = Leaf(stem.with_suffix(".crt"), stem.with_suffix(".key"))
            leaf.certificate.write_bytes(pair.certificate)
            leaf.key.write_bytes(pair.key)
            self._leaves[key] = leaf
        return self._leaves[key]
