"""The table at the end of a run: what the processes held, and what the clients have seen."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from tests.endurance.checks import Run
from tests.endurance.samples import Sample, Usage


def table(run: Run, own: Mapping[str, int], others: Sequence[str], events: str) -> str:
    """Return the lines of the report.

    Args:
        run: what was seen.
        own: connections that were lost with their worker, by kind.
        others: in words, those that were lost otherwise, their kind first.
        events: what was done to the proxy, in words.
    """
    moments = _moments(run.samples)
    rows = [["", *moments]]
    rows += [[name, *(_shown(describe(sample)) for sample in moments.values())] for name, describe in _HELD.items()]
    kinds = [["kind", "connections", "requests", "lost with a worker", "lost otherwise"]]
    lost = Counter(text.partition(":")[0] for text in others)
    for kind, results in run.results.items():
        answered = sum(result.messages for result in results)
        kinds.append([kind, str(len(results)), str(answered), str(own[kind]), str(lost[kind])])
    return "\n\n".join([events, _aligned(rows), _aligned(kinds)])


def _moments(samples: Sequence[Sample]) -> dict[str, Sample]:
    return {"start": samples[0], "middle": samples[len(samples) // 2], "end": samples[-1]}


_HELD: dict[str, Callable[[Sample], float]] = {
    "control: memory, MiB": lambda sample: sample.control.memory / (1 << 20),
    "control: descriptors": lambda sample: sample.control.descriptors,
    "control: threads": lambda sample: sample.control.threads,
    "control: tasks": lambda sample: sample.control.tasks,
    "worker: memory, MiB": lambda sample: _average(sample.workers, "memory") / (1 << 20),
    "worker: descriptors": lambda sample: _average(sample.workers, "descriptors"),
    "worker: threads": lambda sample: _average(sample.workers, "threads"),
    "worker: tasks": lambda sample: _average(sample.workers, "tasks"),
    "workers that drain": lambda sample: len(sample.draining),
    "database, KiB": lambda sample: sample.database / 1024,
    "its journal, KiB": lambda sample: sample.journal / 1024,
    "requests answered": lambda sample: sum(sample.answered.values()),
}


def _average(usages: Sequence[Usage], what: str) -> float:
    return mean(getattr(usage, what) for usage in usages) if usages else 0.0


def _shown(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )
