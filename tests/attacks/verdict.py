"""What outcomes mean: what is wrong with one, and the table of all of them."""

from collections.abc import Mapping, Sequence
from statistics import median

from tests.attacks.contestants import SUBJECT
from tests.attacks.row import MB, Row
from tests.attacks.stage import Outcome

_HEADING = "\n## Figures\n\n"
_ALWAYS = 0.1  # seconds: a p99 of that is never too much
_FACTOR = 3  # times the worst of the other proxies


def faults(row: Row, outcome: Outcome) -> list[str]:
    """Return what of an outcome of our own must not be: memory, survival, and somebody who waited too long."""
    found = []
    if outcome.grown > row.memory:
        found.append(f"{outcome.grown / MB:.1f} MB of memory, {row.memory / MB:.0f} at most")
    if not outcome.survived:
        found.append("a worker was replaced")
    if outcome.worst - outcome.starved > row.wait:
        found.append(f"somebody waited {outcome.worst:.1f} s, and the proxy for a CPU {outcome.starved:.1f} s")
    return found


def middle(outcomes: Sequence[Outcome]) -> Outcome:
    """Return one outcome for several runs of a row on a proxy: medians, but the worst of what must never be."""
    first = outcomes[0]
    kept, new, passed = zip(*(each.p99 for each in outcomes), strict=True)
    return Outcome(
        row=first.row,
        contestant=first.contestant,
        grown=max(each.grown for each in outcomes),
        kept=max(each.kept for each in outcomes),
        cpu=median(each.cpu for each in outcomes),
        seconds=median(each.seconds for each in outcomes),
        sent=round(median(each.sent for each in outcomes)),
        p99=(median(kept), median(new), median(passed)),
        worst=median(each.worst for each in outcomes),
        starved=median(each.starved for each in outcomes),
        failed=round(median(each.failed for each in outcomes)),
        survived=all(each.survived for each in outcomes),
    )


def slower(ours: Outcome, others: Sequence[Outcome]) -> bool:
    """Tell whether others wait longer on ours than on the other proxies, beyond what is always right."""
    if not others:
        return False
    bound = max(_ALWAYS, _FACTOR * max(max(each.p99[:2]) for each in others))
    return max(ours.p99[:2]) > bound


def with_figures(text: str, figures: str) -> str:
    """Return a page with new figures behind its heading of them; they are all of it if there is none."""
    before, heading, _ = text.partition(_HEADING)
    return f"{before}{heading}{figures}" if heading else figures


def table(rows: Sequence[Row], outcomes: Mapping[tuple[str, str], Outcome], contestants: Sequence[str]) -> str:
    """Return the table, as Markdown."""
    heads = ["attack", "what is done", "bound, MB"]
    for name in contestants:
        heads += [f"{name}: MB", "CPU", "ns/byte", "p99, ms"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [f"`{row.name}`", row.what, f"{row.memory / MB:.0f}"]
        for name in contestants:
            outcome = outcomes.get((row.name, name))
            cells += _cells(outcome) if outcome else ["-"] * 4
        ours = outcomes.get((row.name, SUBJECT))
        peers = [outcomes[row.name, name] for name in contestants if name != SUBJECT and (row.name, name) in outcomes]
        if ours and slower(ours, peers):
            cells[0] += " (slower)"
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(outcome: Outcome) -> list[str]:
    per_byte = f"{outcome.cpu * 1e9 / outcome.sent:.0f}" if outcome.sent > 100_000 else ""
    waits = "/".join(f"{seconds * 1000:.0f}" for seconds in outcome.p99)
    notes = [f"{outcome.failed} failed"] if outcome.failed else []
    if not outcome.survived:
        notes.append("died")
    return [
        f"{max(0, outcome.grown) / MB:.1f}",
        f"{outcome.cpu / outcome.seconds:.0%}",
        per_byte,
        f"{waits}{' (' + ', '.join(notes) + ')' if notes else ''}",
    ]
