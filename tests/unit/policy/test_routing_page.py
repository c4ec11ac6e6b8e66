"""The tables of docs/routing-http.md say what becomes of requests with the configuration above them."""

import re
from pathlib import Path

from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from mcproxy.policy.explain.query import Query, Step
from mcproxy.policy.explain.walk import explain
from tests.support.rows import each_row

PAGE = (Path(__file__).parents[3] / "docs" / "routing-http.md").read_text(encoding="utf-8")
HEAD = "| Request | Client | Case | Then |"


def rows() -> list[tuple[str, str, str, str, str]]:
    """Return the configuration, and the cells, of each row of a table of requests."""
    found = []
    for text, table in re.findall(
        rf"^```toml\n(.*?)^```\n\n{re.escape(HEAD)}\n(.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL
    ):
        for row in table.splitlines()[1:]:
            request, client, case, then = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
            found.append((text, request, client, case.replace(r"\|", "|"), then))
    return found


def steps(text: str, request: str, client: str) -> list[Step]:
    line, *headers = re.findall(r"`(.*?)`", request)
    method, url = line.split()
    scheme, host, path = re.fullmatch(r"(https?)://([a-z.]+)(/.*)", url).groups()  # type: ignore[union-attr]  # else a row is wrong
    fields = [tuple(header.split(": ", 1)) for header in headers]
    query = Query(
        ":443" if scheme == "https" else ":80",
        host if scheme == "https" else None,
        client or None,
        method=method,
        path=path,
        headers=(("Host", host), *((name, value) for name, value in fields)),
    )
    return list(explain(resolve([Source("site.toml", text)]), query, lambda _: None))


@each_row(("text", "request_line", "client", "case", "then"), rows())
def test_a_row_is_true(text: str, request_line: str, client: str, case: str, then: str) -> None:
    """The case is that of the row, and the last step, or the one that is named, is as it says."""
    done = steps(text, request_line, client)
    said = {step.step: step.detail for step in done}
    if case:
        assert said["case"].partition("; ")[0] == f"{'no case' if case == 'none' else case.strip('`')} fits"
    words, _, step = then.partition(" at ")
    if step and words.isdecimal():
        assert (done[-1].step, done[-1].outcome) == (step.strip("`"), "refused")
        assert done[-1].detail.startswith(f"answered with {words}")
    elif step:
        assert words.strip("`") in said[step.strip("`")]
    elif words.isdecimal():
        assert done[-1].step == "action"
        assert done[-1].detail.startswith(f"answered with {words}")
    else:
        assert (done[-1].step, done[-1].outcome) == ("backend", "ok")
        assert words.strip("`") in done[-1].detail


def test_every_table_is_read() -> None:
    """None is left out because its form is another one."""
    assert len({text for text, *_ in rows()}) == PAGE.count(HEAD) >= 7
    assert len(rows()) == len(re.findall(r"^\| `[A-Z]+ https?://", PAGE, re.MULTILINE))
