"""What the files beside a snapshot, and its entries, are made into."""

from mcproxy.model.state.state import Upstream
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.model.state.upstream_options import BackendTls
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.worker.live.files import Files
from tests.support.session_tickets import no_tickets


def name_of(label: str, endpoint: Endpoint, tls: BackendTls | None) -> str:
    """Return what the certificate of an endpoint must be for."""
    one = EndpointEntry(0, endpoint, 1, 0, "ready", backup=False, label=label)
    entry = UpstreamEntry("web", Upstream(name="web", tls=tls), (one,))
    return Files({}, None, no_tickets()).endpoint_backend(entry, one).server_name


def test_the_certificate_of_an_endpoint_is_for_the_name_that_the_file_has() -> None:
    """Where a name stands for several addresses, that name; unless the upstream names another. Else its own, which needs no saying."""
    address = Endpoint("10.0.0.1", 443)
    assert name_of("web.test:443", address, BackendTls()) == "web.test"
    assert name_of("10.0.0.1:443", address, BackendTls()) == ""
    assert name_of("[::1]:443", Endpoint("::1", 443), BackendTls()) == ""
    assert name_of("web.test:443", address, BackendTls(server_name="other.test")) == "other.test"
    assert name_of("unix:/run/a.sock", Endpoint(path="/run/a.sock"), BackendTls()) == ""
    assert name_of("web.test:443", address, None) == ""
