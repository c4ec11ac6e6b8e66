"""Paths of files: pure string work, nothing is looked up."""

from mcproxy.model.values.quoting import quote

STDOUT = "-"


def parse(text: str) -> str:
    """Return a path as it stands, ``""`` meaning none; raises ValueError with a message for the user."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise ValueError(f"{quote(text)}: a path must not contain control characters")
    return text


def locate(folder: str, text: str) -> str:
    """Return the absolute path that ``text`` means in a file of ``folder``; ``""`` (none) and ``"-"`` stay."""
    if text in ("", STDOUT):
        return text
    from pathlib import PurePosixPath  # noqa: PLC0415 - slow to import, and workers locate nothing

    # Not normpath: behind a symlink, "a/../b" is not "b".
    return str(PurePosixPath(folder, text))


def relate(folder: str, path: str) -> str:
    """Return the text that means ``path`` in a file of ``folder``: relative for what lies below it, else as it stands."""
    from pathlib import PurePosixPath  # noqa: PLC0415 - likewise

    if path in ("", STDOUT) or not PurePosixPath(path).is_relative_to(folder):
        return path
    text = str(PurePosixPath(path).relative_to(folder))
    return f"./{text}" if text == STDOUT else text


def several(found: tuple[str, ...]) -> str | tuple[str, ...]:
    """Return the value of an array of paths; raises ValueError with a message for the user."""
    if not found or not all(found):
        raise ValueError("must name a file in each place, and at least one")
    return found[0] if len(found) == 1 else found


def listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths if they need an array, which one does not."""
    return value if isinstance(value, tuple) else ()


def each_of(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return all paths, none for ``""``."""
    return value if isinstance(value, tuple) else (value,) if value else ()
