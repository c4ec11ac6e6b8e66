"""What can go wrong between a client and its server; every text is written for the operator."""

from mcproxy.errors import McproxyError


class ClientError(McproxyError):
    """Base of all errors of the client; raised itself for what has no class of its own (an error inside the server)."""


class AddressError(ClientError):
    """The server's address is wrong, or what it needs is missing; nothing was tried."""


class InvalidArgumentError(ClientError):
    """The server refuses a value.

    Attributes:
        violations: each wrong field and what is wrong with it; may be empty.
    """

    def __init__(self, message: str, violations: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.violations = violations


class NotFoundError(ClientError):
    """There is no such listener, route, policy, rule, edit or generation."""


class AlreadyExistsError(ClientError):
    """What is to be added is there already."""


class FailedPreconditionError(ClientError):
    """Something stands in the way: the config file is invalid, an address is in use, nothing waits for confirmation ..."""


class AbortedError(ClientError):
    """Another generation is live than the one that was expected."""


class UnavailableError(ClientError):
    """No server answers, or it can't do it now; it may later."""


class PermissionDeniedError(ClientError):
    """The server's socket can't be opened by this user, or the server refuses the client's certificate."""


class TimedOutError(ClientError):
    """No answer came in time; whether a change was made is not known (repeat it with the same ``request_id``)."""


class UnsupportedError(ClientError):
    """The server doesn't know this method: it is another version."""
