"""A connection on which the proxy is the server: what may be sent to the client now, as bytes, and what comes after it."""

from mcproxy.wire.http1.body_framing import Framing, framed, response_framing
from mcproxy.wire.http1.events import Headers, Request
from mcproxy.wire.http1.serialize import last_chunk, response_head, switching_head
from mcproxy.wire.http1.states import CLIENT, SERVER, ClientState, Input, ServerState, misuse


class ServerSide:
    """The state of one client connection. The methods that return bytes change nothing when they raise.

    All raise `MisuseError` when they have no place in the state.

    Attributes:
        client: what the client is at.
        server: what the proxy is at; ``CLOSED``: the connection is to be closed once its output is written.
    """

    __slots__ = ("_expecting", "_framing", "_method", "_minor", "_persists", "client", "server")

    def __init__(self) -> None:
        self.client = ClientState.IDLE
        self.server = ServerState.IDLE
        self._method = b""
        self._minor = 1
        self._framing = Framing.NONE  # of the response's body
        self._persists = True  # the connection goes on after the response under way
        self._expecting = False  # the client waits for 100 before it sends the body

    # What has come

    def on_request(self, request: Request, *, last: bool) -> None:
        """Take a request; it is to be the ``last`` one, whatever the client wants."""
        moved = Input.UPGRADE if request.websocket else Input.BODILESS if request.length == 0 else Input.REQUEST
        self._move(moved)
        self._method = request.method
        self._minor = request.minor
        self._persists = request.keep_alive and not last
        self._expecting = request.expect_continue

    def on_end(self) -> None:
        """Take the end of a request's body, or of the client's direction of a tunnel."""
        try:
            self.client = CLIENT[self.client][Input.END]
        except KeyError:
            raise misuse(self.client, Input.END) from None

    def refuse(self) -> bool:
        """Read no more of the client, which broke the protocol or a limit; tell whether an answer is due."""
        if self.server is ServerState.IDLE:
            self._method = b""
        self._move(Input.REFUSE)
        self._persists = False
        return self.server is ServerState.DUE

    # What is sent

    def inform(self, status: int, headers: Headers) -> bytes:
        """Return an interim response, nothing for a client of HTTP/1.0, which knows none; raises `UnsendableError`."""
        try:
            self.server = SERVER[self.server][Input.INTERIM]
        except KeyError:
            raise misuse(self.server, Input.INTERIM) from None
        if status == 100:
            self._expecting = False
        return response_head(status, headers) if self._minor else b""

    def respond(self, status: int, headers: Headers, *, end: bool) -> bytes:
        """Return the head of the final response, and decide what becomes of the connection behind it.

        It ends when it is the only end that the body has; when the client may or may not send the body it has announced,
        because it waits for 100 (RFC 9110 section 10.1.1); and when it has been waited for too long (408).

        Args:
            status: 200 to 999.
            headers: the end-to-end fields.
            end: whether there is no body.

        Raises:
            UnsendableError: a field can't be said.
        """
        if self.server is not ServerState.DUE:
            raise misuse(self.server, Input.FINAL)
        framing, headers = response_framing(self._method, self._minor, status, headers, complete=end)
        unread = self.client is ClientState.BODY and (self._expecting or status == 408)
        persists = self._persists and framing is not Framing.CLOSE and not unread
        option = (b"" if self._minor else b"keep-alive") if persists else b"close"
        head = response_head(status, headers, chunked=framing is Framing.CHUNKED, connection=option)
        self._framing = framing
        self._persists = persists
        if self.client is ClientState.UPGRADE:
            self.client = CLIENT[ClientState.UPGRADE][Input.FINAL]
        self.server = SERVER[ServerState.DUE][Input.COMPLETE if end else Input.FINAL]
        if end and not persists:
            self.close()
        return head

    def switch(self, headers: Headers) -> bytes:
        """Return the 101 that grants the upgrade; raises `UnsendableError`."""
        if self.client is not ClientState.UPGRADE:
            raise misuse(self.client, Input.SWITCH)
        head = switching_head(headers)
        self._move(Input.SWITCH)
        self._framing = Framing.CLOSE
        self._persists = False
        return head

    def send(self, data: bytes, *, end: bool) -> bytes:
        """Return a piece of the response's body, or of a tunnel, as it goes on the wire."""
        if end:
            try:
                self.server = SERVER[self.server][Input.END]
            except KeyError:
                raise misuse(self.server, Input.END) from None
            if not self._persists:
                self.close()
        return framed(self._framing, data, end=end)

    def trailers(self, headers: Headers) -> bytes:
        """Return the trailers, the response's end; nothing where the framing allows none. Raises `UnsendableError`."""
        data = last_chunk(headers) if self._framing is Framing.CHUNKED else b""
        self.send(b"", end=True)
        return data

    # What comes after it

    def next(self) -> None:
        """Be there for another request: this one is complete and answered."""
        self._move(Input.NEXT)

    def end_after(self) -> None:
        """End the connection behind the response under way, or now if there is none."""
        self._persists = False
        if self.server in (ServerState.IDLE, ServerState.DONE):
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
