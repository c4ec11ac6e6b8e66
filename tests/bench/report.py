"""From samples to the table and the JSON document."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from tests.bench.loads import Load
from tests.bench.peers import REFERENCE, SUBJECT
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
        target: what is hoped for, in words; "" if nothing.
        met: whether it is so; None where the samples do not tell.
    """

    load: str
    unit: str
    figures: dict[str, float]
    control: dict[str, float]
    ratios: dict[str, Ratio]
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
    target, met = "", None
    if load.target and load.target.absolute:
        target = f"<= {load.target.limit:g}"
        met = figures[SUBJECT] <= load.target.limit if SUBJECT in figures else None
    elif load.target:
        target = f"<= {load.target.limit:g}x {REFERENCE}"
        met = ratios[REFERENCE].median <= load.target.limit if REFERENCE in ratios else None
    return Row(
        load=load.name,
        unit=load.unit,
        figures=figures,
        control={
            peer: statistics.median(sample.control for sample in rounds.values()) for peer, rounds in by_peer.items()
        },
        ratios=ratios,
        target=target,
        met=met,
    )


def table(rows: Sequence[Row], peers: Sequence[str]) -> str:
    """Return the rows as text: a column per peer, then the ratios and the targets; "-" where there is no figure."""
    others = [peer for peer in peers if peer != SUBJECT] if SUBJECT in peers else []
    control = [f"{SUBJECT} control"] if SUBJECT in peers else []
    head = ["load", "unit", *peers, *control, *(f"{SUBJECT}/{peer}" for peer in others), "target", ""]
    lines = [head]
    for row in rows:
        verdict = {True: "met", False: "NOT MET", None: "-"}[row.met] if row.target else ""
        figures = [_number(row.figures.get(peer)) for peer in peers]
        spent = [_number(row.control.get(SUBJECT))] if control else []
        ratios = [str(row.ratios.get(peer, "-")) for peer in others]
        lines.append([row.load, row.unit, *figures, *spent, *ratios, row.target, verdict])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


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
