"""Hostile backends: each with four clients that ask it for something, 200 times a second, and read everything."""

from functools import partial

from tests.attacks import hostile_h1, hostile_h2
from tests.attacks.plays import hoses
from tests.attacks.row import MB, TARGET, Row
from tests.support.floods import h2_requests
from tests.support.hoses import EVERYTHING

_asked = hoses(partial(h2_requests, TARGET, "/", per=5, pause=0.1), count=4, reads=EVERYTHING, buffer=1 << 16)


def _row(kind: str) -> Row:
    version = "HTTP/2" if kind.startswith("h2") else "HTTP/1.1"
    return Row(f"backend-{kind}", f"a backend of {version}: {kind[3:].replace('-', ' ')}", _asked, kind, 40 * MB)


ROWS = [_row(f"h1-{kind}") for kind in hostile_h1.KINDS] + [_row(f"h2-{kind}") for kind in hostile_h2.KINDS]
