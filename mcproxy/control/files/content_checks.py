"""What is wrong with the files that the configuration and runtime edits name: certificates, keys, CAs, passwords and pages."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal

import msgspec

from mcproxy.control.files.contents import Contents, MakeProblem, P_co
from mcproxy.control.files.loading import country_database_problem
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.state.named_files import Owner, files_of, owners, pages_of
from mcproxy.model.state.state import Listener, Route, State, Upstream
from mcproxy.model.values.origins import Key
from mcproxy.policy.filters.passwords import HtpasswdError, read_users

PAGE_LIMIT = 1 << 20
"""Bytes of a file that an answer is made of."""


def check_files(
    state: State,
    now: datetime,
    problem: MakeProblem[P_co],
    contents: Contents,
    only: Collection[Key] | None = None,
) -> list[P_co]:
    """Return what is wrong or doubtful about the files that a state names.

    Args:
        state: what is to run.
        now: timezone-aware.
        problem: called with kind and key of the resource that names the file, the name of the key, with dots within tables, the message and
            the severity.
        contents: reads the files.
        only: kinds and keys of the resources to look at; None for all.
    """
    named = owners(state, only)
    problems: list[P_co] = []
    if any(isinstance(owner, Route | Upstream | Listener) for owner in named.values()):
        from mcproxy.control.files.certificate_checks import check_certificates  # noqa: PLC0415 - cryptography is slow to import

        problems += check_certificates(state, now, problem, contents, only)
    known: dict[tuple[str, bool], str] = {}
    for key, owner in named.items():
        for name, path, is_page in _texts(state, owner):
            if (path, is_page) not in known:
                known[path, is_page] = _refusal(path, contents, is_page=is_page)
            if refusal := known[path, is_page]:
                problems.append(problem(key, name, refusal, "error"))
    return problems


def _texts(state: State, owner: Owner) -> list[tuple[str, str, bool]]:
    """Return the key and path of each file of passwords, and of each page."""
    pages = [(name, path, True) for name, path in pages_of(owner)]
    return pages + [(name, group[0], False) for name, group in files_of(state, owner) if name.endswith("basic_auth")]


def _refusal(path: str, contents: Contents, *, is_page: bool) -> str:
    """Return why a file can't be used; "" when it can."""
    try:
        content = contents.read(path)
        if is_page and len(content) > PAGE_LIMIT:
            return f"{path} has {len(content)} bytes; a page has at most {PAGE_LIMIT}"
        if not is_page:
            read_users(content)
    except OSError as error:
        return f"{path} can't be read: {error.strerror}"
    except HtpasswdError as error:
        return f"{path}:{error.line}: {error}"
    return ""


class FileProblem(msgspec.Struct, frozen=True):
    """What is wrong or doubtful about a file that a resource, by its kind and key, names in its key ``name``."""

    owner: Key
    name: str
    message: str
    severity: Literal["error", "warning"]


def file_problems(state: State, only: Collection[Key], contents: Contents) -> list[FileProblem]:
    """Return what is wrong or doubtful about the files that some resources name.

    Args:
        state: what is to run.
        only: kinds and keys of those to look at; others than `named_files.owners` name no files.
        contents: reads the files.
    """
    return check_files(state, datetime.now(UTC), FileProblem, contents, only)


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
