"""Reads the config file and what it includes; everything that is decided about them is decided in `mcproxy.model`."""

import codecs
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mcproxy.config_includes import included
from mcproxy.control.files.content_checks import check_files
from mcproxy.control.files.contents import Contents, StandIn
from mcproxy.control.files.last_good_files import LastGood
from mcproxy.control.files.loading import ORDERING_FILES, country_database_problem, ordering_doubts, user_problem
from mcproxy.control.files.reading.shared import Documents, nobody, readings_of, shared_document, unreadable
from mcproxy.control.system.data_path import problem as data_path_problem
from mcproxy.errors import ConfigError
from mcproxy.model.config import document
from mcproxy.model.config.checking.absence import absences
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.config.mistakes import variables
from mcproxy.model.config.problems import Problem, Severity, Source
from mcproxy.model.config.resolve import Resolution, resolve_read
from mcproxy.model.fleet.document import Document
from mcproxy.model.state.named_files import named_files, ordered_files, owners
from mcproxy.model.state.state import State
from mcproxy.model.values.paths import STDOUT
from mcproxy.named_file import COUNTRIES_LIMIT, read_file, touching
from mcproxy.net.geoip import CountryDatabase, country_database
from mcproxy.policy.explain.query import CountryOf
from mcproxy.policy.explain.testing.run import Run
from mcproxy.policy.explain.testing.run import run as run_tests


class NamedFilesError(ConfigError):
    """The configuration itself is right, but not what it says about other files; they may be on their way."""


class Loaded(msgspec.Struct, frozen=True):
    """A valid configuration and the files it came from.

    Attributes:
        resolution: what the files mean.
        files: the files that were read, the main one first, and those they name; absolute, symbolic links not followed.
        patterns: the main file's includes, absolute; a new file that one of them matches belongs to the configuration.
        sources: the files as they were read, the main one first; in a fleet those of its document, then the node's own.
        unmatched: the patterns that match no file.
        stand_ins: the files that are broken, and have their last good content in their place.
        tests: what came of the tests in the files; whether one that fails is in the way is for the caller to say.
        fleet: the fleet that this machine is a node of; None for none.
        document: of the fleet; None while it is not known.
    """

    resolution: Resolution
    files: tuple[Path, ...]
    patterns: tuple[Path, ...]
    sources: tuple[Source, ...] = ()
    unmatched: tuple[Path, ...] = ()
    stand_ins: tuple[StandIn, ...] = ()
    tests: Run = Run()
    fleet: FleetNode | None = None
    document: Document | None = None

    def require_tests(self, unless: "Loaded | None" = None) -> None:
        """Raise `ConfigError` with each test that fails, unless all hold.

        Args:
            unless: the files that are served; the same may go on, whatever becomes of what they depend on.
        """
        if self.tests.failed and (unless is None or self.sources != unless.sources):
            ranks = {source.path: rank for rank, source in enumerate(self.sources)}
            problems = (*self.resolution.warnings, *self.tests.failed)
            ordered = sorted(problems, key=lambda problem: (ranks[problem.file], problem.line, problem.column))
            raise ConfigError(tuple(ordered), self.sources)


def load(
    path: Path,
    *,
    syntax_only: bool = False,
    in_place_of: Path | None = None,
    text: str | bytes | None = None,
    contents: Contents | None = None,
    last_good: LastGood | None = None,
    documents: Documents = nobody,
) -> Loaded:
    """Read, check and resolve the config file at ``path``.

    Args:
        path: the main file; relative to the working directory.
        syntax_only: leave out what depends on other files than the configuration's own (certificates, folders).
        in_place_of: the file that it is to replace: then relative paths, and those of defaults, start from there.
        text: what the main file is taken to contain, whatever it does.
        contents: reads the files that the configuration names, for the same look; None where nobody else needs them.
        last_good: puts the last good content in the place of named files that are broken; without it they are errors.
        documents: gives the document of a fleet, if the file is that of a node.

    Tests that fail raise nothing here: see `Loaded.tests`.

    Raises:
        ConfigError: with all problems of all files; a file that cannot be read is a problem too. `NamedFilesError` when
            they are all about files that the configuration names.
    """
    main_path = absolute(path)
    main = _read(main_path) if text is None else _source(main_path, text)
    if isinstance(main, Problem):
        raise ConfigError((main,))
    place = main_path if in_place_of is None else absolute(in_place_of)
    reading = document.read(Source(main.path, main.text, str(place.parent)))
    includes = included(reading, place)
    patterns, problems = includes.patterns, includes.problems
    fleet, shared = shared_document(reading, place, documents)
    readings = [reading, *readings_of(shared, place.parent)]
    files = [main_path]
    for file in includes.files:
        source = _read(file)
        if isinstance(source, Problem):
            problems.append(source)
        else:
            readings.append(document.read(source))
            files.append(file)
    kind = ConfigError
    resolution: Resolution | None = None
    stand_ins: tuple[StandIn, ...] = ()
    try:
        resolution = resolve_read(readings, complete=not any(problem.severity == "error" for problem in problems))
    except ConfigError as error:
        problems += (problem for problem in error.problems if isinstance(problem, Problem))
    else:
        problems += absences(readings)
        wrong = any(problem.severity == "error" for problem in problems)
        kind = ConfigError if wrong else NamedFilesError
        problems += resolution.warnings
        if not syntax_only:
            contents = Contents() if contents is None else contents
            if last_good is not None:
                last_good.stand_in_ordered(resolution.state, contents)
            found = _file_problems(resolution, main_path, contents)
            broken = any(problem.severity == "error" for problem in found)
            if last_good is not None and (broken or last_good.withdraws(resolution.state)):
                last_good.stand_in(resolution.state, owners(resolution.state), contents)
                found = _file_problems(resolution, main_path, contents)
                if last_good.serves_admin_api(resolution.state):
                    found = [_goes_on(problem) if problem.key.startswith("grpc.") else problem for problem in found]
            stand_ins = tuple(_declared(resolution, main_path, one) for one in contents.stand_ins)
            problems = variables.joined((*problems, *found, *unreadable(reading, contents)))
    read = (reading.source.path for reading in readings)
    rank = {file: index for index, file in enumerate(dict.fromkeys((str(main_path), *map(str, includes.files), *read)))}
    run = Run()
    if resolution is not None and resolution.tests and not any(problem.severity == "error" for problem in problems):
        run = run_tests(
            resolution, _countries(resolution.state, contents, syntax_only=syntax_only), str(main_path.parent)
        )
        problems += run.unjudged
    problems.sort(key=lambda problem: (rank[problem.file], problem.line, problem.column))
    sources = tuple(reading.source for reading in ((*readings[1:], readings[0]) if fleet else readings))
    if resolution is None or any(problem.severity == "error" for problem in problems):
        raise kind(tuple(problems), sources)
    resolution = msgspec.structs.replace(resolution, warnings=tuple(problems))
    named = _named(resolution.state)
    packed = None if shared is None else shared.document
    return Loaded(resolution, (*files, *named), patterns, sources, includes.unmatched, stand_ins, run, fleet, packed)


def _countries(state: State, contents: Contents | None, *, syntax_only: bool) -> CountryOf | None:
    """Return the lookup in the country database, which nobody is in where there is none; None where it is not read."""
    path = str(state.settings["firewall.geoip_db"])
    if not path:
        return lambda _: None
    if syntax_only or contents is None:
        return None
    database: CountryDatabase | None = None

    def country(packed: bytes) -> str | None:
        nonlocal database
        if database is None:  # few tests ask for it
            database = country_database(contents.read(path, COUNTRIES_LIMIT))
        return database.country(packed)

    return country


def involved(path: Path, documents: Documents = nobody) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return files and patterns as `Loaded` has them, also of an invalid configuration: where a correction may come."""
    main_path = absolute(path)
    main = _read(main_path)
    if isinstance(main, Problem):
        return (main_path,), ()
    reading = document.read(main)
    includes = included(reading, main_path)
    sources = (source for file in includes.files if isinstance(source := _read(file), Source))
    try:
        _, shared = shared_document(reading, main_path, documents)
        readings = [reading, *readings_of(shared, main_path.parent), *map(document.read, sources)]
        named = _named(resolve_read(readings).state)
    except ConfigError:
        named = ()
    return (main_path, *includes.files, *named), includes.patterns


def _named(state: State) -> tuple[Path, ...]:
    """Return the files whose contents count beside the configuration's own, each once."""
    return tuple(
        map(Path, dict.fromkeys((*named_files(state), *_admin_files(state).values(), *_ordering_files(state))))
    )


def _ordering_files(state: State) -> list[str]:
    """Return the files by which certificates are ordered; none where no route orders one."""
    named = [str(state.settings[name]) for name in ORDERING_FILES] if ordered_files(state) else []
    return [path for path in named if path]


def _admin_files(state: State) -> dict[str, str]:
    """Return the files of the admin API's TLS by their keys in ``[grpc]``; none where it does not use them."""
    if not state.settings["grpc.addr"]:
        return {}
    return {name: str(state.settings[f"grpc.{name}"]) for name in ("tls_cert", "tls_key", "client_ca")}


def absolute(path: Path) -> Path:
    """Return a path from the root, symbolic links not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow the links that Kubernetes swaps


def _read(path: Path) -> Source | Problem:
    try:
        return _source(path, read_file(path))
    except OSError as error:
        return Problem(str(path), 1, 1, "error", "", f"cannot be read: {error.strerror or error}")


def _source(path: Path, text: str | bytes) -> Source | Problem:
    try:
        return Source(str(path), text if isinstance(text, str) else text.decode())
    except UnicodeDecodeError as error:
        return Problem(str(path), 1, 1, "error", "", f"is not UTF-8 text: {_encoding(error)}")


def _encoding(error: UnicodeDecodeError) -> str:
    """Return what a file that is not UTF-8 may be instead, and where that shows."""
    for mark, name in (
        (codecs.BOM_UTF32_LE, "UTF-32"),
        (codecs.BOM_UTF32_BE, "UTF-32"),
        (codecs.BOM_UTF16_LE, "UTF-16"),
        (codecs.BOM_UTF16_BE, "UTF-16"),
    ):
        if error.object.startswith(mark):
            return f"it is {name}, which Windows' editors call Unicode; save it as UTF-8"
    line = error.object.count(b"\n", 0, error.start) + 1
    return f"see the byte 0x{error.object[error.start]:02x} in line {line}"


def _file_problems(resolution: Resolution, main_path: Path, contents: Contents) -> list[Problem]:
    """Return what is wrong with the files and folders that the configuration names."""
    found: dict[str, str] = {}
    database = Path(str(resolution.state.settings["database.path"]))
    if _kind(database.parent) != stat.S_IFDIR:
        found["database.path"] = f"there is no folder {database.parent}"
    elif _kind(database) not in (0, stat.S_IFREG):
        found["database.path"] = f"{database} is no regular file"
    access = str(resolution.state.settings["log.access"])
    if access not in ("", STDOUT):
        if _kind(Path(access)) == stat.S_IFDIR:
            found["log.access"] = f"{access} is a folder"
        elif _kind(Path(access).parent) != stat.S_IFDIR:
            found["log.access"] = f"there is no folder {Path(access).parent}"
    user = str(resolution.state.settings["proxy.user"])
    if user and (wrong := user_problem(user)):
        found["proxy.user"] = wrong
    if resolution.state.settings["proxy.data_path"] == "native" and (wrong := data_path_problem()):
        found["proxy.data_path"] = wrong
    countries = str(resolution.state.settings["firewall.geoip_db"])
    if countries and (wrong := country_database_problem(countries, contents)):
        found["firewall.geoip_db"] = wrong
    problems = []

    def report(setting: str, message: str, severity: Severity = "error") -> None:
        problems.append(_setting_problem(resolution, main_path, setting, message, severity))

    for setting, message in found.items():
        report(setting, message)
    if ordered_files(resolution.state):
        for setting, message in ordering_doubts(resolution.state.settings, contents):
            report(setting, f"{message}; no certificate can be ordered", "warning")
    now = datetime.now(UTC)
    if admin_files := _admin_files(resolution.state):
        from mcproxy.control.files.certificate_checks import check_server_files  # noqa: PLC0415 - cryptography is slow to import

        for name, message, severity in check_server_files(admin_files, now, contents):
            report(f"grpc.{name}", message, severity)
    return problems + check_files(resolution.state, now, resolution.problem, contents)


def _declared(resolution: Resolution, main_path: Path, one: StandIn) -> StandIn:
    """Return what is told of a broken file with the place of the key that names it."""
    if one.owner is not None:
        problem = resolution.problem(one.owner, one.name, "")
    else:
        problem = _setting_problem(resolution, main_path, one.name, "", "error")
    return msgspec.structs.replace(one, declared=str(problem).removesuffix(": "))


def _setting_problem(
    resolution: Resolution, main_path: Path, setting: str, message: str, severity: Severity
) -> Problem:
    """Return a problem of a setting's value, of the main file where no file names it."""
    if ("setting", setting) in resolution.places:
        read, path = resolution.places["setting", setting]
        return read.value_problem(path, message, severity)
    return Problem(str(main_path), 1, 1, severity, setting, message)


def _goes_on(problem: Problem) -> Problem:
    """Return a problem of the admin API's files as it is while the API is served with what they held before."""
    if problem.severity == "warning":
        return problem
    message = f"{problem.message}; the admin API goes on with what it has"
    return msgspec.structs.replace(problem, severity="warning", message=message)


def _kind(path: Path) -> int:
    """Return what kind of file is at a path (``stat.S_IFREG`` ...), 0 if there is none that can be looked at."""
    try:
        with touching(str(path)):
            return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return 0
