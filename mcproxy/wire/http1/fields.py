"""The grammar of header and trailer sections, checked by llhttp. This is the only module that knows httptools.

llhttp gets one complete section at a time, from a fresh parser each time, so that no state of it outlives a section:
not its idea of where a body ends, not its keep-alive, not its upgrade.
"""

import httptools

from mcproxy.wire.http1.events import Headers

# llhttp reads a trailer section only behind the last chunk of a message.
_BEFORE_TRAILERS = b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"


class FieldError(ValueError):
    """llhttp refused the section; the text is its reason."""


class _Section:
    """Collects what llhttp calls back with."""

    __slots__ = ("complete", "headers")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves the whitespace behind a value in place.
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


class _TrailerSection(_Section):
    """Forgets the fields of the head that stands before the trailers, and is complete with the message."""

    __slots__ = ()

    def on_headers_complete(self) -> None:
        self.headers.clear()

    def on_message_complete(self) -> None:
        self.complete = True


def _run(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, section: _Section, data: bytes) -> Headers:
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        # Says only that an upgrade was asked for or granted; the section itself is good.
        pass
    except httptools.HttpParserError as error:
        raise FieldError(str(error)) from None
    if not section.complete:
        raise FieldError("the section does not end where its empty line is")
    return section.headers


def request_fields(head: bytes) -> Headers:
    """Return the fields of a request's head, given from its first byte to its empty line; raises `FieldError`."""
    section = _Section()
    return _run(httptools.HttpRequestParser(section), section, head)


def response_fields(head: bytes) -> Headers:
    """Return the fields of a response's head, given from its first byte to its empty line; raises `FieldError`."""
    section = _Section()
    return _run(httptools.HttpResponseParser(section), section, head)


def trailer_fields(block: bytes) -> Headers:
    """Return the fields of a trailer section that ends with its empty line; raises `FieldError`."""
    section = _TrailerSection()
    return _run(httptools.HttpRequestParser(section), section, _BEFORE_TRAILERS + block)
