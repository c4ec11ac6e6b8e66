"""Routes whose certificates a CA issues, from the file to the handshake, with Let's Encrypt's test CA."""

from collections.abc import Iterator

import pytest

from mcproxy.client.errors import FailedPreconditionError, NotFoundError
from mcproxy.client.options import RouteFields
from tests.support.l4 import serve, wait_for
from tests.support.ordered_site import Site, config, names_in, route
from tests.support.processes import Processes

NAMES = ("one.test", "two.test", "three.test", "four.test", "five.test")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with (
        serve(config(route(NAMES[0]), directory="https://localhost:1/dir")) as proxy,
        Processes(tmp_path_factory.mktemp("output")) as processes,
    ):
        yield Site(proxy, tmp_path_factory.mktemp("pebble"), processes)


def test_a_ca_that_is_away_at_the_start_is_tried_again(site: Site) -> None:
    """The proxy serves; the name waits, and has its certificate once another directory is named."""
    assert site.shown(NAMES[0]) is None
    site.proxy.wait_for_log(r"no certificate: .*tried again in")
    site.serve(route(NAMES[0], names=["more.test"]))
    found = site.wait_for_certificate(NAMES[0])
    assert names_in(found) == {NAMES[0], "more.test"}


def test_a_route_that_is_added_at_run_time_is_ordered_for(site: Site) -> None:
    """As one of the file; what goes again leaves its file for later, and has it at once when it comes back."""
    site.serve(route(NAMES[0]))
    addr = f"127.0.0.1:{site.proxy.port('TLS')}"
    fields: RouteFields = {"mode": "l7", "certificate": "acme", "names": "more.test, also.test", "respond": "hello"}
    with site.client() as client:
        client.add_route(addr, "added.test", "", **fields)
        first = site.wait_for_certificate("added.test")
        assert names_in(first) == {"added.test", "also.test", "more.test"}
        client.remove_route(addr, "added.test")
        assert site.shown("added.test") is None
        assert (site.folder / "added.test.pem").exists()
        client.add_route(addr, "added.test", "", **fields)
        assert site.shown("added.test") == first
        client.remove_route(addr, "added.test")


def test_a_file_that_breaks_is_set_aside_and_its_certificate_served_until_there_is_another(site: Site) -> None:
    """That name alone is ordered anew."""
    site.serve(route(NAMES[0]), route(NAMES[1]))
    first, other = site.wait_for_certificate(NAMES[0]), site.wait_for_certificate(NAMES[1])
    with site.client() as client:
        wait_for(lambda: all(one.issuer and not one.ordering for one in client.list_certificates().certificates))
    (site.folder / f"{NAMES[1]}.pem").write_text("broken")
    again = site.wait_for_certificate(NAMES[1], other_than=other)
    assert again.serial_number != other.serial_number
    assert site.shown(NAMES[0]) == first
    assert [path.name.partition(".unreadable")[0] for path in site.folder.glob("*.unreadable-*")] == [f"{NAMES[1]}.pem"]


def test_an_operator_renews_and_tries(site: Site) -> None:
    """A renewal is served when the command returns, also while the file is invalid; a try leaves nothing but an account."""
    site.serve(route(NAMES[0]))
    first = site.wait_for_certificate(NAMES[0])
    with site.client() as client:
        site.proxy.save("broken =")
        with pytest.raises(FailedPreconditionError):
            client.reload()
        renewed = client.renew_certificate("One.Test.", author="ann", reason="key lost").certificate
        second = site.shown(NAMES[0])
        assert second is not None
        assert second.serial_number != first.serial_number
        assert "Pebble" in renewed.issuer
        assert renewed.not_after.seconds == int(second.not_valid_after_utc.timestamp())
        site.serve(route(NAMES[0]))
        assert site.shown(NAMES[0]) == second
        tried = client.try_certificate(NAMES[0])
        assert list(tried.certificate.names) == [NAMES[0]]
        assert tried.directory == site.pebble.directory
        assert site.shown(NAMES[0]) == second
        told = {entry.action: (entry.target, entry.author) for entry in client.list_audit().entries}
        assert told["RenewCertificate"] == (NAMES[0], "ann")
        assert "TryCertificate" in told
        (listed,) = client.list_certificates().certificates
        assert listed.file == str(site.folder / f"{NAMES[0]}.pem")
        assert (listed.name, listed.error, listed.failures) == (NAMES[0], "", 0)
        for ask in (client.list_certificates, client.renew_certificate, client.try_certificate):
            with pytest.raises(NotFoundError, match=r"no route orders a certificate for never\.test"):
                ask("never.test")


def test_a_request_to_port_80_proves_a_name_as_well(site: Site) -> None:
    """Though the listener there redirects whatever comes."""
    site.serve(route(NAMES[3], names=["www.test"]), challenge="http-01")
    assert names_in(site.wait_for_certificate(NAMES[3])) == {NAMES[3], "www.test"}


def test_a_key_that_can_not_be_read_keeps_nothing_from_being_served(site: Site) -> None:
    """Orders go on once it is there."""
    site.serve(route(NAMES[0]), route(NAMES[4]), eab={"kid": "a", "key": "missing.key"})
    site.proxy.wait_for_log(r"missing\.key.*certificates can't be ordered now")
    assert site.shown(NAMES[0]) is not None
    assert site.shown(NAMES[4]) is None
    (site.proxy.folder / "missing.key").write_text("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n")
    site.wait_for_certificate(NAMES[4])


def test_a_control_that_takes_over_orders_in_the_place_of_the_other(site: Site) -> None:
    """What was ordered before is served by it at once."""
    site.serve(route(NAMES[0]))
    first = site.wait_for_certificate(NAMES[0])
    with site.client() as client:
        client.restart()
    assert site.shown(NAMES[0]) == first
    site.serve(route(NAMES[0]), route(NAMES[2]))
    site.wait_for_certificate(NAMES[2])
