"""The status page as HTML, and as JSON; home of jinja2.

Everything is escaped by the template engine: hostnames, policies and the words of authors are other people's texts.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from mcproxy.control.observe.page.status import Status
from mcproxy.model.values.figures import age, amount

CURVE = (90, 24)
"""Width and height of the box that a curve is drawn in: a unit of width for each step."""
_THOUSANDS = ("", "k", "M", "G", "T")
_UNKNOWN = "\N{EN DASH}"


def page(status: Status) -> str:
    """Return the page."""
    return _environment.get_template("status.html").render(status=status, facts=status.facts, now=status.facts.now)


def to_json(status: Status) -> bytes:
    """Return the same for machines: the fields of `Status`, and of its facts those that are not told by them already."""
    facts = status.facts
    fields = {name: getattr(status, name) for name in status.__struct_fields__ if name != "facts"}
    return msgspec.json.encode(
        {
            "version": facts.version,
            "data_path": facts.data_path[0],
            "data_path_reason": facts.data_path[1],
            "machine": facts.machine,
            "time": facts.now,
            "generation": facts.generation,
            "unready": facts.unready,
            "problems": facts.problems,
            "failing_tests": facts.failing_tests,
            "broken_files": list(map(str, facts.stand_ins)),
            "database": facts.store_problems,
            "workers": facts.workers,
            "history": facts.revisions,
            **fields,
        }
    )


def curve(values: Sequence[float]) -> str:
    """Return the points of a line in a box of `CURVE`, the newest value at its right end; "" for fewer than two."""
    if len(values) < 2:
        return ""
    width, height = CURVE
    highest = max(*values, 1e-9)
    left = width - (len(values) - 1)
    return " ".join(f"{left + place},{height - value / highest * height:.1f}" for place, value in enumerate(values))


def duration(seconds: float | None) -> str:
    """Return a time that a request took, in milliseconds or seconds; a dash while it is not known."""
    if seconds is None:
        return _UNKNOWN
    return f"{number(seconds * 1000)} ms" if seconds < 0.9995 else f"{number(seconds)} s"


def share(value: float | None) -> str:
    """Return a part of a whole in percent; a dash while it is not known."""
    return _UNKNOWN if value is None else f"{number(value * 100)}%"


def number(value: float) -> str:
    """Return a number in about five characters: ``0``, ``<0.1``, ``0.4``, ``12``, ``3456``, ``12.3k``."""
    if 0 < value < 0.05:
        return "<0.1"
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0")
    power = 0
    while value >= 9_999.5 and power < len(_THOUSANDS) - 1:
        value /= 1000
        power += 1
    text = f"{value:.1f}" if power and value < 99.95 else f"{value:.0f}"
    return text.removesuffix(".0") + _THOUSANDS[power]


def per_second(value: float | None) -> str:
    """Return a rate without its unit; a dash while it is not known."""
    return _UNKNOWN if value is None else number(value)


def size_per_second(value: float | None) -> str:
    """Return a rate of bytes; a dash while it is not known."""
    return _UNKNOWN if value is None else f"{amount(value)}/s"


def moment(time: float) -> str:
    """Return a time in seconds since the epoch as people write it, in UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _make_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mcproxy.control.observe.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        number=number, size=amount, rate=per_second, size_rate=size_per_second, span=age, moment=moment
    )
    environment.filters.update(curve=curve, duration=duration, share=share)
    return environment


_environment = _make_environment()
