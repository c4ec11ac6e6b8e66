"""What somebody may have meant who wrote a key, or a word of a few, that is not known.

A hint is worse than none where it says the opposite (``allow_...`` for ``block_...``) or leads to the wrong table. So words
are compared part by part: parts that mean the same count as equal (``deny`` and ``blocked``), and a word is never
suggested that has the opposite of a part, however alike the letters are.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from mcproxy.model.config.mistakes.other_words import CHOICES, SENTENCES, SYNONYMS
from mcproxy.model.values.quoting import quote

_CUTOFF = 0.6
_FOREIGN_CUTOFF = 0.8  # a key of another table has to be much like it
_LONGEST = 64  # no key is half as long, and difflib would take its time

_SAME = """
allow: allow allows allowed allowing permit permits permitted accept accepted whitelist whitelisted allowlist passlist safelist
block: block blocks blocked blocking deny denies denied ban bans banned reject rejected refuse refused forbid forbidden drop
block: blacklist blacklisted blocklist denylist disallow disallowed exclude excluded
require: require requires required need needs needed
ip: ip ips
cidr: cidr cidrs network networks net nets subnet subnets range ranges prefixes
country: country countries
connection: connection connections conn conns
max: max maximum most limit limits highest upper
min: min minimum least lowest lower
request: request requests req
response: response responses resp reply replies answer answers
header: header headers hdr hdrs
cert: cert certs certificate certificates crt pem chain fullchain
key: key keys privkey
ca: ca cas cacert cacerts authority authorities
tls: tls ssl
send: send sends sending write out outgoing
receive: receive received recv read in incoming
add: add adds added append
remove: remove removes removed delete strip
trust: trust trusted
untrust: untrust untrusted distrust distrusted
enable: enable enabled on
disable: disable disabled off
backend: backend backends upstream upstreams target targets origin
client: client clients frontend downstream
proxy: proxy proxies
hostname: hostname hostnames
route: route routes
listener: listener listeners
policy: policy policies
timeout: timeout timeouts
byte: byte bytes size
count: count counts number
stream: stream streams
not: not no non without un dont never
"""
_PART = {word: line.partition(":")[0] for line in _SAME.strip().splitlines() for word in line.partition(":")[2].split()}
# Of each line a key has at most one; words with different ones mean different things.
_DIFFERENT = tuple(
    frozenset(line.split())
    for line in (
        "allow block require",
        "max min",
        "request response",
        "cert key ca",
        "send receive",
        "send allow",
        "add remove",
        "trust untrust",
        "enable disable",
        "backend client listener",
        "ip cidr country",
        "agent header",
    )
)
_TESTS = ("tests",)
_BOUNDARY = re.compile(r"[^a-z0-9]+")
_NEGATION = re.compile("^(?:un|non|not|dis|anti|de)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_MEANT = {
    table: {word: key for key, words in keys.items() for word in words.split()} for table, keys in SYNONYMS.items()
}

_ADVICE = {
    table: {word: text for words, text in sentences.items() for word in words.split()}
    for table, sentences in SENTENCES.items()
}


class Home(NamedTuple):
    """A table of the file: its path without indices, and whether there can be several of it."""

    path: tuple[str, ...]
    is_array: bool

    def __str__(self) -> str:
        """Return where a key of it belongs."""
        if not self.path:
            return "at the top, before any table"
        name = ".".join(self.path)
        return f"into [[{name}]]" if self.is_array else f"into [{name}]"


class Hint(msgspec.Struct, frozen=True):
    """What is said of an unknown key.

    Attributes:
        text: for the message, "" if there is nothing to say.
        meant: the key of the same table that is probably meant, or of another where it belongs there; "" for none.
        elsewhere: whether it belongs into another table.
    """

    text: str = ""
    meant: str = ""
    elsewhere: bool = False


def hint(
    word: str, tables: Sequence[str], place: Home, known: Sequence[str], homes: Mapping[str, Sequence[Home]]
) -> Hint:
    """Return what is to be said of the unknown key ``word``.

    Args:
        word: the key.
        tables: the name of the struct that it was written for, then those of its bases.
        place: where that is in the file.
        known: the keys that the table has.
        homes: where each key of the file belongs.
    """
    homes = _around(place, homes)
    plain = "_".join(_pieces(word))
    if advice := _first(_ADVICE, tables, plain):
        return Hint(f"; {advice}")
    key = _first(_MEANT, tables, plain)
    if key not in known:
        key = _same(word, known)
    if key:
        return Hint(f"; did you mean {quote(key)}?", key)
    key = plain if plain in homes else _same(word, tuple(homes))
    if key:
        where = f"; it belongs {_nearby(place, homes[key])}"
        return Hint(
            f"; did you mean {quote(key)}? That belongs {_nearby(place, homes[key])}" if key != word else where,
            key,
            True,
        )
    near, other = _nearest(word, tuple(known), _CUTOFF), _nearest(word, tuple(homes), _FOREIGN_CUTOFF)
    if other and other not in known and (not near or _likeness(word, other) > _likeness(word, near)):
        return Hint(f"; did you mean {quote(other)}? That belongs {_nearby(place, homes[other])}", other, True)
    return Hint(f"; did you mean {quote(near)}?", near) if near else Hint()


def _around(place: Home, homes: Mapping[str, Sequence[Home]]) -> Mapping[str, Sequence[Home]]:
    """Return where keys belong without what tests have for a key of anything else, and the other way round."""
    tested = place.path[:1] == _TESTS
    found = {key: [home for home in where if (home.path[:1] == _TESTS) is tested] for key, where in homes.items()}
    return {key: where for key, where in found.items() if where}


def choice(word: str, known: Sequence[str]) -> str:
    """Return what is to be said of a word that is none of a few, "" if nothing is."""
    folded = word.strip().lower()
    words = [folded, *CHOICES.get(folded, "").split()]
    near = next((each for each in words if each in known), "")
    if not near:
        near = _nearest(word, tuple(known), _CUTOFF)
    return f"; did you mean {quote(near)}?" if near else ""


def _first(texts: Mapping[str, Mapping[str, str]], tables: Iterable[str], word: str) -> str:
    return next((texts[table][word] for table in tables if word in texts.get(table, ())), "")


def _nearby(place: Home, homes: Iterable[Home]) -> str:
    """Return where a key belongs: where it was not far from, if it belongs anywhere there, else all places."""
    near = [home for home in homes if place.path and home.path and _is_above(place, home)]
    return " or ".join(map(str, near or homes))


def _is_above(one: Home, other: Home) -> bool:
    shorter, longer = sorted((one.path, other.path), key=len)
    return longer[: len(shorter)] == shorter


def _pieces(word: str) -> list[str]:
    """Return the parts of a word, in lower case."""
    return [part for part in _BOUNDARY.split(_CAMEL.sub("_", word).lower()) if part] if len(word) <= _LONGEST else []


@lru_cache(1024)
def _parts(word: str) -> frozenset[str]:
    """Return what the parts of a word mean."""
    return frozenset(meaning for part in _pieces(word) for meaning in _meanings(part))


def _meanings(part: str) -> tuple[str, ...]:
    """Return what a part of a word means: ``unblocked`` is the opposite of ``blocked``."""
    if part in _PART:
        return (_PART[part],)
    rest = _NEGATION.sub("", part)
    return ("not", _PART[rest]) if rest != part and rest in _PART else (part,)


def _same(word: str, known: Iterable[str]) -> str:
    """Return the known word whose parts mean the same, in whatever order; "" if there is none."""
    parts = _parts(word)
    return next((each for each in known if _parts(each) == parts), "") if parts else ""


def opposed(word: str, other: str) -> bool:
    """Tell whether a word has a part that the other has the opposite of."""
    one, two = _parts(word), _parts(other)
    if ("not" in one) != ("not" in two):
        return True
    return any(one & group and two & group and not one & two & group for group in _DIFFERENT)


def _likeness(word: str, other: str) -> float:
    return difflib.SequenceMatcher(None, word.lower(), other).ratio()


@lru_cache(1024)
def _nearest(word: str, known: Collection[str], cutoff: float) -> str:
    if len(word) > _LONGEST:
        return ""
    fit = [each for each in known if not opposed(word, each)]
    return next(iter(difflib.get_close_matches(word.lower(), fit, 1, cutoff)), "")
