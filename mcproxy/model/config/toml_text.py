"""The text of a TOML file as tomllib takes it: a byte order mark in front, as Windows' editors write, is no part of it."""

import tomllib
from typing import Any

BOM = "\ufeff"


def loads(text: str) -> dict[str, Any]:
    """Return what a document says; raises TOMLDecodeError, RecursionError where it is nested too deeply, ValueError."""
    return tomllib.loads(without_bom(text))


def without_bom(text: str) -> str:
    """Return a text with a blank in the place of the mark, so that every offset stays."""
    return f" {text[1:]}" if text.startswith(BOM) else text
