"""The keys of one filter against each other, and filters against the places that use them."""

from collections.abc import Iterator, Sequence

from mcproxy.model.config.checking.declarations import listeners, routes
from mcproxy.model.config.document import Document
from mcproxy.model.config.problems import KeyPath, Problem
from mcproxy.model.config.schema import Case, Listener, Route
from mcproxy.model.state.filter_options import Cors, FilterOptions, RealIp
from mcproxy.model.state.state import State
from mcproxy.model.values.http.fields import fold, pages_range, parse_name
from mcproxy.model.values.quoting import quote

_NOTHING = FilterOptions()
_ONLY_WITH = {"rate_key": "rate_limit", "pass_credentials": "basic_auth", "backend_errors": "error_pages"}
"""Keys without effect, and without what."""


def check_filter(document: Document, path: KeyPath, options: FilterOptions) -> Iterator[Problem]:
    """Return what is wrong or doubtful about a filter by itself."""
    for key, needed in _ONLY_WITH.items():
        said = getattr(options, key) != getattr(_NOTHING, key)
        if said and not getattr(options, needed) and document.is_sure(*path, needed):
            yield document.problem((*path, key), f"has no effect without {needed}", "warning")
    yield from _set_twice(document, path, options)
    for side in ("request", "response"):
        yield from _removed_and_set(document, path, options, side)
    yield from _pages(document, (*path, "error_pages"), options)
    if options.cors is not None and document.is_sure(*path, "cors"):
        yield from _cors(document, (*path, "cors"), options.cors)
    if options == _NOTHING and not any(doubt[: len(path)] == path[: len(doubt)] for doubt in document.doubts):
        yield document.problem(path, "has no keys, and so does nothing", "warning")


def check_real_ip(document: Document, path: KeyPath, real_ip: RealIp | None) -> Iterator[Problem]:
    """Return what is wrong or doubtful about whom a listener believes who its clients are."""
    if real_ip is None or not document.is_sure(*path, "from"):
        return
    if not real_ip.from_ and document.names(*path, "from"):
        yield document.value_problem((*path, "from"), "must name at least one network")
    for index, network in enumerate(real_ip.from_):
        if network.endswith("/0"):
            message = "anyone can claim to be any client; name the networks of the proxies alone"
            yield document.value_problem((*path, "from", index), message, "warning")


def check_use(documents: Sequence[Document], state: State, *, complete: bool) -> Iterator[Problem]:
    """Return what is doubtful about which filters hold where.

    Args:
        documents: all files that are valid TOML.
        state: what they say together.
        complete: whether these are all files; if not, what names a filter may be in one that is missing.
    """
    used: set[str] = set()
    known = complete
    any_place = False
    uses: dict[str, set[str]] = {}
    for document, path, addr, listener in listeners(documents):
        any_place = True
        known = known and document.is_sure(*path, "use")
        uses[addr] = set(listener.use)
        used |= uses[addr]
        yield from _lists(document, path, listener)
    scoping = [document for document in documents if document.mentions("use", "without", "cases")]
    for document, path, addr, route in routes(documents) if scoping else ():
        if route.use or route.without or route.cases:
            around = uses.get(addr, set())
            known = known and document.is_sure(*path, "use")
            used |= {*route.use, *route.without}
            yield from _lists(document, path, route)
            yield from _idle(document, path, route, around, state, "the listener has", known=complete)
            within = (around - {*route.without}) | {*route.use}
            for number, case in enumerate(route.cases):
                if case.use or case.without:
                    place = (*path, "cases", number)
                    known = known and document.is_sure(*place, "use")
                    used |= {*case.use, *case.without}
                    yield from _lists(document, place, case)
                    yield from _idle(document, place, case, within, state, "route and listener have", known=complete)
    if complete:
        yield from _idle_real_ip(documents)
    # What is used and not there may be meant for one that nothing uses.
    if known and any_place and used - {""} <= state.filters.keys():
        for document in documents:
            for name in document.config.filters:
                if name not in used:
                    yield document.problem(("filters", name), "nothing uses this filter", "warning")


def _idle_real_ip(documents: Sequence[Document]) -> Iterator[Problem]:
    """Return who clients are believed to be where nobody asks: headers come with requests, and l4 routes see none."""
    if not any(document.mentions("real_ip") for document in documents):
        return
    seen: dict[str, bool] = {}
    for document, path, addr, route in routes(documents):
        seen[addr] = seen.get(addr, False) or route.mode == "l7" or not document.is_sure(*path, "mode")
    for document, path, addr, listener in listeners(documents):
        passes_on = listener.protocol != "http" and document.is_sure(*path, "protocol")
        if listener.real_ip is not None and passes_on and not seen.get(addr, True):
            message = "has no effect: all routes of the listener are l4, which see no headers; for PROXY headers write proxy_protocol"
            yield document.problem((*path, "real_ip"), message, "warning")


def _lists(document: Document, path: KeyPath, table: Listener | Route | Case) -> Iterator[Problem]:
    """Return names that are in a list twice, or in both of them."""
    lifted = () if isinstance(table, Listener) else table.without
    for index, name in enumerate(table.use):
        if name and name in table.use[:index]:
            yield document.value_problem((*path, "use", index), f"{name} is in the list already", "warning")
        elif name and name in lifted:
            message = f"{name} is in without as well; it either holds here or it does not"
            yield document.value_problem((*path, "use", index), message)


def _idle(
    document: Document, path: KeyPath, table: Route | Case, around: set[str], state: State, who: str, *, known: bool
) -> Iterator[Problem]:
    """Return the filters that a place does without though they do not hold there."""
    for index, name in enumerate(table.without):
        if known and name in state.filters and name not in around and name not in table.use:
            there = ", ".join(sorted(around)) or "none"
            message = f"has no effect: {name} does not hold here ({who}: {there})"
            yield document.value_problem((*path, "without", index), message, "warning")


def _removed_and_set(document: Document, path: KeyPath, options: FilterOptions, side: str) -> Iterator[Problem]:
    """Return the headers that a filter both removes and sets."""
    key = f"remove_{side}_headers"
    one = fold if side == "request" else str
    said = {one(name): name for how in ("set", "add") for name, _ in getattr(options, f"{how}_{side}_headers")}
    for index, name in enumerate(getattr(options, key)):
        if one(name) in said:
            message = f"{said[one(name)]} is set or added by the same filter; what the {side} had under this name goes anyway when it is set"
            yield document.value_problem((*path, key, index), message)


def _set_twice(document: Document, path: KeyPath, options: FilterOptions) -> Iterator[Problem]:
    """Return the request headers that a filter sets under two names that backends may read as one."""
    table = (*path, "set_request_headers")
    said: dict[str, str] = {}
    for name, _ in options.set_request_headers:
        former = said.setdefault(fold(name), name)
        if former != name:
            written = (each for each in document.positions if each[:-1] == table and parse_name(str(each[-1])) == name)
            place = next(written, table)
            message = (
                f"backends may read {former} and {name} as one header, so they can't both be set; name one of them"
            )
            yield document.problem(place, message)


def _pages(document: Document, path: KeyPath, options: FilterOptions) -> Iterator[Problem]:
    """Return the pages of which it is not known which is meant: ranges as wide as others, with statuses in common."""
    found: list[tuple[int, int, str]] = []
    for statuses, file in options.error_pages:
        low, high = pages_range(statuses)
        for other_low, other_high, other in found:
            if low <= other_high and other_low <= high and high - low == other_high - other_low:
                message = f"has statuses in common with {quote(other)}, and neither is the narrower range"
                yield document.problem((*path, statuses), message)
        found.append((low, high, statuses))
        if not file:
            yield document.value_problem((*path, statuses), "must name a file")


def _cors(document: Document, path: KeyPath, cors: Cors) -> Iterator[Problem]:
    if not cors.origins and document.names(*path, "origins"):
        yield document.value_problem((*path, "origins"), "must name at least one origin")
    if "*" in cors.origins:
        index = cors.origins.index("*")
        if cors.credentials:
            message = 'browsers send no credentials where "*" is allowed; name the origins whose pages may use them'
            yield document.value_problem((*path, "origins", index), message)
        elif len(cors.origins) > 1:
            yield document.value_problem((*path, "origins", index), 'all others are included in "*"', "warning")
