"""Values without quotes that are none: what they would be in other languages, and how TOML has it."""

import difflib
import json
import re
import tomllib
from typing import NoReturn

from mcproxy.model.config.mistakes import characters, variables
from mcproxy.model.config.mistakes.found import Found, quoted

_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "y", "enable", "enabled", "t"), "true"),
    **dict.fromkeys(("false", "no", "off", "n", "disable", "disabled", "f"), "false"),
}
_NULLS = ("null", "none", "nil", "undefined", "~")
_COMMENT = re.compile(r"(.*?)(?:[ \t]+(//|--|/\*|;)|(;)(?=[ \t]*\Z))", re.DOTALL)
_LEADING_ZERO = re.compile(r"[+-]?0[0-9_]+")
_DURATION = re.compile(
    r"([0-9]+(?:\.[0-9]+)?)[ \t]*(ms|msecs?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)", re.IGNORECASE
)
_SIZE = re.compile(r"([0-9]+)[ \t]*(k|kb|kib|mb|mib|gb|gib|g|b|bytes)", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[,' ][0-9]{3})+")
_POINT = re.compile(r"[+-]?(?:\.[0-9]+|[0-9]+\.)")
_SHORT = 80
_SHIFT = {"k": 10, "m": 20, "g": 30, "b": 0}


def end(text: str, at: int, *, in_brackets: bool) -> int:
    """Return where a value without quotes ends that begins at an offset, without the blanks behind it."""
    stop = re.compile(r"[,\]}#\n]" if in_brackets else r"[#\n]").search(text, at)
    return at + len(text[at : stop.start() if stop else len(text)].rstrip(" \t\r"))


def pair(name: str, rest: str) -> str:
    """Return a key and its value as they should have been written; ``rest`` is what stands behind the key, in other signs."""
    value = rest.strip().rstrip(";,").rstrip()
    if not _is_value(value) and _is_value(value.rstrip("]})")):
        value = value.rstrip("]})").rstrip()
    if not _is_value(value):
        value = json.dumps(value, ensure_ascii=False)
    return f"{name} = {value}" if len(value) <= _SHORT else f"{name} = ..."


def judge(word: str, at: int, closing: str) -> NoReturn:
    """Raise `Found` with what is wrong about a value without quotes.

    Args:
        word: the value, which tomllib refuses.
        at: its offset.
        closing: the bracket that ends what it is in; "" if it is in none.
    """
    folded = word.lower()
    comment = _COMMENT.match(word)
    strange = characters.STRANGE.search(word)
    if comment and _is_value(comment[1]):
        mark = comment[2] or comment[3]
        at += comment.start(2) if comment[2] else comment.start(3)
        if mark == ";" and comment.end() == len(word):
            raise Found(at, "a line has no ; at its end: leave it out")
        raise Found(at, f"comments begin with #, not with {mark}")
    if word.endswith(",") and _is_value(word[:-1]):
        raise Found(at + len(word) - 1, "a line has no comma at its end: leave it out behind the value")
    if word[-1] in "])}" and _is_value(word[:-1]):
        kind = "an array is" if closing == "]" else "an inline table is"
        told = f"{kind} closed by {closing}, not by {word[-1]}" if closing else f"there is a {word[-1]} too many"
        raise Found(at + len(word) - 1, told)
    if folded in _BOOLEANS:
        raise Found(at, f"{word} is no boolean: write {_BOOLEANS[folded]}")
    if folded in _NULLS:
        raise Found(at, f"there is no {word}: leave the key out, or write an empty string")
    if strange is not None:
        _judge_strange(word, at, strange)
    if _LEADING_ZERO.fullmatch(word):
        plain = str(int(word.replace("_", "")))
        raise Found(
            at, f'a number has no zeros in front: write "{word}", in quotes, for a mode, and {plain} for a number'
        )
    if refused := variables.refusal(word):
        raise Found(at, refused)
    if duration := _DURATION.fullmatch(word):
        unit = duration[2].lower()
        unit = unit if unit == "ms" else "ms" if unit.startswith("msec") else unit[0]
        text = f"{duration[1]}{unit}" if unit != "d" else f"{float(duration[1]) * 24:g}h"
        raise Found(at, f'a number has no unit, and a duration stands in quotes: write "{text}"')
    if size := _SIZE.fullmatch(word):
        raise Found(at, f"a number has no unit: write {int(size[1]) << _SHIFT[size[2][0].lower()]}")
    if _GROUPED.fullmatch(word):
        raise Found(at, f"digits are grouped by nothing, or by _: write {re.sub(r'[^0-9+-]', '', word)}")
    if _POINT.fullmatch(word):
        raise Found(at, f"{word} needs digits on both sides of its point")
    if word.endswith(('"', "'")) and word.count(word[-1]) == 1:
        raise Found(at, f"the opening quote is missing: write {word[-1]}{word}")
    if near := difflib.get_close_matches(folded, ("true", "false"), 1, 0.75):
        raise Found(at, f"{word} is no boolean: write {near[0]}")
    _judge_words(word, at, closing)


def _judge_strange(word: str, at: int, strange: re.Match[str]) -> NoReturn:
    """Refuse characters that look like others, or like nothing."""
    character = strange[0]
    what = f"there is {characters.describe(character)} here"
    if character in characters.QUOTES:
        text = json.dumps(characters.cleaned(word), ensure_ascii=False)
        raise Found(at + strange.start(), f"{what}, which quotes nothing: write {text}, in plain quotes")
    raise Found(at + strange.start(), f"{what}; {characters.advice(character)}")


def _judge_words(word: str, at: int, closing: str) -> NoReturn:
    if closing and ";" in word and _is_value(word.partition(";")[0]):
        raise Found(at + word.index(";"), "what is in brackets is separated by commas")
    first, *others = word.split()
    if others and _is_value(first):
        following = at + len(first) + re.match(r"\s*", word[len(first) :]).end()  # type: ignore[union-attr]  # it matches nothing too
        if closing:
            raise Found(following, "a comma is missing in front of this")
        raise Found(
            following,
            "only a comment, with # in front, can follow the value in its line; several values are an array, [..., ...]",
        )
    if closing == "]" and others:
        listed = ", ".join(json.dumps(each, ensure_ascii=False) for each in (first, *others)[:3])
        raise Found(at, f"strings stand in quotes, with commas between them: write {listed}")
    text = json.dumps(word, ensure_ascii=False)
    if "\\" in word and "'" not in word:
        text = f"'{word}'"
    raise Found(
        at, f"a string stands in quotes: write {text}" if len(text) <= 80 else f"{quoted(word)} needs quotes around it"
    )


def _is_value(text: str) -> bool:
    """Tell whether a text is a value in one line."""
    try:
        tomllib.loads(f"x = {text}")
    except ValueError:
        return False
    return bool(text.strip()) and "\n" not in text
