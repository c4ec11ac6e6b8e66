"""Files that workers need beside the snapshot: read or opened by control, and passed as descriptors.

Workers may run as a user who can't open the originals, and must not stumble over one that is being rewritten.
"""

import contextlib
import hashlib
import os
from collections.abc import Collection

import msgspec

from mcproxy.control.files.contents import Contents
from mcproxy.control.files.loading import serves
from mcproxy.errors import ApplyError
from mcproxy.model.state.named_files import named_files, ordered_files
from mcproxy.model.state.state import State
from mcproxy.model.values.paths import STDOUT
from mcproxy.named_file import COUNTRIES_LIMIT, LIMIT, touching
from mcproxy.net import line_file
from mcproxy.net.sockets import memory_file, read_memory_file


class Assets:
    """The contents of the files that one state names, and the access log.

    Attributes:
        digests: SHA-256 of each file by path, in hexadecimal; "" of a certificate that is ordered from a CA and not there yet.
        countries: descriptor of the country database, -1 when there is none.
        access: descriptor of the access log, -1 when there is none.
        files: descriptor of certificates, keys and CAs: MessagePack of the contents by digest; -1 when there are none.
    """

    def __init__(
        self,
        state: State,
        known: "Assets | None" = None,
        contents: Contents | None = None,
        again: Collection[str] = (),
    ) -> None:
        """Read the files and open the access log.

        Args:
            state: names the files.
            known: contents that are not read again, of the files that they were read from.
            contents: reads the files, where others have read some of them in the same look.
            again: files that are read though they are known.

        Raises:
            ApplyError: a file can't be read or opened.
        """
        self.digests: dict[str, str] = {}
        self.countries = self.files = self.access = -1
        self._access_path = str(state.settings["log.access"])
        self._countries_path = str(state.settings["firewall.geoip_db"])
        try:
            self._read(state, known, Contents() if contents is None else contents, again)
            if self._access_path:
                self.access = self._open_access_log()
        except BaseException:
            self.close()
            raise

    def with_ordered(self, state: State) -> "Assets":
        """Return the contents with those of certificates that a CA has issued since, or these where there are none.

        Args:
            state: whose files these are.

        Raises:
            ApplyError: a file can't be opened.
        """
        contents, fresh = Contents(), []
        for path in ordered_files(state):
            with contextlib.suppress(OSError):
                content = contents.read(path)
                if hashlib.sha256(content).hexdigest() != self.digests.get(path) and serves(content):
                    fresh.append(path)
        return Assets(state, self, contents, fresh) if fresh else self

    def renewed_since(self, before: "Assets") -> list[str]:
        """Return the files whose contents are others than before, though they are named as before."""
        return sorted(
            name for name in self.digests.keys() & before.digests if self.digests[name] != before.digests[name]
        )

    def fits(self, state: State) -> bool:
        """Tell whether another state names the same files; whether these have changed is not looked at."""
        same_log = self._access_path == str(state.settings["log.access"])
        return same_log and self.digests.keys() == set(named_files(state))

    def contents(self) -> dict[str, bytes]:
        """Return what each file held when it was read, by path."""
        stored = {} if self.files < 0 else msgspec.msgpack.decode(read_memory_file(self.files), type=dict[str, bytes])
        found = {name: stored[digest] for name, digest in self.digests.items() if digest in stored}
        if self.countries >= 0:
            found[self._countries_path] = read_memory_file(self.countries)
        return found

    def reopen_access_log(self) -> None:
        """Open the access log again, behind the same descriptor: the file may have been renamed to make room.

        Raises:
            ApplyError: it can't be opened; the descriptor is still that of the file opened before.
        """
        if self.access >= 0:
            fresh = self._open_access_log()
            os.dup2(fresh, self.access, inheritable=False)
            os.close(fresh)

    def close(self) -> None:
        """Close the descriptors; workers hold their own."""
        for fd in (self.countries, self.files, self.access):
            with contextlib.suppress(OSError):
                os.close(fd)
        self.countries = self.files = self.access = -1

    def _read(self, state: State, known: "Assets | None", contents: Contents, again: Collection[str]) -> None:
        found: dict[str, bytes] = {}
        kept = {} if known is None else known.contents()
        ordered = set(ordered_files(state))
        for name in named_files(state):
            try:
                limit = COUNTRIES_LIMIT if name == self._countries_path else LIMIT
                content = (name not in again and kept.get(name)) or contents.read(name, limit)
            except OSError as error:
                if name in ordered:
                    self.digests[name] = ""
                    continue
                raise ApplyError(f"{name}: {error.strerror}") from error
            if name in ordered and not serves(content):
                self.digests[name] = ""
                continue
            self.digests[name] = hashlib.sha256(content).hexdigest()
            if name == self._countries_path:
                self.countries = _stored("mcproxy-countries", content)
            else:
                found[self.digests[name]] = content
        if found:
            self.files = _stored("mcproxy-files", msgspec.msgpack.encode(found))

    def _open_access_log(self) -> int:
        path = self._access_path
        try:
            if path == STDOUT:
                return line_file.open_stdout()
            with touching(path):
                return line_file.open_file(path)
        except OSError as error:
            what = "standard output" if path == STDOUT else path
            raise ApplyError(f"log.access: {what} can't be opened: {error.strerror}") from error


def _stored(name: str, content: bytes) -> int:
    try:
        return memory_file(name, content)
    except OSError as error:
        raise ApplyError(f"no memory for {name}: {error.strerror}") from error
