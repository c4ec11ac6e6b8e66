"""Command lines: what commands take, declared by the functions that do their work, and how words are read by it.

    @app.command(examples=["show 12"])
    def show(generation: Annotated[int, Argument("GENERATION", "As history shows it.", least=1)]) -> int:
        '''Show one generation. And more about it, which only the command's own help says.'''

What a function returns is the exit status. Parameters that belong together are a *bundle*: a class, and a function that
makes it of its own parameters; a command with a parameter of that class takes all of them.

Words are read as by getopt_long(3): options stand anywhere, ``--`` ends them, ``-`` alone is an argument; names of options are
never shortened. Nothing of a command but its name and first line is looked at before it is asked for. This is not argparse,
which loses an option in front of the command where the command has it too (``-c FILE status``), takes no value that begins
with a dash (``--reason "-v was wrong"``), makes all commands for each call, and names no similar word.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any, Final, NamedTuple, TypeVar, get_args, get_origin

from mcproxy.cli.common.words import is_duration, nearest

_T = TypeVar("_T")

REQUIRED: Final = object()
"""The default of a parameter that must be given."""

HELP: Final = ("-h", "--help")
"""The names of the option that every command has."""


class UsageError(Exception):
    """A command line that can't be read, or that asks for what makes no sense; the text says why."""


class HelpRequested(Exception):  # noqa: N818 - it is no error
    """The command line asks for help."""


class Before(dict[str, Any]):
    """The values of the options in front of the command: a bundle that has such a parameter is given them."""


class Argument:
    """What a command takes by its place.

    Attributes:
        metavar: its name in usages.
        help: a sentence.
        least: of a number.
        complete: what shells complete it with: "listener", "hostname", "file" or "folder", or words; "" for nothing.
    """

    def __init__(
        self,
        metavar: str,
        help: str,  # noqa: A002 - the word for it
        *,
        least: int | None = None,
        complete: str | tuple[str, ...] = "",
    ) -> None:
        self.metavar = metavar
        self.help = help
        self.least = least
        self.complete = complete


class Option:
    """What a command takes by a name.

    Attributes:
        names: as they are typed; none: of the parameter's name.
        metavar: the value's name; "" for a flag.
        help: a sentence.
        least: of a number.
        complete: as of an argument; of words it is one of these, or "".
        common: the help of the program tells it once, not that of each command.
        bare: its value where none follows: the next word is one only if it is a duration; None: a value has to follow.
    """

    def __init__(
        self,
        *names: str,
        help: str,  # noqa: A002 - likewise
        metavar: str = "",
        least: int | None = None,
        complete: str | tuple[str, ...] = "",
        common: bool = False,
        bare: str | None = None,
    ) -> None:
        self.names = names
        self.metavar = metavar
        self.help = help
        self.least = least
        self.complete = complete
        self.common = common
        self.bare = bare


class Parameter(NamedTuple):
    """One parameter of a command.

    Attributes:
        name: the function's.
        spec: how it is given.
        type: of one value: str, int, Path or bool.
        many: any number of values makes a list.
        default: what it is when it is not given; `REQUIRED`.
    """

    name: str
    spec: Argument | Option
    type: type
    many: bool
    default: Any

    @property
    def is_flag(self) -> bool:
        """Whether it is an option without a value."""
        return self.type is bool

    @property
    def names(self) -> tuple[str, ...]:
        """An option's names, as they are typed; those that set a flag to true."""
        if isinstance(self.spec, Argument):
            return ()
        return self.spec.names or (f"--{self.name.replace('_', '-')}",)

    @property
    def off_names(self) -> tuple[str, ...]:
        """The names that set a flag to false: those of one that may also be left as it is."""
        return tuple(f"--no-{name[2:]}" for name in self.names) if self.is_flag and self.default is None else ()


class _Bundle(NamedTuple):
    """What makes a bundle, of which parameters; ``before`` is the name of the parameter for `Before`, if it has one."""

    make: Callable[..., object]
    parameters: Callable[[], Sequence[Parameter]]
    before: str


_bundles: dict[type, _Bundle] = {}


def bundle(
    cls: type[_T], parameters: Callable[[], Sequence[Parameter]] | None = None
) -> Callable[[Callable[..., _T]], Callable[..., _T]]:
    """Say that a function makes a bundle, of its own parameters or of those that another tells when they are needed."""

    def register(make: Callable[..., _T]) -> Callable[..., _T]:
        before = next((name for name, annotation in make.__annotations__.items() if annotation is Before), "")
        _bundles[cls] = _Bundle(make, parameters or (lambda: _own(make)), before)
        return make

    return register


def declared(name: str, annotation: Any, default: Any) -> Parameter:
    """Return a parameter that is declared with ``Annotated[type, Argument(...)]``, or with `Option`."""
    kind, spec = annotation.__origin__, annotation.__metadata__[0]
    kinds = [each for each in get_args(kind) if each is not NoneType] if NoneType in get_args(kind) else [kind]
    many = get_origin(kinds[0]) is list
    return Parameter(name, spec, get_args(kinds[0])[0] if many else kinds[0], many, default)


def _own(make: Callable[..., object]) -> list[Parameter]:
    return [declared(*one) for one in _signature(make) if one[1] is not Before]


def _signature(function: Callable[..., object]) -> list[tuple[str, Any, Any]]:
    """Return a function's parameters with annotation and default; `inspect` would take long to import."""
    code: Any = getattr(function, "__code__")  # noqa: B009 - of a function; the type says callable
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    defaults: dict[str, Any] = dict(getattr(function, "__kwdefaults__") or {})  # noqa: B009
    positional = getattr(function, "__defaults__") or ()  # noqa: B009
    defaults.update(zip(names[code.co_argcount - len(positional) : code.co_argcount], positional, strict=True))
    return [(name, function.__annotations__[name], defaults.get(name, REQUIRED)) for name in names]


class Command:
    """One command.

    Attributes:
        name: as it is typed.
        examples: lines behind the program's name.
        epilog: what its help ends with.
        hidden: for scripts; no help names it.
    """

    def __init__(
        self, name: str, function: Callable[..., int], examples: Sequence[str], epilog: str, *, hidden: bool
    ) -> None:
        self.name = name
        self.examples = examples
        self.epilog = epilog
        self.hidden = hidden
        self._function = function

    @property
    def about(self) -> list[str]:
        """What it does: a line, and further paragraphs."""
        return [" ".join(text.split()) for text in (self._function.__doc__ or "").split("\n\n")]

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All it takes; of two options of a name the function's own counts, then that of the earlier bundle."""
        return tuple(self._taken[0])

    @property
    def arguments(self) -> tuple[Parameter, ...]:
        """What it takes by place, in order."""
        return tuple(one for one in self.parameters if isinstance(one.spec, Argument))

    @property
    def options(self) -> tuple[Parameter, ...]:
        """What it takes by name."""
        return tuple(one for one in self.parameters if isinstance(one.spec, Option))

    @cached_property
    def _taken(self) -> tuple[list[Parameter], dict[str, tuple[_Bundle, list[str]]]]:
        """Return all parameters, and for each bundle which of them it is made of."""
        signature = _signature(self._function)
        taken = {name for name, annotation, _ in signature if annotation not in _bundles}
        parameters: list[Parameter] = []
        bundles: dict[str, tuple[_Bundle, list[str]]] = {}
        for name, annotation, default in signature:
            if annotation in _bundles:
                found = _bundles[annotation]
                own = [one for one in found.parameters() if one.name not in taken]
                bundles[name] = (found, [one.name for one in own])
                taken.update(one.name for one in own)
                parameters += own
            else:
                parameters.append(declared(name, annotation, default))
        return parameters, bundles

    def run(self, values: dict[str, Any], before: Before) -> int:
        """Do its work with the values of its parameters, and of those in front of it; return the exit status."""
        made: dict[str, object] = {}
        for name, (found, keys) in self._taken[1].items():
            extra: dict[str, Any] = {found.before: before} if found.before else {}
            made[name] = found.make(**{key: values.pop(key) for key in keys}, **extra)
        return self._function(**values, **made)


class App:
    """A program, or a group of its commands.

    Attributes:
        name: as it is typed.
        about: a sentence.
        epilog: what its help ends with.
        commands: by name, in the order of help.
        parameters: options that stand in front of the command.
        default: the command that is meant where none is named; "" for none.
    """

    def __init__(
        self, name: str, about: str, epilog: str = "", parameters: Sequence[Parameter] = (), default: str = ""
    ) -> None:
        self.name = name
        self.about = about
        self.epilog = epilog
        self.commands: dict[str, Command | App] = {}
        self.parameters = tuple(parameters)
        self.default = default

    def command(
        self, name: str = "", *, examples: Sequence[str] = (), epilog: str = "", hidden: bool = False
    ) -> Callable[[Callable[..., int]], Callable[..., int]]:
        """Make a function a command, whose name it is unless another is given."""

        def register(function: Callable[..., int]) -> Callable[..., int]:
            own = name or function.__name__
            self.commands[own] = Command(own, function, examples, epilog, hidden=hidden)
            return function

        return register

    def add(self, group: "App") -> None:
        """Make the commands of a group this program's, behind the name of the group."""
        self.commands[group.name] = group


def read(
    parameters: Sequence[Parameter], words: Sequence[str], *, stop: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Return what words say: values by parameter, all of them; and the words that are left.

    Args:
        parameters: what may be said.
        words: of a command line.
        stop: the first word that is no option ends it, and all from there is left; else such words are arguments.

    Raises:
        UsageError: the words can't be read.
        HelpRequested: they ask for help.
    """
    named = {name: (one, name not in one.off_names) for one in parameters for name in (*one.names, *one.off_names)}
    values: dict[str, Any] = {}
    plain: list[str] = []
    pending = list(reversed(words))
    while pending:
        word = pending.pop()
        if word == "--" and not stop:
            plain += reversed(pending)
            break
        if not word.startswith("-") or word == "-":
            plain.append(word)
            if stop:
                return _complete(parameters, values), [*plain, *reversed(pending)]
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        if name in HELP:
            raise HelpRequested
        if name not in named:
            raise UsageError(f"no such option {name}{nearest(name, named)}")
        one, on = named[name]
        if one.is_flag:
            if equals:
                raise UsageError(f"{name} takes no value")
            values[one.name] = on
            continue
        if not equals and isinstance(one.spec, Option) and one.spec.bare is not None and not is_duration(pending):
            values[one.name] = one.spec.bare
            continue
        if not equals and not pending:
            raise UsageError(f"{name} needs a value: {name} {_metavar(one)}")
        _take(values, one, value if equals else pending.pop(), name)
    return _complete(parameters, values, plain), []


def _complete(
    parameters: Sequence[Parameter], values: dict[str, Any], plain: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return values with those of arguments, and the defaults of what is not given."""
    left = list(plain or ())
    for one in parameters:
        if isinstance(one.spec, Argument) and plain is not None:
            while left and (one.many or one.name not in values):
                _take(values, one, left.pop(0), one.spec.metavar)
        if one.name not in values:
            if one.default is REQUIRED and plain is not None:
                raise UsageError(f"{one.names[0] if one.names else one.spec.metavar} is missing")
            values[one.name] = one.default
    if left:
        raise UsageError(f"unexpected argument {left[0]!r}")
    return values


def _take(values: dict[str, Any], one: Parameter, text: str, name: str) -> None:
    value: Any = text
    if one.type is int:
        try:
            value = int(text)
        except ValueError:
            raise UsageError(f"{name}: {text!r} is not a whole number") from None
        least, most = one.spec.least or 0, (1 << 31) - 1  # what the narrowest field of a message has room for
        if not least <= value <= most:
            raise UsageError(f"{name}: {value} is {f'below {least}' if value < least else f'above {most}'}")
    elif one.type is Path:
        value = Path(text)
    elif one.names and isinstance(one.spec.complete, tuple) and text and text not in one.spec.complete:
        raise UsageError(f"{name}: {text!r} is none of {', '.join(one.spec.complete)}")
    if one.many:
        values.setdefault(one.name, []).append(value)
    else:
        values[one.name] = value


def _metavar(one: Parameter) -> str:
    return one.spec.metavar or one.name.upper()


def find(app: App, words: Sequence[str]) -> tuple[Command | App, list[str], list[str]]:
    """Return the command that words name, its name word by word, and the words that are left.

    Words that name a group alone yield the group.

    Raises:
        UsageError: there is no such command.
    """
    found: Command | App = app
    path = [app.name]
    left = list(words)
    while isinstance(found, App):
        name = left[0] if left else ""
        if name in found.commands:
            left.pop(0)
        elif found.default and name not in HELP:
            name = found.default
        elif not name or name.startswith("-"):
            break
        else:
            raise UsageError(f"no such command {' '.join([*path[1:], name])!r}{nearest(name, found.commands)}")
        found = found.commands[name]
        path.append(found.name)
    return found, path, left
