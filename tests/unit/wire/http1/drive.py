"""Run the parsers over whole byte strings, cut in any way, and say what came of it."""

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from mcproxy.policy.headers import to_http1
from mcproxy.policy.requests import RequestRules
from mcproxy.wire.http1 import (
    Bad,
    Data,
    End,
    Headers,
    Limits,
    Request,
    RequestEvent,
    RequestParser,
    ResponseEvent,
    ResponseParser,
    Trailers,
    last_chunk,
    request_head,
)
from mcproxy.wire.http1.body_framing import Framing, framed

LIMITS = Limits(header_bytes=2048, header_count=20)


class Message(msgspec.Struct):
    """A request read back as a whole."""

    request: Request
    body: bytes = b""
    trailers: Headers = []
    complete: bool = False


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Return ``data`` divided at the offsets; empty pieces included."""
    edges = [0, *sorted(min(offset, len(data)) for offset in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def merged(events: Sequence[Any]) -> list[Any]:
    """Return the events with neighbouring `Data` as one."""
    result: list[Any] = []
    for event in events:
        if isinstance(event, Data) and result and isinstance(result[-1], Data):
            result[-1] = Data(result[-1].data + event.data)
        else:
            result.append(event)
    return result


def read_requests(pieces: Iterable[bytes], limits: Limits = LIMITS) -> list[RequestEvent]:
    """Return the events of a connection whose every request is answered at once."""
    parser = RequestParser(limits)
    events: list[RequestEvent] = []
    for piece in pieces:
        new = parser.feed(piece)
        events += new
        while new and isinstance(new[-1], End):
            new = parser.resume()
            events += new
    return merged(events)


def read_response(
    pieces: Iterable[bytes], method: bytes = b"GET", *, websocket: bool = False, eof: bool = False
) -> list[ResponseEvent]:
    """Return the events of one response; with ``eof`` the connection ends behind it."""
    parser = ResponseParser(method, LIMITS, websocket=websocket)
    events: list[ResponseEvent] = []
    for piece in pieces:
        events += parser.feed(piece)
    return merged(events + (parser.eof() if eof else []))


def messages(events: Iterable[RequestEvent]) -> list[Message]:
    """Return the requests among the events, the last one maybe incomplete."""
    found: list[Message] = []
    for event in events:
        match event:
            case Request():
                found.append(Message(event))
            case Data(data):
                found[-1].body += data
            case Trailers(headers):
                found[-1].trailers = headers
            case End():
                found[-1].complete = True
            case Bad():
                break
    return found


def forwarded(message: Message) -> bytes:
    """Return the request as a backend of HTTP/1.1 would get it."""
    request = message.request
    neutral = RequestRules().from_http1(
        request.method,
        request.target,
        request.host,
        request.headers,
        websocket=request.websocket,
        fallback=b"fallback.example",
    )
    headers = to_http1(neutral, [])
    chunked = request.length is None
    head = request_head(neutral.method, neutral.path, headers, chunked=chunked, websocket=neutral.websocket)
    if not chunked:
        return head + message.body
    return head + framed(Framing.CHUNKED, message.body, end=False) + last_chunk(message.trailers)


def outcome(events: Sequence[RequestEvent]) -> Literal["rejected", "waiting", "clean", "two"]:
    """Say in the words of the smuggling shapes what came of one connection's bytes."""
    found = messages(events)
    if sum(message.complete for message in found) > 1:
        return "two"
    if any(isinstance(event, Bad) for event in events):
        return "rejected"
    return "clean" if found and found[-1].complete else "waiting"


class Shape(msgspec.Struct):
    """One request of the smuggling shapes."""

    name: str
    data: bytes
    acceptable: list[str]


def smuggling_shapes() -> list[Shape]:
    """Return the shapes of tests/data/smuggling.json."""
    path = Path(__file__).parents[3] / "data" / "smuggling.json"
    shapes = []
    for case in json.loads(path.read_text())["cases"]:
        data = bytes.fromhex(case["hex"])
        if run := case.get("run"):
            data = data[: run["at"]] + bytes([run["byte"]]) * run["count"] + data[run["at"] :]
        shapes.append(Shape(f"{case['id']}-{case['name']}", data, case["acceptable"]))
    return shapes
