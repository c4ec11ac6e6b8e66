"""How to start the program again that this process runs: whatever is installed by then where its command leads."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def command(arguments: Sequence[str] | None = None, script: str | None = None) -> list[str]:
    """Return the command that has started this process.

    A script is run by its own first line, and not by this interpreter: an upgrade that moves a symbolic link on the way
    to the script brings its interpreter along.

    Args:
        arguments: of the interpreter, itself included; default: ``sys.orig_argv``.
        script: what it runs; default: ``sys.argv[0]``.
    """
    given = list(sys.orig_argv if arguments is None else arguments)
    name = sys.argv[0] if script is None else script
    if name in given[1:] and _is_runnable(Path(name)):
        return given[given.index(name, 1) :]
    return given


def _is_runnable(script: Path) -> bool:
    try:
        with script.open("rb") as file:
            return file.read(2) == b"#!" and os.access(script, os.X_OK)
    except OSError:
        return False
