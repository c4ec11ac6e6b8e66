"""Command lines: how words are read by what a command declares."""

from pathlib import Path
from typing import Annotated, Any

import pytest

from mcproxy.cli.common.command_line import (
    App,
    Argument,
    Before,
    Command,
    HelpRequested,
    Option,
    UsageError,
    bundle,
    find,
    read,
)
from tests.support.rows import each_row


class Pair:
    """A bundle."""

    def __init__(self, **given: Any) -> None:
        self.given = given


@bundle(Pair)
def _pair(
    before: Before,
    size: Annotated[int, Option(metavar="N", help="A size.", least=1)] = 4,
    name: Annotated[str | None, Option(metavar="NAME", help="Of the pair.")] = None,
) -> Pair:
    return Pair(size=size, name=name, **before)


app = App("tool", "A tool.")
group = App("box", "Boxes.")
app.add(group)
seen: list[dict[str, Any]] = []


@group.command("put")
def put(
    place: Annotated[Path, Argument("PLACE", "Where.")],
    things: Annotated[list[str] | None, Argument("THING", "What.")] = None,
    name: Annotated[str, Option("-n", "--name", metavar="NAME", help="Of the box.")] = "",
    *,
    lid: Annotated[bool | None, Option(help="With a lid.")] = None,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Say nothing.")] = False,
    colour: Annotated[str, Option(metavar="WORD", help="Its colour.", complete=("red", "blue"))] = "red",
    mark: Annotated[list[int] | None, Option(metavar="N", help="Repeatable.", least=0)] = None,
    watch: Annotated[str | None, Option(metavar="TIME", help="With or without a time.", bare="")] = None,
    pair: Pair,
) -> int:
    """Put things into a box. They stay there.

    Until somebody
    takes them.
    """
    seen.append({**locals(), "pair": pair.given})
    return 7


DEFAULTS = {
    "things": None,
    "name": "",
    "lid": None,
    "quiet": False,
    "colour": "red",
    "mark": None,
    "watch": None,
    "pair": {"size": 4},
}


def run(*words: str) -> dict[str, Any]:
    """Return what the function was called with."""
    found, path, left = find(app, ["box", "put", *words])
    assert isinstance(found, Command)
    assert path == ["tool", "box", "put"]
    values, _ = read(found.parameters, left)
    assert found.run(values, Before(addr="x")) == 7
    result = seen.pop()
    assert result["pair"].pop("addr") == "x"
    assert result["pair"].pop("name") is None  # --name is the command's own
    return result


@each_row(
    ("words", "values"),
    [
        (["a"], {}),
        (["a", "b", "-q", "c"], {"things": ["b", "c"], "quiet": True}),
        (["--name", "x", "a"], {"name": "x"}),
        (["--name=x", "a"], {"name": "x"}),
        (["--name=", "a"], {"name": ""}),
        (["a", "--name", "-x"], {"name": "-x"}),
        (["a", "--name", "--"], {"name": "--"}),
        (["-n", "x", "a"], {"name": "x"}),
        (["-nx=y", "a"], {"name": "x=y"}),
        (["--name", "x", "a", "--name", "y"], {"name": "y"}),
        (["a", "--", "--name", "-q"], {"things": ["--name", "-q"]}),
        (["a", "-"], {"things": ["-"]}),
        (["a", ""], {"things": [""]}),
        (["a", "--lid"], {"lid": True}),
        (["a", "--lid", "--no-lid"], {"lid": False}),
        (["a", "--mark", "0", "--mark=12"], {"mark": [0, 12]}),
        (["a", "--size", "9"], {"pair": {"size": 9}}),
        (["a", "--colour", "blue"], {"colour": "blue"}),
        (["a", "--colour", ""], {"colour": ""}),
        (["a", "--watch"], {"watch": ""}),
        (["--watch", "a"], {"watch": ""}),
        (["--watch", "1m30s", "a"], {"watch": "1m30s"}),
        (["--watch", "a", "5s"], {"watch": "", "things": ["5s"]}),
        (["a", "--watch", "12"], {"watch": "", "things": ["12"]}),
        (["a", "--watch", "5s.example"], {"watch": "", "things": ["5s.example"]}),
        (["a", "--watch=12", "--quiet"], {"watch": "12", "quiet": True}),
        (["a", "--watch", "--quiet"], {"watch": "", "quiet": True}),
    ],
)
def test_words_become_values(words: list[str], values: dict[str, Any]) -> None:
    """Options stand anywhere; what is not given has its default."""
    assert run(*words) == {"place": Path("a"), **DEFAULTS, **values}


@each_row(
    ("words", "message"),
    [
        ([], "PLACE is missing"),
        (["a", "--nam", "x"], "no such option --nam; did you mean --name?"),
        (["a", "-x"], "no such option -x"),
        (["a", "--name"], "--name needs a value: --name NAME"),
        (["a", "--quiet=1"], "--quiet takes no value"),
        (["a", "-q1"], "-q takes no value"),
        (["a", "--no-quiet"], "no such option --no-quiet; did you mean --quiet?"),
        (["a", "--mark", "x"], "--mark: 'x' is not a whole number"),
        (["a", "--mark", "-1"], "--mark: -1 is below 0"),
        (["a", "--mark", "2147483648"], "--mark: 2147483648 is above 2147483647"),
        (["a", "--colour", "green"], "--colour: 'green' is none of red, blue"),
    ],
)
def test_what_can_not_be_read_is_told(words: list[str], message: str) -> None:
    """By the name that was typed."""
    with pytest.raises(UsageError) as told:
        run(*words)
    assert str(told.value) == message


def test_too_many_arguments_are_told() -> None:
    """Where none takes the rest."""
    found, _, _ = find(app, ["box", "put"])
    assert isinstance(found, Command)
    with pytest.raises(UsageError, match="unexpected argument 'b'"):
        read([one for one in found.parameters if not one.many], ["a", "b"])


def test_help_is_asked_for_anywhere_but_in_values() -> None:
    """Whatever is missing."""
    for words in (["--help"], ["-h"], ["a", "--name", "x", "-h"]):
        with pytest.raises(HelpRequested):
            run(*words)
    assert run("a", "--name", "-h")["name"] == "-h"
    assert run("a", "--", "-h")["things"] == ["-h"]


def test_options_in_front_of_the_command_end_at_its_name() -> None:
    """What comes behind is the command's."""
    found, _, _ = find(app, ["box", "put"])
    assert isinstance(found, Command)
    values, left = read(found.options, ["-q", "--name", "x", "box", "-q", "--", "y"], stop=True)
    assert (values["quiet"], values["name"], left) == (True, "x", ["box", "-q", "--", "y"])


@pytest.mark.parametrize(
    ("words", "message"),
    [(["bix"], "no such command 'bix'; did you mean box?"), (["box", "xyz"], "no such command 'box xyz'")],
)
def test_a_command_that_is_not_there(words: list[str], message: str) -> None:
    """The nearest is named, if there is one."""
    with pytest.raises(UsageError) as told:
        find(app, words)
    assert str(told.value) == message


def test_what_a_command_is_about_is_its_description() -> None:
    """A line, and further paragraphs."""
    found, _, _ = find(app, ["box", "put"])
    assert isinstance(found, Command)
    assert found.about == ["Put things into a box. They stay there.", "Until somebody takes them."]
