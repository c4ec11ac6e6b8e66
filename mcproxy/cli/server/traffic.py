"""What a plan would have done to the requests of an access log."""

import gzip
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import msgspec

from mcproxy.cli.common.columns import printable
from mcproxy.cli.common.output import print_table
from mcproxy.errors import McproxyError
from mcproxy.model.values.figures import amount
from mcproxy.policy.explain.traffic.lines import Line
from mcproxy.policy.explain.traffic.replay import Replay, Report
from mcproxy.policy.explain.traffic.side import Side

_SHOWN = 50  # groups that are printed
_LONGEST = 1 << 16  # bytes of a line; the access log writes far shorter ones
_GZIP = b"\x1f\x8b"

_decode = msgspec.json.Decoder(Line).decode


class TrafficError(McproxyError):
    """An access log can't be asked."""


def replay(old: Side, new: Side, logs: Sequence[Path]) -> Report:
    """Return what comes of the lines of access logs. Nothing of them is kept, and nothing written.

    Raises:
        TrafficError: a log can't be read, or has lines of which none is one of an access log.
    """
    replaying = Replay(old, new)
    for log in logs:
        for line in _lines(log):
            try:
                decoded = _decode(line)
            except (msgspec.MsgspecError, RecursionError):  # the latter: nested too deeply
                if line.strip():
                    replaying.damaged()
            else:
                replaying.feed(decoded)
    report = replaying.report()
    if report.damaged and not report.total:
        names = ", ".join(map(printable, map(str, logs)))
        raise TrafficError(f"{names}: no line is one of an access log; mcproxy writes it by [log] access")
    return report


def show(report: Report) -> None:
    """Print a report for people."""
    since = f" since {_clock(report)}" if report.since else ""
    total, changed = f"{report.total:,}", f"{report.changed:,}"
    print(f"{changed} of {total} requests{since} would change{':' if report.changed else ''}")
    rows = [
        (
            f"{group.count:,}",
            f"{group.method} {printable(group.host)}{printable(group.path)}",
            f"{group.old} -> {group.new}",
            f"by {group.by}" + (f", largest {amount(group.largest)}" if group.largest else ""),
        )
        for group in report.groups[:_SHOWN]
    ]
    if rows:
        print_table(("COUNT", "REQUESTS", "CHANGE", "BY"), rows, right=("COUNT",), header=False)
    if len(report.groups) > _SHOWN:
        rest = report.groups[_SHOWN:]
        print(f"and {sum(group.count for group in rest):,} in {len(rest):,} more groups")
    for why, count in report.unjudged.items():
        print(f"not judged: {count:,} ({why})")
    if report.damaged:
        are = "line is" if report.damaged == 1 else "lines are"
        print(f"{report.damaged:,} {are} none of an access log", file=sys.stderr)


def _clock(report: Report) -> str:
    """Return the time of the first line, with its date unless all are of one day."""
    same = report.since[:10] == report.until[:10]
    return printable(report.since[11:16] if same else report.since[:16].replace("T", " "))


def _lines(log: Path) -> Iterator[bytes]:
    """Yield the lines of a log, which may be compressed (gzip); ``-`` is standard input; raises TrafficError."""
    try:
        if str(log) == "-":
            yield from _of(sys.stdin.buffer)
            return
        with log.open("rb") as file:
            compressed = file.read(2) == _GZIP
        with gzip.open(log, "rb") if compressed else log.open("rb") as opened:
            yield from _of(cast("IO[bytes]", opened))
    except (OSError, EOFError, zlib.error) as error:
        why = (isinstance(error, OSError) and error.strerror) or f"damaged: {error}"
        raise TrafficError(f"{printable(str(log))}: cannot be read: {why}") from error


def _of(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(_LONGEST):
        yield line
        while len(line) == _LONGEST and line[-1:] != b"\n":
            line = file.readline(_LONGEST)
