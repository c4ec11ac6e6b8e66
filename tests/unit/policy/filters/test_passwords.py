"""Files of passwords and the credentials of requests: what is read, what is refused, and what unknown users are checked against."""

import base64
import hashlib

import bcrypt
import pytest

from mcproxy.policy.filters.passwords import (
    Bcrypt,
    HtpasswdError,
    Scrypt,
    credentials,
    is_scrypt_of,
    read_users,
    verdict_key,
)
from mcproxy.policy.headers import Headers
from tests.support.rows import each_row

TEXT = b"$2y$05$" + b"a" * 53
SCRYPT = b"$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$"


def scrypt_line(password: bytes, log: int = 4) -> bytes:
    """Return a hash as the documentation makes it."""
    digest = hashlib.scrypt(password, salt=b"saltsaltsaltsalt", n=1 << log, r=8, p=1)
    return SCRYPT.replace(b"ln=4", b"ln=%d" % log) + base64.b64encode(digest).rstrip(b"=")


def test_a_file_with_comments_and_both_kinds() -> None:
    """Names are bytes, whatever their encoding; ends of lines are those of any system."""
    users = read_users(b"# ops\n\nanna:" + TEXT + b"\r\nj\xc3\xb6rg:" + scrypt_line(b"x") + b"\n")
    assert set(users.hashes) == {b"anna", "jörg".encode()}
    assert users.hashes[b"anna"] == Bcrypt(TEXT)
    stored = users.hashes["jörg".encode()]
    assert isinstance(stored, Scrypt)
    assert (stored.log, stored.r, stored.p, stored.salt, len(stored.digest)) == (4, 8, 1, b"saltsaltsaltsalt", 64)


def test_scrypt_knows_the_password() -> None:
    """Padded base64 and the one with dots are read alike."""
    line = scrypt_line(b"secret")
    for text in (line, line + b"==", line.replace(b"+", b".")):
        stored = read_users(b"a:" + text).hashes[b"a"]
        assert isinstance(stored, Scrypt)
        assert is_scrypt_of(stored, b"secret")
        assert not is_scrypt_of(stored, b"Secret")


@each_row(
    ("line", "words"),
    [
        (b"anna", "user:hash"),
        (b":" + TEXT, "user:hash"),
        (b"b:$apr1$abc$def", "MD5: make one by htpasswd -B"),
        (b"b:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "SHA-1"),
        (b"b:$6$salt$hash", "SHA-512"),
        (b"b:plain", "neither one of bcrypt nor of scrypt"),
        (b"b:rqXexS6ZhobKA", "neither one of bcrypt nor of scrypt"),
        (b"b:$2x$05$" + b"a" * 53, "faulty"),
        (b"b:$2y$05$abc", "no whole hash"),
        (b"b:$2y$5$" + b"a" * 53, "no whole hash"),
        (b"b:$2y$17$" + b"a" * 53, "costs too much"),
        (b"b:$2y$99$" + b"a" * 53, "no whole hash"),
        (b"b:" + scrypt_line(b"x").replace(b"ln=4", b"ln=22"), "ln is 1 to 20"),
        (b"b:" + scrypt_line(b"x").replace(b"ln=4", b"ln=19"), "64 MiB"),
        (b"b:" + scrypt_line(b"x").replace(b"r=8", b"r=0"), "ln is 1 to 20"),
        (b"b:$scrypt$ln=14,r=8,p=1$c2Fsd$c2Fs", "none of scrypt"),
        (b"b:$scrypt$ln=14,r=8,p=1$c2FsdA$c2FsdA", "DIGEST 16 bytes"),
        (b"anna:" + TEXT, "second time"),
    ],
)
def test_what_can_not_be_used_is_told_with_its_line(line: bytes, words: str) -> None:
    """And with what to do about it."""
    with pytest.raises(HtpasswdError, match=words) as caught:
        read_users(b"anna:" + TEXT + b"\n" + line)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    "line", [b"hunter2:x", b"hunter2", b"x:hunter2", b"x:$2b$hunter2", b"x:$scrypt$hunter2", b"x:{SHA}hunter2"]
)
def test_what_is_told_of_another_kind_of_file_has_nothing_of_it(line: bytes) -> None:
    """Who may change filters may name any file that the proxy can read, and is told what is wrong with it."""
    with pytest.raises(HtpasswdError) as caught:
        read_users(line + b"\n")
    assert "hunter2" not in str(caught.value)


def test_nobody_costs_what_most_users_cost() -> None:
    """And a file without users refuses as slowly as others."""
    expensive = TEXT.replace(b"$05$", b"$12$")
    assert read_users(b"a:" + expensive + b"\nb:" + TEXT + b"\nc:" + TEXT).nobody.price == (5,)
    nobody = read_users(b"a:" + expensive).nobody
    assert isinstance(nobody, Bcrypt)
    assert nobody.price == (12,)
    assert not bcrypt.checkpw(b"", read_users(b"a:" + TEXT).nobody.text), "it can be checked"  # type: ignore[union-attr]
    nobody = read_users(b"a:" + scrypt_line(b"x")).nobody
    assert isinstance(nobody, Scrypt)
    assert (nobody.log, nobody.r, nobody.p) == (4, 8, 1)
    assert not is_scrypt_of(nobody, b"")
    assert read_users(b"").nobody.price == (10,)


def basic(text: bytes, scheme: bytes = b"Basic ") -> tuple[bytes, bytes]:
    return b"authorization", scheme + base64.b64encode(text)


@each_row(
    ("headers", "found"),
    [
        ([basic(b"anna:secret")], (b"anna", b"secret")),
        ([basic(b"anna:secret", b"bASIC   ")], (b"anna", b"secret")),
        ([(b"accept", b"*/*"), basic(b"a:b:c")], (b"a", b"b:c")),
        ([basic(b":")], (b"", b"")),
        ([basic("jörg:ß".encode())], ("jörg".encode(), "ß".encode())),
        ([], None),
        ([basic(b"anna")], None),
        ([basic(b"anna:secret", b"Bearer ")], None),
        ([basic(b"anna:secret", b"Basic")], None),
        ([(b"authorization", b"Basic ")], None),
        ([(b"authorization", b"Basic YTpi YTpi")], None),
        ([(b"authorization", b"Basic YTp")], None),
        ([(b"authorization", b"Basic =YTpi")], None),
        ([basic(b"anna:secret"), basic(b"anna:secret")], None),
        ([(b"authorization", b"Basic YTpi, Basic YTpi")], None),
        ([(b"proxy-authorization", b"Basic YTpi")], None),
    ],
)
def test_credentials(headers: Headers, found: tuple[bytes, bytes] | None) -> None:
    """Two of them, or what two readers could read differently, are none."""
    assert credentials(headers) == found


def test_a_verdict_belongs_to_all_that_it_depends_on() -> None:
    """Another hash, user, password or secret has another key, wherever one ends and the next begins."""
    one, other = Bcrypt(TEXT), Bcrypt(TEXT[:-1] + b"b")
    scrypt = read_users(b"a:" + scrypt_line(b"x")).hashes[b"a"]
    asked = [
        (b"s", one, b"ab", b"c"),
        (b"s", one, b"a", b"bc"),
        (b"s", other, b"ab", b"c"),
        (b"s", scrypt, b"ab", b"c"),
        (b"t", one, b"ab", b"c"),
    ]
    keys = {verdict_key(*each) for each in asked}
    assert len(keys) == len(asked)
    assert {len(key) for key in keys} == {16}
