"""The commands that work on config files alone: validate-config, plan, explain, schema.

Each returns the exit status: 0 fine, 1 the configuration is wrong, 3 (plan) something would change, 4 also for requests of the past.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mcproxy.cli.common.options import CHANGES_TRAFFIC, DIFFERS, FAILED, OK
from mcproxy.cli.common.output import count, print_json, print_plan, print_problems, print_steps
from mcproxy.cli.server.assets import schema_text
from mcproxy.control.files.config_file import Loaded, load
from mcproxy.errors import ConfigError, McproxyError
from mcproxy.model.config.pages.reference import reference
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.state.plan import make_plan
from mcproxy.model.values.origins import Origin
from mcproxy.net.geoip import open_country_database
from mcproxy.policy.explain.query import CountryOf, Query
from mcproxy.policy.explain.testing.run import coverage as covered
from mcproxy.policy.explain.testing.run import untouched
from mcproxy.policy.explain.walk import Walker
from mcproxy.policy.explain.walk import explain as explain_query

if TYPE_CHECKING:
    from mcproxy.policy.explain.traffic.side import Side

INVALID = FAILED

STDIN = Path("<stdin>")
"""The name of standard input in messages; ``-`` stands for it on the command line."""


def validate(files: Sequence[Path], *, syntax: bool, strict: bool, coverage: bool, as_json: bool) -> int:
    """Print every problem of every file on standard output, and a summary on standard error.

    Args:
        files: config files, each valid or not by itself; ``-`` is standard input.
        syntax: skip what needs the files and secrets that the config names.
        strict: count warnings as errors.
        coverage: print what no test comes by, too.
        as_json: print one JSON list of objects instead of lines.
    """
    problems: list[Problem] = []
    sources: list[Source] = []
    summaries: list[str] = []
    for given in files:
        file = STDIN if str(given) == "-" else given
        found, read, summary = _validate(file, syntax=syntax, strict=strict, coverage=coverage)
        problems += found
        sources += read
        summaries += [summary] if summary else []
    if as_json:
        print_json(problems)
    else:
        print_problems(problems, sources, sys.stdout)
    for summary in summaries:
        print(summary, file=sys.stderr)
    errors, warnings = (sum(problem.severity == kind for problem in problems) for kind in ("error", "warning"))
    if errors:
        print(_counts(errors, warnings), file=sys.stderr)
    return INVALID if errors else OK


def _validate(file: Path, *, syntax: bool, strict: bool, coverage: bool) -> tuple[list[Problem], list[Source], str]:
    """Return the problems of one file, what was read, and what to say of it if none is an error."""
    try:
        loaded = load(file, syntax_only=syntax, text=_text(file))
        loaded.require_tests()
    except ConfigError as error:
        return _shown(error.problems, file, strict=strict), _shown_sources(error.sources, file), ""
    problems = _shown(loaded.resolution.warnings, file, strict=strict)
    sources = _shown_sources(loaded.sources, file)
    if any(problem.severity == "error" for problem in problems):
        return problems, sources, ""
    state = loaded.resolution.state
    if loaded.fleet is not None:
        what = f"the node {loaded.fleet.node} of the fleet at {loaded.fleet.prefix}, whose document says what is served"
        return problems, sources, f"{file}: valid: {what}"
    summary = f"{file}: valid: {count(len(state.listeners), 'listener')}, {count(len(state.routes), 'route')}"
    if loaded.resolution.tests:
        summary += f", {count(len(loaded.resolution.tests), 'test')}"
    warnings = sum(problem.severity == "warning" for problem in problems)
    summary += f", {count(warnings, 'warning')}" if warnings else ""
    if coverage:
        problems += _shown(untouched(loaded.resolution, loaded.tests.touched), file, strict=False)
        tested = covered(loaded.resolution, loaded.tests.touched).items()
        parts = (f"{some} of {count(total, kind)}" for kind, (some, total) in tested if total)
        summary += f"\n{file}: tests come by {', '.join(parts) or 'nothing: there is no route, case or filter'}"
    return problems, sources, summary


def _text(file: Path) -> bytes | None:
    """Return what stands in place of a file's own text: standard input, whose relative paths start at the working folder."""
    return sys.stdin.buffer.read() if file == STDIN else None


def plan(new: Path, old: Path, traffic: Sequence[Path] = (), *, exit_code: bool, as_json: bool) -> int:
    """Print what a proxy that runs ``old`` would do if ``new`` took its place; the exit status may tell if it is anything.

    Args:
        new: the config file to get to.
        old: the one that is taken as running.
        traffic: access logs, whose requests are asked of both.
        exit_code: let the exit status tell.
        as_json: print JSON.
    """
    desired, live = _load_or_report(new, in_place_of=old, tested=True), _load_or_report(old)
    if desired is None or live is None:
        return INVALID
    print_problems(_shown(desired.tests.unjudged, new, strict=False), (), sys.stderr)
    result = make_plan(live.resolution.state, desired.resolution.state, desired.resolution.origins)
    report = None
    if traffic:
        from mcproxy.cli.server import traffic as logs  # noqa: PLC0415 - only a plan with traffic needs it

        report = logs.replay(_side(live, old), _side(desired, new), traffic)
    if as_json:
        print_json({**result.builtins(), **({} if report is None else {"traffic": report})})
    else:
        print_plan([*result.lines(), result.summary()])
        if report is not None:
            print()
            logs.show(report)
    if exit_code and report is not None and report.changed:
        return CHANGES_TRAFFIC
    return DIFFERS if exit_code and result else OK


def _side(loaded: Loaded, file: Path) -> "Side":
    """Return what answers for a file, whose lines are told as those of problems are."""
    from mcproxy.policy.explain.traffic.side import Side  # noqa: PLC0415 - likewise

    path = str(loaded.resolution.state.settings["firewall.geoip_db"])
    country: CountryOf | None = None
    if path:
        with contextlib.suppress(McproxyError, OSError):  # it is told how many requests depend on it
            country = open_country_database(path).country
    return Side(Walker(loaded.resolution), country, lambda origin: str(_shown_origin(origin, file)))


def explain(file: Path, query: Query, *, as_json: bool) -> int:
    """Print what the data plane would do with a connection, and which line of the file decides each step."""
    loaded = _load_or_report(file)
    if loaded is None:
        return INVALID
    steps = [
        msgspec.structs.replace(step, origin=_shown_origin(step.origin, file))
        for step in explain_query(loaded.resolution, query, _country_lookup(loaded))
    ]
    if as_json:
        print_json(steps)
    else:
        print_steps((step.step, step.outcome, step.detail, str(step.origin or "")) for step in steps)
    return OK


def _country_lookup(loaded: Loaded) -> CountryOf:
    """Return the lookup in the database that the file names; without one no address has a country."""
    path = str(loaded.resolution.state.settings["firewall.geoip_db"])
    if not path:
        return lambda _: None
    return open_country_database(path).country


def schema(*, markdown: bool) -> int:
    """Print the JSON Schema of the config file, or with ``markdown`` its reference for people."""
    if markdown:
        print(reference(), end="")
        return OK
    print(schema_text())
    return OK


def _load_or_report(file: Path, in_place_of: Path | None = None, *, tested: bool = False) -> Loaded | None:
    """Return what a file means, which needs none of the secrets it names; print errors on standard error and return None.

    Args:
        file: the main file.
        in_place_of: as of `load`.
        tested: a test that fails is an error.
    """
    try:
        loaded = load(file, syntax_only=True, in_place_of=in_place_of)
        if tested:
            loaded.require_tests()
    except ConfigError as error:
        errors = (problem for problem in _shown(error.problems, file, strict=False) if problem.severity == "error")
        print_problems(errors, _shown_sources(error.sources, file), sys.stderr)
        return None
    return loaded


def _shown(problems: Iterable[object], file: Path, *, strict: bool) -> list[Problem]:
    """Return problems as the user wants to read them: paths as given or relative, with ``strict`` no warnings."""
    return [
        msgspec.structs.replace(
            problem,
            file=_shown_path(problem.file, file),
            severity="error" if strict and problem.severity == "warning" else problem.severity,
        )
        for problem in problems
        if isinstance(problem, Problem)
    ]


def _shown_sources(sources: Iterable[object], file: Path) -> list[Source]:
    """Return files by the paths that `_shown` gives them."""
    read = (source for source in sources if isinstance(source, Source))
    return [msgspec.structs.replace(source, path=_shown_path(source.path, file)) for source in read]


def _shown_origin(origin: Origin | None, file: Path) -> Origin | None:
    return origin and msgspec.structs.replace(origin, file=_shown_path(origin.file, file))


def _shown_path(path: str, given: Path) -> str:
    """Return the main file's path as the user gave it, another's relative to the working folder if it lies below."""
    if path == os.path.abspath(given):  # noqa: PTH100 - Path.absolute keeps "..", which the loader removes
        return str(given)
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _counts(errors: int, warnings: int) -> str:
    return ", ".join(
        count(number, noun) for number, noun in ((errors, "error"), (warnings, "warning")) if number or noun == "error"
    )
