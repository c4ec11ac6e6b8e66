"""From samples to the table and the JSON document."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from tests.bench.loads import Load
from tests.bench.peers import SUBJECT
from tests.bench.sample import Sample


class Ratio(msgspec.Struct, frozen=True):
    """The subject's figure over another peer's: both of one round, then the median over the rounds, and the extremes."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}x ({self.low:.2f}-{self.high:.2f})"


class Row(msgspec.Struct, frozen=True):
    """One load's results.

    Attributes:
        load: the load's name.
        unit: what the figures are in.
        figures: the median per peer.
        control: the median per peer of what its other processes cost, in the same unit.
        ratios: by the other peer's name.
        over: the peer whose ratio has a target, if one has.
        target: what is hoped for, in words; "" if nothing.
        met: whether it is so; None where the samples do not tell.
    """

    load: str
    unit: str
    figures: dict[str, float]
    control: dict[str, float]
    ratios: dict[str, Ratio]
    over: str
    target: str
    met: bool | None


def summarize(load: Load, samples: Sequence[Sample]) -> Row:
    """Return the row of ``load`` from the samples of all loads."""
    by_peer: dict[str, dict[int, Sample]] = {}
    for sample in samples:
        if sample.load == load.name:
            by_peer.setdefault(sample.peer, {})[sample.round] = sample
    figures = {peer: statistics.median(sample.value for sample in rounds.values()) for peer, rounds in by_peer.items()}
    ratios: dict[str, Ratio] = {}
    for peer, rounds in by_peer.items():
        subject = by_peer.get(SUBJECT, {})
        shared = [
            subject[number].value / rounds[number].value
            for number in rounds
            if number in subject and rounds[number].value > 0
        ]
        if peer != SUBJECT and shared:
            ratios[peer] = Ratio(statistics.median(shared), min(shared), max(shared))
    met = None
    if load.target and load.target.over in ratios:
        met = ratios[load.target.over].median <= load.target.limit
    elif load.target and not load.target.over and SUBJECT in figures:
        met = figures[SUBJECT] <= load.target.limit
    return Row(
        load=load.name,
        unit=load.unit,
        figures=figures,
        control={
            peer: statistics.median(sample.control for sample in rounds.values()) for peer, rounds in by_peer.items()
        },
        ratios=ratios,
        over=load.target.over if load.target else "",
        target=str(load.target or ""),
        met=met,
    )


def table(rows: Sequence[Row], peers: Sequence[str]) -> str:
    """Return the rows as text: a column per peer, then the ratio that has a target; "-" where there is no figure."""
    control = [f"{SUBJECT} control"] if SUBJECT in peers else []
    lines = [["load", "unit", *peers, *control, "ratio", "target", ""]]
    for row in rows:
        figures = [_number(row.figures.get(peer)) for peer in peers]
        spent = [_number(row.control.get(SUBJECT))] if control else []
        verdict = {True: "met", False: "NOT MET", None: "-"}[row.met] if row.target else ""
        lines.append([row.load, row.unit, *figures, *spent, str(row.ratios.get(row.over, "-")), row.target, verdict])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def document(
    rows: Sequence[Row], samples: Sequence[Sample], versions: Mapping[str, str], failures: Sequence[str]
) -> bytes:
    """Return everything as JSON: the machine, the peers' versions, the rows, every sample, and what failed."""
    machine = {"kernel": platform.release(), "python": platform.python_version(), "cpus": os.cpu_count()}
    content = {"machine": machine, "versions": versions, "rows": rows, "samples": samples, "failures": failures}
    return msgspec.json.format(msgspec.json.encode(content))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"
