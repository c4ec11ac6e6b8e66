"""When the certificates that are served come to their end, and the CAs and lists of revoked ones by which clients are judged."""

import asyncio
import contextlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from mcproxy.control.files.assets import Assets
from mcproxy.control.observe.facts import AuthorityFacts
from mcproxy.model.state.named_files import pairs_of
from mcproxy.model.state.state import RouteKey, State
from mcproxy.model.state.tls_options import TlsTerms, terms
from mcproxy.net.sockets import read_memory_file

Authorities: TypeAlias = Sequence[AuthorityFacts]
"""The CAs in a file."""


class Expiries:
    """Reads the certificates and CRLs of live states, each content once: what workers hold counts, not what lies on the disk.

    Attributes:
        crls: the end of the first of the CRLs by which each route judges clients, in seconds since the epoch; as `of` has found it.
        authorities: the CAs that vouch for the clients of each route that asks for certificates, the one that ends first in front; likewise.
    """

    def __init__(self) -> None:
        self._state: State | None = None
        self._assets: Assets | None = None
        self._by_route: Mapping[RouteKey, float] = {}
        self._by_digest: Mapping[str, float] = {}
        self._authorities: Mapping[str, Authorities] = {}
        self.crls: Mapping[RouteKey, float] = {}
        self.authorities: Mapping[RouteKey, Authorities] = {}

    async def of(self, state: State, assets: Assets | None) -> Mapping[RouteKey, float]:
        """Return the end of each L7 route's certificate, of several the first, in seconds since the epoch; unreadable ones are left out.

        Args:
            state: what is live.
            assets: the contents of the files that it names.
        """
        if state is self._state and assets is self._assets:
            return self._by_route
        routes = {
            key: [certificate for certificate, _ in pairs_of(state, route)]
            for key, route in state.routes.items()
            if route.mode == "l7"
        }
        judging = dict(_judging(state))
        lists = {key: held.client_crl for key, held in judging.items() if held.client_crl}
        digests = {} if assets is None else dict(assets.digests)
        named = [*(path for certificates in routes.values() for path in certificates), *lists.values()]
        wanted = {digests[path] for path in named if digests.get(path)}
        vouching = {digests[held.client_ca] for held in judging.values() if held.client_ca in digests}
        known = {digest: end for digest, end in self._by_digest.items() if digest in wanted}
        authorities = {digest: each for digest, each in self._authorities.items() if digest in vouching}
        missing, unknown = wanted - known.keys(), vouching - authorities.keys()
        if assets is not None and assets.files >= 0 and (missing or unknown):
            # the assets may be closed while they are read
            read = await asyncio.to_thread(_read, os.dup(assets.files), missing, unknown)
            known |= read[0]
            authorities |= read[1]
        self._by_digest, self._authorities = known, authorities
        ends = {
            key: [known[digests[path]] for path in certificates if digests.get(path) in known]
            for key, certificates in routes.items()
        }
        self._by_route = {key: min(each) for key, each in ends.items() if each}
        self.crls = {key: known[digests[path]] for key, path in lists.items() if digests.get(path) in known}
        self.authorities = {
            key: authorities[digests[held.client_ca]]
            for key, held in judging.items()
            if digests.get(held.client_ca) in authorities
        }
        self._state, self._assets = state, assets
        return self._by_route


def _judging(state: State) -> Iterator[tuple[RouteKey, TlsTerms]]:
    """Yield by what each route judges clients that asks for certificates."""
    for key, route in state.routes.items():
        listener = state.listeners[route.listener]
        if route.mode == "l7" and listener.protocol == "tls" and (route.tls is not None or listener.tls is not None):
            held = terms(listener.tls, route.tls)
            if held.client_auth != "off":
                yield key, held


def _end(content: bytes) -> float | None:
    """Return the end of a certificate, or of the CRLs of the CA that has none first; None for none. Raises `CertificateError`."""
    from mcproxy.control.files.certificates import in_force, read_certificate, read_revocations  # noqa: PLC0415 - cryptography is slow to import

    if b"-----BEGIN X509 CRL-----" not in content:
        return read_certificate(content).not_after.timestamp()
    ends = [crl.next_update.timestamp() for crl in in_force(read_revocations(content)) if crl.next_update is not None]
    return min(ends, default=None)


def _vouching(content: bytes) -> Authorities:
    """Return the CAs in a file; raises `CertificateError`."""
    from mcproxy.control.files.certificates import read_authorities  # noqa: PLC0415 - cryptography is slow to import

    found = [AuthorityFacts(each.name, each.not_after.timestamp()) for each in read_authorities(content)]
    return tuple(sorted(found, key=lambda each: (each.not_after, each.name)))


def _read(
    files: int, wanted: Collection[str], vouching: Collection[str]
) -> tuple[dict[str, float], dict[str, Authorities]]:
    """Return the ends of what is ``wanted``, and the CAs in what is ``vouching``, by digest; closes ``files``."""
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
    authorities = {}
    for digest in vouching:
        with contextlib.suppress(CertificateError):  # likewise
            authorities[digest] = _vouching(contents[digest])
    return ends, authorities
