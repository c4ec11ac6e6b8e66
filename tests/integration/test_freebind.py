"""Listeners whose address is not there yet: bound all the same where the listener says so."""

from pathlib import Path

import pytest

from tests.conftest import StartProxy
from tests.support.admin import client as admin_client
from tests.support.processes import ProcessError, Processes
from tests.support.proxy import Proxy
from tests.support.settings import config, listener, route


def text(*, freebind: bool) -> str:
    return config(
        listener("192.0.2.77:PORT", [route(9)], freebind=freebind),
        listener("[2001:db8::77]:PORT_SIX", [route(9)], freebind=freebind),
        workers=2,
    )


def test_an_address_that_is_not_there_is_bound_on_request(proxy: StartProxy) -> None:
    """IPv4 and IPv6; the admin API tells of the key."""
    with admin_client(proxy(text(freebind=True))) as admin:
        assert [each.freebind for each in admin.list_listeners().listeners] == [True, True]


def test_without_the_key_the_start_fails(processes: Processes, short_folder: Path) -> None:
    """With a word about it."""
    served = Proxy(processes, short_folder, text(freebind=False))
    with pytest.raises(ProcessError):
        served.start()
    assert "no such address; with freebind = true it listens all the same" in served.stderr
