"""Lines of the access log that are made of the texts between what differs are those that would have been encoded."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mcproxy.worker.tools.access_log import ConnectionLine
from mcproxy.worker.tools.line_shape import parts_of

texts = st.text(st.characters(codec="ascii"), max_size=20)
numbers = st.integers(0, 2**62)
seconds = st.floats(0, 1e6)


@given(texts, texts, texts, st.sampled_from(["l4", "l7", ""]), numbers, numbers, seconds, seconds)
def test_it_is_what_encoding_makes(
    route: str, reason: str, upstream: str, mode: str, received: int, sent: int, dial: float, total: float
) -> None:
    """Whatever is alike, a percent sign or a quote in it too, and whatever differs."""
    alike = ConnectionLine(listener=":8443", client="", route=route, reason=reason, upstream=upstream, mode=mode)
    alike.complete()
    varying = {
        "time": "2026-11-28T09:21:38.265Z",
        "client": "192.0.2.1:5",
        "sni": "a.example",
        "received": received,
        "sent": sent,
        "dial": dial,
        "total": total,
    }
    line = msgspec.structs.replace(alike, **varying)
    line.complete()
    first, *rest = parts_of(alike)
    made = first
    for name, part in zip(varying, rest, strict=True):
        value = getattr(line, name)
        made += (value.encode() if isinstance(value, str) else msgspec.json.encode(value)) + part
    assert made == msgspec.json.encode(line)
