"""From samples to the table and the JSON document."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from tests.bench.loads import Load, Target
from tests.bench.peers import SUBJECT
from tests.bench.sample import Sample
from tests.bench.site import Layer


class Ratio(msgspec.Struct, frozen=True):
    """One peer's figure over another's: both of one round, then the median over the rounds, and the extremes."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}x ({self.low:.2f}-{self.high:.2f})"


class Verdict(msgspec.Struct, frozen=True):
    """One target of a load, judged.

    Attributes:
        ratio: what has the target; None when the figure itself has it, or the samples do not tell.
        target: what is hoped for, in words.
        met: whether it is so; None where the samples do not tell.
    """

    ratio: Ratio | None
    target: str
    met: bool | None

    def __str__(self) -> str:
        return {True: "met", False: "NOT MET", None: "-"}[self.met]


class Row(msgspec.Struct, frozen=True):
    """One load's results.

    Attributes:
        load: the load's name.
        unit: what the figures are in.
        figures: the median per peer.
        control: the median per peer of what its other processes cost, in the same unit.
        ratios: the subject's over others', by the other peer's name.
        verdicts: its targets, judged.
    """

    load: str
    unit: str
    figures: dict[str, float]
    control: dict[str, float]
    ratios: dict[str, Ratio]
    verdicts: tuple[Verdict, ...]


def summarize(load: Load, samples: Sequence[Sample]) -> Row:
    """Return the row of ``load`` from the samples of all loads."""
    by_peer = _by_peer(samples, load.name)
    figures = {peer: statistics.median(sample.value for sample in rounds.values()) for peer, rounds in by_peer.items()}
    found = {peer: _ratio(by_peer, SUBJECT, peer) for peer in by_peer if peer != SUBJECT}
    return Row(
        load=load.name,
        unit=load.unit,
        figures=figures,
        control={
            peer: statistics.median(sample.control for sample in rounds.values()) for peer, rounds in by_peer.items()
        },
        ratios={peer: ratio for peer, ratio in found.items() if ratio is not None},
        verdicts=tuple(
            _judge_loads(target, by_peer, _by_peer(samples, target.load))
            if target.load
            else _judge(target, figures, by_peer)
            for target in load.targets
        ),
    )


def _by_peer(samples: Sequence[Sample], load: str) -> dict[str, dict[int, Sample]]:
    """Return the samples of a load by peer and round."""
    found: dict[str, dict[int, Sample]] = {}
    for sample in samples:
        if sample.load == load:
            found.setdefault(sample.peer, {})[sample.round] = sample
    return found


def table(rows: Sequence[Row], peers: Sequence[str]) -> str:
    """Return the rows as text: a column per peer, then the ratio that has a target; "-" where there is no figure.

    A row with several targets takes a line for each.
    """
    control = [f"{SUBJECT} control"] if SUBJECT in peers else []
    lines = [["load", "unit", *peers, *control, "ratio", "target", ""]]
    for row in rows:
        figures = [_number(row.figures.get(peer)) for peer in peers]
        spent = [_number(row.control.get(SUBJECT))] if control else []
        verdicts = [["-" if one.ratio is None else str(one.ratio), one.target, str(one)] for one in row.verdicts]
        first, *more = verdicts or [["-", "", ""]]
        lines.append([row.load, row.unit, *figures, *spent, *first])
        lines += [[*[""] * (len(lines[0]) - len(verdict)), *verdict] for verdict in more]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def document(
    rows: Sequence[Row], samples: Sequence[Sample], versions: Mapping[Layer, Mapping[str, str]], failures: Sequence[str]
) -> bytes:
    """Return everything as JSON: the machine, the peers' versions, the rows, every sample, and what failed."""
    machine = {"kernel": platform.release(), "python": platform.python_version(), "cpus": os.cpu_count()}
    content = {"machine": machine, "versions": versions, "rows": rows, "samples": samples, "failures": failures}
    return msgspec.json.format(msgspec.json.encode(content))


def _ratio(by_peer: Mapping[str, Mapping[int, Sample]], of: str, over: str) -> Ratio | None:
    """Return one peer's figure over another's, None where they have no round in common."""
    ones, others = by_peer.get(of, {}), by_peer.get(over, {})
    shared = [
        ones[number].value / others[number].value for number in others if number in ones and others[number].value > 0
    ]
    return Ratio(statistics.median(shared), min(shared), max(shared)) if shared else None


def _excess(by_peer: Mapping[str, Mapping[int, Sample]], of: str, over: str) -> float | None:
    """Return how much one peer's figure is above another's, as the median over the rounds; None where they have none in common."""
    ones, others = by_peer.get(of, {}), by_peer.get(over, {})
    shared = [ones[number].value - others[number].value for number in others if number in ones]
    return statistics.median(shared) if shared else None


def _judge(target: Target, figures: Mapping[str, float], by_peer: Mapping[str, Mapping[int, Sample]]) -> Verdict:
    of = target.of or SUBJECT
    ratio = _ratio(by_peer, of, target.over) if target.over else None
    met = None
    if target.added:
        excess = _excess(by_peer, of, target.over)
        met = None if excess is None else excess <= target.limit
    elif ratio is not None:
        met = ratio.median <= target.limit
    elif not target.over and of in figures:
        met = figures[of] <= target.limit
    return Verdict(ratio, str(target), met)


def _judge_loads(
    target: Target, by_peer: Mapping[str, Mapping[int, Sample]], other: Mapping[str, Mapping[int, Sample]]
) -> Verdict:
    """Judge what a peer needs by what the same one needs for another load."""
    of = target.of or SUBJECT
    ratio = _ratio({"this": by_peer.get(of, {}), "other": other.get(of, {})}, "this", "other")
    return Verdict(ratio, str(target), None if ratio is None else ratio.median <= target.limit)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"
