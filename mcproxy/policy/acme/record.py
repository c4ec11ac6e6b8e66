"""What is kept about a name for which a certificate is ordered."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from mcproxy.model.values.leaf_types import Count

Moment: TypeAlias = Annotated[float, Meta(ge=0, le=253_402_300_799)]
"""Seconds since 1970, before the year 10000: others stand in no calendar."""


class Record(msgspec.Struct, frozen=True):
    """What is kept about a name, so that a restart forgets nothing.

    Attributes:
        name: the route's hostname.
        state: "idle", or "ordering" from before an order is begun until its end is known.
        url: the order's, once the CA has told it; "" before, and after its end.
        directory: of the CA whose order it is.
        failures: in a row, the try that is under way counted among them.
        next_try: nothing is tried before.
        error: of the last try, "" after a success.
        ari_start: start of the CA's window, 0.0 without one.
        ari_end: its end.
    """

    name: str
    state: Literal["idle", "ordering"] = "idle"
    url: str = ""
    directory: str = ""
    failures: Count = 0
    next_try: Moment = 0.0
    error: str = ""
    ari_start: Moment = 0.0
    ari_end: Moment = 0.0
