"""`python -m tests.support.reasons_table`: write the tables of docs/access-log.md, which `just schemas` does.

The reasons are those of `mcproxy.model.values.reasons`, the fields those of the lines that a worker writes, with what their docstrings say.
"""

import inspect
import re
from pathlib import Path

from mcproxy.model.values.reasons import REASONS
from mcproxy.worker.tools.access_log import ConnectionLine, RequestLine

PAGE = Path(__file__).parents[2] / "docs" / "access-log.md"
GROUPS = {
    "refused": "Refused: by a rule of the proxy",
    "backend": "Failed: because of a backend",
    "proxy": "Failed: because of the proxy, or of its machine",
    "client": "Broken off: by the client",
    "request": "Answered with an error: because of the request",
    "end": "Ends that are none of these",
}
"""The tables of reasons, in their order."""


def _marks(what: str) -> tuple[str, str]:
    return f"<!-- {what}: made by `just schemas` from the code; edit that -->\n", f"<!-- end of {what} -->\n"


def fields_of(line: type) -> dict[str, str]:
    """Return the fields of a line with what its docstring says of them; those that are described together share it."""
    section = inspect.cleandoc(line.__doc__ or "").partition("Attributes:\n")[2]
    found = {}
    for names, meaning in re.findall(r"^    ([a-z_, ]+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
        for name in names.split(", "):
            found[name] = re.sub(r"\s+", " ", meaning).replace("``", "`").replace("|", "\\|")
    return found


def fields_table() -> str:
    """Return the table of fields as Markdown, ending in a newline."""
    requests, connections = fields_of(RequestLine), fields_of(ConnectionLine)
    lines = ["| Field | Of a request (l7) | Of a connection (l4, refused ones) |", "|---|---|---|"]
    names = dict.fromkeys((*RequestLine.__struct_fields__, *ConnectionLine.__struct_fields__))
    lines += (f"| `{name}` | {requests.get(name, '-')} | {connections.get(name, '-')} |" for name in names)
    return "\n".join(lines) + "\n"


def reasons_table() -> str:
    """Return the tables of reasons as Markdown, ending in a newline."""
    lines = []
    for group, title in GROUPS.items():
        lines += [f"### {title}", "", "| Reason | What happened | Whose fault | What to do |", "|---|---|---|---|"]
        for reason in REASONS.values():
            if reason.group == group:
                counted = "" if reason.counted else " *"
                advice = reason.advice or "-"
                lines.append(f"| `{reason.word}`{counted} | {reason.meaning} | {reason.fault} | {advice} |")
        lines.append("")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """Return the page with its tables as they should be; raises ValueError if the marks of a place are missing."""
    for what, table in (("fields", fields_table()), ("reasons", reasons_table())):
        begin, end = _marks(what)
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"docs/access-log.md has no place for the table of {what}")
        page = f"{before}{begin}\n{table}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
