"""The help of command lines: usage, arguments, options and examples, in the terminal's width."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from mcproxy.cli.common.command_line import REQUIRED, App, Argument, Command, Option, Parameter

_WIDEST = 100  # columns; longer lines are hard to read
_INDENT = 2
_LAST = ("completion", "version", "help")  # the commands about the program itself
_MOST = 30  # columns of names; longer ones have a line of their own


def help_text(found: Command | App, path: Sequence[str], root: App) -> str:
    """Return the help of a command, a group or a program.

    Args:
        found: what it is about.
        path: its name, the program's first.
        root: the program.
    """
    width = max(40, min(shutil.get_terminal_size().columns, _WIDEST))
    lines = _of_group(found, path, width) if isinstance(found, App) else _of_command(found, path, root, width)
    return "\n".join(lines)


def _of_group(group: App, path: Sequence[str], width: int) -> Iterator[str]:
    name = " ".join(path)
    yield f"Usage: {name} [OPTION...] COMMAND" if group.parameters else f"Usage: {name} COMMAND"
    yield from ("", *_wrapped(group.about, width))
    shown = [(name, one) for name, one in group.commands.items() if isinstance(one, App) or not one.hidden]
    shown.sort(key=lambda pair: pair[0] in _LAST)
    yield from ("", "Commands:")
    yield from _table([(name, _about(one)) for name, one in shown], width)
    common = [one for one in group.parameters if isinstance(one.spec, Option) and one.spec.common]
    if common:
        yield from ("", "Connection options, before or after the command:")
        yield from _table([(_names(one), _help(one)) for one in common], width)
    if group.parameters:
        yield from ("", "Options:")
        own = [(_names(one), _help(one)) for one in group.parameters if one not in common]
        yield from _table([*own, ("-h, --help", "Show this help.")], width)
    yield from ("", *_wrapped(f"{name} COMMAND --help tells what a command takes, with examples.", width))
    if group.epilog:
        yield from ("", *_wrapped(group.epilog, width))


def _about(one: Command | App) -> str:
    """Return the line about a command; the first sentence where its line has several."""
    text = one.about if isinstance(one, App) else one.about[0]
    first, stop, _ = text.partition(". ")
    return first + stop.rstrip()


def _of_command(command: Command, path: Sequence[str], root: App, width: int) -> Iterator[str]:
    own = [one for one in command.options if isinstance(one.spec, Option) and not one.spec.common]
    required = [f"{one.names[0]} {_value(one)}" for one in own if one.default is REQUIRED]
    words = [" ".join(path), "[OPTION...]", *required, *map(_usage, command.arguments)]
    yield from _wrapped(f"Usage: {' '.join(words)}", width, "       ")
    for paragraph in command.about:
        yield from ("", *_wrapped(paragraph, width))
    if command.arguments:
        yield from ("", "Arguments:")
        yield from _table([(one.spec.metavar, _help(one)) for one in command.arguments], width)
    yield from ("", "Options:")
    yield from _table([*((_names(one), _help(one)) for one in own), ("-h, --help", "Show this help.")], width)
    if len(own) < len(command.options):
        yield from ("", *_wrapped(f"Connection options (--addr, --config ...): {root.name} --help", width))
    if command.examples:
        yield from ("", "Examples:" if len(command.examples) > 1 else "Example:")
        yield from (f"  {root.name} {example}" for example in command.examples)
    if command.epilog:
        yield from ("", *_wrapped(command.epilog, width))


def _usage(one: Parameter) -> str:
    """Return an argument as usages write it: in brackets if it may be left out, with dots if it may be repeated."""
    assert isinstance(one.spec, Argument)  # noqa: S101 - what arguments are
    name = one.spec.metavar + ("..." if one.many else "")
    return name if one.default is REQUIRED else f"[{name}]"


def _value(one: Parameter) -> str:
    return one.spec.metavar or one.name.upper()


def _names(one: Parameter) -> str:
    """Return an option's names with its value: ``-c, --config FILE``."""
    if one.off_names:
        return ", ".join(f"--[no-]{name[2:]}" for name in one.names)
    names = ", ".join(one.names)
    if isinstance(one.spec, Option) and one.spec.bare is not None:
        return f"{names} [{_value(one)}]"
    return names if one.is_flag else f"{names} {_value(one)}"


def _help(one: Parameter) -> str:
    """Return what is said of a parameter, with its default if that says something."""
    if one.default in (None, REQUIRED, "", 0) or "default" in one.spec.help:
        return one.spec.help
    return f"{one.spec.help.rstrip('.')}; default {one.default}."


def _table(rows: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    rows = list(rows)
    column = min(_MOST, width // 3, max(len(name) for name, _ in rows)) + 2 * _INDENT
    for name, text in rows:
        first, *others = textwrap.wrap(text, max(20, width - column), break_on_hyphens=False) or [""]
        head = f"{'':{_INDENT}}{name}"
        if len(head) + _INDENT > column:
            yield head
            head = ""
        yield f"{head:{column}}{first}".rstrip()
        yield from (f"{'':{column}}{line}" for line in others)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
