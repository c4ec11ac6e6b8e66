"""Documents of a fleet: packed, read again, and refused when they are too much or damaged."""

import hashlib
import random
import zlib
from typing import Any

import msgspec
import pytest

from mcproxy.model.fleet import document
from mcproxy.model.fleet.document import Document, DocumentError, FleetFile, Header

FILES = (FleetFile("mc-proxy.toml", 'include = ["routes/*.toml"]\n'), FleetFile("routes/ä.toml", "# \n\r\n"))


def stored(files: tuple[FleetFile, ...] = FILES, **fields: Any) -> Document:
    digest, packed = document.pack(files)
    return document.decode(document.encode(Header(revision=7, hash=digest, **fields), packed), 12)


def test_files_come_back_as_they_were() -> None:
    """Names, texts and their order survive, and so does a header with any text in it."""
    found = stored(author="ops\n1", label="3fa9")
    assert document.unpack(found) == FILES
    assert (found.header.revision, found.header.author, found.header.label, found.version) == (7, "ops\n1", "3fa9", 12)


def test_the_hash_is_that_of_the_files() -> None:
    """The same files have the same hash, whoever packs them; another order is another document."""
    assert document.pack(FILES)[0] == document.pack(FILES)[0]
    assert document.pack(FILES)[0] != document.pack(FILES[::-1])[0]


@pytest.mark.parametrize("name", ["", "/etc/x.toml", "../x.toml", "..", "a/../b.toml", "a//b.toml", "./a.toml", "a\0b"])
def test_names_outside_of_the_folder_are_refused(name: str) -> None:
    """A document has files of the main file's folder alone, each by one name."""
    with pytest.raises(DocumentError):
        document.pack((FILES[0], FleetFile(name, "")))


def test_a_name_that_is_there_twice_is_refused() -> None:
    """Two files of one name would be one on a disk."""
    with pytest.raises(DocumentError, match=r"mc-proxy\.toml is there twice"):
        document.pack((FILES[0], FILES[0]))


def test_no_files_are_no_document() -> None:
    """A document has a main file."""
    with pytest.raises(DocumentError, match="no files"):
        document.pack(())


def test_too_much_is_told_with_its_size() -> None:
    """What the store would not take is refused before it is sent, with both figures."""
    noise = random.Random(1).randbytes(1_400_000).hex()
    with pytest.raises(DocumentError, match=r"\d,\d{3},\d{3} bytes compressed; a fleet takes 1,000,000"):
        document.pack((FleetFile("mc-proxy.toml", noise),))


def test_what_would_grow_beyond_all_measure_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small value that unpacks to more than a document may have is damaged, not read."""
    found = stored((FleetFile("mc-proxy.toml", "#" * 100_000),))
    monkeypatch.setattr(document, "MOST_UNPACKED", 50_000)
    with pytest.raises(DocumentError, match="do not end"):
        document.unpack(found)


def test_the_error_about_a_document_keeps_nothing_of_it() -> None:
    """Control keeps the last error, and with it all that was known where it was found."""
    found = Document(Header(revision=1, hash=""), zlib.compress(b"#" * 5_000_000))
    with pytest.raises(DocumentError) as told:
        document.unpack(found)
    kept = [value for each in told.traceback for value in each.frame.f_locals.values() if isinstance(value, bytes)]
    assert sum(map(len, kept)) < 100_000


@pytest.mark.parametrize("damage", ["cut", "other", "more", "swapped"])
def test_damaged_files_are_told(damage: str) -> None:
    """Files that are cut, replaced or added to are not taken for the document."""
    found = stored()
    packed = {
        "cut": found.packed[:-3],
        "other": b"{}",
        "more": found.packed + b"x",
        "swapped": document.pack(FILES[:1])[1],
    }[damage]
    with pytest.raises(DocumentError):
        document.unpack(msgspec.structs.replace(found, packed=packed))


def test_files_that_are_nested_without_end_are_damaged() -> None:
    """Whoever wrote them made the hash fit, too."""
    data = b'[{"name": "a", "text": "", "later": ' + b"[" * 100_000
    found = Document(Header(revision=1, hash=hashlib.sha256(data).hexdigest()), zlib.compress(data))
    with pytest.raises(DocumentError, match="can't be read"):
        document.unpack(found)


@pytest.mark.parametrize("value", [b"", b"{}", b"\n", b"[]\nx", b'{"revision": "a", "hash": ""}\n'])
def test_what_is_no_document_is_told(value: bytes) -> None:
    """Any other value under the key is no document."""
    with pytest.raises(DocumentError):
        document.decode(value, 1)


def test_keys_of_a_newer_version_are_passed_over() -> None:
    """A header to which a newer mcproxy has added something can still be read."""
    assert document.decode(b'{"revision": 3, "hash": "a", "mood": "new"}\n', 1).header.revision == 3
