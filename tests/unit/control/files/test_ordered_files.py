"""Files with certificates that are ordered from a CA: whatever they hold, or don't, the proxy serves."""

from pathlib import Path

import pytest

from mcproxy.control.files import config_file
from mcproxy.control.files.assets import Assets
from mcproxy.control.files.contents import Contents
from mcproxy.control.files.last_good_files import LastGood
from mcproxy.model.state.state import State
from tests.support.certificates import Certificates

CONFIG = """
[acme]
email = "ops@example.com"
{acme}
[[listeners]]
addr = ":443"
routes = [{{ hostname = "www.test", backend = "b:1", mode = "l7", certificate = "acme" }}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of certificates; it is there, and empty."""
    (tmp_path / "acme").mkdir()
    return tmp_path / "acme"


def load(folder: Path, acme: str = "", last_good: LastGood | None = None) -> tuple[State, list[str], Contents]:
    """Return what the file says with the warnings, none of which is an error."""
    path = folder.parent / "mc-proxy.toml"
    path.write_text(CONFIG.format(acme=acme))
    contents = Contents()
    loaded = config_file.load(path, contents=contents, last_good=last_good)
    return loaded.resolution.state, [f"{each.key}: {each.message}" for each in loaded.resolution.warnings], contents


def pem(certs: Certificates, name: str = "www.test") -> bytes:
    """Return a certificate with its key in front, as control writes it."""
    leaf = certs.server(name)
    return leaf.key.read_bytes() + leaf.certificate.read_bytes()


def test_a_certificate_that_has_not_come_yet_is_no_mistake(folder: Path) -> None:
    """It has no digest, so that workers get no pair; once it is there it is as any file that is renewed."""
    state, warnings, contents = load(folder)
    assert warnings == []
    before = Assets(state, contents=contents)
    path = str(folder / "www.test.pem")
    assert before.digests == {path: ""}
    assert before.contents() == {}
    assert before.fits(state)
    before.close()


def test_it_is_read_when_it_has_come(folder: Path, certs: Certificates) -> None:
    """Its arrival is told as a renewal is, and its content goes to the workers as it is."""
    state, _, contents = load(folder)
    before = Assets(state, contents=contents)
    path = folder / "www.test.pem"
    path.write_bytes(pem(certs))
    after = Assets(state, contents=load(folder)[2])
    assert after.renewed_since(before) == [str(path)]
    assert after.contents() == {str(path): path.read_bytes()}
    assert Assets(state, after, Contents()).digests == after.digests
    before.close()
    after.close()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", b"\0" * 99])
def test_what_is_broken_is_told_and_not_served(folder: Path, content: bytes) -> None:
    """As a warning with the file's name: another one is ordered."""
    path = folder / "www.test.pem"
    path.write_bytes(content)
    state, warnings, contents = load(folder)
    (warning,) = warnings
    assert warning.startswith(f"listeners[0].routes[0].certificate: {path}")
    assert warning.endswith("; another one is ordered")
    assets = Assets(state, contents=contents)
    assert assets.digests == {str(path): ""}
    assets.close()


def test_a_key_of_another_certificate_is_broken_too(folder: Path, certs: Certificates) -> None:
    """Half a pair is none."""
    path = folder / "www.test.pem"
    path.write_bytes(certs.server("other.test").key.read_bytes() + certs.server("www.test").certificate.read_bytes())
    state, warnings, contents = load(folder)
    assert len(warnings) == 1
    assets = Assets(state, contents=contents)
    assert assets.digests == {str(path): ""}
    assets.close()


def test_what_can_not_be_read_is_no_error(folder: Path) -> None:
    """A folder in its place, say."""
    (folder / "www.test.pem").mkdir()
    state, warnings, contents = load(folder)
    assert len(warnings) == 1
    assert "can't be read" in warnings[0]
    assert warnings[0].endswith("; nothing is ordered until it can be")
    Assets(state, contents=contents).close()


@pytest.mark.parametrize("content", [None, b"broken"])
def test_the_last_good_content_has_the_place_of_one_that_breaks(
    folder: Path, certs: Certificates, content: bytes | None
) -> None:
    """Or vanishes: what lies beside the database is served on, also by the next control."""
    path = folder / "www.test.pem"
    path.write_bytes(pem(certs))
    state, _, contents = load(folder)
    good = Assets(state, contents=contents)
    LastGood(lambda: (state, good)).keep(state, good)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    _, warnings, contents = load(folder, last_good=LastGood())
    assert warnings == []
    (told,) = contents.stand_ins
    assert (told.name, str(path) in told.message) == ("certificate", True)
    after = Assets(state, contents=contents)
    assert after.digests == good.digests
    after.close()
    good.close()


def test_nothing_is_kept_of_what_has_not_come(folder: Path) -> None:
    """There is no last good content of nothing."""
    state, _, contents = load(folder)
    assets = Assets(state, contents=contents)
    LastGood(lambda: (state, assets)).keep(state, assets)
    _, _, contents = load(folder, last_good=LastGood(lambda: (state, assets)))
    assert contents.stand_ins == []
    assets.close()


@pytest.mark.parametrize(
    ("acme", "key"),
    [
        ('ca = "none.pem"', "acme.ca"),
        ('eab = { kid = "a", key = "none.key" }', "acme.eab.key"),
        ('challenge = "dns-01"\ndns = { server = "::1", zone = "test", tsig_key = "none" }', "acme.dns.tsig_key"),
        ('challenge = "dns-01"\ndns.exec = "none"', "acme.dns.exec"),
        ('challenge = "dns-01"\ndns.exec = "mc-proxy.toml"', "acme.dns.exec"),
        ('folder = "mc-proxy.toml"', "acme.folder"),
    ],
)
def test_what_keeps_certificates_from_being_ordered_is_told(folder: Path, acme: str, key: str) -> None:
    """It keeps nothing from being served, so it is a warning."""
    _, warnings, _ = load(folder, acme)
    assert [each.partition(":")[0] for each in warnings] == [key]
    assert warnings[0].endswith("; no certificate can be ordered")


def test_what_has_come_since_is_read_without_the_rest(folder: Path, certs: Certificates) -> None:
    """Also while the configuration is invalid; what is broken leaves what was there before."""
    path = folder / "www.test.pem"
    state, _, contents = load(folder)
    first = Assets(state, contents=contents)
    assert first.with_ordered(state) is first
    path.write_bytes(pem(certs))
    second = first.with_ordered(state)
    assert second.contents() == {str(path): path.read_bytes()}
    assert second.with_ordered(state) is second
    path.write_bytes(b"broken")
    assert second.with_ordered(state) is second
    path.unlink()
    assert second.with_ordered(state) is second
    first.close()
    second.close()
