"""The first bytes of a connection without TLS: what is spoken, whatever pieces they come in."""

import json
from pathlib import Path

from mcproxy.errors import ProtocolError
from mcproxy.wire.need import Need
from mcproxy.wire.opening import LONGEST, Opening, parse
from tests.support.rows import each_row

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "opening.json").read_text(encoding="utf-8"))


def read(data: bytes) -> str | Need:
    """Return what is found, in the words of the vectors."""
    try:
        found = parse(data)
    except ProtocolError as error:
        return error.reason
    return ("h2" if found.http2 else "http/1.1") if isinstance(found, Opening) else found


@each_row("vector", VECTORS, ids=lambda vector: vector["name"])
def test_what_begins(vector: dict[str, str]) -> None:
    """Every prefix either says how much more is needed, or what the whole does; nobody waits for what may never come."""
    data = bytes.fromhex(vector["hex"])
    assert read(data) == vector["found"]
    for size in range(len(data)):
        told = read(data[:size])
        if isinstance(told, Need):
            assert size < told.total <= min(len(data), LONGEST)
        else:
            assert told == vector["found"]
