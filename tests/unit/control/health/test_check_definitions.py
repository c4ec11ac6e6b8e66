"""The check of one address of a name: it is dialed by the address, and asked for by the name."""

from mcproxy.control.health.definitions import probe_of
from mcproxy.control.health.probes.probe import Tls
from mcproxy.model.state.state import Upstream
from mcproxy.model.state.upstream_entries import EndpointEntry, UpstreamEntry
from mcproxy.model.state.upstream_options import BackendTls, Check
from mcproxy.model.values.endpoint import Endpoint
from mcproxy.net.tls import Pair


def test_an_address_of_a_name_is_asked_for_by_the_name() -> None:
    for label, name in (("web.test:443", "web.test"), ("10.0.0.1:443", "")):
        one = EndpointEntry(0, Endpoint("10.0.0.1", 443), 1, 0, "ready", backup=False, label=label)
        upstream = Upstream(name="web", check=Check(type="http"), tls=BackendTls(ca="/ca", cert="/crt", key="/key"))
        probe = probe_of(UpstreamEntry("web", upstream, (one,)), one, {"/ca": b"ca", "/crt": b"crt", "/key": b"key"})
        assert probe is not None
        assert (probe.endpoint, probe.name, probe.tls) == (
            one.endpoint,
            name,
            Tls(b"ca", name or "10.0.0.1", Pair(b"crt", b"key")),
        )


def test_without_a_check_there_is_none() -> None:
    one = EndpointEntry(0, Endpoint("10.0.0.1", 443), 1, 0, "ready", backup=False, label="10.0.0.1:443")
    assert probe_of(UpstreamEntry("web", Upstream(name="web"), (one,)), one, {}) is None
