"""The cookie of an endpoint."""

import hashlib
import hmac

from mcproxy.policy.upstreams.sticky import set_cookie, value_of, values_in


def test_the_value_depends_on_names_alone() -> None:
    """Equal on all nodes, different for each endpoint and each upstream."""
    assert value_of("api", "10.0.0.1:80").decode() == hmac.new(b"api", b"10.0.0.1:80", hashlib.sha256).hexdigest()[:16]
    values = {value_of(upstream, address) for upstream in ("api", "web") for address in ("[::1]:80", "unix:/run/a")}
    assert len(values) == 4
    assert all(len(value) == 16 for value in values)


def test_the_field() -> None:
    """Secure only for clients that use TLS: others would never send it back."""
    value = value_of("api", "10.0.0.1:80")
    assert set_cookie("srv", value, secure=False) == b"srv=%s; Path=/; HttpOnly; SameSite=Lax" % value
    assert set_cookie("srv", value, secure=True) == b"srv=%s; Path=/; HttpOnly; SameSite=Lax; Secure" % value


def test_it_is_found_among_others() -> None:
    """In one field or several, beside names that begin or end alike; names differ by case."""
    headers = [
        (b"host", b"srv=0"),
        (b"cookie", b"asrv=1; srvb=2;srv=3 ; SRV=4; srv"),
        (b"cookie", b'srv="5"'),
        (b"cookie", b"; ;=;srv==6"),
    ]
    assert list(values_in(headers, "srv")) == [b"3", b"5", b"=6"]
    assert list(values_in([], "srv")) == []
