"""The alert rules and the dashboard in the assets speak of metrics that exist, with the labels that they have."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from mcproxy.control.observe.metrics import expose
from mcproxy.model.values.reasons import COUNTED, FAILURES, of_group
from tests.support.observed import busy
from tests.support.require import require
from tests.support.rows import each_row

ROOT = Path(__file__).parents[2]
RULES = ROOT / "mcproxy" / "assets" / "prometheus-rules.yml"
DASHBOARD = json.loads((ROOT / "mcproxy" / "assets" / "grafana-dashboard.json").read_text(encoding="utf-8"))
TARGET = {"job", "instance"}
"""The labels that Prometheus adds to every series of a target."""


def existing() -> dict[str, set[str]]:
    """Return the labels of every metric that there is."""
    found: dict[str, set[str]] = {"up": set()}
    for family in text_string_to_metric_families(expose(*busy(), "", compress=False)[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


METRICS = existing()


def wrong(expression: str) -> list[str]:
    """Return the metrics and labels of an expression that do not exist."""
    found = []
    union = set(TARGET)
    for name, matchers in re.findall(r"\b(mcproxy_\w+|up)\b(?:\{([^}]*)\})?", expression):
        if name not in METRICS:
            found.append(name)
            continue
        labels = METRICS[name] | TARGET
        union |= labels
        found += [f"{name}{{{label}}}" for label in re.findall(r"(\w+)\s*[=!]~?", matchers) if label not in labels]
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression)
    found += [label for group in grouped for label in re.split(r"[,\s]+", group) if label and label not in union]
    return found


def labels_left(expression: str) -> set[str]:
    """Return the labels that an expression's result has."""
    grouped = re.search(r"\bby\s*\(([^)]*)\)", expression)
    if grouped:
        return set(re.split(r"[,\s]+", grouped[1]))
    if re.match(r"\s*(sum|min|max|count)\s*\(", expression):
        return set()
    return TARGET.union(*(METRICS[name] for name in re.findall(r"\bmcproxy_\w+", expression)))


def alerts() -> list[dict[str, str]]:
    """Return the rules' texts: alert, expression and the templates of its annotations."""
    found = []
    for text in RULES.read_text(encoding="utf-8").split("- alert: ")[1:]:
        name, _, rest = text.partition("\n")
        expression = re.search(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*))", rest)
        assert expression is not None
        found.append({"name": name, "expr": expression[1] or expression[2], "rest": rest})
    return found


def panels() -> Iterator[dict[str, Any]]:
    return (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def test_the_check_itself_notices() -> None:
    """Unknown metrics, and labels in matchers and groupings."""
    assert wrong('sum by (listener) (rate(mcproxy_connections_total{route="x",job="y"}[5m]))') == []
    assert wrong("mcproxy_nothing") == ["mcproxy_nothing"]
    assert wrong('mcproxy_config_drift{listener="x"}') == ["mcproxy_config_drift{listener}"]
    assert wrong("sum by (reason) (mcproxy_config_drift)") == ["reason"]


@each_row("alert", alerts(), ids=lambda alert: alert["name"])
def test_alerts_use_metrics_that_exist(alert: dict[str, str]) -> None:
    """And their texts name labels that the result has."""
    assert wrong(alert["expr"]) == []
    assert set(re.findall(r"\$labels\.(\w+)", alert["rest"])) <= labels_left(alert["expr"]) | {"instance"}
    assert "summary:" in alert["rest"]
    assert "description:" in alert["rest"]
    assert re.search(r"severity: (warning|critical)", alert["rest"])


def test_alerts_are_documented() -> None:
    """Each in the table of docs/observability.md."""
    text = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    assert {alert["name"] for alert in alerts()} == set(re.findall(r"`(Mcproxy\w+)`", text))
    assert len(alerts()) >= 10


def test_metrics_are_documented() -> None:
    """Each in the table of docs/observability.md, with its labels."""
    text = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(mcproxy_\w+)` \|([^|]*)\|", text, re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    plain = {re.sub(r"_(bucket|count|sum)$", "", name): labels - {"le"} for name, labels in METRICS.items()}
    del plain["up"]
    assert told == plain


def test_promtool_accepts_the_rules() -> None:
    """Their syntax, and that each fires when it should and is quiet when it should not."""
    promtool = require("promtool", "prometheus")
    for command in (
        ["check", "rules", RULES],
        ["test", "rules", ROOT / "tests" / "data" / "prometheus-rules.test.yml"],
    ):
        result = subprocess.run([promtool, *map(str, command)], capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_promtool_finds_nothing_to_blame_in_the_metrics() -> None:
    """Names, units, help texts."""
    body, _ = expose(*busy(), "", compress=False)
    command = [require("promtool", "prometheus"), "check", "metrics"]
    result = subprocess.run(command, input=body, capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_the_dashboard_uses_metrics_that_exist() -> None:
    """In panels, variables and annotations; legends name labels that the result has."""
    targets = [target for panel in panels() for target in panel["targets"]]
    assert len(targets) >= 20
    for target in targets:
        assert wrong(target["expr"]) == []
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels_left(target["expr"]), target
    queries = [
        variable["query"]["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"
    ]
    for query in queries:
        expression, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert wrong(expression) == []
        assert label in labels_left(expression)
    for annotation in DASHBOARD["annotations"]["list"]:
        assert wrong(annotation["expr"]) == []
    used = {name for target in targets for name in re.findall(r"\bmcproxy_\w+", target["expr"])}
    assert {re.sub(r"_(count|sum)$", "_bucket", name) for name in METRICS} - {"up"} == used, "every metric has a panel"


def test_alerts_and_panels_know_every_reason_by_its_kind() -> None:
    """What is a failure, and what clients broke off, is said there by patterns."""
    text = RULES.read_text(encoding="utf-8") + "".join(
        target["expr"] for panel in panels() for target in panel["targets"]
    )
    patterns = set(re.findall(r'reason[=!]~"([^"]+)"', text))
    groups = {"failures": FAILURES, "broken off": of_group("client"), "both": FAILURES | of_group("client")}
    matched = {pattern: frozenset(filter(re.compile(pattern).fullmatch, COUNTED)) for pattern in patterns}
    groups["the backend's own"] = FAILURES - {"backend_no_answer"}
    assert set(matched.values()) == set(groups.values())


def test_the_dashboard_is_well_formed() -> None:
    """Panels have ids of their own, do not overlap, and ask the data source that was chosen."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    mentioned = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert mentioned - declared == {"__range", "__rate_interval"}
