"""The files that are pushed: the main file and what it includes, with names that are the same on all nodes."""

from pathlib import Path

from mcproxy.config_includes import included
from mcproxy.errors import McproxyError
from mcproxy.model.config import document
from mcproxy.model.config.problems import Source
from mcproxy.named_file import read_file


def collected(file: Path) -> list[tuple[str, str]]:
    """Return names and texts, the main file first.

    Raises:
        McproxyError: one can't be read, is no text, is not below the main file's folder, or is missing.
    """
    main = file.absolute()
    text = _text(main)
    includes = included(document.read(Source(str(main), text, str(main.parent))), main)
    if wrong := [problem for problem in includes.problems if problem.severity == "error"]:
        raise McproxyError("\n".join(map(str, wrong)))
    return [(main.name, text), *((_name(path, main.parent), _text(path)) for path in includes.files)]


def local_name(file: Path, name: str) -> str:
    """Return where on this machine the file is that was pushed by a name."""
    return str(file if name == file.name else file.parent / name)


def _name(path: Path, folder: Path) -> str:
    if not path.is_relative_to(folder):
        raise McproxyError(
            f"{path} is not below {folder}: what is pushed has to be there, as nodes have no other folder of it"
        )
    return path.relative_to(folder).as_posix()


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except OSError as error:
        raise McproxyError(f"{path} can't be read: {error.strerror}; nothing was pushed") from error
    except UnicodeDecodeError as error:
        raise McproxyError(f"{path} is not UTF-8 text; nothing was pushed") from error
