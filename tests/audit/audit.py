"""Known vulnerabilities of the locked packages, by pip-audit; a package that it could not audit is a finding as well.

The service that pip-audit queries is first asked about a version that is known to be vulnerable: one that reports nothing for it
lacks the data, and its other answers would be no evidence. One that can't be reached means that nothing was audited.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path

import msgspec

SERVICE = "https://api.osv.dev/v1/query"
KNOWN_BAD = "jinja2==2.4.1"
"""Vulnerable to CVE-2016-10745 among others; the fix is in 2.8.1."""

_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^ ;\\]+)")
_TIMEOUT = 15  # seconds for an answer of the service


class Status(IntEnum):
    """What an audit ends with; also the exit status."""

    CLEAN = 0
    FINDINGS = 1
    NOT_AUDITED = 3  # the service can't be reached


class Audit(msgspec.Struct, frozen=True):
    """How an audit has ended.

    Attributes:
        status: the outcome.
        audited: how many packages were.
        lines: what was found, or why nothing was audited.
    """

    status: Status
    audited: int
    lines: list[str]


class Vulnerability(msgspec.Struct, frozen=True):
    """As pip-audit reports it."""

    id: str
    fix_versions: list[str]
    aliases: list[str] = []


class Package(msgspec.Struct, frozen=True):
    """As pip-audit reports it; without a version it was skipped."""

    name: str
    version: str = ""
    vulns: list[Vulnerability] = []
    skip_reason: str = ""


class _Report(msgspec.Struct, frozen=True):
    dependencies: list[Package]


class ServiceError(Exception):
    """pip-audit has ended without a report; the message is its last line."""


def pins(text: str) -> tuple[list[str], list[str]]:
    """Return the packages that a locked file pins, as ``name==version``, and its lines that pin none, which are findings.

    For which platform a package is does not matter: all of them are audited.
    """
    pinned: list[str] = []
    others: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line[0] in " #":  # hashes and comments
            continue
        found = _PIN.match(line)
        if found is None:
            others.append(line)
        else:
            pinned.append(f"{found[1]}=={found[2]}")
    return pinned, others


def batches(pinned: Iterable[str]) -> list[list[str]]:
    """Return the packages in lists that name each only once: of some, several versions are pinned, for other Pythons."""
    found: list[dict[str, str]] = []
    for pin in pinned:
        name = _key(pin.partition("==")[0])
        batch = next((one for one in found if name not in one), None)
        if batch is None:
            found.append(batch := {})
        batch[name] = pin
    return [list(batch.values()) for batch in found]


def findings(pinned: Iterable[str], packages: Iterable[Package]) -> list[str]:
    """Return a line for each vulnerability, and for each package that could not be audited."""
    packages = list(packages)
    vulnerable = [
        f"{package.name} {package.version}: {' '.join([each.id, *each.aliases])}, fixed in {' '.join(each.fix_versions) or 'no version'}"
        for package in packages
        for each in package.vulns
    ]
    reasons = {_key(package.name): package.skip_reason for package in packages if package.skip_reason}
    audited = {f"{_key(package.name)}=={package.version}" for package in packages if not package.skip_reason}
    missing = [
        f"{pin}: could not be audited: {reasons.get(_key(name), 'pip-audit does not mention it')}"
        for pin, name, version in ((pin, *pin.split("==")) for pin in pinned)
        if f"{_key(name)}=={version}" not in audited
    ]
    return vulnerable + missing


def audit(files: Sequence[Path], service: str = SERVICE) -> Audit:
    """Audit all packages that locked files pin; ``service`` is the address of OSV's API."""
    read = [pins(path.read_text(encoding="utf-8")) for path in files]
    pinned = sorted({pin for found, _ in read for pin in found})
    unpinned = [f"{line}: could not be audited: no pinned version" for _, others in read for line in others]
    try:
        probe = _ask([KNOWN_BAD], service)
    except ServiceError as error:
        return Audit(Status.NOT_AUDITED, 0, [f"{service} can't be used: {error}"])
    if not any(package.vulns for package in probe):
        return Audit(Status.FINDINGS, 0, [f"{service} reports no vulnerability of {KNOWN_BAD}: it lacks the data"])
    try:
        packages = [package for batch in batches(pinned) for package in _ask(batch, service)]
    except ServiceError as error:
        return Audit(Status.FINDINGS, 0, [f"the packages could not be audited: {error}", *unpinned])
    found = unpinned + findings(pinned, packages)
    return Audit(Status.FINDINGS if found else Status.CLEAN, len(packages), found)


def _ask(pinned: Sequence[str], service: str) -> list[Package]:
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("\n".join(pinned), encoding="utf-8")
        run = subprocess.run(
            [
                *(sys.executable, "-m", "pip_audit", "--requirement", listed, "--no-deps", "--disable-pip"),
                *("--vulnerability-service", "osv", "--osv-url", service, "--timeout", str(_TIMEOUT)),
                *("--format", "json", "--progress-spinner", "off", "--cache-dir", folder),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        return msgspec.json.decode(run.stdout, type=_Report).dependencies
    except msgspec.MsgspecError:
        raise ServiceError(run.stderr.strip().rpartition("\n")[2] or f"exit status {run.returncode}") from None


def _key(name: str) -> str:
    """Return the form in which names of packages are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
