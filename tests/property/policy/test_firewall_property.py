"""The networks of the firewall against the standard library's."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from mcproxy.policy.firewall import CidrSet, Firewall
from tests.support.examples import examples

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAPPED_PREFIX = bytes(10) + b"\xff\xff"

# Few different bits, so that networks nest and addresses hit their edges.
v4_bytes = st.lists(st.sampled_from([0, 1, 127, 128, 255]), min_size=4, max_size=4).map(bytes)
v6_bytes = st.lists(st.sampled_from([0, 1, 128, 255]), min_size=16, max_size=16).map(bytes)
mapped = v4_bytes.map(lambda packed: MAPPED_PREFIX + packed)
addresses = v4_bytes | v6_bytes | mapped


@st.composite
def networks(draw: st.DrawFn) -> Network:
    # A network inside ::ffff:0:0/96 is meant for IPv4; the standard library does not read it so.
    packed = draw(v4_bytes | v6_bytes.filter(lambda packed: not packed.startswith(MAPPED_PREFIX)))
    length = draw(st.integers(0, len(packed) * 8))
    return ipaddress.ip_network((packed, length), strict=False)


def holds(network: Network, packed: bytes) -> bool:
    address = ipaddress.ip_address(packed)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in network


def edges(network: Network) -> list[bytes]:
    """Return the first and last address of a network, and their neighbours outside of it."""
    size = len(network.network_address.packed)
    first, last = int(network.network_address), int(network.broadcast_address)
    return [value.to_bytes(size) for value in (first - 1, first, last, last + 1) if 0 <= value < 1 << size * 8]


@examples(100)
@given(st.lists(networks(), max_size=15), st.lists(addresses, max_size=10))
def test_networks_agree_with_the_standard_library(found: list[Network], probes: list[bytes]) -> None:
    """An address is refused exactly when one of the networks holds it, at their edges too."""
    firewall = Firewall([], map(str, found), [])
    for packed in probes + [edge for network in found for edge in edges(network)]:
        refused = any(holds(network, packed) for network in found)
        assert firewall.judge(packed, lambda _: None) == ("cidr" if refused else None)


@examples(100)
@given(st.lists(networks(), min_size=1, max_size=15), st.data())
def test_found_network_is_the_widest_that_holds(found: list[Network], data: st.DataObject) -> None:
    """The network that is named is one of the set and none that holds the address is wider."""
    packed = data.draw(st.sampled_from([edge for network in found for edge in edges(network)]) | v4_bytes)
    named = CidrSet(map(str, found)).find(packed)
    holding = [network for network in found if ipaddress.ip_address(packed) in network]
    widest = min(holding, key=lambda network: network.prefixlen, default=None)
    assert named == (None if widest is None else str(widest))


@examples(100)
@given(st.lists(addresses, max_size=10), addresses)
def test_addresses(blocked: list[bytes], packed: bytes) -> None:
    """An address is refused exactly when it is listed, in mapped form or not."""

    def plain(address: bytes) -> bytes:
        return address[-4:] if len(address) == 4 or address.startswith(MAPPED_PREFIX) else address

    firewall = Firewall([str(ipaddress.ip_address(address)) for address in blocked], [], [])
    expected = "ip" if plain(packed) in map(plain, blocked) else None
    assert firewall.judge(packed, lambda _: None) == expected
