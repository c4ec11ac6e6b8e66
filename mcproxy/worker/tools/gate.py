"""The firewall's rules and the limits of single clients in one worker, and the tables that rates are counted in."""

from fcntl import LOCK_EX, LOCK_UN, flock

from mcproxy.model.state.snapshot import FirewallEntry
from mcproxy.net.geoip import CountryDatabase
from mcproxy.net.memory.admission import AdmissionLock
from mcproxy.net.memory.client_counts import ClientCounts
from mcproxy.net.memory.shared_memory import PROCESS_COUNTS_CLIENTS, SharedMemory
from mcproxy.policy.firewall import Firewall, Rules
from mcproxy.policy.rate_window import MAX_LIMIT, admit, client_key

KNOWN = 4096
"""Addresses of which a gate remembers what its rules say."""


class ClientGate:
    """Judges clients by their address.

    Attributes:
        is_open: nobody is refused, so that addresses need not even be looked at.
        limits_connections: a client may only have so many open, so they are counted.
    """

    __slots__ = (
        "_clients",
        "_countries",
        "_counts",
        "_entry",
        "_firewall",
        "_known",
        "_lock",
        "_memory",
        "_own",
        "_slot",
        "_tables",
        "is_open",
        "limits_connections",
    )

    def __init__(self, memory: SharedMemory, slot: int) -> None:
        """Refuse nobody, until `update`; count connections in the tables of ``slot``."""
        self._memory = memory
        self._slot = slot
        self._lock = AdmissionLock(memory)
        self._counts = ClientCounts(memory.clients(slot))
        self._clients: list[memoryview] = []
        self.limits_connections = False
        self._own = memory.table(slot)
        self._tables: list[memoryview] = []
        self._countries: CountryDatabase | None = None
        self._entry = FirewallEntry()
        self._known: dict[bytes, str | int] = {}  # why an address is refused, or what its rate is counted by
        self._firewall = Firewall((), (), ())
        self.is_open = True

    def update(self, entry: FirewallEntry, database: int | None) -> None:
        """Take over the rules of a snapshot; ``database`` is the descriptor of its country database.

        Raises:
            CountryDatabaseError: that is no such database; the rules in force stay.
        """
        old = self._entry
        if entry.database != old.database:
            self._countries = None if database is None else CountryDatabase(database)
        if _rules(entry) != _rules(old):
            allowed = Rules(entry.allowed_ips, entry.allowed_cidrs, entry.allowed_countries)
            self._firewall = Firewall(
                entry.ips,
                entry.cidrs,
                entry.countries,
                None if allowed == Rules() else allowed,
                denies=entry.default == "deny",
            )
        self._entry = entry
        self._known.clear()
        self.limits_connections = entry.connections_per_client > 0
        denies = entry.default == "deny"
        blocks = bool(entry.ips or entry.cidrs or entry.countries) or denies
        self.is_open = not (blocks or entry.rate_limit or self.limits_connections)

    def refusal(self, packed: bytes, now: float, *, rated: bool = True) -> str | int | None:
        """Return why a client is refused (a counter's word); else count it towards its rate, and let it in.

        Where clients may only have so many connections open, this one is counted too, and what `leave` takes is returned.

        Args:
            packed: its address, 4 or 16 bytes.
            now: monotonic seconds.
            rated: whether it has a rate, and a number of connections; a health check has none.
        """
        known, entry = self._known, self._entry
        verdict = known.get(packed)
        if verdict is None:
            if len(known) >= KNOWN:
                known.clear()
            verdict = self._firewall.judge(packed, self.country) or hash((client_key(packed), entry.rate_window))
            known[packed] = verdict
        if isinstance(verdict, str):
            return verdict
        if not rated:
            return None
        limit = entry.rate_limit
        if limit and not admit(self._own, self._all_tables(), verdict, int(now / entry.rate_window), limit):
            return "rate_limit"
        return self._enter(packed) if self.limits_connections else None

    def admits(self, filter_index: int, subject: bytes, limit: int, window: float, now: float) -> bool:
        """Count a request or connection towards a filter's rate; tell whether there is room for it in this window.

        Args:
            filter_index: the filter's, stable over reloads.
            subject: what is counted as one.
            limit: how many there may be in a window, over all workers.
            window: its length in seconds.
            now: monotonic seconds.
        """
        key = hash((subject, filter_index, window))
        return admit(self._own, self._all_tables(), key, int(now / window), min(limit, MAX_LIMIT))

    def country(self, packed: bytes) -> str | None:
        """Return the country of an address, None if it is in none that is known."""
        return None if self._countries is None else self._countries.country(packed)

    def _enter(self, packed: bytes) -> str | int:
        """Count an open connection of a client, unless it has as many as it may have."""
        key = _key(packed)
        self._note_counting()
        flock(self._lock.fd, LOCK_EX)
        try:
            admitted = self._counts.admit(self._all_clients(), key, self._entry.connections_per_client)
        finally:
            flock(self._lock.fd, LOCK_UN)
        return key if admitted else "connections_per_client"

    def enter_late(self, packed: bytes) -> int:
        """Count a connection that was let in before there was a limit; return what `leave` takes."""
        key = _key(packed)
        self._note_counting()
        self._counts.add(key)
        return key

    def leave(self, key: int) -> None:
        """Count one connection less of a client."""
        self._counts.release(key)

    def _note_counting(self) -> None:
        if not self._clients:
            with self._memory.counter_block(self._slot) as block:
                block[PROCESS_COUNTS_CLIENTS] = 1

    def _all_clients(self) -> list[memoryview]:
        workers = self._memory.slots_used() - 1
        if len(self._clients) != workers:
            self._clients = [self._memory.clients(1 + number) for number in range(workers)]
        return self._clients

    def _all_tables(self) -> list[memoryview]:
        workers = self._memory.slots_used() - 1  # control, in slot 0, admits nobody
        if len(self._tables) != workers:
            others = (self._memory.table(1 + number) for number in range(workers))
            self._tables = [self._own if 1 + number == self._slot else table for number, table in enumerate(others)]
        return self._tables


def _rules(entry: FirewallEntry) -> tuple[object, ...]:
    allowed = entry.allowed_ips, entry.allowed_cidrs, entry.allowed_countries
    return entry.ips, entry.cidrs, entry.countries, allowed, entry.default


def _key(packed: bytes) -> int:
    """Return what connections of a client are counted by: the same in all workers, which share the seed of hashes."""
    return hash((client_key(packed), "connections"))
