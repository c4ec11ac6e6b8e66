"""Targets: whole client connections with their exchanges and backends' connections, hostile at both ends.

An input is what the client sends, a line `MARK`, and what each new connection to the backend answers. It is played
four times: with every byte at once, in random parts, for a client that reads nothing, and through cases and filters. How the first
two go must be the same. What happens between the parts follows from the input, so an input alone replays all of it.
"""

import functools
import json
import random
import zlib
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.conversation import HTTP1, HTTP2, Conversation, Outcome, Version
from tests.fuzz.mutations import cut
from tests.fuzz.target import Target

MARK = b"\n<<<<\n"
_DATA = Path(__file__).parents[1] / "data"


def _check(client: Version, backend: Version, data: bytes) -> None:
    """Nothing is raised, requests go the same way however they come, each ends once, and what waits is bounded."""
    asks, _, answers = data.partition(MARK)
    rng = random.Random(zlib.crc32(data))
    asks, answers = client.opening + asks, backend.answer + answers
    resets = rng.random() < 0.5
    whole = Conversation(client, backend)
    whole.play([asks], [answers])
    held = whole.client_holds
    whole.end(resets=resets)
    parts = Conversation(client, backend)
    parts.play(cut(rng, asks), cut(rng, answers))
    held = held or parts.client_holds
    parts.end(resets=resets)
    if not held:  # else a backend may not have been read to the end of what it sent
        _compare(whole.outcomes, parts.outcomes, client)
    full = Conversation(client, backend)
    full.client.is_full()
    full.play(cut(rng, asks), cut(rng, answers))
    full.end(resets=not resets)
    filtered = Conversation(client, backend, filtered=True)
    filtered.play(cut(rng, asks), cut(rng, answers))
    filtered.end(resets=resets)


def _compare(whole: Sequence[Outcome], parts: Sequence[Outcome], client: Version) -> None:
    """The requests went the same way, but for what may depend on what comes together.

    A malformed request that came whole was refused before anything was done for it; a response that turned out malformed
    behind its head was a 502 as long as nothing of it was out.
    """
    if len(whole) == len(parts) and all(map(_same, whole, parts)):
        return
    if whole != parts:
        assert client is HTTP1, (whole, parts)
        *before, (status, _) = whole
        assert 400 <= status < 500, (whole, parts)
        assert parts[: len(before)] == before, (whole, parts)


def _same(one: Outcome, other: Outcome) -> bool:
    return one == other or (one[1] == other[1] == "bad_response" and 502 in (one[0], other[0]))


def _smuggling() -> Sequence[bytes]:
    """Return requests that readers frame differently."""
    cases = json.loads((_DATA / "smuggling.json").read_text(encoding="utf-8"))["cases"]
    return [bytes.fromhex(case["hex"]) + MARK + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" for case in cases]


H1_SESSION = Target("h1-session", functools.partial(_check, HTTP1, HTTP1), _smuggling)
H1_TO_H2 = Target("h1-to-h2", functools.partial(_check, HTTP1, HTTP2))
H2_SESSION = Target("h2-session", functools.partial(_check, HTTP2, HTTP2))
H2_TO_H1 = Target("h2-to-h1", functools.partial(_check, HTTP2, HTTP1))
