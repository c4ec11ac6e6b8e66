"""Files that workers need beside the snapshot, read once by control and passed as anonymous files.

Workers may run as a user who can't read the originals, and must not stumble over one that is being rewritten.
"""

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from mcproxy.errors import ApplyError
from mcproxy.model.state import State
from mcproxy.net.sockets import memory_file


class Assets:
    """The contents of the files that one state names.

    Attributes:
        digests: SHA-256 of each file by path, in hexadecimal.
        countries: descriptor of the country database, -1 when there is none.
        files: descriptor of certificates, keys and CAs: MessagePack of the contents by digest; -1 when there are none.
    """

    def __init__(self, state: State) -> None:
        """Read the files; raises `ApplyError` when one can't be read."""
        self.digests: dict[str, str] = {}
        self.countries = self.files = -1
        database = str(state.settings["firewall.geoip_db"])
        contents: dict[str, bytes] = {}
        for name in named_files(state):
            try:
                content = Path(name).read_bytes()
            except OSError as error:
                raise ApplyError(f"{name}: {error.strerror}") from error
            self.digests[name] = hashlib.sha256(content).hexdigest()
            if name == database:
                self.countries = _stored("mcproxy-countries", content)
            else:
                contents[self.digests[name]] = content
        if contents:
            self.files = _stored("mcproxy-files", msgspec.msgpack.encode(contents))

    def renewed_since(self, before: "Assets") -> list[str]:
        """Return the files whose contents are others than before, though they are named as before."""
        return sorted(
            name for name in self.digests.keys() & before.digests if self.digests[name] != before.digests[name]
        )

    def close(self) -> None:
        """Close the descriptors; workers hold their own."""
        for fd in (self.countries, self.files):
            with contextlib.suppress(OSError):
                os.close(fd)
        self.countries = self.files = -1


def named_files(state: State) -> list[str]:
    """Return the paths of the files whose contents belong to a state, each once."""
    found = dict.fromkeys([str(state.settings["firewall.geoip_db"])])
    for route in state.routes.values():
        if route.mode == "l7":
            found |= dict.fromkeys((route.tls_cert, route.tls_key, route.backend_ca if route.backend_tls else ""))
    return [name for name in found if name]


def _stored(name: str, content: bytes) -> int:
    try:
        return memory_file(name, content)
    except OSError as error:
        raise ApplyError(f"no memory for {name}: {error.strerror}") from error
