"""The attack table: its rows can be played on every proxy that is here, and what it says is what was measured."""

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.attacks import hostile_h1, hostile_h2
from tests.attacks.__main__ import main
from tests.attacks.contestants import CONTESTANTS, SUBJECT
from tests.attacks.row import MB
from tests.attacks.rows import ROWS
from tests.attacks.stage import Outcome, staged, start_hostile
from tests.attacks.verdict import faults, middle, slower, table, with_figures
from tests.support.certificates import Certificates
from tests.support.frames import Requests, frames_in, opening
from tests.support.processes import Processes
from tests.support.require import missing

ROW = ROWS["unread-page"]
GOOD = Outcome(ROW.name, SUBJECT, 4 * MB, MB, 0.5, 2.0, 1_000_000, (0.01, 0.02, 0.03), 0.5, 0.0, 0, survived=True)


def changed(**fields: object) -> Outcome:
    return msgspec.structs.replace(GOOD, **fields)


def test_an_outcome_within_its_bounds_has_no_fault() -> None:
    """Memory, survival and the longest wait are judged; how much CPU time it takes is for people."""
    assert faults(ROW, GOOD) == []
    assert faults(ROW, changed(cpu=100.0)) == []
    assert faults(ROW, changed(worst=5.0, starved=3.1)) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"grown": ROW.memory + 1}, "memory"),
        ({"survived": False}, "replaced"),
        ({"worst": 2.1}, "waited"),
        ({"worst": 5.2, "starved": 3.1}, "waited"),
    ],
)
def test_what_must_not_be_is_a_fault(fields: dict[str, object], words: str) -> None:
    """Each by itself, and in words."""
    (fault,) = faults(ROW, changed(**fields))
    assert words in fault


def test_several_runs_count_by_their_medians_but_for_what_must_never_be() -> None:
    """One slow run says something about the machine; one that takes memory, or a worker, is the proxy's."""
    runs = [GOOD, changed(p99=(9.0, 9.0, 9.0), worst=9.0, grown=20 * MB), changed(survived=False)]
    outcome = middle(runs)
    assert outcome.p99 == GOOD.p99
    assert outcome.worst == GOOD.worst
    assert outcome.grown == 20 * MB
    assert not outcome.survived


def test_slower_is_beyond_three_times_the_worst_of_the_others() -> None:
    """And never below a tenth of a second; without others there is nothing to compare with."""
    peers = [changed(p99=(0.05, 0.02, 0.01)), changed(p99=(0.01, 0.01, 0.01))]
    assert not slower(changed(p99=(0.15, 0.15, 9.0)), peers)
    assert slower(changed(p99=(0.16, 0.01, 0.01)), peers)
    assert not slower(changed(p99=(0.09, 0.09, 0.09)), [changed(p99=(0.001, 0.001, 0.001))])
    assert not slower(changed(p99=(9.0, 9.0, 9.0)), [])


def test_the_table_has_a_line_for_each_row_and_a_gap_where_a_proxy_was_not_asked() -> None:
    """A proxy that cannot speak with the backend of a row has no figures there."""
    lines = table([ROW, ROWS["ping"]], {(ROW.name, SUBJECT): GOOD}, [SUBJECT, "nginx"]).splitlines()
    assert len(lines) == 4
    assert "| 4.0 | 25% | 500 | 10/20/30 | - | - | - | - |" in lines[2]
    assert lines[3].count("| -") == 8


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Return the ports of the hostile backends."""
    with Processes(tmp_path_factory.mktemp("hostile")) as processes:
        yield start_hostile(processes)


@pytest.mark.parametrize("kind", [f"h1-{kind}" for kind in hostile_h1.KINDS])
def test_hostile_backends_of_http1_answer(hostile: dict[str, int], kind: str) -> None:
    """With bytes, or with the end of the connection; only one of them says nothing at all."""
    with socket.create_connection(("127.0.0.1", hostile[kind]), 5) as sock:
        sock.settimeout(1 if kind == "h1-silent" else 5)
        try:
            sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            received = sock.recv(1 << 16)
        except TimeoutError:
            assert kind == "h1-silent"
        except ConnectionError:
            assert kind == "h1-closes"
        else:
            assert bool(received) == (kind != "h1-closes")


@pytest.mark.parametrize("kind", [f"h2-{kind}" for kind in hostile_h2.KINDS])
def test_hostile_backends_of_http2_answer(hostile: dict[str, int], kind: str) -> None:
    """With their settings, and with what their name says as soon as a request comes."""
    with socket.create_connection(("127.0.0.1", hostile[kind]), 5) as sock:
        sock.sendall(opening() + Requests("a").open())
        received = b""
        while len(frames_in(received)) < (2 if kind in ("h2-no-streams", "h2-no-window") else 3):
            data = sock.recv(1 << 16)
            assert data
            received += data


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_proxy_can_be_attacked(name: str, certs: Certificates) -> None:
    """Its configuration serves the others meanwhile, and it is there afterwards."""
    if reason := CONTESTANTS[name].missing():
        if name == "envoy":
            pytest.skip(f"{reason} (requirements/bench.txt, too large for the development group)")
        missing(name, reason)
    with staged([ROW], CONTESTANTS[name], certs) as stage:
        outcome = stage.play(ROW, 0.5, patience=0.0)
    assert outcome.failed == 0
    assert outcome.survived
    assert outcome.sent > 1000
    assert outcome.cpu > 0
    assert min(outcome.p99) > 0


def test_the_command_plays_rows_and_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status says whether anything was too much, which on a busy machine may be."""
    file = tmp_path / "table.md"
    status = main(["--quick", "--rows", "unread-page,ping", "--markdown", str(file)])
    said = capsys.readouterr()
    assert status == ("FAULT" in said.err)
    assert file.read_text() in said.out
    assert [line.split("`")[1] for line in file.read_text().splitlines()[4:]] == ["unread-page", "ping"]


def test_the_figures_of_a_page_are_replaced() -> None:
    """What is said ahead of them stays."""
    page = "# Attacks\n\nwords\n\n## Figures\n\nold\n"
    assert with_figures(page, "new\n") == "# Attacks\n\nwords\n\n## Figures\n\nnew\n"
    assert with_figures("", "new\n") == "new\n"
