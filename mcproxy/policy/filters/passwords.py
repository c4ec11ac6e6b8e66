"""Names and passwords of ``basic_auth``: the file they are in, and the request they come with (RFC 7617).

A file has the lines of htpasswd, ``user:hash``, of which two kinds of hashes are known: bcrypt, as ``htpasswd -B`` writes it, and
scrypt, as ``$scrypt$ln=14,r=8,p=1$SALT$DIGEST`` with both in base64. What costs less to guess (MD5, SHA-1, DES, plain text) is refused.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections import Counter
from typing import TypeAlias

import msgspec

from mcproxy.policy.headers import Headers

_MAX_COST = 16
_MAX_LOG = 20
_MAX_MEMORY = 64 << 20
_bcrypt = re.compile(rb"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}").fullmatch
_scrypt = re.compile(
    rb"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,3}),p=([0-9]{1,3})\$([A-Za-z0-9+/.]+)={0,2}\$([A-Za-z0-9+/.]+)={0,2}"
).fullmatch
_credentials = re.compile(rb"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+={0,2}) *").fullmatch
_OTHERS = {
    b"$apr1$": "MD5",
    b"$1$": "MD5",
    b"{SHA}": "SHA-1",
    b"$5$": "SHA-256 of crypt",
    b"$6$": "SHA-512 of crypt",
    b"$y$": "yescrypt",
    b"$2x$": "an old, faulty bcrypt",
    b"$argon2": "Argon2",
}


class HtpasswdError(ValueError):
    """A file of passwords can't be used.

    Attributes:
        line: where, from 1 on.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Bcrypt(msgspec.Struct, frozen=True):
    """A hash of bcrypt: the whole of it, as the file has it."""

    text: bytes

    @property
    def price(self) -> tuple[int, ...]:
        """What checking it costs."""
        return (int(self.text[4:6]),)


class Scrypt(msgspec.Struct, frozen=True):
    """A hash of scrypt (RFC 7914), with the base 2 logarithm of N."""

    log: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @property
    def price(self) -> tuple[int, ...]:
        """What checking it costs."""
        return self.log, self.r, self.p

    @property
    def memory(self) -> int:
        """The bytes that checking it takes."""
        return 128 * self.r * ((1 << self.log) + self.p + 2)


PasswordHash: TypeAlias = Bcrypt | Scrypt


class Users(msgspec.Struct, frozen=True, eq=False):
    """The users of one file.

    Attributes:
        hashes: by name.
        nobody: a hash of no password, which costs what most of the others do: for unknown names.
    """

    hashes: dict[bytes, PasswordHash]
    nobody: PasswordHash


def read_users(content: bytes) -> Users:
    """Return the users that the content of a file names; raises `HtpasswdError` where a line can't be used.

    Callers of the admin API may name any file and get the message, so that has nothing of a line that is none of users and hashes.
    """
    hashes: dict[bytes, PasswordHash] = {}
    for number, raw in enumerate(content.split(b"\n"), start=1):
        line = raw.removesuffix(b"\r")
        if not line.strip() or line.startswith(b"#"):
            continue
        user, colon, text = line.partition(b":")
        if not colon or not user:
            raise HtpasswdError(number, "a line is user:hash")
        if user in hashes:
            named = repr(user.decode(errors="replace"))
            raise HtpasswdError(number, f"user {named} stands here for the second time")
        hashes[user] = _read_hash(text.strip(), number)
    return Users(hashes, _nobody(hashes))


def _read_hash(text: bytes, line: int) -> PasswordHash:
    if text.startswith(b"$scrypt$"):
        return _read_scrypt(text, line)
    found = _bcrypt(text)
    if found is None:
        kind = next((kind for begin, kind in _OTHERS.items() if text.startswith(begin)), "")
        if not kind and text.startswith(b"$2"):
            raise HtpasswdError(line, "it is no whole hash of bcrypt")
        what = f"is one of {kind}" if kind else "is neither one of bcrypt nor of scrypt"
        raise HtpasswdError(line, f"the hash {what}: make one by htpasswd -B")
    if int(found[1]) > _MAX_COST:
        raise HtpasswdError(line, f"the hash costs too much to check: at most $2y${_MAX_COST}$")
    return Bcrypt(text)


def _read_scrypt(text: bytes, line: int) -> Scrypt:
    found = _scrypt(text)
    try:
        if found is None:
            raise ValueError
        log, r, p = int(found[1]), int(found[2]), int(found[3])
        stored = Scrypt(log, r, p, _decoded(found[4]), _decoded(found[5]))
    except ValueError:
        form = "$scrypt$ln=14,r=8,p=1$SALT$DIGEST with both in base64"
        raise HtpasswdError(line, f"the hash is none of scrypt: {form}") from None
    if not (0 < log <= _MAX_LOG and r > 0 and 0 < p <= 16 and len(stored.digest) >= 16):
        raise HtpasswdError(line, f"the hash: ln is 1 to {_MAX_LOG}, p 1 to 16, and DIGEST 16 bytes or more")
    if stored.memory > _MAX_MEMORY:
        raise HtpasswdError(line, "the hash takes more than 64 MiB to check: lower ln or r")
    return stored


def _decoded(text: bytes) -> bytes:
    text = text.replace(b".", b"+")
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


def _nobody(hashes: dict[bytes, PasswordHash]) -> PasswordHash:
    if not hashes:
        return Bcrypt(b"$2b$10$" + b"." * 53)
    kinds = Counter((type(stored), stored.price) for stored in hashes.values())
    (_, price), _ = kinds.most_common(1)[0]
    if len(price) == 1:
        return Bcrypt(b"$2b$%02d$" % price[0] + b"." * 53)
    log, r, p = price
    return Scrypt(log, r, p, bytes(16), bytes(32))


def credentials(headers: Headers) -> tuple[bytes, bytes] | None:
    """Return the user and the password that a request comes with, None if it has none, or none that can be read in one way."""
    values = [value for name, value in headers if name == b"authorization"]
    found = _credentials(values[0]) if len(values) == 1 else None
    if found is None:
        return None
    try:
        user, colon, password = base64.b64decode(found[1], validate=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password) if colon else None


def verdict_key(secret: bytes, stored: PasswordHash, user: bytes, password: bytes) -> bytes:
    """Return what a verdict is remembered by: it tells nothing of the password to who does not know the ``secret`` (64 bytes at most)."""
    text = stored.text if isinstance(stored, Bcrypt) else msgspec.msgpack.encode(stored)
    asked = msgspec.msgpack.encode((text, user, password))
    return hashlib.blake2b(asked, digest_size=16, key=secret).digest()


def is_scrypt_of(stored: Scrypt, password: bytes) -> bool:
    """Tell whether a password has this hash; takes as long as the hash is meant to."""
    n, limit = 1 << stored.log, stored.memory + (1 << 20)
    digest = hashlib.scrypt(
        password, salt=stored.salt, n=n, r=stored.r, p=stored.p, maxmem=limit, dklen=len(stored.digest)
    )
    return hmac.compare_digest(digest, stored.digest)
