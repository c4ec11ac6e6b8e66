"""The figure of a run shows every figure, in its size."""

import xml.etree.ElementTree as ET

from tests.bench.plot import Row, draw

SVG = "{http://www.w3.org/2000/svg}"


def test_every_figure_has_its_bar() -> None:
    """In proportion to the others of its load, with its name and its figure; what was not measured leaves no gap."""
    rows = [
        Row("connection", "us", {"haproxy": 50, "mcproxy": 40}),
        Row("none", "us", {}),
        Row("<&>", "ms", {"a": 200}),
    ]
    root = ET.fromstring(draw(rows))
    widths = [float(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect") if bar.get("class") == "bar"]
    assert widths == [460, 368, 460]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts == ["connection, us", "haproxy", "50.0", "mcproxy, native", "40.0 (0.80x)", "<&>, ms", "a", "200"]
