"""Status codes as counters: every registered one by itself, others by their class.

All the responses that a route has given in one version of HTTP take `WORDS` words of shared memory.
"""

PROTOCOLS = ("http/1.1", "h2")
"""The versions of HTTP that clients speak, as ALPN names them; HTTP/1.0 counts as the first."""

ABORTED = "aborted"
"""Stands in for the status of a request that got none: client or backend reset it, or left, before it was answered."""

_REGISTERED = (101, *range(200, 209), 226, *range(300, 306), 307, 308)
_REGISTERED += (*range(400, 418), *range(421, 427), 428, 429, 431, 451, *range(500, 509), 510, 511)
_CLASSES = ("2xx", "3xx", "4xx", "5xx")

CODES = (*map(str, _REGISTERED), *_CLASSES, ABORTED)
"""The names of codes, in the order of their counters: what is not in the registry of RFC 9110 counts as ``4xx`` ..."""

WORDS = 64

_by_status = [CODES.index(ABORTED)] * 1000
for _class in range(2, 10):  # RFC 9110 section 15: treat an invalid code as 5xx
    _by_status[_class * 100 : _class * 100 + 100] = [CODES.index(f"{min(_class, 5)}xx")] * 100
for _place, _status in enumerate(_REGISTERED):
    _by_status[_status] = _place

OFFSETS = tuple(_by_status)
"""Where a status that a client was told is counted, by that status; index 0 for `ABORTED`."""
