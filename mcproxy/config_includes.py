"""The files that a config file includes: globs expanded in order, backups of editors left out."""

import contextlib
import glob
import itertools
import os
from pathlib import Path

import msgspec

from mcproxy.errors import ConfigError
from mcproxy.model.config.document import Reading
from mcproxy.model.config.mistakes.backups import is_backup
from mcproxy.model.config.problems import Problem
from mcproxy.model.config.resolve import include_patterns, include_problem
from mcproxy.named_file import NamedFileError, touching


class Includes(msgspec.Struct, frozen=True):
    """What a file includes: absolute patterns, those of them that match nothing, files, and what is wrong or doubtful."""

    patterns: tuple[Path, ...] = ()
    unmatched: tuple[Path, ...] = ()
    files: list[Path] = []
    problems: list[Problem] = []


def included(main: Reading, place: Path) -> Includes:
    """Expand the includes of a file that stands at ``place``."""
    try:
        patterns = include_patterns(main)
    except ConfigError:
        patterns = ()  # resolving will tell this and the rest
    if main.document is None or not patterns:
        return Includes()
    folder = place.parent
    files: dict[Path, None] = {}
    problems: list[Problem] = []
    unmatched: list[Path] = []
    for index, pattern in enumerate(patterns):
        # Path.glob would find hidden files too, such as those that editors write beside the real one.
        try:
            with touching(str(folder / pattern)):
                names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207  # see above
                found = [folder / name for name in sorted(names)]
                if glob.has_magic(pattern):
                    found = [file for file in found if not file.is_dir()]
                    skipped = [file for file in found if is_backup(file.name, pattern)]
                    found = [file for file in found if file not in skipped]
                    problems += (
                        include_problem(
                            main.document,
                            index,
                            f"{file} is skipped: by its name it is a backup or a file in the making",
                            "note",
                        )
                        for file in skipped
                    )
        except NamedFileError as error:
            problems.append(include_problem(main.document, index, f"{folder / pattern}: {error.strerror}"))
            continue
        if not found and not glob.has_magic(pattern):
            problems.append(include_problem(main.document, index, f"there is no file {folder / pattern}"))
        elif not found:
            unmatched.append(folder / pattern)
            problems.append(include_problem(main.document, index, _why_unmatched(folder / pattern), "warning"))
        files |= dict.fromkeys(Path(os.path.abspath(file)) for file in found)  # noqa: PTH100  # as above
    files.pop(place, None)  # "*.toml" in the main file's own folder finds the main file
    return Includes(tuple(folder / pattern for pattern in patterns), tuple(unmatched), list(files), problems)


def _why_unmatched(pattern: Path) -> str:
    """Return why a pattern finds nothing: the folder that it begins with may be missing or locked."""
    folder = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts))
    with contextlib.suppress(OSError), touching(str(folder)):
        if not folder.is_dir():
            return f"there is no folder {folder}"
        if not os.access(folder, os.R_OK | os.X_OK):
            return f"the folder {folder} can't be read"
    return f"no file matches {pattern}"
