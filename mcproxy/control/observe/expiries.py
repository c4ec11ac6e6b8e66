"""When the certificates that are served come to their end, and the lists of revoked ones by which clients are judged."""

import asyncio
import os
from collections.abc import Collection, Iterator, Mapping

import msgspec

from mcproxy.control.files.assets import Assets
from mcproxy.model.state.named_files import pairs_of
from mcproxy.model.state.state import RouteKey, State
from mcproxy.model.state.tls_options import terms
from mcproxy.net.sockets import read_memory_file


class Expiries:
    """Reads the certificates and CRLs of live states, each content once: what workers hold counts, not what lies on the disk.

    Attributes:
        crls: the end of the first of the CRLs by which each route judges clients, in seconds since the epoch; as `of` has found it.
    """

    def __init__(self) -> None:
        self._state: State | None = None
        self._assets: Assets | None = None
        self._by_route: Mapping[RouteKey, float] = {}
        self._by_digest: Mapping[str, float] = {}
        self.crls: Mapping[RouteKey, float] = {}

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
        lists = dict(_lists(state))
        digests = {} if assets is None else dict(assets.digests)
        named = [*(path for certificates in routes.values() for path in certificates), *lists.values()]
        wanted = {digests[path] for path in named if path in digests}
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
        self.crls = {key: known[digests[path]] for key, path in lists.items() if digests.get(path) in known}
        self._state, self._assets = state, assets
        return self._by_route


def _lists(state: State) -> Iterator[tuple[RouteKey, str]]:
    """Yield the file of CRLs of each route that judges clients by one."""
    for key, route in state.routes.items():
        listener = state.listeners[route.listener]
        if route.mode == "l7" and listener.protocol == "tls" and (route.tls is not None or listener.tls is not None):
            held = terms(listener.tls, route.tls)
            if held.client_auth != "off" and held.client_crl:
                yield key, held.client_crl


def _end(content: bytes) -> float | None:
    """Return the end of a certificate, or of the first of several CRLs; None for none. Raises `CertificateError`."""
    from mcproxy.control.files.certificates import read_certificate, read_revocations  # noqa: PLC0415 - cryptography is slow to import

    if b"-----BEGIN X509 CRL-----" not in content:
        return read_certificate(content).not_after.timestamp()
    ends = [crl.next_update.timestamp() for crl in read_revocations(content) if crl.next_update is not None]
    return min(ends, default=None)


def _read(files: int, wanted: Collection[str]) -> dict[str, float]:
    from mcproxy.control.files.certificates import CertificateError  # noqa: PLC0415 - cryptography is slow to import

    try:
        contents = msgspec.msgpack.decode(read_memory_file(files), type=dict[str, bytes])
    finally:
        os.close(files)
    ends = {}
    for digest in wanted:
        try:
            end = _end(contents[digest])
        except CertificateError:
            continue  # the check of the configuration has told
        if end is not None:
            ends[digest] = end
    return ends
