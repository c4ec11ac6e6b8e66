"""When the certificates that are served come to their end."""

import asyncio
import os
from collections.abc import Collection, Mapping

import msgspec

from mcproxy.control.files.assets import Assets
from mcproxy.model.state.named_files import pairs_of
from mcproxy.model.state.state import RouteKey, State
from mcproxy.net.sockets import read_memory_file


class Expiries:
    """Reads the certificates of live states, each content once: what workers hold counts, not what lies on the disk."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._assets: Assets | None = None
        self._by_route: Mapping[RouteKey, float] = {}
        self._by_digest: Mapping[str, float] = {}

    async def of(self, state: State, assets: Assets | None) -> Mapping[RouteKey, float]:
        """Return the end of each L7 route's certificate, of several the first, in seconds since the epoch; unreadable ones are left out.

        Args:
            state: what is live.
            assets: the contents of the files that it names.
        """
        if state is self._state and assets is self._assets:
            return self._by_route
        routes = {
            key: [certificate for certificate, _ in pairs_of(route)]
            for key, route in state.routes.items()
            if route.mode == "l7"
        }
        digests = {} if assets is None else dict(assets.digests)
        wanted = {digests[path] for certificates in routes.values() for path in certificates if path in digests}
        known = {digest: end for digest, end in self._by_digest.items() if digest in wanted}
        if assets is not None and assets.files >= 0 and wanted - known.keys():
            # the assets may be closed while they are read
            known |= await asyncio.to_thread(_read, os.dup(assets.files), wanted - known.keys())
        self._by_digest = known
        ends = {
            key: [known[digests[path]] for path in certificates if digests.get(path) in known]
            for key, certificates in routes.items()
        }
        self._by_route = {key: min(each) for key, each in ends.items() if each}
        self._state, self._assets = state, assets
        return self._by_route


def _read(files: int, wanted: Collection[str]) -> dict[str, float]:
    from mcproxy.control.files.certificates import CertificateError, read_certificate  # noqa: PLC0415 - cryptography is slow to import

    try:
        contents = msgspec.msgpack.decode(read_memory_file(files), type=dict[str, bytes])
    finally:
        os.close(files)
    ends = {}
    for digest in wanted:
        try:
            ends[digest] = read_certificate(contents[digest]).not_after.timestamp()
        except CertificateError:
            continue  # the check of the configuration has told
    return ends
