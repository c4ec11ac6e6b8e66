"""Addresses to countries, from a MaxMind-format database. The home of maxminddb."""

import socket
from pathlib import Path

import maxminddb

from mcproxy.errors import McproxyError

_COUNTRY_KEYS = ("country", "registered_country")


class CountryDatabaseError(McproxyError):
    """The file is no database that tells countries; the text says why."""


def check_country_database(path: str) -> None:
    """Raise `CountryDatabaseError` or OSError unless ``path`` is a country database."""
    with Path(path).open("rb") as file:
        CountryDatabase(file.fileno())


class CountryDatabase:
    """A database held in an anonymous file, so that its processes share it and no rewrite of the original hurts."""

    __slots__ = ("_reader",)

    def __init__(self, fd: int) -> None:
        """Open the database behind a descriptor, which may be closed afterwards.

        Raises:
            CountryDatabaseError: it is none.
        """
        try:
            self._reader = maxminddb.open_database(f"/proc/self/fd/{fd}", maxminddb.MODE_MMAP_EXT)
        except (maxminddb.InvalidDatabaseError, OSError, ValueError) as error:
            raise CountryDatabaseError(str(error).replace(f"/proc/self/fd/{fd}", "the file")) from error

    def country(self, packed: bytes) -> str | None:
        """Return the ISO 3166 alpha-2 code of an address (4 or 16 bytes), None if the database has none for it."""
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        try:
            record = self._reader.get(socket.inet_ntop(family, packed))
        except (ValueError, maxminddb.InvalidDatabaseError):  # an IPv6 address asked of an IPv4 database; a bad record
            return None
        return _country_of(record)


def _country_of(record: object) -> str | None:
    """Return the code in a record: ``country.iso_code`` as MaxMind has it, or a flat ``country_code`` as others do."""
    if not isinstance(record, dict):
        return None
    flat = record.get("country_code")
    if isinstance(flat, str):
        return flat
    for key in _COUNTRY_KEYS:
        match record.get(key):
            case {"iso_code": str(code)} | str(code):
                return code
    return None
