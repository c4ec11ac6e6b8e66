"""Ten thousand routes."""

import time

from tests.conftest import StartProxy
from tests.support.lifecycle import apply, end, operations
from tests.support.load import Load
from tests.support.toml import config, listener, route

HOST = "127.0.0.1"
ROUTES = 10_000


def test_ten_thousand_routes_serve_and_one_edit_is_one_operation(proxy: StartProxy) -> None:
    """All are live in all workers; an edit of one of them plans that one alone, and the others go on."""
    with Load() as load:
        one, two = load.backend("one"), load.backend("two")
        names = [f"host{number}.test" for number in range(ROUTES)]
        routes = [route(name, one) for name in names]
        edge = proxy(config(listener("PORT", *routes)))
        address = HOST, edge.port()
        held = load.hold(address, names[5000], count=2)
        for name in (names[0], names[4711], names[-1]):
            assert load.once(address, name).backend == "one"
        routes[4711] = route(names[4711], two)
        began = time.monotonic()
        log = apply(edge, config(listener("PORT", *routes)), timeout=60)
        print(f"{time.monotonic() - began:.3f} s from the save to the last acknowledgement")
        assert [line.split("  ")[0] for line in operations(log)] == [f"~ route {HOST}:{address[1]} {names[4711]}"]
        assert [load.once(address, name).backend for name in (names[4710], names[4711])] == ["one", "two"]
        assert not [result for result in held.stop() if result.error]
        assert end(edge) == 0
