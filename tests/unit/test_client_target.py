"""Where the server is: address, environment, config file, default; and what TCP needs."""

from pathlib import Path

import pytest

from mcproxy.client import DEFAULT_ADDR, AddressError, find_server


def save(folder: Path, text: str, name: str = "mc-proxy.toml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_order_is_address_variable_config_default(tmp_path: Path) -> None:
    """The first one that is there decides."""
    config = save(tmp_path, "")
    environment = {"MCPROXY_ADDR": "unix:/b.sock", "MCPROXY_CONFIG": str(config)}
    assert find_server("unix:/a.sock", config=config, environment=environment).addr == "unix:/a.sock"
    assert find_server(config=config, environment=environment).addr == "unix:/b.sock"
    del environment["MCPROXY_ADDR"]
    beside = f"unix:{tmp_path}/mc-proxy.sock"
    assert find_server(environment=environment).addr == beside
    assert find_server(config=config, environment={}).addr == beside
    assert find_server(environment={}).addr == DEFAULT_ADDR
    assert find_server(environment={"MCPROXY_ADDR": "", "MCPROXY_CONFIG": ""}).addr == DEFAULT_ADDR


def test_a_relative_socket_starts_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every path on a command line does."""
    monkeypatch.chdir(tmp_path)
    assert find_server("unix:a.sock", environment={}).socket == f"{tmp_path}/a.sock"


@pytest.mark.parametrize(
    ("text", "addr"),
    [
        ('[grpc]\nsocket = "run/a.sock"\n', "unix:{folder}/run/a.sock"),
        ('[grpc]\nsocket = "/run/a.sock"\naddr = "127.0.0.1:9000"\n', "unix:/run/a.sock"),
        ('[grpc]\naddr = "127.0.0.1:9000"\n', "unix:{folder}/mc-proxy.sock"),
        ('[grpc]\nsocket_mode = "0660"\n[proxy]\nno_such_key = 1\n', "unix:{folder}/mc-proxy.sock"),
    ],
)
def test_the_config_names_the_socket(tmp_path: Path, text: str, addr: str) -> None:
    """Relative to its own folder; what else is wrong in the file is no matter here."""
    assert find_server(config=save(tmp_path, text), environment={}).addr == addr.format(folder=tmp_path)


def test_an_included_file_may_name_the_socket(tmp_path: Path) -> None:
    """Relative to that file's folder, as the server sees it."""
    save(tmp_path, "[log]\n", "conf.d/a.toml")
    save(tmp_path, '[grpc]\nsocket = "b.sock"\n', "conf.d/b.toml")
    config = save(tmp_path, 'include = ["conf.d/*.toml"]\n')
    assert find_server(config=config, environment={}).addr == f"unix:{tmp_path}/conf.d/b.sock"


@pytest.mark.parametrize(("addr", "found"), [("127.0.0.1:9000", "127.0.0.1:9000"), (":9000", "localhost:9000")])
def test_without_a_socket_the_config_names_tcp(tmp_path: Path, addr: str, found: str) -> None:
    """A server that listens on all addresses is asked on this machine."""
    config = save(tmp_path, f'[grpc]\nsocket = ""\naddr = "{addr}"\n')
    target = find_server(config=config, tls_ca="ca", tls_cert="c", tls_key="k", environment={})
    assert (target.addr, target.ca, target.cert, target.key, target.socket) == (found, "ca", "c", "k", "")


@pytest.mark.parametrize("given", [{}, {"tls_ca": "ca"}, {"tls_cert": "c", "tls_key": "k"}])
def test_tcp_without_mutual_tls_is_refused(given: dict[str, str]) -> None:
    """Nothing is ever sent in the clear, or to a server that is not known."""
    with pytest.raises(AddressError, match=r"needs mutual TLS: give .*--tls-ca.*--tls-cert.*--tls-key"):
        find_server("host:9000", environment={}, **given)


@pytest.mark.parametrize(
    "addr", ["host", "host:", "host:0", "host:65536", "host:http", "/run/a.sock", "http://host:9000"]
)
def test_what_is_no_address_is_told_as_such(addr: str) -> None:
    """With the two forms that are."""
    with pytest.raises(AddressError, match=r"write unix:/path or host:port"):
        find_server(addr, environment={})
    with pytest.raises(AddressError, match="has no path"):
        find_server("unix:", environment={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[grpc\n", "can't tell where the server is .*give --addr"),
        ('[grpc]\nsocket = ""\n', "turns the admin API off"),
        ("[grpc]\nsocket = 1\n", "are strings"),
    ],
)
def test_a_config_that_names_no_server(tmp_path: Path, text: str, message: str) -> None:
    """Each reason in words, with the file's name."""
    config = save(tmp_path, text)
    with pytest.raises(AddressError, match=message) as caught:
        find_server(config=config, environment={})
    assert str(config) in str(caught.value)
    with pytest.raises(AddressError, match="No such file"):
        find_server(config=tmp_path / "none.toml", environment={})
