"""docs/security.md: its table of limits is generated, and its links and keys exist."""

import re

import msgspec
import pytest

from mcproxy.model.config.limits import Limits
from mcproxy.model.config.pages.reference import reference
from tests.support.limits_table import PAGE, limits_table, with_table
from tests.support.proxy import ROOT
from tests.unit.test_assets_unit import EXPOSURE

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_table_of_limits_is_up_to_date() -> None:
    """`just schemas` writes it."""
    assert with_table(TEXT) == TEXT


def test_a_changed_table_is_noticed() -> None:
    """A default that was edited by hand is not what the code does."""
    changed = TEXT.replace("| `header_bytes` | `32768` |", "| `header_bytes` | `65536` |")
    assert changed != TEXT
    assert with_table(changed) == TEXT


def test_every_limit_is_in_the_table() -> None:
    rows = re.findall(r"^\| `\[limits\]` \| `(\w+)` \|", limits_table(), re.MULTILINE)
    assert rows == list(Limits.__struct_fields__)
    assert len(rows) == len(msgspec.structs.fields(Limits))


def test_a_page_without_a_place_for_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place"):
        with_table("# Security\n")


def test_links_lead_somewhere() -> None:
    """Those of the page, and those that lead to it."""
    for page in (PAGE, ROOT / "SECURITY.md"):
        links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
        assert links
        assert [link for link in links if not (page.parent / link).exists()] == []
    for name in ("README.md", "SECURITY.md", "ARCHITECTURE.md"):
        assert "(docs/security.md)" in (ROOT / name).read_text(encoding="utf-8")


def test_the_keys_that_it_names_exist() -> None:
    """Each `[table] key` of the text is one of the reference's."""
    sections = dict(section.split("\n", 1) for section in reference().split("\n## ")[1:])
    named = set(re.findall(r"`\[(\w+)\] (\w+)`", TEXT))
    assert len(named) > 4
    assert [(table, key) for table, key in named if f"| `{key}` |" not in sections[f"`[{table}]`"]] == []


def test_the_exposure_that_it_tells_is_the_one_that_is_tested() -> None:
    assert f"`systemd-analyze security` rates it {EXPOSURE} of 10" in TEXT
