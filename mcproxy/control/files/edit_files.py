"""Files that runtime edits name, judged as those that the config file names."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal

import msgspec

from mcproxy.control.files.contents import Contents
from mcproxy.control.files.loading import country_database_problem
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.state.named_files import owners
from mcproxy.model.state.state import State
from mcproxy.model.values.origins import Key


class FileProblem(msgspec.Struct, frozen=True):
    """What is wrong or doubtful about a file that a route or upstream, by its kind and key, names in its key ``name``."""

    owner: Key
    name: str
    message: str
    severity: Literal["error", "warning"]


def file_problems(state: State, only: Collection[Key], contents: Contents) -> list[FileProblem]:
    """Return what is wrong or doubtful about the certificates, keys and CAs of some routes and upstreams.

    Args:
        state: what is to run.
        only: kinds and keys of those to look at; others than `named_files.owners` name no files.
        contents: reads the files.
    """
    if not owners(state, only):
        return []
    from mcproxy.control.files.certificate_checks import check_certificates  # noqa: PLC0415 - cryptography is slow to import

    return check_certificates(state, datetime.now(UTC), FileProblem, contents, only)


def broken_edits(merged: Merged, contents: Contents) -> dict[int, str]:
    """Return the ids of edits that can't be in effect because of the files they name, with why; ``contents`` reads them.

    A broken file of the configuration keeps control from starting, a broken edit must not.
    """
    edits = {origin_key(edit.kind, edit.key): edit.id for edit in merged.standing if edit.value}
    problems = file_problems(merged.state, edits.keys(), contents)
    broken = {edits[problem.owner]: problem.message for problem in problems if problem.severity == "error"}
    for edit in merged.standing:
        if edit.key == "firewall.geoip_db" and edit.value:
            problem = country_database_problem(str(edit.value), contents)
            broken |= {edit.id: problem} if problem else {}
    return broken
