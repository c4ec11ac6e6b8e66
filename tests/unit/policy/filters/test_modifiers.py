"""Modifiers of filters: the innermost counts, key by key."""

import math

import msgspec
import pytest

from mcproxy.model.state.filter_options import FilterOptions, Rewrite
from mcproxy.policy.answers import Asking
from mcproxy.policy.filters.error_pages import media_type
from mcproxy.policy.filters.rewrites import PathRewrite
from mcproxy.policy.filters.scope import Scope
from mcproxy.policy.headers import Headers, RequestHead
from tests.support.rows import each_row

ASKING = Asking("2001:db8::7", b"0123", "app.test")
HEAD = RequestHead(b"GET", b"App.test:8443", b"/a/b?c=d", [(b"accept", b"*/*"), (b"x-user", b"forged")])


def request(head: RequestHead, *filters: FilterOptions) -> RequestHead | None:
    change = Scope([("", options) for options in filters]).request
    assert change is not None
    return change.apply(head, ASKING)


def headers(fields: Headers, *filters: FilterOptions) -> Headers:
    changed = request(msgspec.structs.replace(HEAD, headers=fields), *filters)
    assert changed is not None
    return changed.headers


def response(fields: Headers, *filters: FilterOptions) -> Headers:
    operations = Scope([("", options) for options in filters]).response
    assert operations is not None
    return operations.apply(fields, HEAD, ASKING)


@each_row(
    ("text", "value"),
    [
        ("{client_ip}", b"2001:db8::7"),
        ("{host} {sni}", b"app.test app.test"),
        ("{scheme}://{host}{uri}", b"https://app.test/a/b?c=d"),
        ("{path}", b"/a/b"),
        ("<{query}>", b"<c=d>"),
        ("id={request_id};", b"id=0123;"),
        ('{"json": {}}', b'{"json": {}}'),
        ("plain", b"plain"),
        ("", b""),
        ("sm\u00f6r", b"sm\xc3\xb6r"),
    ],
)
def test_variables_stand_for_what_the_client_sent(text: str, value: bytes) -> None:
    assert headers([], FilterOptions(set_request_headers=(("X-A", text),))) == [(b"x-a", value)]
    assert response([], FilterOptions(add_response_headers=(("X-A", text),))) == [(b"x-a", value)]


@pytest.mark.parametrize("bad", ["a\r\nb", "a b", "a\x00", "\u00fc"])
def test_a_variable_that_is_not_fit_for_a_header_is_empty(bad: str) -> None:
    """Nobody gets a line break or the like into a header by what he sends."""
    operations = Scope([("", FilterOptions(set_response_headers=(("X-A", "[{sni}] {request_id}"),)))]).response
    assert operations is not None
    assert operations.apply([], HEAD, Asking("", b"a\r\nX: y", bad)) == [(b"x-a", b"[]")]


def test_set_replaces_every_spelling_in_requests() -> None:
    """What a CGI-style backend would read as the same name doesn't get by, nor as a trailer."""
    forged: Headers = [(b"x-user", b"a"), (b"x_user", b"b"), (b"x.user", b"c"), (b"x-users", b"d"), (b"y-user", b"e")]
    options = FilterOptions(set_request_headers=(("X-User", "{client_ip}"),), remove_request_headers=("X-Groups",))
    assert headers([*forged, (b"x_groups", b"f")], options) == [
        (b"x-users", b"d"),
        (b"y-user", b"e"),
        (b"x-user", b"2001:db8::7"),
    ]
    change = Scope([("", options)]).request
    assert change is not None
    assert change.gone == {b"x-user", b"x-groups"}


def test_add_leaves_what_is_there() -> None:
    """And a filter may add several of one name, or set one and add others."""
    options = FilterOptions(
        set_response_headers=(("Vary", "Accept"),),
        add_response_headers=(("Link", "<a>"), ("Link", "<b>"), ("Vary", "Cookie")),
        remove_response_headers=("Server",),
    )
    sent: Headers = [(b"server", b"x"), (b"link", b"<0>"), (b"vary", b"*"), (b"x", b"y")]
    assert response(sent, options) == [
        (b"link", b"<0>"),
        (b"x", b"y"),
        (b"link", b"<a>"),
        (b"link", b"<b>"),
        (b"vary", b"Accept"),
        (b"vary", b"Cookie"),
    ]
    assert sent[0] == (b"server", b"x")  # the list belongs to others


def test_the_innermost_filter_that_names_a_header_decides_about_it() -> None:
    """Whether it sets, adds or removes; other headers of outer filters stay as they say."""
    outer = FilterOptions(
        set_response_headers=(("A", "outer"), ("B", "outer")),
        remove_response_headers=("C",),
        add_response_headers=(("D", "outer"),),
    )
    inner = FilterOptions(
        set_response_headers=(("C", "inner"),), remove_response_headers=("A",), add_response_headers=(("D", "inner"),)
    )
    sent: Headers = [(name, b"backend") for name in (b"a", b"b", b"c", b"d")]
    assert response(sent, outer, inner) == [
        (b"d", b"backend"),
        (b"b", b"outer"),
        (b"c", b"inner"),
        (b"d", b"inner"),
    ]


def test_a_request_keeps_all_else() -> None:
    """Version, WebSocket and method are the client's."""
    head = RequestHead(b"GET", b"a", b"/", [(b"authorization", b"Negotiate x")], True, True, True)
    options = FilterOptions(set_request_headers=(("X-A", "b"),))
    assert request(head, options) == msgspec.structs.replace(head, headers=[*head.headers, (b"x-a", b"b")])


@pytest.mark.parametrize(("credentials", "binds"), [("Basic eA==", False), ("Negotiate y", True)])
def test_other_credentials_decide_whether_the_connection_is_the_clients(credentials: str, *, binds: bool) -> None:
    """NTLM and Negotiate authenticate a connection, whoever sends them; what they replace does no more."""
    options = FilterOptions(set_request_headers=(("Authorization", credentials),))
    head = RequestHead(b"GET", b"a", b"/", [(b"authorization", b"Negotiate x")], binds=not binds)
    assert request(head, options) == msgspec.structs.replace(
        head, headers=[(b"authorization", credentials.encode())], binds=binds
    )


@each_row(
    ("start", "to", "target", "rewritten"),
    [
        ("/api", "/", "/api/x?y=/api", "/x?y=/api"),
        ("/api", "/", "/api", "/"),
        ("/api", "/", "/api?x", "/?x"),
        ("/api", "/", "/api/", "/"),
        ("/api/", "/", "/api/x", "/x"),
        ("/api", "/v2", "/api", "/v2"),
        ("/api", "/v2/", "/api/", "/v2/"),
        ("/api", "/v2/y", "/api/x/z", "/v2/y/x/z"),
        ("/api", "/", "/apis/x", "/apis/x"),
        ("/api", "/", "/x/api", "/x/api"),
        ("/api", "/", "*", "*"),
        ("/api", "/", "/%61pi/x%2Fy", "/x%2Fy"),
        ("/~a", "/b", "/%7ea/x", "/b/x"),
        ("/a%2fb", "/c", "/a%2Fb/x", "/c/x"),
        ("/a%2fb", "/c", "/a/b/x", "/a/b/x"),
        ("/a/b", "/c", "/a/b/d", "/c/d"),
        ("/a/b", "/c", "/a", "/a"),
        ("/", "/base", "/x", "/base/x"),
        ("/", "/base", "/", "/base/"),
        ("/", "/", "/x", "/x"),
        ("/api", "/", "/api//evil.test/x", "/evil.test/x"),
        ("/api", "/v2", "/api//x", "/v2//x"),
        ("/api", "/v2", "/api/a%20b", "/v2/a%20b"),
        ("/api", "/v2", "/api/a/../b", "/v2/a/../b"),
        ("/api", "/v2", "/api/../b", None),
        ("/api", "/v2", "/api/..", None),
        ("/api", "/v%202", "/api/x", "/v%202/x"),
        ("/api", "/v%202", "/api/a%2Fb", "/v%202/a%2Fb"),
        ("/api", "/v%202", "/api/..%2fb", None),
        ("/api", "/v2", "/api/..%2fb", None),
        ("/api", "/v2", "/api/%252e%252e/b", None),
        ("/api", "/v2", "/api/..;x/b", None),
        ("/api", "/v2", r"/api\..\..\b", r"/api\..\..\b"),
        ("/api", "/v2", r"/api/..\b", None),
        ("/api", "/v2", "/api/" + "%20/" * 2000, None),
    ],
)
def test_rewrites(start: str, to: str, target: str, rewritten: str | None) -> None:
    """Whole segments are replaced, the rest stays as received; nobody climbs out of what stands in their place."""
    rule = PathRewrite(Rewrite(from_=start, to=to))
    assert rule.apply(target.encode()) == (None if rewritten is None else rewritten.encode())


def test_the_innermost_rewrite_and_host_count() -> None:
    """Each for itself; without any in the scope the request's own stay."""
    outer = FilterOptions(rewrite=Rewrite(from_="/a", to="/outer"), rewrite_host="outer.test")
    inner = FilterOptions(rewrite=Rewrite(from_="/a", to="/inner"))
    changed = request(HEAD, outer, inner)
    assert changed is not None
    assert (changed.path, changed.authority, changed.headers) == (b"/inner/b?c=d", b"outer.test", HEAD.headers)
    named = request(HEAD, outer, FilterOptions(set_request_headers=(("X-Path", "{host}{path}"),)))
    assert named is not None
    assert named.headers[-1] == (b"x-path", b"app.test/a/b")
    assert request(msgspec.structs.replace(HEAD, path=b"/a/../b"), outer) is None


def test_the_innermost_time_limits_count() -> None:
    """0 is no limit, which an inner filter may say as well."""
    outer = FilterOptions(request_timeout=5.0, idle_timeout=60.0)
    scope = Scope([("", outer), ("", FilterOptions(idle_timeout=0.0))])
    assert (scope.request_timeout, scope.idle_timeout) == (5.0, math.inf)
    assert Scope([("", FilterOptions(request_timeout=0.0)), ("", outer)]).request_timeout == 5.0


def test_error_pages() -> None:
    """The innermost filter that has one for the status, in it the narrowest; the backend's errors only where it is said."""
    outer = FilterOptions(
        error_pages=(("404", "lost.html"), ("502-504", "away.html"), ("5xx", "sorry.html")), backend_errors=True
    )
    inner = FilterOptions(error_pages=(("404", "mine.html"), ("4xx", "no.html")))
    pages = Scope([("", outer), ("", inner)]).pages
    assert pages is not None
    assert [pages.page(status, own=True) for status in (404, 403, 500, 503, 599, 200)] == [
        "mine.html",
        "no.html",
        "sorry.html",
        "away.html",
        "sorry.html",
        None,
    ]
    assert [pages.page(status, own=False) for status in (404, 403, 500, 503)] == [
        "lost.html",
        None,
        "sorry.html",
        "away.html",
    ]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/x/a.html", b"text/html; charset=utf-8"),
        ("a.HTM", b"text/html; charset=utf-8"),
        ("a.json", b"application/json"),
        ("a.txt", b"text/plain; charset=utf-8"),
        ("a", b"text/plain; charset=utf-8"),
    ],
)
def test_the_type_of_a_page(path: str, kind: bytes) -> None:
    assert media_type(path) == kind
