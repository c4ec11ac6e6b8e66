"""An end of TLS whose peer has a certificate."""

import ssl
from typing import Any


class TlsPeer(ssl.SSLObject):
    """An end of TLS whose peer may have a certificate with names that are no text: it counts as one without names.

    The event loop asks for it as soon as the handshake is complete, and would tell of an error of its own.
    """

    def getpeercert(self, binary_form: bool = False) -> Any:  # noqa: FBT001, FBT002 - as the base class has it
        """Return what the peer's certificate says, or itself; None where there is none."""
        try:
            return super().getpeercert(binary_form)
        except UnicodeDecodeError:
            return {}
