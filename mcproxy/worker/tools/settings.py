"""The settings of the snapshot that is live."""

from mcproxy.model.state.snapshot import HttpEntry, Timeouts
from mcproxy.worker.tools.http_settings import HttpSettings


class Settings:
    """What every connection of a worker reads at the moment that it needs it; nothing is set before the first `update`.

    Attributes:
        timeouts: time limits, in seconds.
        http: limits and engine of HTTP.
        proxy_header_bytes: how many a received PROXY header may have.
    """

    __slots__ = ("http", "proxy_header_bytes", "timeouts")

    timeouts: Timeouts
    http: HttpSettings
    proxy_header_bytes: int

    def update(self, timeouts: Timeouts, http: HttpEntry) -> None:
        """Take over the settings of a snapshot."""
        self.timeouts = timeouts
        self.http = HttpSettings(http)
        self.proxy_header_bytes = http.proxy_header_bytes
