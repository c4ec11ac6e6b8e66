"""Reads the config file and what it includes; everything that is decided about them is decided in `mcproxy.model`."""

import glob
import os
from pathlib import Path

import msgspec

from mcproxy.control.assets import named_files
from mcproxy.errors import ConfigError
from mcproxy.model.problems import Origin, Problem, Source
from mcproxy.model.resolve import Resolution, include_patterns, include_problem, resolve
from mcproxy.net.geoip import CountryDatabaseError, check_country_database


class Loaded(msgspec.Struct, frozen=True):
    """A valid configuration and the files it came from.

    Attributes:
        resolution: what the files mean.
        files: the files that were read, the main one first, absolute; symbolic links are not followed.
        patterns: the main file's includes, absolute; a new file that one of them matches belongs to the configuration.
    """

    resolution: Resolution
    files: tuple[Path, ...]
    patterns: tuple[Path, ...]


def load(path: Path, *, syntax_only: bool = False) -> Loaded:
    """Read, check and resolve the config file at ``path``.

    Args:
        path: the main file; relative to the working directory.
        syntax_only: leave out what depends on other files than the configuration's own (certificates, folders).

    Raises:
        ConfigError: with all problems of all files; a file that cannot be read is a problem too.
    """
    main_path = _absolute(path)
    main = _read(main_path)
    if isinstance(main, Problem):
        raise ConfigError((main,))
    patterns, included, problems = _included(main, main_path)
    sources = [main]
    files = [main_path]
    for file in included:
        source = _read(file)
        if isinstance(source, Problem):
            problems.append(source)
        else:
            sources.append(source)
            files.append(file)
    resolution: Resolution | None = None
    try:
        resolution = resolve(sources)
    except ConfigError as error:
        problems += (problem for problem in error.problems if isinstance(problem, Problem))
    else:
        if not syntax_only:
            problems += _file_problems(resolution, main_path)
        if problems:
            problems += resolution.warnings
    if resolution is None or problems:
        rank = {str(file): index for index, file in enumerate((main_path, *included))}
        problems.sort(key=lambda problem: (rank[problem.file], problem.line, problem.column))
        raise ConfigError(tuple(problems))
    return Loaded(resolution, (*files, *map(Path, named_files(resolution.state))), patterns)


def involved(path: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return files and patterns as `Loaded` has them, also of an invalid configuration: where a correction may come."""
    main_path = _absolute(path)
    main = _read(main_path)
    if isinstance(main, Problem):
        return (main_path,), ()
    patterns, included, _ = _included(main, main_path)
    sources = [main, *(source for file in included if isinstance(source := _read(file), Source))]
    try:
        named = tuple(map(Path, named_files(resolve(sources).state)))
    except ConfigError:
        named = ()
    return (main_path, *included, *named), patterns


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow the links that Kubernetes swaps


def _read(path: Path) -> Source | Problem:
    try:
        return Source(str(path), path.read_bytes().decode())
    except OSError as error:
        return Problem(str(path), 1, 1, "error", "", f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return Problem(
            str(path),
            1,
            1,
            "error",
            "",
            f"is not UTF-8 text: see the byte 0x{error.object[error.start]:02x} in line {line}",
        )


def _included(main: Source, main_path: Path) -> tuple[tuple[Path, ...], list[Path], list[Problem]]:
    """Expand the main file's includes; return the absolute patterns, the files, and what is wrong with them."""
    try:
        patterns = include_patterns(main)
    except ConfigError:
        return (), [], []  # resolving will tell this and the rest
    folder = main_path.parent
    files: dict[Path, None] = {}
    problems: list[Problem] = []
    for index, pattern in enumerate(patterns):
        # Path.glob would find hidden files too, such as those that editors write beside the real one.
        names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207  # see above
        found = [folder / name for name in sorted(names)]
        if glob.has_magic(pattern):
            found = [file for file in found if not file.is_dir()]
        elif not found:
            problems.append(include_problem(main, index, f"there is no file {folder / pattern}"))
        files |= dict.fromkeys(Path(os.path.abspath(file)) for file in found)  # noqa: PTH100  # as above
    files.pop(main_path, None)  # "*.toml" in the main file's own folder finds the main file
    return tuple(folder / pattern for pattern in patterns), list(files), problems


def _file_problems(resolution: Resolution, main_path: Path) -> list[Problem]:
    """Return what is wrong with the files and folders that the configuration names."""
    found: dict[str, str] = {}
    database = Path(str(resolution.state.settings["database.path"]))
    if not database.parent.is_dir():
        found["database.path"] = f"there is no folder {database.parent}"
    countries = str(resolution.state.settings["firewall.geoip_db"])
    if countries:
        try:
            check_country_database(countries)
        except (OSError, CountryDatabaseError) as error:
            found["firewall.geoip_db"] = f"{countries}: {getattr(error, 'strerror', None) or error}"
    problems = []
    for setting, message in found.items():
        origin = resolution.origins.get(("setting", setting), Origin(str(main_path), 1, 1))
        problems.append(Problem(origin.file, origin.line, origin.column, "error", setting, message))
    return problems
