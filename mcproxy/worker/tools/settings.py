"""The settings of the snapshot that is live."""

from mcproxy.model.state.snapshot import HttpEntry, Timeouts
from mcproxy.worker.tools.http_settings import HttpSettings


class Settings:
    """What every connection of a worker reads at the moment that it needs it; nothing is set before the first `update`.

    Attributes:
        timeouts: time limits, in seconds.
        http: limits and engine of HTTP.
    """

    __slots__ = ("http", "timeouts")

    timeouts: Timeouts
    http: HttpSettings

    def update(self, timeouts: Timeouts, http: HttpEntry) -> None:
        """Take over the settings of a snapshot."""
        self.timeouts = timeouts
        self.http = HttpSettings(http)
