"""The exceptions of the whole package, each named after whose fault it is."""


class McproxyError(Exception):
    """Base of every error that mcproxy raises on purpose; its text is written for the operator."""


class ConfigError(McproxyError):
    """The user's configuration is wrong; carries every problem found.

    Attributes:
        problems: the problems, each an object with file, line, column, severity, key and message, in file order.
        sources: the files as they were read, each an object with path and text, as far as they could be.
    """

    def __init__(self, problems: tuple[object, ...], sources: tuple[object, ...] = ()) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
        self.sources = sources


class ApplyError(McproxyError):
    """A valid state could not be made live (address in use, descriptors exhausted); the last one goes on serving."""


class RequestError(McproxyError):
    """What an operator asks of the running proxy can't be done; nothing has changed."""


class InvalidRequestError(RequestError):
    """Fields of the request are wrong.

    Attributes:
        violations: pairs of a field's name and what is wrong with it.
    """

    def __init__(self, violations: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(f"{field}: {message}" if field else message for field, message in violations))
        self.violations = violations


class NotFoundError(RequestError):
    """What the request is about is not there."""


class AlreadyExistsError(RequestError):
    """What the request adds is there already."""


class PreconditionError(RequestError):
    """The state of the proxy stands in the way; another state may not."""


class StaleGenerationError(RequestError):
    """The generation that the request expects is not the live one any more."""


class UnavailableError(RequestError):
    """What the request needs is away now, such as the store of the fleet; the same request may succeed later."""


class ExportError(McproxyError):
    """Runtime edits could not be written into the user's files, and were not."""


class ProtocolError(McproxyError):
    """The peer sent bytes that its protocol forbids.

    Attributes:
        reason: a short, stable word for counters (``not_tls``, ``bad_hello`` ...).
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class ChannelError(McproxyError):
    """The other end of a control channel broke the message format, or its descriptors do not fit the manifest."""


class NativeCoreError(McproxyError):
    """The native data path can't be had here; the Python one does the same."""
