"""The file of a node of a fleet, and the document that belongs to it."""

from pathlib import Path

import pytest

from mcproxy.control.files.config_file import involved, load
from mcproxy.errors import ConfigError
from mcproxy.model.config.fleet.shape import FleetNode
from mcproxy.model.fleet.document import Document, FleetFile, Header, pack
from mcproxy.model.fleet.sources import FleetDocument, read_document

NODE = '[fleet]\nendpoints = ["127.0.0.1:1"]\nnode = "a"\n'
MAIN = 'include = ["more.toml"]\n[[listeners]]\naddr = ":443"\n'
ROUTE = '[[routes]]\nlistener = ":443"\nhostname = "a.example"\nbackend = "10.0.0.1:443"\n'


def document(*texts: str) -> FleetDocument:
    files = [FleetFile(f"{number or 'main'}.toml", text) for number, text in enumerate(texts)]
    hashed, packed = pack(files)
    return read_document(Document(Header(revision=41, hash=hashed, label="commit 3fa9"), packed, 7))


def node(folder: Path, text: str = NODE) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def test_the_document_is_asked_for_with_what_the_file_says(tmp_path: Path) -> None:
    """With the database's path, beside which the last known one is."""
    asked: list[tuple[FleetNode, str]] = []

    def documents(fleet: FleetNode, database: str) -> FleetDocument:
        asked.append((fleet, database))
        return document(MAIN, ROUTE)

    loaded = load(node(tmp_path), documents=documents)
    assert asked == [(FleetNode(endpoints=("127.0.0.1:1",), node="a"), str(tmp_path / "mc-proxy.db"))]
    assert loaded.fleet == asked[0][0]
    assert loaded.document is not None
    assert loaded.document.version == 7
    assert [source.path for source in loaded.sources] == ["doc", "doc/1.toml", str(tmp_path / "node.toml")]
    assert (":443", "a.example") in loaded.resolution.state.routes
    assert loaded.files == (tmp_path / "node.toml",)
    load(node(tmp_path, NODE + '[database]\npath = "x.db"\n'), documents=documents)
    assert asked[1][1] == str(tmp_path / "x.db")


def test_files_that_the_document_names_are_the_nodes(tmp_path: Path) -> None:
    """In its own folder: one that lacks them refuses the document, and watches for them."""
    secured = ROUTE + 'mode = "l7"\ntls_cert = "own.pem"\ntls_key = "own.key"\n'
    with pytest.raises(ConfigError) as caught:
        load(node(tmp_path), documents=lambda *_: document(MAIN, secured))
    (first, *_) = caught.value.problems
    assert str(first).startswith("doc/1.toml:6:12: error: routes[0].tls_cert: ")
    assert str(tmp_path / "own.pem") in str(first)
    files, _ = involved(tmp_path / "node.toml", lambda *_: document(MAIN, secured))
    assert tmp_path / "own.pem" in files


def test_tests_of_the_document_are_tried(tmp_path: Path) -> None:
    """On each node, with what it has."""
    test = '[[tests]]\nconnect = "b.example:443"\nexpect = { backend = "10.0.0.1:443" }\n'
    loaded = load(node(tmp_path), documents=lambda *_: document(MAIN, ROUTE, test))
    with pytest.raises(ConfigError, match=r"^doc/2\.toml:3"):
        loaded.require_tests()


def test_a_document_without_a_listener_is_refused(tmp_path: Path) -> None:
    """As a file is: it is no wish to serve nothing."""
    with pytest.raises(ConfigError, match="doc:1:1: error: listeners: no listener is declared"):
        load(node(tmp_path), documents=lambda *_: document("[proxy]\nworkers = 1\n"))


def test_a_damaged_document_is_no_missing_one(tmp_path: Path) -> None:
    """Nothing is concluded from it."""
    whole = document(MAIN).document

    def damaged(*_: object) -> FleetDocument:
        return read_document(Document(whole.header, whole.packed[:-3], 7))

    with pytest.raises(ConfigError, match=r"the fleet's document \(revision 41, commit 3fa9\) is damaged"):
        load(node(tmp_path), documents=damaged)


def test_a_node_whose_certificate_is_missing_serves_on(tmp_path: Path) -> None:
    """It can't reach the store, but what it knows it can serve."""
    path = node(tmp_path, NODE + 'ca = "ca.pem"\n')
    (warning,) = load(path, documents=lambda *_: document(MAIN, ROUTE)).resolution.warnings
    assert str(warning).startswith(f"{path}:4:6: warning: fleet.ca: {tmp_path / 'ca.pem'}: ")
