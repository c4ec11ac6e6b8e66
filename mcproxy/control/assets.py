"""Files that workers need beside the snapshot, read once by control and passed as anonymous files.

Workers may run as a user who can't read the originals, and must not stumble over one that is being rewritten.
"""

import hashlib
import os
from pathlib import Path

from mcproxy.errors import ApplyError
from mcproxy.model.state import State
from mcproxy.net.sockets import memory_file


class Assets:
    """The contents of the files that one state names.

    Attributes:
        country_database: SHA-256 of the country database, "" when there is none.
        country_database_fd: descriptor of its contents, -1 when there is none.
    """

    def __init__(self, state: State) -> None:
        """Read the files; raises `ApplyError` when one can't be read."""
        self.country_database = ""
        self.country_database_fd = -1
        path = str(state.settings["firewall.geoip_db"])
        if path:
            try:
                content = Path(path).read_bytes()
                self.country_database_fd = memory_file("mcproxy-countries", content)
            except OSError as error:
                raise ApplyError(f"{path}: {error.strerror}") from error
            self.country_database = hashlib.sha256(content).hexdigest()

    def close(self) -> None:
        """Close the descriptors; workers hold their own."""
        if self.country_database_fd >= 0:
            os.close(self.country_database_fd)
            self.country_database_fd = -1
