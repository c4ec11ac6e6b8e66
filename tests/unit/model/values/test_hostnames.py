import pytest

from mcproxy.model.values import hostnames
from tests.support.rows import each_row


@each_row(
    ("text", "canonical"),
    [
        ("*", "*"),
        ("App.Example.COM", "app.example.com"),
        ("app.example.com.", "app.example.com"),
        ("localhost", "localhost"),
        ("*.Example.com.", "*.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.BÜCHER.example", "*.xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("faß.de", "xn--fa-hia.de"),
        ("my_app.internal", "my_app.internal"),
        ("r3---sn-4g5e6nz7.example", "r3---sn-4g5e6nz7.example"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_pattern_has_one_canonical_form(text: str, canonical: str) -> None:
    """Case, a trailing dot and Unicode make no difference."""
    assert hostnames.parse_pattern(text) == canonical


@each_row(
    ("text", "message"),
    [
        ("", "must not be empty"),
        (".", "empty label"),
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a.b..", "empty label"),
        ("*.", "stands alone or once in front"),
        ("**", "stands alone or once in front"),
        ("*.*.example.com", r'did you mean "\*\.example\.com"'),
        ("a.*.b", r'did you mean "\*\.b"'),
        ("*foo.example.com", "stands alone or once in front"),
        ("-a.example", "hyphen"),
        ("a-.example", "hyphen"),
        ("a" * 64 + ".example", "more than 63"),
        (".".join(["a" * 60] * 5), "longer than a hostname"),
        ("ü" * 2000, "longer than a hostname"),
        ("a b.example", '" " is not allowed'),
        ("a/b", '"/" is not allowed'),
        ("app.example.com:443", "has a port"),
        ("https://app.example.com", "is a URL"),
        ("192.0.2.1", "is an IP address"),
        ("[2001:db8::1]", "is an IP address"),
        ("::1", "is an IP address"),
        ("\uff11.\uff12.\uff13.\uff14", "is an IP address"),
        ("*.192.0.2.1", "is an IP address"),
        ("127.1", "last label is a number"),
        ("app.0x7f", "last label is a number"),
        ("xn--zzzzzz--.example", "hyphen"),
        ("xn--a.example", "no valid A-label"),
        ("\u2665\u200d.example", "not a valid internationalised hostname"),
        ("a\nb", r'"\\n" is not allowed'),
    ],
)
def test_what_no_client_can_ask_for_is_refused(text: str, message: str) -> None:
    """The message says what is wrong, and what was meant where that can be guessed."""
    with pytest.raises(ValueError, match=message) as caught:
        hostnames.parse_pattern(text)
    assert str(caught.value).isprintable()


def test_an_optional_name_may_be_left_empty() -> None:
    """Empty means none; all else is a name."""
    assert hostnames.parse_optional_name("") == ""
    assert hostnames.parse_optional_name("A.example") == "a.example"
