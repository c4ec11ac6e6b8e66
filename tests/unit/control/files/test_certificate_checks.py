"""What the full level says about certificates, keys and CAs, and where."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from mcproxy.control.files.certificate_checks import check_certificates, check_server_files
from mcproxy.control.files.certificates import Pair, issue, make_ca
from mcproxy.control.files.config_file import NamedFilesError, involved, load
from mcproxy.control.files.contents import Contents
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import resolve

NOW = datetime(2031, 5, 6, 12, tzinfo=UTC)
LISTENER = '[[listeners]]\naddr = ":1"\n'
L4 = '[[listeners.routes]]\nhostname = "{}"\nbackend = "b:1"\n'
L7 = L4 + 'mode = "l7"\ntls_cert = "{}.crt"\ntls_key = "{}.key"\n'


@pytest.fixture(scope="module")
def ca() -> Pair:
    return make_ca("unit test CA", not_before=NOW - timedelta(days=900), not_after=NOW + timedelta(days=900))


@pytest.fixture
def put(ca: Pair, tmp_path: Path) -> Callable[..., Pair]:
    """Issue a certificate into the folder: the name of its files, its names, and from when to when in days from now."""

    def put(stem: str, *names: str, start: float = -1, end: float = 300) -> Pair:
        pair = issue(
            ca,
            names or (f"{stem}.example",),
            not_before=NOW + timedelta(days=start),
            not_after=NOW + timedelta(days=end),
        )
        (tmp_path / f"{stem}.crt").write_bytes(pair.certificate)
        (tmp_path / f"{stem}.key").write_bytes(pair.key)
        return pair

    return put


def l7(hostname: str, stem: str = "a") -> str:
    return L7.format(hostname, stem, stem)


def found(folder: Path, text: str) -> list[str]:
    """Return the problems of a config text that stands in a folder, without the folder."""
    resolution = resolve([Source(str(folder / "m.toml"), text)])
    return [
        str(problem).replace(f"{folder}/", "")
        for problem in check_certificates(resolution.state, NOW, resolution.problem, Contents())
    ]


def test_a_good_pair_is_nothing_to_speak_of(put: Callable[..., Pair], ca: Pair, tmp_path: Path) -> None:
    """Exact, wildcard and default routes, a chain, and a key and certificate in one file."""
    pair = put("a", "a.example", "*.dev.example")
    (tmp_path / "a.crt").write_bytes(pair.certificate + ca.certificate)
    (tmp_path / "both.crt").write_bytes(pair.certificate + pair.key)
    (tmp_path / "both.key").write_bytes(pair.certificate + pair.key)
    routes = [l7("a.example"), l7("*.dev.example"), l7("x.dev.example", "both"), l7("*")]
    assert found(tmp_path, LISTENER + "".join(routes)) == []


def test_every_file_must_be_there(tmp_path: Path) -> None:
    """Each is an error at its own key."""
    text = LISTENER + l7("a.example") + 'backend_tls = true\nbackend_ca = "ca.crt"\n'
    assert found(tmp_path, text) == [
        "m.toml:7:12: error: listeners[0].routes[0].tls_cert: a.crt can't be read: No such file or directory",
        "m.toml:8:11: error: listeners[0].routes[0].tls_key: a.key can't be read: No such file or directory",
        "m.toml:10:14: error: listeners[0].routes[0].backend_ca: ca.crt can't be read: No such file or directory",
    ]


def test_a_pair_must_belong_together(put: Callable[..., Pair], tmp_path: Path) -> None:
    """The error names both files and stands at the key."""
    put("a")
    (tmp_path / "a.key").write_bytes(put("b").key)
    assert found(tmp_path, LISTENER + l7("a.example")) == [
        "m.toml:8:11: error: listeners[0].routes[0].tls_key: a.key and the certificate a.crt do not belong together"
    ]


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_an_error_that_says_so(
    put: Callable[..., Pair], tmp_path: Path, form: PrivateFormat
) -> None:
    """Nobody is there to type a password."""
    key = load_pem_private_key(put("a").key, None)
    (tmp_path / "a.key").write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")))
    (problem,) = found(tmp_path, LISTENER + l7("a.example"))
    assert problem.startswith("m.toml:8:11: error: listeners[0].routes[0].tls_key: a.key is encrypted; ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.crt", b"", "a.crt holds no PEM certificate"),
        ("a.crt", b"-----BEGIN CERTIFICATE-----\nMIIB", "a.crt holds a certificate that can't be read"),
        ("a.key", b"", "a.key holds no complete PEM private key"),
        (
            "a.key",
            b"-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n",
            "a.key can't be read",
        ),
    ],
)
def test_what_is_no_certificate_or_key_is_told(
    put: Callable[..., Pair], tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """At the key of the file that is wrong."""
    put("a")
    (tmp_path / name).write_bytes(content)
    (problem,) = found(tmp_path, LISTENER + l7("a.example"))
    assert message in problem
    assert f"tls_{'cert' if name == 'a.crt' else 'key'}: " in problem


def test_a_chain_that_is_cut_off_is_told(put: Callable[..., Pair], ca: Pair, tmp_path: Path) -> None:
    """A half-written chain does not pass for a shorter one."""
    pair = put("a")
    (tmp_path / "a.crt").write_bytes(pair.certificate + ca.certificate[:200])
    (problem,) = found(tmp_path, LISTENER + l7("a.example"))
    assert "a.crt holds a certificate that is cut off" in problem


def test_a_backend_ca_must_hold_a_certificate(put: Callable[..., Pair], ca: Pair, tmp_path: Path) -> None:
    """An empty file would silently mean the system's; without backend_tls nobody looks at it."""
    put("a")
    (tmp_path / "ca.crt").write_bytes(b"")
    text = LISTENER + l7("a.example") + 'backend_ca = "ca.crt"\n'
    assert found(tmp_path, text) == []
    text += "backend_tls = true\n"
    assert found(tmp_path, text) == [
        "m.toml:9:14: error: listeners[0].routes[0].backend_ca: ca.crt holds no PEM certificate"
    ]
    (tmp_path / "ca.crt").write_bytes(ca.certificate)
    assert found(tmp_path, text) == []


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (-90, 14.01, ""),
        (-90, 13.5, "expires in 13 days, on 2031-05-20 00:00 UTC"),
        (-90, 0.25, "expires in 1 day, on 2031-05-06 18:00 UTC"),
        (-90, -0.25, "expired on 2031-05-06 06:00 UTC: clients will refuse it"),
        (2, 90, "is valid from 2031-05-08 12:00 UTC only: clients will refuse it"),
    ],
)
def test_time_is_told_before_it_is_up(
    put: Callable[..., Pair], tmp_path: Path, start: float, end: float, message: str
) -> None:
    """Two weeks before the end a certificate is warned of, and afterwards too."""
    put("a", start=start, end=end)
    expected = [f"m.toml:7:12: warning: listeners[0].routes[0].tls_cert: the certificate {message}"] if message else []
    assert found(tmp_path, LISTENER + l7("a.example")) == expected


@pytest.mark.parametrize("hostname", ["b.example", "x.a.example", "*.a.example"])
def test_a_certificate_for_other_names_is_doubtful(put: Callable[..., Pair], tmp_path: Path, hostname: str) -> None:
    """Clients of the route would refuse it."""
    put("a")
    (warning,) = found(tmp_path, LISTENER + l7(hostname))
    assert warning.endswith(f"warning: listeners[0].routes[0].tls_cert: the certificate does not cover {hostname}; it is for a.example")  # fmt: skip


def test_a_wildcard_over_passed_through_names_is_doubtful(put: Callable[..., Pair], tmp_path: Path) -> None:
    """Browsers reuse a connection for every name of its certificate, also for one that another server answers for."""
    put("a", "*.example")
    text = LISTENER + l7("a.example") + L4.format("b.example") + L4.format("c.test") + L4.format("*")
    (warning,) = found(tmp_path, text)
    assert warning.startswith(
        "m.toml:7:12: warning: listeners[0].routes[0].tls_cert: the certificate covers b.example too"
    )
    elsewhere = LISTENER + l7("a.example") + '[[listeners]]\naddr = ":2"\n' + L4.format("b.example")
    assert found(tmp_path, elsewhere) == []


def test_certificates_are_part_of_the_full_level_only(tmp_path: Path) -> None:
    """The syntax level needs none of the files; the full level's error says that the configuration itself is right."""
    main = tmp_path / "m.toml"
    main.write_text(LISTENER + l7("a.example"))
    assert load(main, syntax_only=True).resolution.warnings == ()
    with pytest.raises(NamedFilesError, match=r"m\.toml:7:12: error: .*tls_cert"):
        load(main)


def test_doubts_come_with_the_result(tmp_path: Path) -> None:
    """Warnings about certificates do not stop a file, and stand among the others in file order."""
    pair = issue(make_ca("of now"), ["b.example"])
    (tmp_path / "a.crt").write_bytes(pair.certificate)
    (tmp_path / "a.key").write_bytes(pair.key)
    main = tmp_path / "m.toml"
    main.write_text(LISTENER + l7("a.example") + L4.format("c.example") + "backend_tls = true\n")
    loaded = load(main)
    assert [(problem.line, problem.key.rpartition(".")[2]) for problem in loaded.resolution.warnings] == [
        (7, "tls_cert"),
        (12, "backend_tls"),
    ]
    assert loaded.files == (main, tmp_path / "a.crt", tmp_path / "a.key")


GRPC = '[grpc]\naddr = "127.0.0.1:2"\ntls_cert = "a.crt"\ntls_key = "a.key"\nclient_ca = "ca.crt"\n'


def of_server(folder: Path, text: str = GRPC) -> list[str]:
    """Return the problems of a file that stands in a folder, without the folder."""
    main = folder / "m.toml"
    main.write_text(text + LISTENER + L4.format("l4.example"))
    try:
        problems: tuple[object, ...] = load(main).resolution.warnings
    except NamedFilesError as error:
        problems = error.problems
    return [str(problem).replace(f"{folder}/", "") for problem in problems]


@pytest.fixture
def server(tmp_path: Path) -> Pair:
    """Put the files of a server that is fine into the folder, and return its pair."""
    ca = make_ca("of now")
    pair = issue(ca, ["a.example"])
    (tmp_path / "ca.crt").write_bytes(ca.certificate)
    (tmp_path / "a.crt").write_bytes(pair.certificate)
    (tmp_path / "a.key").write_bytes(pair.key)
    return pair


def test_the_admin_apis_files_are_checked_at_their_lines(server: Pair, tmp_path: Path) -> None:
    """Missing, unreadable, and not belonging together; without an address nobody needs them."""
    assert of_server(tmp_path) == []
    missing = GRPC.replace('"a.', '"none.').replace("ca.crt", "none.pem")
    assert of_server(tmp_path, missing) == [
        "m.toml:3:12: error: grpc.tls_cert: none.crt can't be read: No such file or directory",
        "m.toml:4:11: error: grpc.tls_key: none.key can't be read: No such file or directory",
        "m.toml:5:13: error: grpc.client_ca: none.pem can't be read: No such file or directory",
    ]
    assert of_server(tmp_path, missing.replace('"127.0.0.1:2"', '""')) == []
    (tmp_path / "a.key").write_bytes(issue(make_ca("x"), ["a.example"]).key)
    assert of_server(tmp_path) == [
        "m.toml:4:11: error: grpc.tls_key: a.key and the certificate a.crt do not belong together"
    ]
    for name in ("a.crt", "a.key", "ca.crt"):
        (tmp_path / name).write_text("no PEM")
    assert of_server(tmp_path) == [
        "m.toml:3:12: error: grpc.tls_cert: a.crt holds no PEM certificate",
        "m.toml:4:11: error: grpc.tls_key: a.key holds no complete PEM private key",
        "m.toml:5:13: error: grpc.client_ca: ca.crt holds no PEM certificate",
    ]


def test_the_admin_apis_files_are_part_of_the_full_level_only(tmp_path: Path) -> None:
    """A config repository's CI has no secrets."""
    main = tmp_path / "m.toml"
    main.write_text(GRPC + LISTENER + L4.format("a.example"))
    assert load(main, syntax_only=True).resolution.warnings == ()


def test_the_admin_apis_files_are_watched(server: Pair, tmp_path: Path) -> None:
    """A correction may come there; a file that a route names too is there once."""
    main = tmp_path / "m.toml"
    route = l7("a.example", "a")
    main.write_text(GRPC + LISTENER + route)
    named = [main, tmp_path / "a.crt", tmp_path / "a.key", tmp_path / "ca.crt"]
    assert list(load(main).files) == named
    (tmp_path / "a.key").unlink()
    assert list(involved(main)[0]) == named
    main.write_text(GRPC.replace('"127.0.0.1:2"', '""') + LISTENER)
    assert list(load(main).files) == [main]


def test_a_servers_expiring_certificate_is_doubtful(put: Callable[..., Pair], tmp_path: Path) -> None:
    """As a route's is."""
    put("a", end=5)
    files = {name: str(tmp_path / file) for name, file in (("tls_cert", "a.crt"), ("tls_key", "a.key"))}
    ((name, message, severity),) = check_server_files({**files, "client_ca": files["tls_cert"]}, NOW, Contents())
    assert (name, severity) == ("tls_cert", "warning")
    assert message.startswith("the certificate expires in 5 days")


def test_what_the_workers_could_not_load_is_an_error(put: Callable[..., Pair], ca: Pair, tmp_path: Path) -> None:
    """A chain and CAs glued without a line break, which other readers take: the file and its line are named."""
    pair = put("a")
    glued = pair.certificate.strip() + ca.certificate
    line = pair.certificate.count(b"\n")
    why = "a line break is missing after -----END CERTIFICATE-----"
    (tmp_path / "a.crt").write_bytes(glued)
    (tmp_path / "ca.crt").write_bytes(glued)
    text = LISTENER + l7("a.example") + 'backend_tls = true\nbackend_ca = "ca.crt"\n'
    assert found(tmp_path, text) == [
        f"m.toml:7:12: error: listeners[0].routes[0].tls_cert: a.crt:{line}: {why}",
        f"m.toml:10:14: error: listeners[0].routes[0].backend_ca: ca.crt:{line}: {why}",
    ]
    put("a")
    (tmp_path / "a.key").write_bytes(pair.certificate.strip() + (tmp_path / "a.key").read_bytes())
    (tmp_path / "ca.crt").write_bytes(ca.certificate)
    assert found(tmp_path, text) == [
        f"m.toml:8:11: error: listeners[0].routes[0].tls_key: a.key:{line}: {why}",
    ]


def test_the_admin_api_s_files_must_load_too(put: Callable[..., Pair], ca: Pair, tmp_path: Path) -> None:
    """Those of a server with mutual TLS are loaded as the workers load theirs."""
    pair = put("a")
    (tmp_path / "ca.crt").write_bytes(b" " + ca.certificate)
    (tmp_path / "a.crt").write_bytes(pair.certificate.strip() + ca.certificate)
    files = {name: str(tmp_path / file) for name, file in SERVER_FILES.items()}
    problems = check_server_files(files, NOW, Contents())
    assert [(name, severity) for name, _, severity in problems] == [("tls_cert", "error"), ("client_ca", "error")]


SERVER_FILES = {"tls_cert": "a.crt", "tls_key": "a.key", "client_ca": "ca.crt"}


UPSTREAM = '[upstreams.web]\nendpoints = ["10.0.0.1:1"]\n{}\n'


def test_the_cas_of_upstreams_are_looked_at(put: Callable[..., Pair], ca: Pair, tmp_path: Path) -> None:
    """Each at its key, on one line or in a table of its own; those of the system need no file."""
    (tmp_path / "ca.pem").write_bytes(ca.certificate)
    (tmp_path / "bad.pem").write_text("nonsense")
    route = '[[listeners]]\naddr = ":1"\nroutes = [{ hostname = "a", backend = "web" }]\n'
    check = 'check = { type = "tls" }\n'
    for tls in ("tls = {}", 'tls = { ca = "ca.pem" }', "", '[upstreams.web.tls]\nserver_name = "x"'):
        assert found(tmp_path, UPSTREAM.format(check + tls) + route) == []
    (problem,) = found(tmp_path, UPSTREAM.format(check + 'tls = { ca = "none.pem" }') + route)
    assert problem == "m.toml:4:14: error: upstreams.web.tls.ca: none.pem can't be read: No such file or directory"
    (problem,) = found(tmp_path, UPSTREAM.format(check + '[upstreams.web.tls]\nca = "bad.pem"') + route)
    assert problem.startswith("m.toml:5:6: error: upstreams.web.tls.ca: bad.pem ")
