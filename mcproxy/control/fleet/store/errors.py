"""What can go wrong between a node and the fleet's store; every text is written for the operator."""

from mcproxy.errors import McproxyError


class FleetStoreError(McproxyError):
    """Base of all errors of the fleet's store; raised itself for what has no class of its own (a bug of either side)."""


class StoreAwayError(FleetStoreError):
    """No member of the store does it now; one may later.

    Attributes:
        reason: why.
        endpoint: the member; "" for several of them, which the reason names.
        unknown: it was a commit, and may have been made all the same.
    """

    def __init__(self, reason: str, endpoint: str = "", *, unknown: bool = False) -> None:
        super().__init__(f"{endpoint}: {reason}" if endpoint else reason)
        self.reason = reason
        self.endpoint = endpoint
        self.unknown = unknown


class StoreDeniedError(FleetStoreError):
    """The store knows this node's name, or none, and does not allow it that; trying again is of no use before somebody changes that."""


class StoreFullError(FleetStoreError):
    """The store takes no more, as its database is as large as it may be; what is there can be read and deleted."""


class TooLargeError(FleetStoreError):
    """One commit is larger than the store takes at once."""


class HistoryLostError(FleetStoreError):
    """What has changed since a revision can't be had: compacted, or the store is another one now. Everything is to be read anew."""


class LeaseEndedError(FleetStoreError):
    """A lease is not there any more: it was not kept alive in time, or it was revoked."""
