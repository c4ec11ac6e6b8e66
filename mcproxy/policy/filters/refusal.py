"""How a filter refuses a request."""

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """A refusal.

    Attributes:
        stage: where: ``allow``, ``rate``, ``cors``, ``body`` or ``auth``.
        filter: the name of the filter.
        status: what to answer.
        reason: a word of `mcproxy.model.values.reasons`.
        detail: in words, for people.
        headers: of the answer, beside those that it has anyway.
        place: which filter of its scope it is, from 0 for the outermost; -1 where that is not told.
        key: which of its keys refuses, as ``allow_cidrs``.
    """

    stage: str
    filter: str
    status: int
    reason: str
    detail: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    place: int = -1
    key: str = ""
