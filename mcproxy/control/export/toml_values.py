"""TOML values as a person would write them; home of tomlkit, which knows how strings are escaped."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import InvalidStringError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def write(value: Any, like: str = "") -> str:
    """Return a value on one line.

    Args:
        value: a string, number, boolean, or a list or mapping of such values.
        like: the text that it takes the place of; a string in single quotes stays one if it can.
    """
    match value:
        case Mapping():
            pairs = ", ".join(pair(key, item) for key, item in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case list():
            return f"[{', '.join(map(write, value))}]"
        case str() if like.startswith("'"):
            with contextlib.suppress(InvalidStringError):
                return tomlkit.string(value, literal=True).as_string()
    text: str = tomlkit.item(value).as_string()
    return text


def pair(key: str, value: Any) -> str:
    """Return ``key = value``."""
    return f"{key_text(key)} = {write(value)}"


def key_text(key: str) -> str:
    """Return a key, in quotes where it needs them."""
    return key if _BARE_KEY.fullmatch(key) else write(key)
