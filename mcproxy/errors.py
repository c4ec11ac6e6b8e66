"""The exceptions of the whole package, each named after whose fault it is."""


class McproxyError(Exception):
    """Base of every error that mcproxy raises on purpose; its text is written for the operator."""


class ConfigError(McproxyError):
    """The user's configuration is wrong; carries every problem found.

    Attributes:
        problems: the problems, each an object with file, line, column, severity, key and message, in file order.
    """

    def __init__(self, problems: tuple[object, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class ApplyError(McproxyError):
    """A valid state could not be made live (address in use, descriptors exhausted); the last one goes on serving."""


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
