"""What a route answers itself: targets of redirects, whatever a request has in it, and texts."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcproxy.model.state.state import Route
from mcproxy.model.values.texts import REDIRECTS, VARIABLES, parse_answer, parse_redirect
from mcproxy.policy.answers import Asking, OwnAnswer
from mcproxy.policy.headers import RequestHead
from tests.support.rows import each_row

ASKING = Asking("2001:db8::7", b"0123456789abcdef", "app.test")


def route(**fields: object) -> Route:
    return Route(":1", "app.test", mode="l7", **fields)  # type: ignore[arg-type]  # any keys of a route


def head(path: bytes = b"/a/b?c=d", authority: bytes = b"app.test:8443", method: bytes = b"GET") -> RequestHead:
    return RequestHead(method, authority, path, [])


def location(target: str, asked: RequestHead | None = None, asking: Asking = ASKING) -> str:
    answer = OwnAnswer(route(redirect=parse_redirect(target))).to(asked or head(), asking)
    return dict(answer.headers)[b"location"].decode()


@each_row(
    ("target", "expected"),
    [
        ("https://{host}{uri}", "https://app.test/a/b?c=d"),
        ("https://{host}:8443{path}", "https://app.test:8443/a/b"),
        ("https://www.{host}/x?from={path}&{query}", "https://www.app.test/x?from=/a/b&c=d"),
        ("http://new.test", "http://new.test"),
        ("https://[2001:db8::1]:1/?ip={client_ip}", "https://[2001:db8::1]:1/?ip=2001:db8::7"),
        ("/login?id={request_id}&name={sni}", "/login?id=0123456789abcdef&name=app.test"),
        ("/old{uri}", "/old/a/b?c=d"),
        ("{scheme}://www.{host}{uri}", "https://www.app.test/a/b?c=d"),
        ("/login?next={scheme}://{host}{path}", "/login?next=https://app.test/a/b"),
        ("/{path}", "/a/b"),
    ],
)
def test_variables_are_filled_in(target: str, expected: str) -> None:
    """The host without its port; the path with or without its query."""
    assert location(target) == expected


@each_row(
    ("target", "message"),
    [
        ("new", "neither a path"),
        ("//evil.test", "no path"),
        ("/\\evil.test", "no path"),
        ("ftp://a", "neither a path"),
        ("{uri}", "neither a path"),
        ("{scheme}:/x", "neither a path"),
        ("{scheme}s://{host}", "neither a path"),
        ("https://{hots}", r"did you mean \{host\}\?"),
        ("https://{Host}/", r"did you mean \{host\}\?"),
        ("https://{http.request.host}/", r"there are \{host\}, \{uri\}|did you mean"),
        ("https://{sni}/", "only variable"),
        ("https://a b/", "characters"),
        ("https://a/\n", "characters"),
        ("https://a/{uri", "brace"),
        ("https://a/}", "brace"),
        ("https://{host}{query}", "go on with the host"),
        ("https://a.test{query}", "only variable|go on with the host"),
        ("https://user@a.test/", "no host and port"),
        ("https:///x", "no host and port"),
    ],
)
def test_a_target_that_could_lead_elsewhere_is_refused(target: str, message: str) -> None:
    """When the file is read."""
    with pytest.raises(ValueError, match=message):
        parse_redirect(target)


PATHS = st.one_of(
    st.binary(max_size=20),
    st.lists(
        st.sampled_from([b"/", b"\\", b"//evil.test", b"?", b"a", b"%2f", b"\r\n", b"\t", b"*", b"@", b"\xff", b"#"]),
        max_size=8,
    ).map(b"".join),
)
TARGETS = st.one_of(
    st.sampled_from(VARIABLES).map("/{{{}}}".format),
    st.lists(st.sampled_from(VARIABLES), max_size=3).map(
        lambda names: "https://{host}{uri}" + "".join(f"{{{name}}}" for name in names)
    ),
    st.lists(st.sampled_from(VARIABLES), max_size=3).map(
        lambda names: "https://www.app.test/x" + "".join(f"{{{name}}}" for name in names)
    ),
    st.lists(st.sampled_from(VARIABLES), max_size=3).map(lambda names: "/x" + "".join(f"{{{name}}}" for name in names)),
    st.lists(st.sampled_from(VARIABLES), max_size=3).map(
        lambda names: "https://app.test{path}" + "".join(f"{{{name}}}" for name in names)
    ),
)


@given(TARGETS, PATHS, PATHS)
def test_no_request_leads_to_another_host_or_another_header(target: str, path: bytes, identity: bytes) -> None:
    """Whatever stands in its path, or in the id that a proxy has given it."""
    found = location(target, head(path), Asking("192.0.2.1", identity, "app.test"))
    assert found.isascii()
    assert found.isprintable()
    assert " " not in found
    joined = urlsplit(urljoin("https://app.test/here", found.replace("\\", "/")))
    assert joined.hostname in ("app.test", "www.app.test")
    assert joined.username is None


@pytest.mark.parametrize(
    ("target", "scheme", "back"),
    [
        ("https://{host}{uri}", "https", True),
        ("https://{host}{uri}", "http", False),
        ("https://app.test/a/b?c=d", "https", True),
        ("https://{host}/new", "https", False),
        ("https://www.{host}{uri}", "https", False),
        ("http://{host}{uri}", "https", False),
        ("{scheme}://{host}{uri}", "https", True),
        ("{scheme}://{host}{uri}", "http", False),
        ("/a/b?c=d", "https", False),
    ],
)
def test_a_redirect_to_https_may_lead_back(target: str, scheme: str, *, back: bool) -> None:
    """Only what leads a client of https to the very URL that it has leads nowhere; other redirects hold for it as well."""
    asking = Asking("192.0.2.1", b"", "app.test", scheme)
    assert OwnAnswer(route(redirect=parse_redirect(target))).leads_back(head(), asking) is back
    assert not OwnAnswer(route(respond="x")).leads_back(head(), asking)


def test_a_redirect_needs_a_host_that_it_names() -> None:
    """A request of HTTP/1.0 without Host has that of the handshake; without any it can't be answered."""
    asked = head(authority=b"")
    assert location("https://{host}/", asked) == "https://app.test/"
    unknown = Asking("192.0.2.1", b"", "")
    assert OwnAnswer(route(redirect="https://{host}/")).to(asked, unknown).status == 400
    assert location("/x", asked, unknown) == "/x"
    assert location("https://{host}/", head(authority=b"[2001:DB8::1]:443")) == "https://[2001:db8::1]/"


@pytest.mark.parametrize("status", [0, *REDIRECTS])
def test_a_redirect_has_a_status_and_no_body(status: int) -> None:
    """308 unless the file says another one."""
    answer = OwnAnswer(route(redirect="/x", status=status)).to(head(), ASKING)
    assert (answer.status, answer.body) == (status or 308, b"")
    assert dict(answer.headers) == {b"location": b"/x", b"content-length": b"0"}


def test_a_text_is_sent_as_it_stands() -> None:
    """There are no variables in it; 200 unless the file says another status."""
    answer = OwnAnswer(route(respond="Grüße {host}\n")).to(head(), ASKING)
    assert (answer.status, answer.body) == (200, "Grüße {host}\n".encode())
    assert dict(answer.headers) == {
        b"content-type": b"text/plain; charset=utf-8",
        b"content-length": b"%d" % len(answer.body),
    }
    assert OwnAnswer(route(respond="x", status=503)).to(head(), ASKING).status == 503


@pytest.mark.parametrize(("status", "told"), [(0, b"12"), (503, b"14"), (403, b"7")])
def test_grpc_is_told_in_its_own_way(status: int, told: bytes) -> None:
    """A fixed answer is no answer of a method; an error is the status that stands for it."""
    asked = RequestHead(b"POST", b"app.test", b"/S/M", [(b"content-type", b"application/grpc")])
    answer = OwnAnswer(route(respond="x", status=status)).to(asked, ASKING)
    assert (answer.status, answer.body) == (200, b"")
    assert (b"grpc-status", told) in answer.headers


def test_a_text_has_a_limit() -> None:
    """In bytes."""
    assert parse_answer("ü" * 32_768)
    with pytest.raises(ValueError, match="has 65538 bytes; a text has at most 65536"):
        parse_answer("ü" * 32_769)
