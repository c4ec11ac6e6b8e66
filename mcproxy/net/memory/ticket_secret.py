"""What the keys of session tickets are derived from: a secret of control's that all workers read.

It is nowhere but in the shared memory, so it outlives each process, ends with the last one, and is never on a disk. The words
are when it was made (Unix seconds, 0 for none), the secret, and its check: who reads while it is written sees that.
"""

import sys
import zlib

WORDS = 6
SECRET_BYTES = 32
_SECRET = slice(8, 8 + SECRET_BYTES)


class TicketSecret:
    """The words, as control writes and workers read them."""

    __slots__ = ("_words",)

    def __init__(self, words: memoryview) -> None:
        """``words`` are `WORDS` of the shared memory."""
        self._words = words

    def made_at(self) -> int:
        """Return when the secret was made (Unix seconds), 0 if there is none."""
        return int(self._words[0])

    def write(self, secret: bytes, now: int) -> None:
        """Replace it by another of `SECRET_BYTES`; control alone calls this, ``now`` in Unix seconds."""
        written = now.to_bytes(8, sys.byteorder) + secret
        whole = memoryview(written + zlib.crc32(written).to_bytes(8, sys.byteorder))
        self._words[:] = whole.cast("Q")

    def raw(self) -> bytes:
        """Return the words as they are: others than before mean another secret."""
        return self._words.tobytes()


def secret_in(raw: bytes) -> bytes | None:
    """Return the secret in the words, None if there is none, or it is being written."""
    made, check = raw[:8], raw[-8:]
    whole = int.from_bytes(check, sys.byteorder) == zlib.crc32(raw[:-8])
    return raw[_SECRET] if whole and any(made) else None
