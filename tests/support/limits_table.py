"""`python -m tests.support.limits_table`: write the table of limits in docs/security.md, which `just schemas` does.

Its rows are those of docs/config.md: all of ``[limits]``, and the keys of other tables that bound what a client can take.
"""

from pathlib import Path

from mcproxy.model.config.pages.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
_BEGIN = "<!-- limits: made by `just schemas` from the descriptions of the keys; edit those -->\n"
_END = "<!-- end of limits -->\n"
_OTHERS = {
    "`[proxy]`": [
        "client_hello_timeout",
        "proxy_header_timeout",
        "handshake_timeout",
        "connect_timeout",
        "idle_timeout",
        "shutdown_timeout",
    ],
    "`[firewall]`": ["rate_limit", "rate_window"],
    "`[[listeners]]`": ["max_connections"],
}


def limits_table() -> str:
    """Return the table as Markdown, ending in a newline."""
    lines = ["| Table | Key | Default | Meaning |", "|---|---|---|---|"]
    sections = dict(section.split("\n", 1) for section in reference().split("\n## ")[1:])
    for title in ("`[limits]`", *_OTHERS):
        rows = [line[2:-2].split(" | ") for line in sections[title].splitlines() if line.startswith("| `")]
        wanted = _OTHERS.get(title, [row[0].strip("`") for row in rows])
        found = {row[0].strip("`"): row for row in rows}
        lines += (f"| {title} | `{key}` | {found[key][2]} | {' | '.join(found[key][3:])} |" for key in wanted)
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """Return the page with the table as it should be; raises ValueError if the marks of its place are missing."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError("docs/security.md has no place for the table of limits")
    return f"{before}{begin}\n{limits_table()}\n{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
