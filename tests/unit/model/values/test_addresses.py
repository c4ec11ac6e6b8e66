import pytest

from mcproxy.model.values import addresses
from mcproxy.model.values.endpoint import Endpoint
from tests.support.rows import each_row


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:8080", Endpoint("127.0.0.1", 8080)),
        ("[2001:DB8:0::1]:443", Endpoint("2001:db8::1", 443)),
        ("[::ffff:192.0.2.1]:443", Endpoint("192.0.2.1", 443)),
        ("App.Internal.:1", Endpoint("app.internal", 1)),
        ("bücher.example:65535", Endpoint("xn--bcher-kva.example", 65535)),
        ("localhost:08080", Endpoint("localhost", 8080)),
        ("unix:/run/app.sock", Endpoint(path="/run/app.sock")),
        ("unix:/" + "a" * 106, Endpoint(path="/" + "a" * 106)),
    ],
)
def test_a_backend_has_one_canonical_form(text: str, endpoint: Endpoint) -> None:
    """Names, IPv4, IPv6 and Unix sockets are told apart."""
    assert addresses.parse_backend(text) == endpoint
    assert addresses.parse_backend(str(endpoint)) == endpoint


@each_row(
    ("text", "message"),
    [
        ("", "has no port"),
        ("app", "has no port"),
        ("[::1]", "has no port"),
        (":8080", 'did you mean "127.0.0.1:8080"'),
        ("app:", '"" is not a port'),
        ("app:0", "is not a port"),
        ("app:65536", "is not a port"),
        ("app:http", "is not a port"),
        ("app:٨٠", "is not a port"),
        ("app:-1", "is not a port"),
        ("::1", "without a port"),
        ("2001:db8::1:80", "without a port"),
        ("fe80::1%eth0:80", "in brackets"),
        ("[fe80::1%eth0]:80", "zones"),
        ("[1.2.3.4]:80", "not an IPv6 address"),
        ("300.1.1.1:80", "not a valid IPv4 address"),
        ("1.2.3:80", "not a valid IPv4 address"),
        ("01.2.3.4:80", "not a valid IPv4 address"),
        ("*.example.com:80", "host is wrong"),
        ("a b:80", "host is wrong"),
        ("http://app:80", "is a URL"),
        ("unix:app.sock", "must be absolute"),
        ("unix:", "must be absolute"),
        ("unix:/" + "a" * 107, "at most 107 bytes"),
        ("unix:/" + "ü" * 54, "at most 107 bytes"),
        ("unix:/a\0b", "cannot be shown"),
    ],
)
def test_a_wrong_backend_is_refused(text: str, message: str) -> None:
    """The message says what is wrong."""
    with pytest.raises(ValueError, match=message):
        addresses.parse_backend(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (":8443", ":8443"),
        ("0.0.0.0:8443", "0.0.0.0:8443"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[0:0::1]:65535", "[::1]:65535"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
    ],
)
def test_a_listening_address_has_one_canonical_form(text: str, canonical: str) -> None:
    """Only what compares equal is the same listener."""
    assert addresses.parse_listen(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localhost:80", "not an IP address"),
        ("*:80", 'leave the host out.*":80"'),
        ("80", "no port"),
        (":0", "not a port"),
    ],
)
def test_a_wrong_listening_address_is_refused(text: str, message: str) -> None:
    """A name can mean several addresses, so a listener takes none."""
    with pytest.raises(ValueError, match=message):
        addresses.parse_listen(text)


def test_an_optional_listening_address_may_be_left_empty() -> None:
    """Empty means off."""
    assert addresses.parse_optional_listen("") == ""
    assert addresses.parse_optional_listen("127.0.0.1:9090") == "127.0.0.1:9090"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (":80", ":80", True),
        (":80", ":81", False),
        (":80", "0.0.0.0:80", True),
        (":80", "[::1]:80", True),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("0.0.0.0:80", "[::1]:80", False),
        ("0.0.0.0:80", "[::]:80", False),
        ("[::]:80", "[::1]:80", True),
        ("127.0.0.1:80", "127.0.0.2:80", False),
    ],
)
def test_addresses_overlap_when_they_take_the_same_port_of_the_same_family(
    first: str, second: str, *, expected: bool
) -> None:
    """An address without a host takes both families."""
    assert addresses.overlap(first, second) is expected
    assert addresses.overlap(second, first) is expected


@pytest.mark.parametrize(
    ("addr", "expected"),
    [("127.0.0.1:80", True), ("127.9.9.9:80", True), ("[::1]:80", True), (":80", False), ("0.0.0.0:80", False)],
)
def test_loopback_is_what_only_this_machine_reaches(addr: str, *, expected: bool) -> None:
    """A listener on all addresses is public."""
    assert addresses.listens_on_loopback(addr) is expected


def test_addresses_networks_and_countries_have_one_canonical_form() -> None:
    """Compressed, IPv4-mapped as IPv4, upper case."""
    assert addresses.parse_ip("2001:DB8::0:1") == "2001:db8::1"
    assert addresses.parse_ip("::ffff:192.0.2.1") == "192.0.2.1"
    assert addresses.parse_network("10.0.0.0/8") == "10.0.0.0/8"
    assert addresses.parse_network("192.0.2.1") == "192.0.2.1/32"
    assert addresses.parse_network("::ffff:192.0.2.0/120") == "192.0.2.0/24"
    assert addresses.parse_network("2001:DB8::/32") == "2001:db8::/32"
    assert addresses.parse_network("::/0") == "::/0"
    assert addresses.parse_country("se") == "SE"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.5/8", 'host bits set; did you mean "10.0.0.0/8"'),
        ("10.0.0.0/33", "at most 32 bits"),
        ("10.0.0.0/255.0.0.0", "not a network"),
        ("10.0.0.0/", "not a network"),
        ("ten", "not a network"),
        ("", "not a network"),
    ],
)
def test_a_wrong_network_is_refused(text: str, message: str) -> None:
    """Host bits are an error that names the network."""
    with pytest.raises(ValueError, match=message):
        addresses.parse_network(text)


def test_a_network_among_addresses_is_sent_to_its_own_list() -> None:
    """The message names the right key."""
    with pytest.raises(ValueError, match="belong into blocked_cidrs"):
        addresses.parse_ip("10.0.0.0/8")


@pytest.mark.parametrize("text", ["", "S", "SWE", "S1", "ßß"])
def test_a_country_has_two_letters(text: str) -> None:
    """Everything else is refused."""
    with pytest.raises(ValueError, match="two letters"):
        addresses.parse_country(text)
