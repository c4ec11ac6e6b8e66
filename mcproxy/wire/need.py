"""The answer "not yet" of every parser that looks at peeked bytes."""

from typing import final

import msgspec


@final
class Need(msgspec.Struct, frozen=True, gc=False):
    """More bytes must be there before the parser can get further.

    Attributes:
        total: how many bytes must be there in all, counted from the first one peeked; more than there are now. It is
            a lower bound of what a valid peer sends, so waiting for it (``SO_RCVLOWAT``) never waits for bytes that
            belong to what follows.
    """

    total: int
