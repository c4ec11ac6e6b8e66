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
_BOUNDARY = re.compile(r"[^a-z0-9]+")
_NEGATION = re.compile("^(?:un|non|not|dis|anti|de)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_SYNONYMS: dict[str, dict[str, str]] = {
    "Config": {
        "listeners": "server servers frontend frontends bind listen entrypoints",
        "include": "includes import imports include_files",
        "grpc": "admin api control",
        "log": "logging logs accesslog",
        "database": "db sqlite storage",
        "proxy": "global globals",
        "firewall": "fw acl acls",
        "metrics": "prometheus status stats",
    },
    "Listener": {
        "addr": "listen bind address port ip host listen_addr listen_address bind_address",
        "proxy_protocol": "accept_proxy_protocol receive_proxy_protocol accept_proxy haproxy_protocol",
        "trusted_proxies": "proxies trusted_ips trusted_addresses set_real_ip_from",
        "routes": "upstreams backends servers hosts vhosts sites",
        "max_connections": "maxconn connection_limit max_conn",
    },
    "Route": {
        "hostname": "host hosts name names server_name server_names domain domains sni match hostnames",
        "backend": "to upstream upstreams target targets proxy_pass dest destination server servers forward_to endpoint endpoints "
        "address backends backend_addr backend_address url",
        "mode": "type kind protocol layer",
        "tls_cert": "cert certificate ssl_certificate tls_certificate cert_file certfile tls_cert_file fullchain crt tls_crt",
        "tls_key": "key private_key ssl_certificate_key tls_certificate_key key_file keyfile tls_key_file privkey tls_private_key",
        "backend_ca": "ca ca_file ca_cert proxy_ssl_trusted_certificate backend_ca_file backend_ca_cert upstream_ca",
        "backend_tls": "tls ssl https backend_ssl backend_https upstream_tls re_encrypt",
        "send_proxy_protocol": "send_proxy proxy_protocol_out",
        "l7_policies": "policy policies rules filters",
    },
    "L7Policy": {"type": "kind policy name", "value": "pattern match header agent user_agent"},
    "Firewall": {
        "allowed_cidrs": "allow allowed allowlist whitelist",
        "blocked_cidrs": "block blocked deny denied blocklist blacklist denylist",
        "default": "default_action default_policy policy action",
        "connections_per_client": "max_connections_per_ip max_connections_per_client connections_per_ip connections_per_address "
        "max_conn_per_ip limit_conn conn_limit connection_limit",
        "rate_limit": "limit_req rate rate_per_client",
        "geoip_db": "geoip geo_db geoip_database country_db mmdb geoip2 database geoip_path geoip_file geolite maxmind",
    },
    "Log": {"access": "path file access_log access_file output accesslog filename", "format": "style encoding"},
    "Database": {"path": "file db name filename db_path"},
    "Grpc": {
        "socket": "path unix unix_socket socket_path",
        "addr": "listen bind address port tcp",
        "client_ca": "ca ca_file tls_ca",
    },
    "Metrics": {"addr": "listen bind address port", "path": "url endpoint uri"},
    "Proxy": {
        "user": "username run_as run_as_user",
        "workers": "worker_processes processes threads nbproc num_workers",
    },
}
"""Keys by the structs that have them, and what other programs call them."""

_MEANT = {
    table: {word: key for key, words in keys.items() for word in words.split()} for table, keys in _SYNONYMS.items()
}

_PATHS = "paths are not routed yet: a route is chosen by its hostname alone, and its backend gets every path"
_NAME_IT = "name the upstream: it belongs into [upstreams.NAME], which backend then names"
_SENTENCES: dict[str, dict[str, str]] = {
    "Route": {
        "path paths path_prefix prefix prefixes location locations uri uris path_regex path_match paths_prefix strip_prefix "
        "rewrite path_rewrite": _PATHS,
        "client_ca client_auth mtls verify_client ssl_verify_client": "routes don't ask clients for certificates yet",
        "weight weights load_balance load_balancing lb_policy balance sticky_cookie retry_on tries eject panic slow_start": _NAME_IT,
        "health_check healthcheck health_checks check": _NAME_IT,
    },
    "Listener": {
        "tls ssl https": "every listener speaks TLS; what a route does with it says its mode",
        "path paths location locations": _PATHS,
    },
    "Config": {
        "backend": "it belongs into [[listeners.routes]] or [[routes]]; sets of backends are [upstreams.NAME]",
        "acme letsencrypt tls ssl": "certificates are files, named by tls_cert and tls_key of the routes",
    },
}
"""What is told of words for what there is not, by the struct that they were written for."""

_ADVICE = {
    table: {word: text for words, text in sentences.items() for word in words.split()}
    for table, sentences in _SENTENCES.items()
}

_CHOICES = {
    "warn": "warning",
    "err": "error",
    "fatal": "error",
    "critical": "error",
    "trace": "debug",
    "notice": "info",
    "text": "console",
    "plain": "console",
    "tcp": "l4",
    "passthrough": "l4",
    "layer4": "l4",
    "http": "l7",
    "https": "l7",
    "terminate": "l7",
    "layer7": "l7",
    "h1": "http/1.1",
    "http1": "http/1.1",
    "http1.1": "http/1.1",
    "http2": "h2",
    "http/2": "h2",
    "h2c": "h2",
    "nghttp2": "ngh2",
    **dict.fromkeys(("reject", "drop", "block", "refuse", "denied"), "deny"),
    **dict.fromkeys(("accept", "permit", "pass", "allowed"), "allow"),
}
"""Other words for what a key may be one of."""


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


def choice(word: str, known: Sequence[str]) -> str:
    """Return what is to be said of a word that is none of a few, "" if nothing is."""
    folded = word.strip().lower()
    near = folded if folded in known else _CHOICES.get(folded, "")
    if near not in known:
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
