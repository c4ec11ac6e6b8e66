r"""The order of things on one HTTP/1.1 connection, as two tables.

The theory. On a connection two parties take turns: the client sends a request, the server a response to it. Each party
is a small machine, and the tables below are all there is to it: a state, an input, the next state. What is not in a
table is not allowed, and so `MisuseError`; the parsers tell a peer's inputs in their order, and what breaks the order on
the wire is told by them as one input, ``REFUSE``.

    client   IDLE --REQUEST--> BODY --END--> DONE --NEXT--> IDLE
               |--BODILESS---------------------^
               \--UPGRADE--> UPGRADE --SWITCH--> TUNNEL --END--> CLOSED
                                |--FINAL, COMPLETE: declined--> DONE

    server   IDLE --a request--> DUE --FINAL--> BODY --END--> DONE --NEXT--> IDLE
                                  |--COMPLETE-------------------^
                                  \--SWITCH--> TUNNEL --END--> CLOSED

The two run side by side: a server may answer while the request still comes (RFC 9112 section 9.3), so each combination
that can come about has a meaning, and what follows from it is decided in one place each:

- both DONE: ``NEXT``, if the connection persists (`mcproxy.wire.http1.server_side`, `mcproxy.wire.http1.client_side`);
- the server DONE, the client in BODY: the rest of an answered request. A server reads it, as the next request stands
  behind it, or closes; a client closes, as it can't take back what it has announced;
- both in TUNNEL: no longer HTTP. Either party ends its own direction.

A proxy is the server on one connection and the client on the other; the tables are the same for both. ``CLOSED`` is a
party that says nothing more. Pieces of a body move nothing, so they are no input: a body is under way in ``BODY`` and
``TUNNEL``, and nowhere else.
"""

import enum
from collections.abc import Mapping


class MisuseError(RuntimeError):
    """The owner of a connection broke the order of calls (a response twice, a body after its end)."""


class Input(enum.IntEnum):
    """What happens on a connection; IntEnum, because its members are hashed without a call.

    Attributes:
        REQUEST: a request's head, with a body to come.
        BODILESS: a request that its head is all of.
        UPGRADE: such a request, that asks to switch to another protocol.
        FINAL: a final response's head, with a body to come.
        COMPLETE: a final response that its head is all of.
        INTERIM: an interim response (1xx but 101).
        SWITCH: a 101, which grants the upgrade.
        END: the end of a body, trailers included; in a tunnel the end of one direction.
        NEXT: the next request may come.
        REFUSE: nothing more of the client is read: it broke the protocol or a limit.
        CLOSE: the connection ends.
    """

    REQUEST = 0
    BODILESS = 1
    UPGRADE = 2
    FINAL = 3
    COMPLETE = 4
    INTERIM = 5
    SWITCH = 6
    END = 7
    NEXT = 8
    REFUSE = 9
    CLOSE = 10


class ClientState(enum.IntEnum):
    """What the party that sends requests is at.

    Attributes:
        IDLE: no request is under way.
        BODY: a request's head came, its body follows.
        UPGRADE: an upgrade was asked for: whether what follows is HTTP is the server's to say.
        DONE: the request is complete.
        TUNNEL: what is sent is no longer HTTP.
        CLOSED: nothing more is sent, or read if it is.
    """

    IDLE = 0
    BODY = 1
    UPGRADE = 2
    DONE = 3
    TUNNEL = 4
    CLOSED = 5


class ServerState(enum.IntEnum):
    """What the party that sends responses is at.

    Attributes:
        IDLE: there is no request to answer.
        DUE: a final response is due.
        BODY: its head was sent, the body follows.
        DONE: the response is complete.
        TUNNEL: what is sent is no longer HTTP.
        CLOSED: nothing more is sent.
    """

    IDLE = 0
    DUE = 1
    BODY = 2
    DONE = 3
    TUNNEL = 4
    CLOSED = 5


CLIENT: Mapping[ClientState, Mapping[Input, ClientState]] = {
    ClientState.IDLE: {
        Input.REQUEST: ClientState.BODY,
        Input.BODILESS: ClientState.DONE,
        Input.UPGRADE: ClientState.UPGRADE,
        Input.REFUSE: ClientState.CLOSED,
        Input.CLOSE: ClientState.CLOSED,
    },
    ClientState.BODY: {
        Input.END: ClientState.DONE,
        Input.REFUSE: ClientState.CLOSED,
        Input.CLOSE: ClientState.CLOSED,
    },
    ClientState.UPGRADE: {
        Input.SWITCH: ClientState.TUNNEL,
        Input.FINAL: ClientState.DONE,
        Input.COMPLETE: ClientState.DONE,
        Input.CLOSE: ClientState.CLOSED,
    },
    ClientState.DONE: {
        Input.NEXT: ClientState.IDLE,
        Input.CLOSE: ClientState.CLOSED,
    },
    ClientState.TUNNEL: {
        Input.END: ClientState.CLOSED,
        Input.CLOSE: ClientState.CLOSED,
    },
    ClientState.CLOSED: {
        Input.REFUSE: ClientState.CLOSED,
        Input.CLOSE: ClientState.CLOSED,
    },
}

SERVER: Mapping[ServerState, Mapping[Input, ServerState]] = {
    ServerState.IDLE: {
        Input.REQUEST: ServerState.DUE,
        Input.BODILESS: ServerState.DUE,
        Input.UPGRADE: ServerState.DUE,
        Input.REFUSE: ServerState.DUE,  # what could not be read as a request is answered all the same
        Input.CLOSE: ServerState.CLOSED,
    },
    ServerState.DUE: {
        Input.INTERIM: ServerState.DUE,
        Input.FINAL: ServerState.BODY,
        Input.COMPLETE: ServerState.DONE,
        Input.SWITCH: ServerState.TUNNEL,
        Input.REFUSE: ServerState.DUE,
        Input.CLOSE: ServerState.CLOSED,
    },
    ServerState.BODY: {
        Input.END: ServerState.DONE,
        Input.REFUSE: ServerState.BODY,
        Input.CLOSE: ServerState.CLOSED,
    },
    ServerState.DONE: {
        Input.NEXT: ServerState.IDLE,
        Input.REFUSE: ServerState.CLOSED,  # the request is answered already
        Input.CLOSE: ServerState.CLOSED,
    },
    ServerState.TUNNEL: {
        Input.END: ServerState.CLOSED,
        Input.CLOSE: ServerState.CLOSED,
    },
    ServerState.CLOSED: {
        Input.REFUSE: ServerState.CLOSED,
        Input.CLOSE: ServerState.CLOSED,
    },
}


def misuse(state: ClientState | ServerState, moved: Input) -> MisuseError:
    """Return the error for an input that has no place in a state."""
    return MisuseError(f"{moved.name} has no place in {type(state).__name__}.{state.name}")
