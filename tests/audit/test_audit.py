"""The audit of the locked packages: it can fail, and "nothing found" and "not audited" are different results."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.audit.__main__ import ROOT, main
from tests.audit.audit import KNOWN_BAD, Package, Status, Vulnerability, audit, batches, findings, pins
from tests.support.ports import free_port
from tests.support.require import unreachable

LOCKED = sorted((ROOT / "requirements").glob("*.txt"))
HASH = "    --hash=sha256:0\n"


class Osv:
    """A stand-in for OSV's API on loopback.

    Attributes:
        bad: vulnerable versions, as ``name==version``.
        failing: packages that it answers with 500 instead.
        asked: what it was asked about.
    """

    def __init__(self) -> None:
        self.bad = {KNOWN_BAD}
        self.failing: set[str] = set()
        self.asked: list[str] = []
        osv = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                name, version = asked["package"]["name"], asked["version"]
                osv.asked.append(f"{name}=={version}")
                body = json.dumps(osv.answer(name, version)).encode()
                self.send_response(500 if name in osv.failing else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/query"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def answer(self, name: str, version: str) -> object:
        if f"{name}=={version}" not in self.bad:
            return {}
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}]
        affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
        return {"vulns": [{"id": "PYSEC-0000-1", "aliases": ["CVE-0000-1"], "summary": "bad", "affected": affected}]}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def osv() -> Iterator[Osv]:
    osv = Osv()
    yield osv
    osv.close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A locked file as uv writes it, with a package for another platform."""
    path = tmp_path / "locked.txt"
    path.write_text(
        f"# made by\nidna==3.10 \\\n{HASH}    # via x\ncolorama==0.4.6 ; sys_platform == 'win32' \\\n{HASH}"
    )
    return path


def test_a_known_bad_version_is_found(osv: Osv, lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the same code and the same pip-audit as the real files: the output names it and its fix, and the run fails."""
    with lock.open("a") as file:
        file.write(f"{KNOWN_BAD} \\\n{HASH}")
    assert main([lock], osv.url) == 1
    assert capsys.readouterr().out.splitlines() == [
        "jinja2 2.4.1: PYSEC-0000-1 CVE-0000-1, fixed in 99.1",
        "1 findings",
    ]


def test_every_package_is_asked_about_whatever_its_platform(osv: Osv, lock: Path) -> None:
    """The known-bad version is asked about first; no finding for the others is success."""
    result = audit([lock], osv.url)
    assert (result.status, result.audited, result.lines) == (Status.CLEAN, 2, [])
    assert osv.asked[0] == KNOWN_BAD
    assert sorted(osv.asked[1:]) == ["colorama==0.4.6", "idna==3.10"]


def test_all_that_is_locked_is_asked_about(osv: Osv) -> None:
    """No line of the real files is lost in parsing."""
    pinned: set[str] = set()
    for path in LOCKED:
        found, others = pins(path.read_text(encoding="utf-8"))
        assert others == []
        pinned |= set(found)
    result = audit(LOCKED, osv.url)
    assert (result.status, result.lines) == (Status.CLEAN, [])
    assert set(osv.asked) - {KNOWN_BAD} == pinned
    assert len(pinned) > 50


def test_several_versions_of_a_package_are_asked_about_apart() -> None:
    """pip-audit refuses a list with both; each list has as much as it can."""
    assert batches(["a==1", "A_b==1", "a==2", "a.b==2", "c==1"]) == [["a==1", "A_b==1", "c==1"], ["a==2", "a.b==2"]]
    assert batches([]) == []


def test_a_service_that_is_not_there_is_no_success(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has an exit status of its own, and a conspicuous message."""
    assert main([lock], f"http://127.0.0.1:{free_port()}/v1/query") == 3
    assert "!!! NOT AUDITED" in capsys.readouterr().out


def test_a_service_that_knows_nothing_is_a_finding(osv: Osv, lock: Path) -> None:
    """Without this check a mirror that has no data would pass every package."""
    osv.bad.clear()
    result = audit([lock], osv.url)
    assert result.status is Status.FINDINGS
    assert "lacks the data" in result.lines[0]


def test_a_service_that_fails_in_between_is_a_finding(osv: Osv, lock: Path) -> None:
    """What was not audited is not clean."""
    osv.failing.add("idna")
    result = audit([lock], osv.url)
    assert (result.status, result.audited) == (Status.FINDINGS, 0)
    assert "could not be audited" in result.lines[0]


def test_lines_that_pin_nothing_are_findings(osv: Osv, lock: Path) -> None:
    """pip-audit would leave them out, or guess."""
    lines = ["idna>=3", "./local", "-e .", "idna @ https://example.com/idna.whl"]
    with lock.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    result = audit([lock], osv.url)
    assert result.status == Status.FINDINGS
    assert result.lines == [f"{line}: could not be audited: no pinned version" for line in lines]


def test_a_package_that_was_skipped_or_forgotten_is_a_finding() -> None:
    """Names are compared as indexes do."""
    reported = [Package("A.b", "1"), Package("c", skip_reason="not found"), Package("d", "1", [Vulnerability("X", [])])]
    assert findings(["a-b==1", "c==1", "d==1", "e==1"], reported) == [
        "d 1: X, fixed in no version",
        "c==1: could not be audited: not found",
        "e==1: could not be audited: pip-audit does not mention it",
    ]


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_locked_packages_have_no_known_vulnerability() -> None:
    """Asks the real service; where it can't be reached, the summary says that this was not tested."""
    result = audit(LOCKED)
    if result.status is Status.NOT_AUDITED:
        unreachable("vulnerability service: packages NOT AUDITED", result.lines[0])
    assert result.lines == []
