"""A connection on which the proxy is the client: requests as bytes, and whether the connection can carry another one."""

from mcproxy.wire.http1.body_framing import Framing, framed, request_framing
from mcproxy.wire.http1.events import Headers, Response
from mcproxy.wire.http1.serialize import last_chunk, request_head
from mcproxy.wire.http1.states import CLIENT, SERVER, ClientState, Input, ServerState, misuse

# Used for every response; looked up here it costs a tenth of what it costs in its class.
_FINAL, _COMPLETE, _END, _NEXT = Input.FINAL, Input.COMPLETE, Input.END, Input.NEXT
_UPGRADE, _CLIENT_DONE, _SERVER_DONE = ClientState.UPGRADE, ClientState.DONE, ServerState.DONE


class ClientSide:
    """The state of one backend connection. The methods that return bytes change nothing when they raise.

    All raise `MisuseError` when they have no place in the state.

    Attributes:
        client: what the proxy is at.
        server: what the backend is at; ``CLOSED``: the connection is to be closed once its output is written.
    """

    __slots__ = ("_framing", "_persists", "client", "server")

    def __init__(self) -> None:
        self.client = ClientState.IDLE
        self.server = ServerState.IDLE
        self._framing = Framing.NONE  # of the request's body
        self._persists = True  # the connection goes on after the response under way

    # What is sent

    def request(self, method: bytes, target: bytes, headers: Headers, *, bodiless: bool, websocket: bool) -> bytes:
        """Return the head of a request.

        Args:
            method: the method.
            target: the target.
            headers: the end-to-end fields.
            bodiless: whether there is no body.
            websocket: whether to ask for an upgrade to WebSocket.

        Raises:
            UnsendableError: something in it can't be said.
        """
        framing, headers = request_framing(method, headers, bodiless=bodiless, websocket=websocket)
        head = request_head(method, target, headers, chunked=framing is Framing.CHUNKED, websocket=websocket)
        if websocket:
            self._move(Input.UPGRADE)
        else:
            self._move(Input.BODILESS if bodiless else Input.REQUEST)
        self._framing = framing
        return head

    def send(self, data: bytes, *, end: bool) -> bytes:
        """Return a piece of the request's body, or of a tunnel, as it goes on the wire."""
        if end:
            try:
                self.client = CLIENT[self.client][Input.END]
            except KeyError:
                raise misuse(self.client, Input.END) from None
        return framed(self._framing, data, end=end)

    def trailers(self, headers: Headers) -> bytes:
        """Return the trailers, the request's end; nothing where the framing allows none. Raises `UnsendableError`."""
        data = last_chunk(headers) if self._framing is Framing.CHUNKED else b""
        self.send(b"", end=True)
        return data

    # What has come

    def on_response(self, response: Response) -> None:
        """Take the head of the final response."""
        moved = _COMPLETE if response.length == 0 else _FINAL
        try:
            self.server = SERVER[self.server][moved]
        except KeyError:
            raise misuse(self.server, moved) from None
        if self.client is _UPGRADE:
            self.client = CLIENT[_UPGRADE][moved]
        self._persists = self._persists and response.keep_alive

    def on_end(self) -> None:
        """Take the end of the response's body, or of the backend's direction of a tunnel."""
        try:
            self.server = SERVER[self.server][_END]
        except KeyError:
            raise misuse(self.server, _END) from None

    def on_switch(self) -> None:
        """Take a 101, which grants the upgrade."""
        self._move(Input.SWITCH)
        self._framing = Framing.CLOSE

    # What comes after it

    def next(self) -> bool:
        """Be there for another request, if the connection persists and both messages are complete; else close it."""
        if self._persists and self.client is _CLIENT_DONE and self.server is _SERVER_DONE:
            self._move(_NEXT)
            return True
        self.close()
        return False

    def end_after(self) -> None:
        """End the connection behind the response under way, or now if there is none."""
        self._persists = False
        if self.server is ServerState.IDLE:
            self.close()

    def close(self) -> None:
        """End the connection."""
        self._move(Input.CLOSE)

    def _move(self, moved: Input) -> None:
        """Take an input that concerns both parties."""
        try:
            client, server = CLIENT[self.client][moved], SERVER[self.server][moved]
        except KeyError:
            raise misuse(self.server if moved in CLIENT[self.client] else self.client, moved) from None
        self.client, self.server = client, server
