"""The keys of `[acme]` against each other and against the listeners: what would keep every order from being answered."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from mcproxy.model.config.checking.declarations import Place
from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem, Severity
from mcproxy.model.state.state import ListenerProtocol, State
from mcproxy.model.values import addresses
from mcproxy.model.values.origins import Key

_ASKED: dict[str, tuple[ListenerProtocol, int]] = {"tls-alpn-01": ("tls", 443), "http-01": ("http", 80)}
"""Protocol and port by which a CA asks (RFC 8737 section 3, RFC 8555 section 8.3)."""
_OF_SERVER = ("zone", "tsig_key")


def check_acme(
    documents: Sequence[Document], state: State, places: Mapping[Key, Place], *, complete: bool
) -> Iterator[Problem]:
    """Return what is wrong or doubtful about `[acme]`.

    Args:
        documents: all files that are valid TOML.
        state: of them.
        places: where each setting is declared.
        complete: whether these are all files.
    """
    if not complete or not any(document.names("acme") for document in documents):
        return
    for table, keys, judge in _JUDGES:
        if all(document.is_sure("acme", *table, key) for document in documents for key in keys):
            for name, message, severity in judge(state):
                yield _problem(documents, places, name, message, severity)


def _problem(
    documents: Sequence[Document], places: Mapping[Key, Place], name: str, message: str, severity: Severity
) -> Problem:
    """Return a problem of a key of `[acme]`, at the table where no file has the key."""
    if ("setting", f"acme.{name}") in places:
        document, path = places["setting", f"acme.{name}"]
        return document.value_problem(path, message, severity)
    document = next(document for document in documents if document.names("acme"))
    return document.problem(("acme", *name.split(".")), message, severity)


def _accounts(state: State) -> Iterator[tuple[str, str, Severity]]:
    kid, key = (bool(state.settings[f"acme.eab.{name}"]) for name in ("kid", "key"))
    if kid != key:
        yield f"eab.{'kid' if kid else 'key'}", f"needs {'key' if kid else 'kid'} too", "error"


def _dns(state: State) -> Iterator[tuple[str, str, Severity]]:
    said = {name: state.settings[f"acme.dns.{name}"] for name in ("server", "zone", "tsig_key", "exec")}
    if state.settings["acme.challenge"] != "dns-01":
        for name, value in said.items():
            if value:
                yield f"dns.{name}", 'has no effect without challenge = "dns-01"', "warning"
        return
    if said["server"] and said["exec"]:
        yield "dns.exec", "records are set either at a server or by a program, not both", "error"
    elif not said["server"] and not said["exec"]:
        message = 'dns-01 needs to know how records are set: dns = { server = "10.0.0.53", zone = "example.com" }, or dns = { exec = "/usr/local/bin/hook" }'
        yield "challenge", message, "error"
    if said["server"] and not said["zone"]:
        yield "dns.server", "needs zone too", "error"
    for name in _OF_SERVER:
        if said[name] and not said["server"]:
            yield f"dns.{name}", "has no effect without server", "warning"


def _ports(state: State) -> Iterator[tuple[str, str, Severity]]:
    asked = _ASKED.get(str(state.settings["acme.challenge"]))
    if asked is None or not _orders(state):
        return
    protocol, port = asked
    if not any(
        listener.protocol == protocol and addresses.listen_port(addr) == port
        for addr, listener in state.listeners.items()
    ):
        challenge = state.settings["acme.challenge"]
        message = (
            f'the CA asks on port {port}, and there is no listener with protocol = "{protocol}" on it: {challenge} works only if another one gets what '
            "comes to that port"
        )
        yield "challenge", message, "warning"


def _orders(state: State) -> bool:
    """Tell whether a route orders its certificate, and can serve it."""
    protocols = {addr: listener.protocol for addr, listener in state.listeners.items()}
    return any(
        route.certificate and route.mode == "l7" and protocols.get(route.listener) == "tls"
        for route in state.routes.values()
    )


_JUDGES: tuple[tuple[KeyPath, tuple[str, ...], Callable[[State], Iterator[tuple[str, str, Severity]]]], ...] = (
    (("eab",), ("kid", "key"), _accounts),
    (("dns",), ("server", "zone", "tsig_key", "exec"), _dns),
    ((), ("challenge",), _ports),
)
"""What is judged together: a table within `[acme]`, those of its keys of which nothing may be in doubt, and who judges."""
