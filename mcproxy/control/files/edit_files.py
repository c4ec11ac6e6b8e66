"""Files that runtime edits name, judged as those that the config file names."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal

import msgspec

from mcproxy.control.files.contents import Contents
from mcproxy.control.files.loading import country_database_problem
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.state.state import RouteKey, State
from mcproxy.model.values.origins import Key


class FileProblem(msgspec.Struct, frozen=True):
    """What is wrong or doubtful about a file that a route names in its key ``name``."""

    route: RouteKey
    name: str
    message: str
    severity: Literal["error", "warning"]


def route_problems(state: State, routes: Collection[RouteKey], contents: Contents) -> list[FileProblem]:
    """Return what is wrong or doubtful about the certificates, keys and CAs of some routes.

    Args:
        state: what is to run.
        routes: those to look at.
        contents: reads the files.
    """
    if not any(state.routes[key].mode == "l7" for key in routes):
        return []
    from mcproxy.control.files.certificate_checks import check_certificates  # noqa: PLC0415 - cryptography is slow to import

    return check_certificates(state, datetime.now(UTC), _problem, contents, routes)


def broken_edits(merged: Merged, contents: Contents) -> dict[int, str]:
    """Return the ids of edits that can't be in effect because of the files they name, with why; ``contents`` reads them.

    A broken file of the configuration keeps control from starting, a broken edit must not.
    """
    routes = {(edit.key[0], edit.key[1]): edit.id for edit in merged.standing if edit.kind == "route" and edit.value}
    problems = route_problems(merged.state, routes.keys(), contents)
    broken = {routes[problem.route]: problem.message for problem in problems if problem.severity == "error"}
    for edit in merged.standing:
        if edit.key == "firewall.geoip_db" and edit.value:
            problem = country_database_problem(str(edit.value), contents)
            broken |= {edit.id: problem} if problem else {}
    return broken


def _problem(key: Key, name: str, message: str, severity: Literal["error", "warning"]) -> FileProblem:
    return FileProblem((key[1], key[2]), name, message, severity)
