"""What a route's mode is where the files do not say: that of its listener's protocol."""

from collections.abc import Sequence

import msgspec

from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath
from mcproxy.model.config.schema import Route


def settled(documents: Sequence[Document]) -> list[Document]:
    """Return the documents with ``mode = "l7"`` in each route of a listener with ``protocol = "http"`` that names none."""
    http = {
        listener.addr for document in documents for listener in document.config.listeners if listener.protocol == "http"
    }
    return [_settled(document, http) for document in documents] if http else list(documents)


def _settled(document: Document, http: set[str]) -> Document:
    def l7(route: Route, path: KeyPath) -> Route:
        return route if document.names(*path, "mode") else msgspec.structs.replace(route, mode="l7")

    config = document.config
    listeners = tuple(
        msgspec.structs.replace(
            listener,
            routes=tuple(l7(route, ("listeners", index, "routes", at)) for at, route in enumerate(listener.routes)),
        )
        if listener.protocol == "http"
        else listener
        for index, listener in enumerate(config.listeners)
    )
    routes = tuple(
        l7(route, ("routes", index)) if route.listener in http else route for index, route in enumerate(config.routes)
    )
    return msgspec.structs.replace(document, config=msgspec.structs.replace(config, listeners=listeners, routes=routes))
