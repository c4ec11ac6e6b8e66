"""Documents of simulated fleets: which ports routes lead to, and on which nodes that is wrong."""

import random
from functools import cache
from typing import Any

import msgspec

from mcproxy.model.fleet import document
from mcproxy.model.fleet.document import Document, FleetFile
from mcproxy.model.state.state import Listener, Route, State
from mcproxy.model.values.endpoint import Endpoint

NAMES = tuple("abcdefgh")


class Text(msgspec.Struct, frozen=True):
    """What a document says.

    Attributes:
        connections: that the listener takes; 0 where there is no listener, and so no route.
        routes: the port that each route leads to.
        bad: nodes on which it fails; "*" for all.
    """

    connections: int
    routes: dict[str, int]
    bad: tuple[str, ...] = ()


def invented(chance: random.Random, before: Document | None, bad: tuple[str, ...]) -> tuple[str, bytes]:
    """Return a document that differs from the one before in some of its resources, hashed and packed."""
    text = Text(100, dict.fromkeys(NAMES[:4], 1)) if before is None else text_of(before)
    routes = dict(text.routes)
    for name in chance.sample(NAMES, 2):
        if name in routes and chance.random() < 0.3:
            del routes[name]
        else:
            routes[name] = chance.randrange(1, 4)
    connections = chance.choice((text.connections, text.connections, text.connections, 100, 200, 0))
    said = msgspec.json.encode(Text(connections, routes, bad)).decode()
    return document.pack((FleetFile("mc-proxy.toml", said),))


def text_of(found: Document) -> Text:
    """Return what a document says."""
    return _text(found.header.hash, found.packed)


def state_of(found: Document) -> State:
    """Return the State that a document means."""
    return _state(found.header.hash, found.packed)


def route(name: str, port: int) -> Route:
    """Return a route of the one listener."""
    return Route(":1", name, (Endpoint("h", port),))


@cache
def _text(digest: str, packed: bytes) -> Text:
    files = document.unpack(Document(document.Header(revision=0, hash=digest), packed))
    return msgspec.json.decode(files[0].text, type=Text)


@cache
def _state(digest: str, packed: bytes) -> State:
    text = _text(digest, packed)
    settings: dict[str, Any] = {"firewall.geoip_db": ""}
    if not text.connections:
        return State(settings=settings)
    routes = {(":1", name): route(name, port) for name, port in sorted(text.routes.items())}
    return State({":1": Listener(":1", max_connections=text.connections)}, routes, settings=settings)
