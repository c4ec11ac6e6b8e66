"""Which data path the workers use: the native one where there is its library, else the Python one, which does the same."""

import os
from typing import Literal, NamedTuple, TypeAlias

from mcproxy.errors import ApplyError, NativeCoreError
from mcproxy.net.native.library import find
from mcproxy.net.native.loading import load

Setting: TypeAlias = Literal["auto", "python", "native"]


class DataPath(NamedTuple):
    """What is used.

    Attributes:
        name: which one, as `[proxy] data_path` has it.
        why: why it is not the native one, "" if it is, or was not asked for.
        library: descriptor of the native core, -1 for Python.
        file: the name of its file.
    """

    name: Literal["python", "native"] = "python"
    why: str = ""
    library: int = -1
    file: str = ""

    def close(self) -> None:
        """Give the library back; workers have it open themselves."""
        if self.library >= 0:
            os.close(self.library)


def choose(setting: Setting, live: DataPath) -> DataPath:
    """Return what a setting stands for here; ``live`` itself if that is what is in use.

    The library may be compiled for it, which takes seconds.

    Raises:
        ApplyError: it is to be the native one, which can't be had.
    """
    chosen = DataPath()
    if setting != "python":
        try:
            chosen = _native(live)
        except NativeCoreError as error:
            if setting == "native":
                raise ApplyError(f"proxy.data_path: {_advice(error)}") from error
            chosen = DataPath(why=str(error))
    return live if chosen == live else chosen


def told() -> tuple[str, str]:
    """Return what "auto" stands for here, and what there is to say about it; compiles nothing."""
    try:
        library = find(compiles=False)
        if not library.exists():
            return "native", "the first `mcproxy serve` compiles it"
        load(library)
    except NativeCoreError as error:
        return "python", str(error)
    return "native", ""


def problem() -> str:
    """Return why the native data path can't be used here and what to do about it, "" if it can."""
    try:
        load(find())
    except NativeCoreError as error:
        return _advice(error)
    return ""


def _native(live: DataPath) -> DataPath:
    file = str(find())
    if file == live.file:
        return live
    load(file)  # here first, where it can be told why it can't be
    try:
        return DataPath("native", library=os.open(file, os.O_RDONLY | os.O_CLOEXEC), file=file)
    except OSError as error:
        raise NativeCoreError(f"{file}: {error.strerror}") from error


def _advice(error: NativeCoreError) -> str:
    return (
        f"the native core can't be used: {error}. Install a C compiler (on Debian gcc and libc6-dev) and then mcproxy again, "
        'or set it to "auto" or "python"'
    )
