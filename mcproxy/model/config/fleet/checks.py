"""What may stand in the file of a node of a fleet, and what in the fleet's document: nothing in both."""

from collections.abc import Iterator, Sequence

from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.schema import Config
from mcproxy.model.values.addresses import is_ip, listens_on_loopback

OWN = ("database", "grpc", "metrics", "log")
"""The tables that each node has in its own file."""

_SHARED = tuple(name for name in Config.__struct_fields__ if name not in (*OWN, "fleet"))


def check_node(node: Document) -> Iterator[Problem]:
    """Return what is wrong with the file of a node, whose other files are the fleet's."""
    for name in _SHARED:
        if node.names(name):
            yield node.problem(
                (name,),
                f"a node of a fleet has {', '.join(f'[{own}]' for own in OWN)} in its own file; all else is in the fleet's document "
                "(`mcproxyctl fleet push FILE`)",
            )
    yield from check_fleet(node)


def check_document(documents: Sequence[Document]) -> Iterator[Problem]:
    """Return what stands in the files of a fleet's document, but is each node's own."""
    for document in documents:
        for name in (*OWN, "fleet"):
            if document.names(name):
                yield document.problem(
                    (name,),
                    f"[{name}] is each node's own: it belongs into the file of each node, and not into the document of a fleet",
                )


def check_fleet(document: Document) -> Iterator[Problem]:
    """Return what is wrong with ``[fleet]`` beyond single values."""
    fleet = document.config.fleet
    if fleet is None or not document.is_sure("fleet"):
        return

    def problem(key: str, message: str) -> Problem:
        path: KeyPath = ("fleet", key) if document.names("fleet", key) else ("fleet",)
        return document.value_problem(path, message)

    if not fleet.endpoints and document.is_sure("fleet", "endpoints") and document.names("fleet", "endpoints"):
        yield problem("endpoints", "must name at least one member of etcd")
    if len(set(fleet.endpoints)) < len(fleet.endpoints):
        yield problem("endpoints", "names a member twice")
    if fleet.cert and not fleet.key:
        yield problem("cert", "needs fleet.key, the private key of the certificate")
    if fleet.key and not fleet.cert:
        yield problem("key", "needs fleet.cert, the certificate of the key")
    if (fleet.cert or fleet.key) and not fleet.ca:
        name = "cert" if fleet.cert else "key"
        yield problem(name, "needs fleet.ca: without the CA of etcd it is spoken to without TLS")
    if not fleet.ca and not all(map(_on_loopback, fleet.endpoints)):
        message = "etcd is spoken to without TLS, and whoever is on the way can change what is served; set fleet.ca"
        yield document.problem(("fleet", "endpoints"), message, "warning")


def _on_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    return listens_on_loopback(address) if is_ip(host) else host == "localhost"
