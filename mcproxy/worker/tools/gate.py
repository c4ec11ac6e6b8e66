"""The firewall's rules and the rate limit in one worker."""

from mcproxy.model.state.snapshot import FirewallEntry
from mcproxy.net.geoip import CountryDatabase
from mcproxy.net.memory.shared_memory import SharedMemory
from mcproxy.policy.firewall import Firewall
from mcproxy.policy.rate_window import admit, client_key


class ClientGate:
    """Judges clients by their address.

    Attributes:
        is_open: nobody is refused, so that addresses need not even be looked at.
    """

    __slots__ = ("_countries", "_entry", "_firewall", "_memory", "_own", "_tables", "is_open")

    def __init__(self, memory: SharedMemory, slot: int) -> None:
        """Refuse nobody, until `update`; count connections in the table of ``slot``."""
        self._memory = memory
        self._own = memory.table(slot)
        self._tables: list[memoryview] = []
        self._countries: CountryDatabase | None = None
        self._entry = FirewallEntry()
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
        if (entry.ips, entry.cidrs, entry.countries) != (old.ips, old.cidrs, old.countries):
            self._firewall = Firewall(entry.ips, entry.cidrs, entry.countries)
        self._entry = entry
        self.is_open = not (entry.ips or entry.cidrs or entry.countries or entry.rate_limit)

    def refusal(self, packed: bytes, now: float, *, rated: bool = True) -> str | None:
        """Return why a client is refused (a counter's word), or None and count it towards its rate.

        Args:
            packed: its address, 4 or 16 bytes.
            now: monotonic seconds.
            rated: whether it has a rate; a health check has none.
        """
        reason = self._firewall.judge(packed, self._country)
        if reason is not None:
            return reason
        entry = self._entry
        if rated and entry.rate_limit:
            length = entry.rate_window
            key = hash((client_key(packed), length))
            if not admit(self._own, self._all_tables(), key, int(now / length), entry.rate_limit):
                return "rate_limit"
        return None

    def _country(self, packed: bytes) -> str | None:
        return None if self._countries is None else self._countries.country(packed)

    def _all_tables(self) -> list[memoryview]:
        workers = self._memory.slots_used() - 1  # control, in slot 0, admits nobody
        if len(self._tables) != workers:
            self._tables = [self._memory.table(1 + number) for number in range(workers)]
        return self._tables
