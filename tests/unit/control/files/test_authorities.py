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


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_newest_of_the_crls_of_a_ca_counts(ca: ClientCa, tmp_path: Path, *, newest_first: bool) -> None:
    """Clients are judged by it, whatever other ones have been left in the file."""
    lists = [ca.crl(timedelta(days=-1)), ca.crl()]
    (tmp_path / "crl.pem").write_bytes(b"".join(reversed(lists) if newest_first else lists))
    assert found(tmp_path, 'client_auth = "require", client_ca = "clients.pem", client_crl = "crl.pem"') == []


def test_what_begins_later_is_warned_of(ca: ClientCa, tmp_path: Path) -> None:
    """A CA, and a CRL: until then they are of no use."""
    later = timedelta(days=2)
    (tmp_path / "crl.pem").write_bytes(ca.crl(begins=later))
    (message,) = found(tmp_path, 'client_auth = "require", client_ca = "clients.pem", client_crl = "crl.pem"')
    assert "client_crl: crl.pem: the CRL of CN=clients is valid from" in message
    young = ClientCa(tmp_path, "young", begins=later)
    (message,) = found(tmp_path, f'client_auth = "require", client_ca = "{young.certificate.name}"')
    assert "client_ca: young.pem: the CA CN=young is valid from" in message


def test_what_the_key_of_a_ca_may_do(ca: ClientCa, tmp_path: Path) -> None:
    """OpenSSL holds to it: one that may not sign certificates is no CA, and CRLs of one that may not sign these let nobody in."""
    dumb = ClientCa(tmp_path, "dumb", signs=False)
    (message,) = found(tmp_path, f'client_auth = "require", client_ca = "{dumb.certificate.name}"')
    assert message.endswith("holds CN=dumb, which is no CA: it vouches for itself alone")
    lenient = ClientCa(tmp_path, "lenient", signs_crls=False)
    (tmp_path / "crl.pem").write_bytes(lenient.crl())
    (message,) = found(tmp_path, 'client_auth = "require", client_ca = "lenient.pem", client_crl = "crl.pem"')
    assert message.startswith("error: ")
    assert "the CA CN=lenient may not sign CRLs" in message


@pytest.mark.parametrize("at_listener", [False, True])
@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ('ciphers = "NOPE"', "error: {}.ciphers: no cipher of TLS 1.2 that can be used is called NOPE"),
        ('ciphers = "NULL:@SECLEVEL=0"', "error: {}.ciphers: no cipher of TLS 1.2 that can be used is called NULL:@SECLEVEL=0"),
        ('ciphers = "aNULL"', "error: {}.ciphers: no cipher of TLS 1.2 that can be used is called aNULL"),
        ('curves = ["X25519", "P-257"]', "error: {}.curves: OpenSSL"),
        ('ciphers = "ECDHE+AESGCM:NOPE,TLS_AES_128_GCM_SHA256:!RC4:@SECLEVEL=2"', "warning: {}.ciphers: OpenSSL passes over NOPE, TLS_AES_128_GCM_SHA256: "),
        ('ciphers = "ECDHE+AESGCM", curves = ["X25519"]', ""),
    ],
)  # fmt: skip
def test_what_is_offered(ca: ClientCa, tmp_path: Path, tls: str, expected: str, *, at_listener: bool) -> None:
    """Told once, where it is said; never is there TLS without encryption or certificates."""
    where = "listeners[0].tls" if at_listener else "listeners[0].routes[0].tls"
    told = found(tmp_path, tls, at_listener=at_listener)
    assert [line.startswith(expected.format(where)) for line in told] == ([True] if expected else [])


@pytest.mark.parametrize("at_listener", [False, True])
def test_ciphers_that_no_certificate_is_for(ca: ClientCa, tmp_path: Path, *, at_listener: bool) -> None:
    """OpenSSL takes them, and no client of TLS 1.2 would get a connection."""
    (message,) = found(tmp_path, 'ciphers = "ECDHE+aRSA"', at_listener=at_listener)
    assert "none of ECDHE+aRSA is for a key of type ECDSA: clients of TLS 1.2 get no connection" in message
    assert found(tmp_path, 'ciphers = "ECDHE+aRSA", min_version = "1.3"', at_listener=at_listener) == []


def test_what_a_listener_says_is_told_once(ca: ClientCa, tmp_path: Path) -> None:
    """Not again at each of its routes that says something else."""
    tls = 'client_auth = "require", client_ca = "missing.pem", ciphers = "NOPE"'
    text = (
        f'[[listeners]]\naddr = ":1"\ntls = {{ {tls} }}\n{SERVED}tls = {{ client_auth = "off", curves = ["P-256"] }}\n'
    )
    resolution = resolve([Source(str(tmp_path / "m.toml"), text)])
    problems = check_certificates(resolution.state, datetime.now(UTC), resolution.problem, Contents())
    assert {each.key for each in problems if each.severity == "error"} == {
        "listeners[0].tls.client_ca",
        "listeners[0].tls.ciphers",
    }
    assert len([each for each in problems if each.severity == "error"]) == 2


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
