"""Scripts by which shells complete command lines: all words that a program knows by itself are in the script.

What only a server knows, addresses of listeners and hostnames of routes, the scripts ask for with the command ``names``, and keep for
a minute: starting a program at each press of a key would be slow.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources

from mcproxy.cli.common.command_line import HELP, App, Command, Parameter

SHELLS = ("bash", "zsh", "fish")
"""The shells that there are scripts for."""


def script(app: App, shell: str) -> str:
    """Return the script of a program for one of the `SHELLS`."""
    folder = resources.files("mcproxy.cli.common").joinpath("shells")
    text = folder.joinpath(f"complete.{shell}").read_text(encoding="utf-8")
    text = text.replace("@SHARED@\n", folder.joinpath("shared.sh").read_text(encoding="utf-8"))
    branch = _fish if shell == "fish" else _posix
    tree = "\n".join(branch(path, *_words(found, app)) for path, found in _all(app, ""))
    return text.replace("@TREE@", tree).replace("@ID@", app.name.replace("-", "_")).replace("@NAME@", app.name)


def _all(found: Command | App, path: str) -> Iterator[tuple[str, Command | App]]:
    """Yield a program's commands and groups of them, each with its name; the program itself first."""
    yield path, found
    if isinstance(found, App):
        for name, inner in found.commands.items():
            if isinstance(inner, App) or not inner.hidden:
                yield from _all(inner, f"{path} {name}".strip())


def _words(found: Command | App, app: App) -> tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]:
    """Return what may follow: commands, options with a value (``--name=kind``), flags, kinds of arguments."""
    commands = [
        name
        for name, one in (found.commands.items() if isinstance(found, App) else ())
        if isinstance(one, App) or not one.hidden
    ]
    parameters = found.parameters if isinstance(found, Command) else app.parameters if found is app else ()
    options = [one for one in parameters if one.names]
    values = [f"{name}={_kind(one)}" for one in options if not one.is_flag for name in one.names]
    flags = [name for one in options if one.is_flag for name in (*one.names, *one.off_names)]
    arguments = [(_kind(one) or "-") + ("..." if one.many else "") for one in parameters if not one.names]
    return commands, values, (*flags, *HELP), arguments


def _kind(one: Parameter) -> str:
    """Return what a value may be: words with commas in between, or what the scripts know how to find."""
    complete = one.spec.complete
    return ",".join(complete) if isinstance(complete, tuple) else f"@{complete}" if complete else ""


def _posix(path: str, *words: Iterable[str]) -> str:
    names = ("subcommands", "values", "flags", "arguments")
    set_ = " ".join(f"{name}='{' '.join(some)}'" for name, some in zip(names, words, strict=True) if some)
    return f"    '{path}') {set_} ;;"


def _fish(path: str, *words: Iterable[str]) -> str:
    names = ("subcommands", "values", "flags", "arguments")
    lines = [f"            set {name} {' '.join(some)}" for name, some in zip(names, words, strict=True) if some]
    return "\n".join([f"        case '{path}'", *lines])
