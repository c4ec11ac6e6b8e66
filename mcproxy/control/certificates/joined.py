"""What ordering needs of control: terms from settings, a store that may be away, workers that answer; loaded with the first order."""

import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from mcproxy.control.acme.interface import AcmeError, Bundle, Challenge, DnsHook, DnsServer, Kind, Terms
from mcproxy.control.certificates.managed import FleetManager
from mcproxy.control.certificates.shared import SharedCertificates
from mcproxy.control.files.look import look
from mcproxy.control.reconcile.current import Current
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.control.reconcile.runtime_edits import RuntimeEdits
from mcproxy.control.system import log
from mcproxy.control.workers.challenges import Challenges
from mcproxy.errors import ApplyError
from mcproxy.model.state.state import SettingValue
from mcproxy.model.values.acme.places import file_of, folder
from mcproxy.named_file import read_file
from mcproxy.net.sockets import split_addr
from mcproxy.policy.acme.record import Record

__all__ = ["FleetManager", "Kept", "Outside", "SystemClock", "terms_of"]


def terms_of(settings: Mapping[str, SettingValue]) -> Terms:
    """Return how certificates are ordered by the settings; blocking, as keys are read.

    Raises:
        AcmeError: a key can't be read.
    """
    said = {key.removeprefix("acme."): str(value) for key, value in settings.items() if key.startswith("acme.")}
    dns: DnsServer | DnsHook | None = None
    if said["dns.exec"]:
        dns = DnsHook(said["dns.exec"])
    elif said["dns.server"]:
        host, port = split_addr(said["dns.server"])
        dns = DnsServer(host, port, said["dns.zone"], _text("acme.dns.tsig_key", said["dns.tsig_key"]))
    return Terms(
        folder=Path(folder(settings)),
        directory=said["directory"],
        ca=said["ca"],
        email=said["email"],
        challenge=msgspec.convert(said["challenge"], Kind),
        profile=said["profile"],
        eab_kid=said["eab.kid"],
        eab_key=_text("acme.eab.key", said["eab.key"]).strip(),
        dns=dns,
    )


def _text(setting: str, path: str) -> str:
    try:
        return read_file(path).decode() if path else ""
    except OSError as error:
        raise AcmeError(f"{setting}: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AcmeError(f"{setting}: {path} is no text") from error


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(read_file(path)).hexdigest()
    except OSError as error:
        raise ApplyError(f"{path}: {error.strerror}") from error


class Kept:
    """What survives a restart, in the database as soon as it can be opened; raises `StoreError` before."""

    def __init__(self, edits: RuntimeEdits) -> None:
        self._edits = edits

    async def records(self) -> Sequence[Record]:
        """Return all records."""
        return await self._edits.store.order_records()

    async def save(self, record: Record) -> None:
        """Put a record in the place of the earlier one of its name."""
        await self._edits.store.keep_order(record)

    async def forget(self, name: str) -> None:
        """Remove a name's record."""
        await self._edits.store.forget_order(name)

    async def count_order(self, at: float) -> None:
        """Note that an order is begun."""
        await self._edits.store.count_order(at)

    async def orders_since(self, at: float) -> Sequence[float]:
        """Return when orders were begun, of those later than a time."""
        return await self._edits.store.orders_since(at)


class Outside:
    """Publishes challenges at the workers, and has certificates served."""

    def __init__(
        self, current: Current, reconciler: Reconciler, challenges: Challenges, shared: SharedCertificates
    ) -> None:
        self._shared = shared
        self._current = current
        self._reconciler = reconciler
        self._challenges = challenges
        self._log = log.logger()

    async def publish(self, challenges: Sequence[Challenge]) -> None:
        """Return once every worker answers these, on all nodes of a fleet."""
        await self._challenges.publish(challenges)
        await self._shared.publish(challenges)

    async def withdraw(self, challenges: Sequence[Challenge]) -> None:
        """Have them answered no more."""
        await self._challenges.withdraw(challenges)
        await self._shared.withdraw(challenges)

    async def install(self, name: str, bundle: Bundle) -> None:  # noqa: ARG002 - it is read from its file, as after a restart
        """Have the files read again; returns when that has ended.

        Raises:
            ApplyError: it can't be served.
        """
        self._log.info("a certificate was issued", name=name)
        ended = await self._reconciler.reload()
        applier = self._current.applier
        path = file_of(applier.state.settings, name)
        digest = await look(_digest, path)
        if applier.assets is None or applier.assets.digests.get(path) not in (digest, None):  # None: wanted no more
            raise ApplyError("; ".join(ended.problems) or f"{path} is not what is served")

    def tell(self, name: str, message: str) -> None:
        """Log what went wrong, and tell who watches."""
        about = {"name": name} if name else {}
        self._log.warning(message, **about)
        generation = self._current.applier.generation
        self._current.events.publish("certificate", f"{name}: {message}" if name else message, generation)


class SystemClock:
    """The time of the system, and chance."""

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def random(self) -> float:
        """Return a number from 0 to 1."""
        return random.random()  # noqa: S311 - nothing is secret about when a CA is asked
