"""The settings of the snapshot that is live."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mcproxy.model.state.snapshot import HttpEntry, Timeouts

if TYPE_CHECKING:
    from mcproxy.worker.tools.http_settings import HttpSettings


class Settings:
    """What every connection of a worker reads at the moment that it needs it; nothing is set before the first `update`.

    Attributes:
        timeouts: time limits, in seconds.
        http: limits and engine of HTTP; nothing before `speak_http`.
        proxy_header_bytes: how many a received PROXY header may have.
    """

    __slots__ = ("_entry", "_make_http", "http", "proxy_header_bytes", "timeouts")

    timeouts: Timeouts
    http: "HttpSettings"
    proxy_header_bytes: int

    def __init__(self) -> None:
        self._entry: HttpEntry | None = None
        self._make_http: Callable[[HttpEntry], HttpSettings] | None = None

    def update(self, timeouts: Timeouts, http: HttpEntry) -> None:
        """Take over the settings of a snapshot."""
        self.timeouts = timeouts
        self.proxy_header_bytes = http.proxy_header_bytes
        self._entry = http
        if self._make_http is not None:
            self.http = self._make_http(http)

    def speak_http(self, make: "Callable[[HttpEntry], HttpSettings]") -> None:
        """Have settings of HTTP, too, from now on; ``make`` brings them into the form in which they are read."""
        self._make_http = make
        if self._entry is not None:
            self.http = make(self._entry)
