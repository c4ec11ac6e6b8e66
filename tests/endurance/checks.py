"""What must hold after a run: pure functions of samples and results, each returning what does not, in words.

**Flat** is a comparison of medians: of the last third with the first, the warm-up left out. A median forgives the moments
of an event (a reload holds two snapshots). A leak shows in it with two thirds of what it is over the whole time: a
descriptor per reload would be 1,200 in 30 minutes, 1 KiB per request over 5 minutes of 150 requests a second 30 MiB.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import msgspec

from mcproxy.control.counters.totals import Totals
from tests.endurance.events import Kill
from tests.endurance.samples import Sample, Usage
from tests.support.load import Result

MEMORY = 6 << 20
"""Bytes that memory may be more in the last third. Python's and OpenSSL's allocators keep what a busy moment needed, and two
lives of the same process differ by 1 to 4 MiB without any trend; a tenth of a leak of 1 KiB per request would be as much."""
DESCRIPTORS = 4
"""Descriptors that a median may be more: of a snapshot, sockets of a listener that comes and goes. Over the run connections are
among them, whose number stays the same; of a single process they are not."""
TASKS = 3
"""Tasks and threads that a median may be more: a look at files and a reload have one each, most of the time or not."""
DATABASE = 512 << 10
"""Bytes that the database may be more. What is in it, 264 KiB with a full history, reaches the file with the first checkpoint
only; a history that was never cut would add 8 KiB with each reload, of which a run of two minutes has 120."""
JOURNAL = 6 << 20
"""Bytes of the write-ahead log at most: SQLite begins it anew when it has 1,000 pages (4 MiB) and nobody reads in it."""
_SHORTEST_LIFE = 45.0  # seconds that a process must have been seen for its growth to say something
_WARM = 10.0  # seconds after which a process has what it needs
_COMPLAINT = re.compile(r"\[(error|warning|critical) *\]|Traceback|never retrieved|Error:")
_SETTLED = 1.5  # seconds within which a gRPC client tells of a connection that was cut


class Run(msgspec.Struct):
    """What was seen.

    Attributes:
        samples: oldest first, those of the warm-up left out.
        results: of all connections, by kind.
        ports: the listener's port by kind.
        kills: workers that were killed.
        final: what was counted when all clients had left.
    """

    samples: list[Sample]
    results: Mapping[str, Sequence[Result]]
    ports: Mapping[str, int]
    kills: Sequence[Kill]
    final: Totals


def grown(values: Sequence[float], most: float) -> float:
    """Return by how much the median of the last third is above that of the first, if by more than ``most``, else 0."""
    third = len(values) // 3
    if not third:
        return 0
    more = median(values[-third:]) - median(values[:third])
    return more if more > most else 0


def flat(run: Run) -> list[str]:
    """Check that nothing grows, over the run and in each process that lives long."""
    samples = run.samples
    series = {
        "control's": ("descriptors", [sample.control for sample in samples]),
        "the workers' mean": ("descriptors", [_mean(sample.workers) for sample in samples if sample.workers]),
        **{f"process {pid}'s": ("apart", life) for pid, life in lives(samples).items()},
    }
    found = [
        f"{whose} {_WORDS.get(what, what)} grow by {more:,.0f}"
        for whose, (descriptors, usages) in series.items()
        for what, most in {**_BOUNDS, descriptors: DESCRIPTORS}.items()
        if (more := grown([getattr(usage, what) for usage in usages], most))
    ]
    if more := grown([sample.database for sample in samples], DATABASE):
        found.append(f"the database grows by {more:,.0f} bytes")
    if (most := max((sample.journal for sample in samples), default=0)) > JOURNAL:
        found.append(f"the database's write-ahead log has {most:,} bytes")
    return found


_BOUNDS = {"memory": MEMORY, "threads": TASKS, "tasks": TASKS}
_WORDS = {"apart": "descriptors apart from connections"}


def lives(samples: Iterable[Sample]) -> dict[int, list[Usage]]:
    """Return what was seen of each process that lived long, its first seconds left out."""
    found: dict[int, list[Usage]] = {}
    for sample in samples:
        for usage in (sample.control, *sample.workers):
            if usage.age >= _WARM:
                found.setdefault(usage.pid, []).append(usage)
    return {pid: life for pid, life in found.items() if life[-1].age - life[0].age >= _SHORTEST_LIFE}


def _mean(usages: Sequence[Usage]) -> Usage:
    count = len(usages)

    def mean(what: str) -> int:
        values: list[int] = [getattr(usage, what) for usage in usages]
        return round(sum(values) / count)

    return Usage(0, 0.0, mean("memory"), mean("descriptors"), mean("apart"), mean("threads"), mean("tasks"))


def losses(run: Run) -> tuple[dict[str, int], list[str]]:
    """Return how many connections each kind lost with killed workers, and what was lost otherwise."""
    own = dict.fromkeys(run.results, 0)
    others = []
    for kind, results in run.results.items():
        port = run.ports[kind]
        left = [len(kill.clients.get(port, ())) for kill in run.kills]
        for result in results:
            if not result.error:
                continue
            if _was_killed(result, port, run.kills, left):
                own[kind] += 1
            else:
                others.append(f"{kind}: {result.error} after {result.messages} answers, {_place(result, run.kills)}")
    return own, others


def _was_killed(result: Result, port: int, kills: Sequence[Kill], left: list[int]) -> bool:
    """Tell whether a connection was a killed worker's; ``left`` counts those of each kill that are not accounted for."""
    for number, kill in enumerate(kills):
        if not result.began <= kill.time <= result.ended:
            continue
        # a gRPC client does not tell its port: it may lose as many connections as the worker had of its kind
        known = result.port in kill.clients.get(port, ()) if result.port else result.ended <= kill.time + _SETTLED
        if known and left[number] > 0:
            left[number] -= 1
            return True
    return False


def _place(result: Result, kills: Sequence[Kill]) -> str:
    since = min((abs(result.ended - kill.time) for kill in kills), default=0.0)
    print(result, [k for k in kills if abs(k.time - result.ended) < 1])
    return f"{result.ended - result.began:.1f} s old, {since:.1f} s from the nearest kill of a worker"


def counters(run: Run) -> list[str]:
    """Check that no counter ever went back, and that at the end they agree with what clients have seen."""
    found = []
    readings = [*(sample.counted for sample in run.samples), run.final]
    for before, after in itertools.pairwise(readings):
        found += [f"{name} went from {value} to {_flat(after)[name]}" for name, value in _backwards(before, after)]
    killed = sum(len(ports) for kill in run.kills for ports in kill.clients.values())
    for port in sorted(set(run.ports.values())):
        kinds = [kind for kind in run.results if run.ports[kind] == port]
        (addr,) = (addr for addr in run.final.listeners if addr.endswith(f":{port}"))
        counted = run.final.listeners[addr]
        seen = [result for kind in kinds for result in run.results[kind]]
        if counted.open:
            found.append(f"{addr} still has {counted.open} connections when all clients have left")
        # one that was taken when the worker was stopped may not be counted yet
        if all(result.port for result in seen) and not 0 <= len(seen) - counted.accepted <= len(run.kills):
            found.append(f"{addr} has counted {counted.accepted} connections, clients made {len(seen)}")
        asked = sum(route.requests for (listener, _), route in run.final.routes.items() if listener == addr)
        answered = sum(result.messages for result in seen)
        if kinds[0].startswith("http") and not answered <= asked <= answered + 4 * killed + len(seen):
            found.append(f"{addr} has counted {asked} requests, clients had {answered} answers")
    found += [f"{key} still has {route.active} connections" for key, route in run.final.routes.items() if route.active]
    if run.final.worker_restarts != len(run.kills):
        found.append(f"{run.final.worker_restarts} restarts were counted, {len(run.kills)} workers were killed")
    return found


def _backwards(before: Totals, after: Totals) -> list[tuple[str, int]]:
    later = _flat(after)
    return [(name, value) for name, value in _flat(before).items() if name in later and later[name] < value]


def _flat(totals: Totals) -> dict[str, int]:
    """Return what only grows, of routes that stay."""
    found = {"worker_restarts": totals.worker_restarts, "backend_redials": totals.backend_redials}
    for addr, listener in totals.listeners.items():
        found[f"{addr} accepted"] = listener.accepted
        found[f"{addr} dials"] = listener.dials.total
        found[f"{addr} request times"] = listener.requests.total
    for (addr, hostname), route in totals.routes.items():
        if hostname == "stays.test":
            for what in ("connections", "received", "sent", "requests"):
                found[f"{addr} {hostname} {what}"] = getattr(route, what)
            found[f"{addr} {hostname} errors"] = sum(route.errors.values())
            if route.durations is not None:
                found[f"{addr} {hostname} request times"] = route.durations.total
    return found


def complaints(logs: Iterable[str]) -> list[str]:
    """Return the lines of the log that should not be there: errors and warnings, except that a killed worker has died."""
    return [
        line
        for log in logs
        for line in log.splitlines()
        if _COMPLAINT.search(line) and "] worker died, replacing it " not in line
    ]
