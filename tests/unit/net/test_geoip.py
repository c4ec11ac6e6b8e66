"""Country databases: what they tell, and what is none."""

import ipaddress
import os
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # the package carries no types

from mcproxy.net.geoip import CountryDatabase, CountryDatabaseError, check_country_database, open_country_database
from mcproxy.net.sockets import memory_file
from tests.support.countries import Style, write_countries

NETWORKS = {"192.0.2.0/24": "SE", "2001:db8::/32": "NO"}


def opened(path: Path) -> CountryDatabase:
    fd = memory_file("test-countries", path.read_bytes())
    try:
        return CountryDatabase(fd)
    finally:
        os.close(fd)


def packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


@pytest.mark.parametrize("style", ["nested", "flat"])
@pytest.mark.parametrize(
    ("host", "country"), [("192.0.2.1", "SE"), ("192.0.3.1", None), ("2001:db8::1", "NO"), ("2001:db9::1", None)]
)
def test_countries_of_both_families(tmp_path: Path, style: Style, host: str, country: str | None) -> None:
    """The code is found where either kind of maker puts it, also when the descriptor is closed."""
    database = opened(write_countries(tmp_path / "db", NETWORKS, style=style))
    assert database.country(packed(host)) == country


def test_a_registered_country_counts_where_there_is_no_other(tmp_path: Path) -> None:
    """MaxMind's records of some networks name only where the owner is registered."""
    writer = MMDBWriter(4, "Test")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"registered_country": {"iso_code": "FI"}})
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"country": "DK"})
    writer.to_db_file(str(tmp_path / "db"))
    database = opened(tmp_path / "db")
    assert [database.country(packed(host)) for host in ("192.0.2.1", "198.51.100.1")] == ["FI", "DK"]


def test_an_ipv4_database_knows_no_ipv6_address(tmp_path: Path) -> None:
    """It is no error to ask, since clients decide what is asked."""
    database = opened(write_countries(tmp_path / "db", {"192.0.2.0/24": "SE"}, version=4))
    assert database.country(packed("192.0.2.1")) == "SE"
    assert database.country(packed("2001:db8::1")) is None


def test_a_valid_database_passes_the_check(tmp_path: Path) -> None:
    check_country_database(write_countries(tmp_path / "db", NETWORKS).read_bytes())


@pytest.mark.parametrize("damage", ["empty", "text", "head", "tail"])
def test_a_damaged_file_is_no_database(tmp_path: Path, damage: str) -> None:
    """Empty, something else, or cut on either side: the error says so without naming a descriptor."""
    path = write_countries(tmp_path / "db", {f"10.{n}.0.0/16": "SE" for n in range(0, 256, 2)})
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes({"empty": b"", "text": b"hello\n" * 100, "head": content[:half], "tail": content[half:]}[damage])
    with pytest.raises(CountryDatabaseError) as caught:
        check_country_database(path.read_bytes())
    assert "/proc/self" not in str(caught.value)


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    """One that tells the networks' owners would silently block nobody."""
    writer = MMDBWriter(4, "Test-ASN")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"autonomous_system_number": 64500})
    writer.to_db_file(str(tmp_path / "db"))
    with pytest.raises(CountryDatabaseError, match="no country codes"):
        check_country_database((tmp_path / "db").read_bytes())


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_country_database(str(tmp_path / "missing"))
