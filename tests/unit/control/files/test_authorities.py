"""What is said of CAs that vouch for clients, and of their CRLs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcproxy.control.files.certificate_checks import check_certificates
from mcproxy.control.files.contents import Contents
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve
from tests.support.client_ca import ClientCa

SERVED = """
[[listeners.routes]]
hostname = "a.test"
mode = "l7"
backend = "b:1"
tls_cert = "a.crt"
tls_key = "a.key"
"""


@pytest.fixture
def ca(tmp_path: Path) -> ClientCa:
    ca = ClientCa(tmp_path)
    leaf = ca.client("a.test")
    leaf.certificate.rename(tmp_path / "a.crt")
    leaf.key.rename(tmp_path / "a.key")
    return ca


def found(folder: Path, tls: str, *, at_listener: bool = False) -> list[str]:
    """Return what is wrong or doubtful about the files of clients, in a route's table or its listener's."""
    listener = f"tls = {{ {tls} }}\n" if at_listener else ""
    route = "" if at_listener else f"tls = {{ {tls} }}\n"
    text = f'[[listeners]]\naddr = ":1"\n{listener}{SERVED}{route}'
    resolution = resolve([Source(str(folder / "m.toml"), text)])
    problems = check_certificates(resolution.state, datetime.now(UTC), resolution.problem, Contents())
    return [
        f"{each.severity}: {each.key}: {each.message}".replace(f"{folder}/", "")
        for each in problems
        if ".tls." in each.key
    ]


@pytest.mark.parametrize("at_listener", [False, True])
def test_good_files_are_good(ca: ClientCa, tmp_path: Path, *, at_listener: bool) -> None:
    """Also of CAs below others, with a CRL of each."""
    below = ClientCa(tmp_path, "below", ca)
    (tmp_path / "ca.pem").write_bytes(below.pem + ca.pem)
    (tmp_path / "crl.pem").write_bytes(ca.crl() + below.crl())
    tls = 'client_auth = "require", client_ca = "ca.pem", client_crl = "crl.pem"'
    assert found(tmp_path, tls, at_listener=at_listener) == []


@pytest.mark.parametrize("at_listener", [False, True])
def test_what_keeps_everybody_out_is_an_error(ca: ClientCa, tmp_path: Path, *, at_listener: bool) -> None:
    """Told once, where the file is named."""
    other = ClientCa(tmp_path, "other")
    where = "listeners[0].tls" if at_listener else "listeners[0].routes[0].tls"
    (tmp_path / "ca.pem").write_bytes(ca.pem + other.pem)
    (tmp_path / "crl.pem").write_bytes(ca.crl())
    tls = 'client_auth = "optional", client_ca = "ca.pem", client_crl = "crl.pem"'
    assert found(tmp_path, tls, at_listener=at_listener) == [
        f"error: {where}.client_crl: crl.pem holds no CRL of the CA CN=other in ca.pem: nobody would be let in by it"
    ]
    below = ClientCa(tmp_path, "below", ca)
    (tmp_path / "ca.pem").write_bytes(below.pem)
    (message,) = found(tmp_path, 'client_auth = "require", client_ca = "ca.pem"', at_listener=at_listener)
    assert message.startswith(
        f"error: {where}.client_ca: ca.pem holds the CA CN=below without the one above it, CN=clients"
    )


def test_a_crl_of_another_ca_of_the_same_name_is_none(ca: ClientCa, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    twin = ClientCa(tmp_path / "elsewhere")
    (tmp_path / "crl.pem").write_bytes(twin.crl())
    (message,) = found(tmp_path, 'client_auth = "require", client_ca = "clients.pem", client_crl = "crl.pem"')
    assert "the CRL of CN=clients is not signed by the CA of this name" in message


@pytest.mark.parametrize(
    ("ends", "words"), [(timedelta(days=-1), "ended on"), (timedelta(days=2), "ends on"), (timedelta(days=4), "")]
)
def test_the_end_of_a_crl_is_warned_of(ca: ClientCa, tmp_path: Path, ends: timedelta, words: str) -> None:
    """Three days before."""
    (tmp_path / "crl.pem").write_bytes(ca.crl(ends))
    told = found(tmp_path, 'client_auth = "require", client_ca = "clients.pem", client_crl = "crl.pem"')
    assert [words in line and line.startswith("warning: ") for line in told] == ([True] if words else [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no PEM CRL"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n", "holds a CRL that is cut off"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "holds a CRL that can't be read"),
        (None, "can't be read: No such file or directory"),
    ],
)
def test_what_is_no_crl(ca: ClientCa, tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "crl.pem").write_bytes(content)
    (message,) = found(
        tmp_path, f'client_auth = "require", client_ca = "{ca.certificate.name}", client_crl = "crl.pem"'
    )
    assert "client_crl" in message
    assert words in message


def test_a_ca_without_certificates(ca: ClientCa, tmp_path: Path) -> None:
    """Is told as well as one that is no CA, or is over."""
    (tmp_path / "ca.pem").write_bytes(b"")
    (message,) = found(tmp_path, 'client_auth = "require", client_ca = "ca.pem"')
    assert message == "error: listeners[0].routes[0].tls.client_ca: ca.pem holds no PEM certificate"
    (tmp_path / "ca.pem").write_bytes(ca.pem + (tmp_path / "a.crt").read_bytes())
    (message,) = found(tmp_path, 'client_auth = "require", client_ca = "ca.pem"')
    assert "which is no CA" in message


def test_certificates_of_the_same_type(ca: ClientCa, tmp_path: Path) -> None:
    """A client would get one of the two, and nobody says which."""
    leaf = ca.client("b.test")
    text = f"""
[[listeners]]
addr = ":1"
{SERVED.replace('"a.crt"', f'["a.crt", "{leaf.certificate.name}"]').replace('"a.key"', f'["a.key", "{leaf.key.name}"]')}
"""
    resolution = resolve([Source(str(tmp_path / "m.toml"), text)])
    problems = check_certificates(resolution.state, datetime.now(UTC), resolution.problem, Contents())
    (error,) = [each for each in problems if each.severity == "error"]
    assert error.key == "listeners[0].routes[0].tls_cert[1]"
    assert error.message == "has a key of type ECDSA, as tls_cert[0] has; a client gets one of each type"
