"""Files that are to become the fleet's document, judged by a node: read as if they were that already."""

import glob
import posixpath
from collections.abc import Iterator, Sequence

import msgspec

from mcproxy.control.files import config_file
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.look import look
from mcproxy.control.fleet.fleet import Fleet
from mcproxy.control.reconcile.reconciler import Reconciler
from mcproxy.errors import ConfigError, InvalidRequestError, PreconditionError
from mcproxy.model.config import document
from mcproxy.model.config.problems import Problem, Source
from mcproxy.model.fleet.document import Document, DocumentError, FleetFile, Header, pack
from mcproxy.model.fleet.sources import MAIN, read_document


class Judged(msgspec.Struct, frozen=True):
    """Files without a mistake.

    Attributes:
        loaded: what they mean on this node.
        hash, packed: as `pack` returns them.
        warnings: what is doubtful in them, with the names that they were sent with.
    """

    loaded: Loaded
    hash: str
    packed: bytes
    warnings: tuple[str, ...]


async def judge(reconciler: Reconciler, files: Sequence[FleetFile]) -> Judged:
    """Read files as this node would as its document, and run their tests.

    Raises:
        InvalidRequestError: with everything that is wrong.
    """
    try:
        digest, packed = pack(files)
    except DocumentError as error:
        raise InvalidRequestError((("files", str(error)),)) from error
    shared = read_document(Document(Header(revision=0, hash=digest), packed))
    try:
        loaded = await look(
            config_file.load,
            reconciler.path,
            documents=lambda _, __: shared,
            last_good=reconciler.stand_ins.last_good,
        )
        loaded.require_tests()
    except ConfigError as error:
        raise InvalidRequestError(tuple(_violations(error, files[0].name))) from error
    if missing := list(_missing(files)):
        raise InvalidRequestError(tuple(missing))
    doubts = [_named(problem, files[0].name) for problem in loaded.resolution.warnings if _is_of_document(problem)]
    return Judged(loaded, digest, packed, tuple(map(str, doubts)))


def refuse_document(fleet: Fleet, text: str) -> None:
    """Refuse to plan a text in the place of a node's own file that is no such file, but rather a document of its fleet.

    Raises:
        PreconditionError: says how that is planned.
    """
    read = document.read(Source("", text)).document
    if fleet.node is not None and read is not None and read.config.fleet is None:
        raise PreconditionError(
            "this server is a node of a fleet, and what it serves is the fleet's document: mcproxyctl fleet diff FILE plans a file as that"
        )


def _missing(files: Sequence[FleetFile]) -> Iterator[tuple[str, str]]:
    """Yield what the main file includes by name and was not sent with it: nodes would run the document without it."""
    main = document.read(Source(files[0].name, files[0].text)).document
    names = {file.name for file in files[1:]}
    for index, pattern in enumerate(main.config.include if main is not None else ()):
        named = posixpath.normpath(pattern)
        whole = posixpath.isabs(named) and any(named.endswith(f"/{name}") for name in names)
        if not glob.has_magic(pattern) and named not in names and not whole:
            yield f"files.include[{index}]", f"{files[0].name} includes {pattern}, which was not sent with it"


def _violations(error: ConfigError, main: str) -> Iterator[tuple[str, str]]:
    for problem in error.problems:
        if isinstance(problem, Problem) and problem.severity == "error":
            named = _named(problem, main)
            field = f"files.{problem.key}" if problem.key else "files"
            yield field, f"{named.file}:{named.line}:{named.column}: {named.message}"


def _is_of_document(problem: Problem) -> bool:
    return problem.file == MAIN or problem.file.startswith(f"{MAIN}/")


def _named(problem: Problem, main: str) -> Problem:
    """Return a problem with the name that its file was sent with; those of the node's own file keep theirs."""
    name = main if problem.file == MAIN else problem.file.removeprefix(f"{MAIN}/")
    message = problem.message.replace(f"({MAIN}:", f"({main}:").replace(f"({MAIN}/", "(")  # the places that it names
    return msgspec.structs.replace(problem, file=name, message=message)
