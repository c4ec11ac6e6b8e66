"""HTTP/1.1 without I/O: bytes in, events out, and events into bytes.

The theory. An HTTP/1.1 message has no frame; its length follows from its head. A proxy is safe exactly as long as it
and the backend agree on that length, so this package never repairs: what could be read in two ways is refused
(`Bad`), and what is passed on is written anew from the events, never copied.

Who decides what:

- ``framing`` finds the empty line that ends a head, and so knows where each section begins and ends; it applies the
  rules of RFC 9112 section 6 to the fields; it reads bodies, so that an end of the connection is told complete or
  cut short, and so that parsing stops on the last byte of a message.
- ``fields`` has llhttp (httptools) judge one whole section: names, colons, values, line ends.
- ``request_parser`` and ``response_parser`` own the start lines and the order of things. A request's parser lives as
  long as its connection and stops behind each request until `RequestParser.resume`; a response has a parser of its own.
- ``serialize`` writes, and is the second wall: bytes that would break out of their field do not pass.
- ``states`` says what may follow what on a connection, ``body_framing`` how a body is framed when it is sent;
  ``server_side`` (of a client's connection) and ``client_side`` (of a backend's) apply both and return bytes.

What is stricter here than RFC 9112 demands: bare LF, obsolete folding, other transfer codings than ``chunked``, two
equal Content-Length fields, Transfer-Encoding on HTTP/1.0, fields named like ``transfer_encoding``, framing fields in
trailers, fragments and bytes beyond ASCII in targets, an absolute-form target that differs from Host, and whitespace
around chunk extensions are refused. What is forgiven: one empty line before a request, and zeros before a number.

The same bytes give the same events however they are cut, but for how ``Data`` is divided.
"""

from mcproxy.wire.http1.client_side import ClientSide
from mcproxy.wire.http1.events import (
    END,
    Bad,
    Data,
    End,
    Headers,
    Informational,
    Limits,
    Request,
    RequestEvent,
    Response,
    ResponseEvent,
    Switched,
    Trailers,
)
from mcproxy.wire.http1.request_parser import RequestParser, known_fields
from mcproxy.wire.http1.response_parser import ResponseParser
from mcproxy.wire.http1.serialize import (
    END_OF_CHUNKS,
    UnsendableError,
    last_chunk,
    request_head,
    response_head,
    switching_head,
)
from mcproxy.wire.http1.server_side import ServerSide
from mcproxy.wire.http1.spelling import Spelling, respelled, spelling
from mcproxy.wire.http1.states import ClientState, MisuseError, ServerState

__all__ = [
    "END",
    "END_OF_CHUNKS",
    "Bad",
    "ClientSide",
    "ClientState",
    "Data",
    "End",
    "Headers",
    "Informational",
    "Limits",
    "MisuseError",
    "Request",
    "RequestEvent",
    "RequestParser",
    "Response",
    "ResponseEvent",
    "ResponseParser",
    "ServerSide",
    "ServerState",
    "Spelling",
    "Switched",
    "Trailers",
    "UnsendableError",
    "known_fields",
    "last_chunk",
    "request_head",
    "respelled",
    "response_head",
    "spelling",
    "switching_head",
]
