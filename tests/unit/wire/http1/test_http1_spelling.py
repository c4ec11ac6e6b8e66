"""Header names as they were received."""

from mcproxy.wire.http1 import respelled, spelling

HEAD = (
    b"GET /Host:x HTTP/1.1\r\nHOST: a\r\nX-One: 1\r\nx-ONE: Host: 2\r\nX_Two : 3\r\nETag:4\r\n folded: no name\r\n\r\n"
)


def test_names_are_found_in_their_order() -> None:
    """Neither the start line nor values have any, however they look."""
    assert spelling(HEAD) == {
        b"host": [b"HOST"],
        b"x-one": [b"X-One", b"x-ONE"],
        b"x_two": [b"X_Two"],
        b"etag": [b"ETag"],
    }
    assert spelling(HEAD.replace(b"\r\n", b"\n")) == spelling(HEAD)
    assert spelling(b"HTTP/1.1 200 OK\r\n\r\n") == {}


def test_a_head_gets_its_names_back() -> None:
    """Whatever came between, also in the fields of the connection; a name that never came stays as it is."""
    made = b"GET / HTTP/1.1\r\nhost: a\r\nx-one: 1\r\nx-one: 2\r\nx-one: 3\r\nx-new: host: b\r\netag: 4\r\n\r\n"
    assert respelled(made, spelling(HEAD)) == (
        b"GET / HTTP/1.1\r\nHOST: a\r\nX-One: 1\r\nx-ONE: 2\r\nx-ONE: 3\r\nx-new: host: b\r\nETag: 4\r\n\r\n"
    )
