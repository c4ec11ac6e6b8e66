"""Country databases in MaxMind format, written for a test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # the package carries no types

Style = Literal["nested", "flat"]


def write_countries(path: Path, countries: Mapping[str, str], *, style: Style = "nested", version: int = 6) -> Path:
    """Write a database of networks and their countries; it takes the place of ``path`` by a rename, at once.

    Args:
        path: the file.
        countries: network (``"192.0.2.0/24"``) to ISO code; IPv6 networks need ``version`` 6.
        style: ``nested`` has the code where MaxMind has it, ``flat`` where other makers put it.
        version: 4 or 6, of the search tree.
    """
    writer = MMDBWriter(version, "Test-Country", ipv4_compatible=version == 6)
    for network, code in countries.items():
        record: dict[str, object] = {"country": {"iso_code": code}} if style == "nested" else {"country_code": code}
        writer.insert_network(IPSet([network]), record)
    temporary = path.with_suffix(".new")
    writer.to_db_file(str(temporary))
    return temporary.replace(path)
