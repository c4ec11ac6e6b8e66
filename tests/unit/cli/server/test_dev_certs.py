"""The command dev-certs: which files it writes, and what it never overwrites."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from mcproxy.cli.server.dev_certs import dev_certs
from mcproxy.control.files.certificates import CertificateError, make_ca


def names(certificate: Path) -> list[str]:
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    alternative = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in alternative]


def test_writes_ca_and_a_leaf_for_each_name(tmp_path: Path) -> None:
    """The folder holds certificate and key of the CA and of each name, and nothing else."""
    folder = tmp_path / "new" / "certs"
    assert dev_certs(folder, ["app.localhost", "*.dev.localhost"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "_wildcard.dev.localhost.crt",
        "_wildcard.dev.localhost.key",
        "app.localhost.crt",
        "app.localhost.key",
        "ca.crt",
        "ca.key",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("App.Localhost.", ["app.localhost", "*.app.localhost", "localhost", "127.0.0.1", "::1"]),
        ("*.dev.example", ["*.dev.example", "localhost", "127.0.0.1", "::1"]),
        ("bücher.example", ["xn--bcher-kva.example", "*.xn--bcher-kva.example", "localhost", "127.0.0.1", "::1"]),
        ("192.0.2.1", ["192.0.2.1", "localhost", "127.0.0.1", "::1"]),
        ("localhost", ["localhost", "*.localhost", "127.0.0.1", "::1"]),
    ],
)
def test_a_leaf_covers_the_name_what_is_below_and_this_machine(tmp_path: Path, name: str, expected: list[str]) -> None:
    """Names are made canonical; a plain name gets its wildcard, and every leaf serves loopback too."""
    dev_certs(tmp_path, [name])
    (leaf,) = (path for path in tmp_path.glob("*.crt") if path.name != "ca.crt")
    assert names(leaf) == expected


def test_keys_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    """Key files have mode 0600, and the folder, when the command made it, 0700."""
    folder = tmp_path / "certs"
    dev_certs(folder, ["app.localhost"])
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.key")} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.crt")} == {0o644}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_valid_ca_is_kept_and_leaves_are_renewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run leaves the CA as it is, so that clients need to trust it once."""
    dev_certs(tmp_path, ["app.localhost"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    dev_certs(tmp_path, ["app.localhost"])
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"app.localhost.crt", "app.localhost.key"}
    assert "ca.crt: kept" in capsys.readouterr().out


@pytest.mark.parametrize(("days", "word"), [(-1, "expired"), (30, "expires too soon")])
def test_a_ca_out_of_time_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str], days: int, word: str) -> None:
    """A CA that has expired, or would before a new leaf does, is made anew, and the user is told."""
    now = datetime.now(UTC)
    old = make_ca("old", not_before=now - timedelta(days=100), not_after=now + timedelta(days=days))
    (tmp_path / "ca.crt").write_bytes(old.certificate)
    (tmp_path / "ca.key").write_bytes(old.key)
    dev_certs(tmp_path, ["app.localhost"])
    assert (tmp_path / "ca.crt").read_bytes() != old.certificate
    assert word in capsys.readouterr().out


def _garbage(folder: Path) -> None:
    (folder / "ca.crt").write_text("garbage")
    (folder / "ca.key").write_text("garbage")


def _key_missing(folder: Path) -> None:
    (folder / "ca.crt").write_bytes(make_ca("CA without key").certificate)


def _mixed(folder: Path) -> None:
    (folder / "ca.crt").write_bytes(make_ca("one").certificate)
    (folder / "ca.key").write_bytes(make_ca("another").key)


@pytest.mark.parametrize("prepare", [_garbage, _key_missing, _mixed])
def test_an_unusable_ca_is_never_overwritten(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    """Files that are no usable CA may be something precious: the command names them and writes nothing."""
    prepare(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CertificateError, match=r"ca\.crt.*remove"):
        dev_certs(tmp_path, ["app.localhost"])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["", "*", "ca", "a b", "../escape", "-x.example", "a..b"])
def test_bad_names_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    """A name that is no host name is an error, and no file appears."""
    with pytest.raises(CertificateError):
        dev_certs(tmp_path / "certs", ["good.example", name])
    assert list(tmp_path.iterdir()) == []
