"""Characters that look like others, or like nothing: what word processors, chats and web pages put in the place of ASCII."""

import re
import unicodedata

_QUOTES = {
    '"': "\u201c\u201d\u201e\u201f\u2033\u2036\u00ab\u00bb\u275d\u275e\uff02",
    "'": "\u2018\u2019\u201a\u201b\u2032\u2035\u2039\u203a\u00b4\u0060\u275b\u275c\uff07",
}
_PLAIN = {
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad\ufe58\ufe63\uff0d",
    "=": "\uff1d\ufe66",
    ":": "\uff1a\u2236\ufe55",
    ",": "\uff0c\u3001\u201a\ufe50",
    ".": "\uff0e\u3002\u2024\ufe52",
    "[": "\uff3b\u3010",
    "]": "\uff3d\u3011",
    "{": "\uff5b",
    "}": "\uff5d",
    "#": "\uff03\ufe5f",
    "*": "\uff0a\u2217\u2731",
    "/": "\uff0f\u2044\u2215",
    "...": "\u2026",
}
MEANT = {strange: plain for table in (_PLAIN, _QUOTES) for plain, characters in table.items() for strange in characters}
"""ASCII for what is easily taken for it; quotes come last, so that a low quote is one."""
QUOTES = frozenset("".join(_QUOTES.values()))
"""What stands for quotes in print."""
_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u0085\u2028\u2029\x0b\x0c"
_INVISIBLE = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
STRANGE = re.compile(f"[{_SPACES}{_INVISIBLE}{''.join(map(re.escape, MEANT))}]")
_BLANK = re.compile(f"[{_SPACES}]")
_NOTHING = re.compile(f"[{_INVISIBLE}]")
_CONTROL = {
    "\x00": "NUL",
    "\x07": "BEL",
    "\x08": "BACKSPACE",
    "\x0b": "VERTICAL TAB",
    "\x0c": "FORM FEED",
    "\x1b": "ESCAPE",
}
_NAMES = {"\x85": "NEXT LINE", "\ufeff": "BYTE ORDER MARK", "\u200b": "ZERO-WIDTH SPACE", "\u2060": "WORD JOINER"}


def describe(character: str) -> str:
    """Return what a character is: itself if it can be seen, its number and its name."""
    number = f"U+{ord(character):04X}"
    name = _NAMES.get(character) or _CONTROL.get(character) or unicodedata.name(character, "")
    if not name:
        name = "a control character" if unicodedata.category(character) == "Cc" else "a character without a name"
    visible = character.isprintable() and not STRANGE_BLANK.match(character)
    return f"{character} ({number} {name})" if visible else f"{number} ({name})"


STRANGE_BLANK = re.compile(f"[{_SPACES}{_INVISIBLE}]")


def advice(character: str) -> str:
    """Return what is to be done about a strange character."""
    if _NOTHING.match(character):
        return "nothing can be seen there: delete it"
    if _BLANK.match(character):
        return "it looks like a blank: write a plain one"
    plain = MEANT[character]
    return f"""write {"a plain " if plain in "'" + '"' else ""}{plain}"""


def cleaned(text: str) -> str:
    """Return a text as it was probably meant: without invisible characters, in plain ASCII, without blanks around it."""
    text = _NOTHING.sub("", text)
    text = _BLANK.sub(" ", text)
    return "".join(MEANT.get(character, character) for character in text).strip().strip("\"'").strip()
