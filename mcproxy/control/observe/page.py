"""The status page as HTML; home of jinja2.

Everything is escaped by the template engine: hostnames, policies and the words of authors are other people's texts.
"""

from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from mcproxy.control.observe.status import Status
from mcproxy.model.values.figures import age, amount

_THOUSANDS = ("", "k", "M", "G", "T")
_UNKNOWN = "\N{EN DASH}"


def render(status: Status) -> str:
    """Return the page."""
    return _environment.get_template("status.html").render(status=status, facts=status.facts, now=status.facts.now)


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
        loader=PackageLoader("mcproxy.control.observe"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        number=number, size=amount, rate=per_second, size_rate=size_per_second, span=age, moment=moment
    )
    return environment


_environment = _make_environment()
