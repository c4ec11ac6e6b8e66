"""Addresses of backends that did not answer lately: others are tried before them."""

from mcproxy.net.sockets import SocketAddress

_FOR = 30.0  # seconds
_MOST = 1024


class FailingAddresses:
    """What all dials of a worker have found out; time is an argument (monotonic seconds).

    Attributes:
        until: until when an address comes after others; empty as long as nothing fails.
    """

    __slots__ = ("until",)

    def __init__(self) -> None:
        self.until: dict[SocketAddress, float] = {}

    def failed(self, address: SocketAddress, now: float) -> None:
        """Note that an address refused, was silent, or was slower than one that was tried after it."""
        if len(self.until) >= _MOST:
            self.until = {each: until for each, until in self.until.items() if until > now}
            if len(self.until) >= _MOST:
                self.until.clear()
        self.until[address] = now + _FOR

    def worked(self, address: SocketAddress) -> None:
        """Note that an address has answered."""
        self.until.pop(address, None)

    def postpones(self, address: SocketAddress, now: float) -> bool:
        """Tell whether others come first. When its time is over one dial finds out, for which it does not."""
        until = self.until.get(address)
        if until is None:
            return False
        if now < until:
            return True
        self.until[address] = now + _FOR
        return False
