"""A broken side file holds up nothing else: its last good content is served, and it is told."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mcproxy.control.files import config_file
from mcproxy.control.files.last_good_files import LastGood
from mcproxy.control.reconcile import last_good
from mcproxy.control.reconcile import reconciler as module
from mcproxy.control.reconcile.reload import Reload
from mcproxy.errors import ConfigError
from tests.support import reconcile
from tests.support.certificates import Certificates, Leaf
from tests.support.countries import write_countries
from tests.support.reconcile import Body, Control, add_route, ask
from tests.support.toml import config, listener, route


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing")


WAYS: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_text("garbage", encoding="utf-8"),
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-60]),
    "glued": lambda path: path.write_bytes(path.read_bytes().strip() + path.read_bytes()),
    "a folder": as_folder,
    "a link to nothing": as_dangling_link,
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SETTLE", 0.01)
    monkeypatch.setattr(module, "_TRIES", 3)


@pytest.fixture
def certs(tmp_path: Path) -> Certificates:
    (tmp_path / "certs").mkdir()
    return Certificates(tmp_path / "certs")


def l7(hostname: str, leaf: Leaf, **more: str) -> str:
    return route(hostname, 9, mode="l7", tls_cert=str(leaf.certificate), tls_key=str(leaf.key), **more)


def using(folder: Path, body: Body, *routes: str, head: str = "") -> None:
    """Run a test with a control that serves some routes, and reads its files when it is told to."""

    async def started(control: Control, addr: str) -> None:
        await control.start()
        await body(control, addr)

    reconcile.using(folder, lambda addr: head + config(listener(addr, *routes)), started)


async def again(control: Control) -> Reload:
    await control.reconciler._reconcile()
    return control.reconciler.last


def live(control: Control, path: Path) -> bytes:
    """Return what a file is taken to hold."""
    assert control.applier.assets is not None
    return control.applier.assets.contents()[str(path)]


def broken(control: Control) -> list[tuple[str, str]]:
    """Return the hostnames and keys of what is broken."""
    return [("" if one.route is None else one.route[1], one.name) for one in control.reconciler.stand_ins.now]


@pytest.mark.parametrize("name", ["tls_cert", "tls_key"])
@pytest.mark.parametrize("way", WAYS)
def test_a_broken_pair_serves_on_and_others_are_renewed(
    tmp_path: Path, certs: Certificates, way: str, name: str
) -> None:
    """However it is broken, and whichever of its two files is."""

    async def body(control: Control, addr: str) -> None:
        path = a.certificate if name == "tls_cert" else a.key
        before = live(control, path)
        WAYS[way](path)
        renewed = certs.server("b.test", "renewed.test")
        b.certificate.write_bytes(renewed.certificate.read_bytes())
        b.key.write_bytes(renewed.key.read_bytes())
        last = await again(control)
        assert last.problems == ()
        assert live(control, b.certificate) == renewed.certificate.read_bytes()
        assert live(control, path) == before
        assert broken(control) == [("a.test", name)]
        assert any(f"{name}: " in warning and "the last good content is served" in warning for warning in last.warnings)

    a, b = certs.server("a.test"), certs.server("b.test")
    using(tmp_path, body, l7("a.test", a), l7("b.test", b))


def test_a_mended_file_is_served_and_no_longer_told(tmp_path: Path, certs: Certificates) -> None:
    """Also when another file, new in the meantime, is broken."""

    async def body(control: Control, _: str) -> None:
        a.key.write_text("garbage", encoding="utf-8")
        await again(control)
        renewed = certs.server("a.test", "renewed.test")
        a.certificate.write_bytes(renewed.certificate.read_bytes())
        await again(control)
        assert live(control, a.certificate) != renewed.certificate.read_bytes(), "its key is not there yet"
        a.key.write_bytes(renewed.key.read_bytes())
        await again(control)
        assert live(control, a.certificate) == renewed.certificate.read_bytes()
        assert broken(control) == []

    a = certs.server("a.test")
    using(tmp_path, body, l7("a.test", a))


def test_the_rest_of_an_edit_is_applied_beside_a_broken_file(tmp_path: Path, certs: Certificates) -> None:
    """A new route of the file, and a request of the admin API."""

    async def body(control: Control, addr: str) -> None:
        a.certificate.write_text("garbage", encoding="utf-8")
        text = control.path.read_text(encoding="utf-8")
        control.path.write_text(text + route("more.test", 9), encoding="utf-8")
        await again(control)
        await ask(control, add_route(addr, "edit.test"))
        assert control.hostnames() == ["a.test", "edit.test", "more.test"]

    a = certs.server("a.test")
    using(tmp_path, body, l7("a.test", a))


def test_a_file_that_was_never_good_refuses_the_edit_that_names_it(tmp_path: Path, certs: Certificates) -> None:
    """There is nothing to put in its place; and the TOML counts as a whole or not at all."""

    async def body(control: Control, addr: str) -> None:
        new = certs.server("new.test")
        new.certificate.write_text("garbage", encoding="utf-8")
        text = control.path.read_text(encoding="utf-8")
        control.path.write_text(text + route("more.test", 9) + l7("new.test", new), encoding="utf-8")
        assert len((await again(control)).problems) == 1
        assert control.hostnames() == ["a.test"]

    using(tmp_path, body, l7("a.test", certs.server("a.test")))


@pytest.mark.parametrize("way", WAYS)
def test_broken_cas_serve_on(tmp_path: Path, certs: Certificates, way: str) -> None:
    """The list of CAs of a backend is renewed on its own too."""

    async def body(control: Control, _: str) -> None:
        before = live(control, ca)
        WAYS[way](ca)
        assert (await again(control)).problems == ()
        assert (live(control, ca), broken(control)) == (before, [("a.test", "backend_ca")])

    ca = tmp_path / "certs" / "own-ca.pem"
    ca.write_bytes(certs.ca.read_bytes())
    using(tmp_path, body, l7("a.test", certs.server("a.test"), backend_ca=str(ca)) + "backend_tls = true\n")


@pytest.mark.parametrize("way", ["garbage", "missing", "empty"])
def test_a_broken_country_database_serves_on(tmp_path: Path, way: str) -> None:
    """It names no route."""

    async def body(control: Control, _: str) -> None:
        before = live(control, countries)
        WAYS[way](countries)
        assert (await again(control)).problems == ()
        assert (live(control, countries), broken(control)) == (before, [("", "firewall.geoip_db")])

    countries = tmp_path / "countries.mmdb"
    write_countries(countries, {"192.0.2.0/24": "SE"})
    using(tmp_path, body, route("a.test", 9), head=f'firewall.geoip_db = "{countries}"\n')


def test_the_last_good_contents_outlive_control(tmp_path: Path, certs: Certificates) -> None:
    """They lie beside the database, for their owner alone; those that nobody names any more are removed."""

    async def body(control: Control, _: str) -> None:
        assert (await again(control)).problems == ()

    async def next_control(control: Control, addr: str) -> None:
        with pytest.raises(ConfigError):
            config_file.load(control.path)
        loaded = config_file.load(control.path, last_good=LastGood())
        await control.edits.open()
        await control.reconciler.start(loaded)
        assert (live(control, a.certificate), live(control, a.key)) == good
        assert broken(control) == [("a.test", "tls_cert")]
        control.path.write_text(config(listener(addr, route("a.test", 9))), encoding="utf-8")
        await again(control)
        assert list(kept.iterdir()) == []

    a = certs.server("a.test")
    good = a.certificate.read_bytes(), a.key.read_bytes()
    kept = tmp_path / "mc-proxy.db.files"
    using(tmp_path, body, l7("a.test", a))
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in kept.iterdir()] == [0o600]
    a.certificate.write_text("garbage", encoding="utf-8")
    reconcile.using(tmp_path, lambda addr: config(listener(addr, l7("a.test", a))), next_control)


def test_what_is_kept_is_believed_only_if_it_is_what_was_written(tmp_path: Path, certs: Certificates) -> None:
    """A file that is cut off is no last good one."""
    a = certs.server("a.test")

    async def body(control: Control, _: str) -> None:
        pass

    using(tmp_path, body, l7("a.test", a))
    (kept,) = (tmp_path / "mc-proxy.db.files").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    a.key.unlink()
    with pytest.raises(ConfigError):
        config_file.load(tmp_path / "mc-proxy.toml", last_good=LastGood())


def test_an_edits_file_that_breaks_serves_on_also_over_a_restart(tmp_path: Path, certs: Certificates) -> None:
    """The edit is not suspended, as its last good content is there."""

    async def body(control: Control, addr: str) -> None:
        files = {"mode": "l7", "tls_cert": str(a.certificate), "tls_key": str(a.key)}
        await ask(control, add_route(addr, "edit.test", **files))
        a.certificate.write_text("garbage", encoding="utf-8")

    async def next_control(control: Control, _: str) -> None:
        await control.start()
        assert control.hostnames() == ["edit.test", "file.test"]
        assert control.current.merged.suspended == ()
        assert broken(control) == [("edit.test", "tls_cert")]

    a = certs.server("edit.test")
    text = ""

    def same(addr: str) -> str:
        nonlocal text
        text = text or config(listener(addr, route("file.test", 9)))
        return text

    async def first(control: Control, addr: str) -> None:
        await control.start()
        await body(control, addr)

    reconcile.using(tmp_path, same, first)
    reconcile.using(tmp_path, same, next_control)


def test_the_last_good_state_has_its_last_good_files(tmp_path: Path, certs: Certificates) -> None:
    """A config that is invalid at the start, and a certificate that is broken too."""
    a = certs.server("a.test")
    good = a.certificate.read_bytes()
    text = ""

    def same(addr: str) -> str:
        nonlocal text
        text = text or config(listener(addr, l7("a.test", a)))
        return text

    async def first(control: Control, _: str) -> None:
        await control.start()

    async def next_control(control: Control, _: str) -> None:
        control.path.write_text("no TOML [", encoding="utf-8")
        await control.edits.open()
        loaded = await last_good.load(control.path, control.edits.store)
        await control.reconciler.start(loaded, problems=("invalid",))
        assert (live(control, a.certificate), broken(control)) == (good, [("a.test", "tls_cert")])

    reconcile.using(tmp_path, same, first)
    a.certificate.unlink()
    reconcile.using(tmp_path, same, next_control)


def test_a_broken_ca_of_an_upstream_stays_what_it_was(tmp_path: Path, certs: Certificates) -> None:
    """It is told under the upstream's name, and taken when it is mended."""

    async def body(control: Control, _: str) -> None:
        before = live(control, certs.ca)
        certs.ca.write_text("garbage", encoding="utf-8")
        last = await again(control)
        assert live(control, certs.ca) == before
        (one,) = control.reconciler.stand_ins.now
        assert (one.owner, one.name, one.route) == (("upstream", "web"), "tls.ca", None)
        assert any("upstreams.web.tls.ca: " in warning for warning in last.warnings)
        certs.ca.write_bytes(before)
        await again(control)
        assert control.reconciler.stand_ins.now == ()

    upstream = (
        f'[upstreams.web]\nendpoints = ["127.0.0.1:1"]\ntls = {{ ca = "{certs.ca}" }}\ncheck = {{ type = "tls" }}\n'
    )
    using(tmp_path, body, route("a.test", "web"), head=upstream)
