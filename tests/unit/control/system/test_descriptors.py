"""How many connections a service of control may have."""

import resource

import pytest

from mcproxy.control.system import descriptors


@pytest.mark.parametrize(("limit", "count"), [(256, 32), (64, 16), (1 << 20, 250), (resource.RLIM_INFINITY, 250)])
def test_a_service_has_a_part_of_the_descriptors(limit: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as it wants where there are plenty, an eighth where there are few, and always some."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert descriptors.share(250) == count
