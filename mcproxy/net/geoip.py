"""Addresses to countries, from a MaxMind-format database. The home of maxminddb.

It is imported with the first database: that takes a tenth of a worker's start, and few block countries.
"""

import os
import socket
from itertools import islice
from typing import TYPE_CHECKING

from mcproxy.errors import McproxyError
from mcproxy.named_file import COUNTRIES_LIMIT, read_file
from mcproxy.net.sockets import memory_file

if TYPE_CHECKING:
    import maxminddb

_COUNTRY_KEYS = ("country", "registered_country")
_LOOKED_AT = 1000  # records of a database, until it is taken for one of something else (of networks' owners, say)


class CountryDatabaseError(McproxyError):
    """The file is no database that tells countries; the text says why."""


def check_country_database(content: bytes) -> None:
    """Raise `CountryDatabaseError` unless a file that holds this is a country database; OSError if memory is short."""
    country_database(content).check()


def open_country_database(path: str) -> "CountryDatabase":
    """Return the country database at ``path``, read as a whole; raises `CountryDatabaseError` or OSError."""
    return country_database(read_file(path, COUNTRIES_LIMIT))


def country_database(content: bytes) -> "CountryDatabase":
    """Return the country database that a file holds; raises `CountryDatabaseError`, or OSError if memory is short."""
    fd = memory_file("mcproxy-countries", content)
    try:
        return CountryDatabase(fd)
    finally:
        os.close(fd)


class CountryDatabase:
    """A database held in an anonymous file, so that its processes share it and no rewrite of the original hurts."""

    __slots__ = ("_invalid", "_reader")

    _reader: "maxminddb.Reader"

    def __init__(self, fd: int) -> None:
        """Open the database behind a descriptor, which may be closed afterwards.

        Raises:
            CountryDatabaseError: it is none.
        """
        import maxminddb  # noqa: PLC0415 - see above

        self._invalid = maxminddb.InvalidDatabaseError
        try:
            self._reader = maxminddb.open_database(f"/proc/self/fd/{fd}", maxminddb.MODE_AUTO)
        except (maxminddb.InvalidDatabaseError, OSError, ValueError) as error:
            raise CountryDatabaseError(str(error).replace(f"/proc/self/fd/{fd}", "the file")) from error

    def check(self) -> None:
        """Raise `CountryDatabaseError` when it can be read, but tells no countries."""
        try:
            told = any(_country_of(record) for _, record in islice(self._reader, _LOOKED_AT))
        except (self._invalid, ValueError) as error:
            raise CountryDatabaseError(f"a record can't be read: {error}") from error
        if not told:
            raise CountryDatabaseError("it has no country codes; is it a database of something else?")

    def country(self, packed: bytes) -> str | None:
        """Return the ISO 3166 alpha-2 code of an address (4 or 16 bytes), None if the database has none for it."""
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        try:
            record = self._reader.get(socket.inet_ntop(family, packed))
        except (ValueError, self._invalid):  # an IPv6 address asked of an IPv4 database; a bad record
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
