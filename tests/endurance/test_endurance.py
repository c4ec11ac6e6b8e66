"""The checks of an endurance run: what must not be is found, what may be is not."""

from collections.abc import Sequence
from typing import Any

import pytest

from mcproxy.control.counters.totals import Totals
from tests.endurance import checks
from tests.endurance.__main__ import main
from tests.endurance.checks import DESCRIPTORS, JOURNAL, MEMORY, Run
from tests.endurance.events import Kill
from tests.endurance.report import table
from tests.endurance.samples import Sample, Usage
from tests.support.load import Result
from tests.support.observed import listener_totals, route_totals, totals

PORT = 4430
ADDR = f"127.0.0.1:{PORT}"
ROUTE = (ADDR, "stays.test")


def usage(pid: int, age: float, **fields: int) -> Usage:
    given = {"memory": 20 << 20, "descriptors": 90, "apart": 30, "threads": 3, "tasks": 5, **fields}
    return Usage(pid, age, **given)


def counted(accepted: int = 2, requests: int = 3, **fields: Any) -> Totals:
    return totals({ADDR: listener_totals(accepted)}, {ROUTE: route_totals(requests=requests)}, **fields)


def sample(second: int, **fields: Any) -> Sample:
    given: dict[str, Any] = {
        "control": usage(1, second),
        "workers": [usage(2, second)],
        "draining": [],
        "database": 4096,
        "journal": 0,
        "counted": counted(),
        "answered": {"http1": second},
    }
    return Sample(float(second), **{**given, **fields})


def run(
    samples: Sequence[Sample] = (),
    results: Sequence[Result] = (),
    kills: Sequence[Kill] = (),
    final: Totals | None = None,
    kind: str = "http1",
) -> Run:
    return Run(list(samples), {kind: list(results)}, {kind: PORT}, kills, final or counted())


def result(began: float = 1.0, ended: float = 9.0, port: int = 5000, messages: int = 3, error: str = "") -> Result:
    return Result("http1", began, ended, port, messages=messages, error=error)


SECONDS = range(0, 90, 3)


def test_what_stays_as_it_is_is_flat() -> None:
    assert checks.flat(run([sample(second) for second in SECONDS])) == []


@pytest.mark.parametrize(
    ("field", "step"), [("memory", MEMORY // 15), ("descriptors", 1), ("threads", 1), ("tasks", 1)]
)
@pytest.mark.parametrize("whose", ["control", "workers"])
def test_growth_is_found(whose: str, field: str, step: int) -> None:
    """Of control and of workers, over the run and within the life of a process."""
    samples = []
    for number, second in enumerate(SECONDS):
        grown = usage(
            7, second, **dict.fromkeys((field, "apart") if field == "descriptors" else (field,), 50 + number * step)
        )
        samples.append(sample(second, **{whose: grown if whose == "control" else [grown]}))
    found = checks.flat(run(samples))
    assert len(found) == 2
    assert all(field in text for text in found)
    assert "process 7's" in found[1]


def test_growth_within_lives_that_a_mean_hides_is_found() -> None:
    """Each process begins anew where the last one began."""
    samples = [
        sample(second, workers=[usage(10 + second // 90, second % 90, memory=second % 90 * (MEMORY // 30))])
        for second in range(0, 360, 3)
    ]
    found = checks.flat(run(samples))
    assert [text.split(" ")[1] for text in found] == ["10's", "11's", "12's", "13's"]


def test_connections_that_move_from_one_worker_to_another_are_no_growth() -> None:
    """As after a kill: the mean stays, and so does what each holds beside them."""
    samples = [
        sample(second, workers=[usage(7, second, descriptors=90 + second), usage(8, second, descriptors=190 - second)])
        for second in SECONDS
    ]
    assert checks.flat(run(samples)) == []


def test_a_moment_is_no_growth() -> None:
    """A reload holds two snapshots, and a listener that is about to go its sockets."""
    samples = [sample(second, control=usage(1, second, descriptors=90 + (second == 87) * 100)) for second in SECONDS]
    assert checks.flat(run(samples)) == []


def test_bounds_are_bounds() -> None:
    values = [0.0] * 5 + [float(DESCRIPTORS)] * 5 + [float(DESCRIPTORS)] * 5
    assert checks.grown(values, DESCRIPTORS) == 0
    assert checks.grown(values, DESCRIPTORS - 1) == DESCRIPTORS
    assert checks.grown([1, 100], 1) == 0  # nothing to compare


def test_a_database_that_grows_is_found() -> None:
    found = checks.flat(run([sample(second, database=second * 10_000) for second in SECONDS]))
    assert found == ["the database grows by 600,000 bytes"]
    found = checks.flat(run([sample(second, journal=JOURNAL + 1) for second in SECONDS]))
    assert "write-ahead log" in found[0]


def test_connections_of_a_killed_worker_are_its_own() -> None:
    """Known by the client's port, and by the time: a port may be used again."""
    kill = Kill(5.0, {PORT: {5000, 5001}})
    cut = result(error="reset")
    assert checks.losses(run(results=[cut], kills=[kill])) == ({"http1": 1}, [])
    for other in (result(error="reset", port=5002), result(5.5, error="reset"), result(1.0, 4.9, error="reset")):
        own, others = checks.losses(run(results=[other], kills=[kill]))
        assert (own["http1"], len(others)) == (0, 1)
        assert others[0].startswith("http1: reset after 3 answers")


def test_a_loss_without_any_kill_is_found() -> None:
    assert len(checks.losses(run(results=[result(), result(error="refused", port=0)]))[1]) == 1


def test_a_client_that_does_not_tell_its_port_loses_as_many_as_the_worker_had() -> None:
    """And at once: a loss seconds later has another reason."""
    kill = Kill(5.0, {PORT: {1}})
    soon = [result(1.0, 5.2, port=0, error="gone") for _ in range(2)]
    own, others = checks.losses(run(results=soon, kills=[kill], kind="grpc"))
    assert (own["grpc"], len(others)) == (1, 1)
    assert len(checks.losses(run(results=[result(1.0, 8.0, port=0, error="gone")], kills=[kill]))[1]) == 1


def test_counters_that_agree_with_clients_are_right() -> None:
    before = sample(1, counted=counted(1, 1))
    assert checks.counters(run([before], [result(messages=1), result(messages=2)])) == []


@pytest.mark.parametrize(
    ("final", "found"),
    [
        (counted(1, 3), "has counted 1 connections, clients made 2"),
        (counted(3, 3), "has counted 3 connections, clients made 2"),
        (counted(2, 2), "has counted 2 requests, clients had 3 answers"),
        (counted(2, 99), "has counted 99 requests, clients had 3 answers"),
        (counted(worker_restarts=1), "1 restarts were counted, 0 workers were killed"),
        (totals({ADDR: listener_totals(2, 1)}, {ROUTE: route_totals(requests=3)}), "still has 1 connections"),
        (totals({ADDR: listener_totals(2)}, {ROUTE: route_totals(requests=3, active=1)}), "still has 1 connections"),
    ],
)
def test_counters_that_do_not_agree_are_found(final: Totals, found: str) -> None:
    (text,) = checks.counters(run((), [result(messages=1), result(messages=2)], final=final))
    assert found in text


def test_a_counter_that_goes_back_is_found() -> None:
    samples = [sample(1, counted=counted(2, 4)), sample(2, counted=counted(2, 3))]
    (text,) = checks.counters(run(samples, [result(messages=1), result(messages=2)]))
    assert text == f"{ADDR} stays.test requests went from 4 to 3"


def test_complaints_in_the_log_are_found() -> None:
    """But a worker that was killed may be told of."""
    wrong = ["... [error    ] can't", "... [warning  ] worker is late", "Traceback (most recent call last):"]
    right = ["... [info     ] applied", "... [error    ] worker died, replacing it pid=1"]
    assert checks.complaints(["\n".join([*wrong, *right]), ""]) == wrong


def test_the_table_tells_start_middle_and_end() -> None:
    made = run([sample(second, answered={"http1": second}) for second in (3, 60, 87)], [result(messages=7)])
    text = table(made, {"http1": 2}, ["http1: refused"], "what happened")
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["requests answered"][-3:] == ["3", "60", "87"]
    assert rows["worker: memory, MiB"][-3:] == ["20"] * 3
    assert rows["http1"] == ["http1", "1", "7", "2", "1"]


def test_the_command_line_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started with intervals that make no sense."""
    for arguments in (["0"], ["-1"], ["1", "--reload", "0"], ["x"]):
        with pytest.raises(SystemExit):
            main(arguments)
    assert "positive" in capsys.readouterr().err
