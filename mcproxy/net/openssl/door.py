"""Settings of a TLS context that OpenSSL has and Python's ssl does not: groups, keys of session tickets, the cache of sessions.

They are reached through the pointer within an `ssl.SSLContext`, whose place CPython does not promise. So it is tried on contexts whose
options are known before it is used at all, and only in versions of CPython where it was seen to be right; elsewhere these
settings stay as the library has them.
"""

import ctypes
import functools
import importlib.util
import logging
import ssl
import sys
from collections.abc import Sequence

TICKET_KEY_BYTES = 80
"""What a ticket is protected by: its name (16), a key for HMAC-SHA256 (32) and one for AES-256 (32)."""

_TRIED = ((3, 11), (3, 12), (3, 13))
_SET_SESSION_CACHE_MODE = 44  # these three are of openssl/ssl.h: SSL_CTRL_SET_SESS_CACHE_MODE and so on
_SET_TICKET_KEYS = 59
_SET_GROUPS_LIST = 92
_NO_CACHE = 0
_POINTER_AT = object.__basicsize__
_log = logging.getLogger(__name__)


class Door:
    """The functions; every context that is given to them is one of this process, and not in use by another thread."""

    __slots__ = ("_control", "_options")

    def __init__(self) -> None:
        """Find the library that Python's ssl uses itself; raises OSError or AttributeError where it is none like OpenSSL."""
        spec = importlib.util.find_spec("_ssl")
        path = None if spec is None or spec.origin in (None, "built-in") else spec.origin
        library = ctypes.PyDLL(path)
        self._control = library.SSL_CTX_ctrl
        self._control.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)
        self._control.restype = ctypes.c_long
        self._options = library.SSL_CTX_get_options
        self._options.argtypes = (ctypes.c_void_p,)
        self._options.restype = ctypes.c_uint64

    def fits(self, context: ssl.SSLContext) -> bool:
        """Tell whether what is found in a context is OpenSSL's part of it."""
        return int(self._options(_pointer(context))) == int(context.options) & 0xFFFF_FFFF_FFFF_FFFF

    def set_groups(self, context: ssl.SSLContext, names: Sequence[str]) -> bool:
        """Offer groups for the key exchange, the preferred ones first; tell whether the library knows all of them."""
        text = ":".join(names).encode()
        return bool(self._control(_pointer(context), _SET_GROUPS_LIST, 0, text))

    def set_ticket_keys(self, context: ssl.SSLContext, keys: bytes) -> bool:
        """Make and accept tickets of these keys alone, `TICKET_KEY_BYTES` of them; tell whether the library takes them."""
        return bool(self._control(_pointer(context), _SET_TICKET_KEYS, len(keys), keys))

    def keep_no_sessions(self, context: ssl.SSLContext) -> None:
        """Keep no sessions for clients that have no tickets: a flood of handshakes would fill the memory with them."""
        self._control(_pointer(context), _SET_SESSION_CACHE_MODE, _NO_CACHE, None)


@functools.cache
def door() -> Door | None:
    """Return the functions, None where they can't be used, which the log tells once."""
    why = _objection()
    if not why:
        try:
            found = Door()
            one, other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            other.options |= ssl.OP_NO_TICKET
            if found.fits(one) and found.fits(other):
                return found
            why = "its contexts are laid out in another way"
        except (OSError, AttributeError) as error:
            why = str(error)
    _log.warning("curves and tickets that hold for all workers can't be set with this Python: %s", why)
    return None


def _objection() -> str:
    """Return why this Python is none of those that were tried; "" if it is."""
    if sys.implementation.name != "cpython" or sys.version_info[:2] not in _TRIED:
        return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor} was never tried"
    if hasattr(sys, "getobjects") or "t" in sys.abiflags:
        return "it is a special build"
    return ""


def _pointer(context: ssl.SSLContext) -> int | None:
    return ctypes.c_void_p.from_address(id(context) + _POINTER_AT).value
