"""Where the fleet's store is, and how a node shows there who it is."""

import msgspec

from mcproxy.named_file import read_file


class Target(msgspec.Struct, frozen=True):
    """The store of a fleet.

    Attributes:
        endpoints: its members, each ``host:port``, at least one.
        prefix: what the fleet's keys begin with, without a slash at the end.
        ca: path of the CA (PEM) that has signed the members' certificates; "" without TLS.
        cert, key: paths of the certificate and key that the node shows; "" with no client certificate.
    """

    endpoints: tuple[str, ...]
    prefix: str
    ca: str = ""
    cert: str = ""
    key: str = ""

    def credentials(self) -> tuple[bytes, bytes | None, bytes | None]:
        """Return CA, key and certificate as the files have them now, None for those that are not named; raises OSError."""
        named = [read_file(path) if path else None for path in (self.key, self.cert)]
        return read_file(self.ca), named[0], named[1]
