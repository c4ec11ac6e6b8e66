"""What is told of a file that is not TOML: the cause, where it is, in the words of who has written it."""

from mcproxy.model.config.document import read
from mcproxy.model.config.problems import Problem, Source
from tests.support.rows import each_row

FRONT = '# a file\ninclude = [\n  "a.toml", # one\n]\n[log]\nlevel = "info"\n[proxy]\n'


def problem(text: str) -> Problem:
    """Return the only problem of a file."""
    (found,) = read(Source("/etc/mc/mc-proxy.toml", text)).problems
    return found


# the text, where the mistake is in it (line and column), and what is said
CASES: list[tuple[str, int, int, str]] = [
    # quotes of other kinds
    ("user = “app”", 1, 8, 'write "app", in plain quotes'),
    ("user = \u2018app\u2019", 1, 8, 'write "app", in plain quotes'),
    ("user = „app“", 1, 8, "U+201E DOUBLE LOW-9 QUOTATION MARK"),
    ("user = «app»", 1, 8, 'write "app", in plain quotes'),
    ("user = `app`", 1, 8, 'write "app", in plain quotes'),
    ("user = \u00b4app\u00b4", 1, 8, 'write "app", in plain quotes'),
    ("user = \uff02app\uff02", 1, 8, 'write "app", in plain quotes'),
    ('user = "app”', 1, 8, 'the string has no closing " in its line; it does not end with ”'),
    ('user = “app"', 1, 8, 'write "app", in plain quotes'),
    ("user = 'app\"", 1, 8, "the string has no closing ' in its line; it does not end with \""),
    ("x = [“a”, “b”]", 1, 6, 'write "a", in plain quotes'),
    ("x = { y = “a” }", 1, 11, 'write "a", in plain quotes'),
    ("“user” = 1", 1, 1, "U+201C"),
    # quotes that are missing, or too many
    ("user = www-data", 1, 8, 'a string stands in quotes: write "www-data"'),
    ("backend = app.example.com:80", 1, 11, 'write "app.example.com:80"'),
    ("backend = 127.0.0.1:80 # a comment", 1, 11, 'write "127.0.0.1:80"'),
    ("addr = :8443", 1, 8, 'write ":8443"'),
    ("addr = [::]:8443", 1, 8, 'write "[::]:8443"'),
    ("addr = [2001:db8::1]:8443", 1, 8, 'write "[2001:db8::1]:8443"'),
    ("addr = ::1", 1, 8, 'write "::1"'),
    ("hostname = *.example.com", 1, 12, 'write "*.example.com"'),
    ("path = /etc/x.db", 1, 8, 'write "/etc/x.db"'),
    ("path = C:\\x.db", 1, 8, "write 'C:\\x.db'"),
    ("x = [10.0.0.0/8, 192.0.2.0/24]", 1, 6, 'write "10.0.0.0/8"'),
    ("x = [10.0.0.0/8 192.0.2.0/24]", 1, 6, 'with commas between them: write "10.0.0.0/8", "192.0.2.0/24"'),
    ("x = [\n  SE,\n  NO,\n]", 2, 3, 'write "SE"'),
    ("x = { type = require_header }", 1, 14, 'write "require_header"'),
    ('user = app"', 1, 8, 'the opening quote is missing: write "app"'),
    ('user = "app', 1, 8, 'the string has no closing " in its line'),
    ('user = "app\nworkers = 4\nx = "y"', 1, 8, 'the string has no closing " in its line'),
    ("user = 'app\nworkers = 4", 1, 8, "the string has no closing ' in its line"),
    ('x = ["a, "b"]', 1, 11, "a comma is missing"),
    ('x = ["a", "b]', 1, 11, 'the string has no closing " in its line'),
    ('user = """app\nworkers = 4', 1, 8, 'never closed by another """'),
    ("user = '''app\nworkers = 4", 1, 8, "never closed by another '''"),
    ('"user = 1', 1, 1, 'the string has no closing "'),
    ('x = "a"b"', 1, 8, 'a quote that belongs to it is written \\"'),
    ("x = 'it's'", 1, 9, "needs a string in double quotes"),
    ('x = "a" "b"', 1, 9, "several values are an array"),
    ('x = "C:\\path"', 1, 8, "\\p is no escape: write a backslash as \\\\"),
    ('x = "a\\\\ \\d"', 1, 10, "\\d is no escape"),
    ('x = "\\u12"', 1, 6, "\\u is no escape"),
    # booleans and nothing
    *((f"x = {word}", 1, 5, f"{word} is no boolean: write true") for word in ("yes", "Yes", "True", "TRUE", "on", "ON", "tru", "ture")),
    *((f"x = {word}", 1, 5, f"{word} is no boolean: write false") for word in ("no", "No", "False", "FALSE", "off", "flase")),
    *((f"x = {word}", 1, 5, f"there is no {word}") for word in ("null", "None", "nil", "~")),
    # numbers
    ("x = 0600", 1, 5, 'write "0600", in quotes'),
    ("x = 0660 # mode", 1, 5, 'write "0660", in quotes'),
    ("x = 007", 1, 5, "7 for a number"),
    ("x = [01, 2]", 1, 6, "1 for a number"),
    ("x = 5s", 1, 5, 'write "5s"'),
    ("x = 1.5h", 1, 5, 'write "1.5h"'),
    ("x = 250ms", 1, 5, 'write "250ms"'),
    ("x = 30 seconds", 1, 5, 'write "30s"'),
    ("x = 5 min", 1, 5, 'write "5m"'),
    ("x = 1d", 1, 5, 'write "24h"'),
    ("x = 1m30s", 1, 5, 'write "1m30s"'),
    ("x = 64k", 1, 5, "write 65536"),
    ("x = 10MB", 1, 5, "write 10485760"),
    ("x = 1GiB", 1, 5, "write 1073741824"),
    ("x = 1,000", 1, 5, "write 1000"),
    ("x = 1'000", 1, 5, "write 1000"),
    ("x = .5", 1, 5, "digits on both sides"),
    ("x = 5.", 1, 5, "digits on both sides"),
    ("x = 5 5", 1, 7, "only a comment"),
    ("x = \u20135", 1, 5, "U+2013 EN DASH) here; write -"),
    ("x = \u22125", 1, 5, "U+2212 MINUS SIGN) here; write -"),
    # what can't be seen, or looks like something else
    ("x =\u00a05", 1, 4, "U+00A0 (NO-BREAK SPACE) here; it looks like a blank"),
    ("x\u00a0= 5", 1, 2, "NO-BREAK SPACE"),
    ("\u00a0x = 5", 1, 1, "NO-BREAK SPACE"),
    ("x = 5\u00a0", 1, 6, "NO-BREAK SPACE"),
    ('x = "a"\u00a0# c', 1, 8, "NO-BREAK SPACE"),
    ("x = [1,\u00a02]", 1, 8, "NO-BREAK SPACE"),
    ("x = { y\u00a0= 2 }", 1, 8, "NO-BREAK SPACE"),
    ("[new\u00a0]", 1, 5, "NO-BREAK SPACE"),
    ("\u3000x = 5", 1, 1, "IDEOGRAPHIC SPACE"),
    ("x = 5\u200b", 1, 6, "ZERO-WIDTH SPACE) here; nothing can be seen there: delete it"),
    ("\u200bx = 5", 1, 1, "ZERO-WIDTH SPACE"),
    ("x\u200b = 5", 1, 2, "ZERO-WIDTH SPACE"),
    ("x = \u2060true", 1, 5, "WORD JOINER"),
    ("x = true\u200e", 1, 9, "LEFT-TO-RIGHT MARK"),
    ("[\u200bnew]", 1, 2, "ZERO-WIDTH SPACE"),
    ("\ufeffx = 5", 1, 1, "BYTE ORDER MARK"),
    ("a\u2013b = 5", 1, 2, "EN DASH) here; write -"),
    ("a\u2014b = 5", 1, 2, "EM DASH"),
    ("a\u00adb = 5", 1, 2, "SOFT HYPHEN"),
    ("x \uff1d 5", 1, 3, "FULLWIDTH EQUALS SIGN) here; write ="),
    ("x = [1\uff0c 2]", 1, 7, "FULLWIDTH COMMA) here; write ,"),
    ("\uff03 a comment", 1, 1, "FULLWIDTH NUMBER SIGN) here; write #"),
    ('x = "a\x01b"', 1, 7, "U+0001"),
    ("# a\x1bb", 1, 4, "U+001B (ESCAPE)"),
    ("x = 1 # \x00", 1, 9, "UTF-16"),
    # marks of a merge
    ("<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> other", 1, 1, "merge conflict"),
    ("x = 1\n=======\nx = 2", 2, 1, "merge conflict"),
    ("x = 2\n>>>>>>> other", 2, 1, "merge conflict"),
    ("x = 2\n||||||| 1234abc\nx = 3", 2, 1, "merge conflict"),
    ('x = [\n  "a",\n<<<<<<< HEAD\n  "b",\n=======\n  "c",\n>>>>>>> x\n]', 3, 1, "merge conflict"),
    # comments of other languages
    *((f"{mark} a comment\nx = 1", 1, 1, f"comments begin with #, not with {mark}") for mark in ("//", ";", "/*", "--", "<!--", "REM", "!")),
    *((f"x = 1 {mark} a comment", 1, 7, f"comments begin with #, not with {mark}") for mark in ("//", ";", "/*", "--")),
    *((f'x = "a" {mark} a comment', 1, 9, f"comments begin with #, not with {mark}") for mark in ("//", ";", "/*")),
    ("[new] // a comment", 1, 7, "comments begin with #"),
    ("x = [\n  1,\n  // a comment\n  2]", 3, 3, "comments begin with #"),
    ("x = 1;", 1, 6, "a line has no ; at its end"),
    ('x = "a";', 1, 8, "a line has no ; at its end"),
    ("x = true;", 1, 9, "a line has no ; at its end"),
    ("[new];", 1, 6, "a line has no ; at its end"),
    ("x = 1,", 1, 6, "a line has no comma at its end"),
    ('x = "a",', 1, 8, "a line has no comma at its end"),
    ("x = [1],", 1, 8, "a line has no comma at its end"),
    ("x = yes # ; no\n", 1, 5, "yes is no boolean"),
    # twice
    ("x = 1\nx = 2", 2, 1, "x is already set in line 8: a key can be set once"),
    ("x = 1\n\n'x' = 2", 3, 1, "already set in line 8"),
    ("[a]\nx = 1\n[b]\nx = 1\nx = 2", 5, 1, "x is already set in line 11"),
    ("[a]\nx = 1\n[b]\n[a]", 4, 1, "[a] is already there, in line 8: put the keys of both together"),
    ("[log]\n", 1, 1, "[log] is already there, in line 5"),
    ("[ a ]\n[a] # again", 2, 1, "in line 8"),
    ("[a.b]\nx = 1\n[a]\ny = 1\n[a.b]", 5, 1, "[a.b] is already there, in line 8"),
    ("[[l]]\nx = 1\n[[l]]\nx = 1\nx = 2", 5, 1, "x is already set in line 11"),
    ("[[l]]\nx = 1\n[l]\ny = 1", 3, 1, "l is an array of tables, since line 8: write [[l]]"),
    ("[l]\nx = 1\n[[l]]\n", 3, 1, "l is already a table, [l] in line 8"),
    ("[[l]]\n[[l.m]]\n[l.m]", 3, 1, "l.m is an array of tables, since line 9"),
    ("[[l.m]]\nx = 1\n[[l]]\ny = 1", 3, 1, "[[l]] comes behind [[l.m]], in line 8, which belongs to it"),
    ("a.b = 1\na.b = 2", 2, 3, "a.b is already set in line 8"),
    ("a = 1\na.b = 2", 2, 1, "a is already set in line 8"),
    ("[n]\na = 1\n[n.a]", 3, 1, "n.a is already set in line 9"),
    ("a = { x = 1 }\na.y = 2", 2, 1, "a is already a table, in line 8"),
    ("x = { a = 1, a = 2 }", 1, 14, "a is set twice in this table"),
    # commas and brackets
    ('x = ["a" "b"]', 1, 10, "a comma is missing in front of this"),
    ('x = [\n  "a"\n  "b",\n]', 3, 3, "a comma is missing in front of this"),
    ("x = [1 2]", 1, 8, "a comma is missing in front of this"),
    ("x = [[1] [2]]", 1, 10, "a comma is missing"),
    ("x = [{ a = 1 } { a = 2 }]", 1, 16, "a comma is missing"),
    ("x = { a = 1 b = 2 }", 1, 13, "a comma is missing"),
    ('x = { a = "1" b = 2 }', 1, 15, "a comma is missing"),
    ("x = [1,, 2]", 1, 8, "a comma too many"),
    ("x = [, 1]", 1, 6, "a comma too many"),
    ("x = [1; 2]", 1, 7, "separated by commas"),
    ('x = ["a"; "b"]', 1, 9, "separated by commas"),
    ("x = { a = 1, }", 1, 12, "no comma in front of its }"),
    ("x = { a = 1,\n b = 2 }", 1, 5, "stands in one line"),
    ("x = {\n  a = 1\n}", 1, 5, "stands in one line"),
    ("x = { a = 1", 1, 5, "stands in one line and is closed there"),
    ('x = ["a", "b"\n[new]\ny = 1', 1, 5, "the array is not closed: its ] is missing in front of line 9"),
    ('x = ["a",\ny = 1\nz = 2', 1, 5, "in front of line 9"),
    ('x = [\n  "a",\n  "b",\n\n[[new]]\ny = 1', 1, 5, "in front of line 12"),
    ('x = ["a"', 1, 5, "the array is never closed"),
    ("x = [[1, 2]", 1, 5, "the array is never closed"),
    ("x = [1)", 1, 7, "closed by ], not by )"),
    ('x = ["a"}', 1, 9, "closed by ], not by }"),
    ("x = { a = 1 ]", 1, 13, "closed by }, not by ]"),
    ("x = 1]", 1, 6, "there is a ] too many"),
    ('x = "a"]', 1, 8, "there is a ] too many"),
    ("x = [1]]", 1, 8, "there is a ] too many"),
    # headers
    ("[new\nx = 1", 1, 5, "a closing bracket is missing: write [new]"),
    ("[new # a comment\nx = 1", 1, 6, "a closing bracket is missing: write [new]"),
    ("[[new]\nx = 1", 1, 6, "a closing bracket is missing: write [[new]]"),
    ("[[new\nx = 1", 1, 6, "write [[new]]"),
    ("[new]]\nx = 1", 1, 1, "the brackets don't fit together"),
    ("[ [new] ]", 1, 1, "stand together"),
    ("[]", 1, 1, "names no table"),
    ("[[]]", 1, 1, "names no table"),
    ("[my table]", 1, 2, '"my table" is not the name of a table'),
    ("[new] x = 1", 1, 7, "can follow the header in its line"),
    ("[new]:", 1, 6, "can follow the header in its line"),
    ("[new.]", 1, 6, "beside a dot"),
    ("[a..b]", 1, 4, "beside a dot"),
    # signs between key and value
    ("x 4", 1, 3, "an equals sign is missing: write x = 4"),
    ('x "a"', 1, 3, 'write x = "a"'),
    ("x app.example", 1, 3, 'write x = "app.example"'),
    ("x: 4", 1, 2, 'a value is set with =, not with ":": write x = 4'),
    ("x : 4", 1, 3, "write x = 4"),
    ('"x": "a",', 1, 4, 'write "x" = "a"'),
    ("x := 4", 1, 3, 'not with ":="'),
    ("x == 4", 1, 3, 'not with "=="'),
    ("x => 4", 1, 3, 'not with "=>"'),
    ("x = { a: 1 }", 1, 8, "write a = 1"),
    ("x =", 1, 4, "the value is missing"),
    ("x = # a comment", 1, 5, "the value is missing"),
    ("x = { a = }", 1, 11, "the value is missing"),
    ("x", 1, 1, "there is no value: write x = ..., or [x] for a table"),
    ("= 4", 1, 1, "there is no key"),
    ("idle timeout = '5m'", 1, 1, "did you mean idle_timeout?"),
    ("x.", 1, 3, "beside a dot"),
    ("x = ${VAR}", 1, 5, "there are no variables"),
    ("x = $VAR # c", 1, 5, "there are no variables"),
    # other formats
    ("- addr: ':1'", 1, 1, "YAML"),
    ("new:\n  addr: ':1'", 1, 4, "a value is set with ="),
    ("{", 1, 1, "JSON"),
    ("server {\n  listen 443;\n}", 1, 8, "tables have no braces: [server] begins one"),
    ("listen 443;", 1, 8, "write listen = 443"),
    ("server_name app.example.com;", 1, 13, 'write server_name = "app.example.com"'),
]  # fmt: skip


@each_row(("text", "line", "column", "said"), CASES)
def test_a_mistake_is_told_by_its_cause_at_its_place(text: str, line: int, column: int, said: str) -> None:
    """Alone in a file and behind other lines, with the line ends of Unix and of Windows, with a byte order mark, and indented."""
    told_behind(FRONT, text, line, column, said)
    if "line " in said or "[log]" in text:
        return  # it is about the lines in front
    if text.startswith("\ufeff"):
        return  # in front of the file it is right
    told_behind("", text, line, column, said)


def told_behind(front: str, text: str, line: int, column: int, said: str) -> None:
    """Assert that a mistake behind ``front`` is told as it should be."""
    lines = front.count("\n")
    told = problem(front + text)
    assert (told.line, told.column, told.severity) == (lines + line, column, "error"), str(told)
    assert said in told.message, str(told)
    assert told.message.startswith("not valid TOML: ")
    windows = problem((front + text).replace("\n", "\r\n") + "\r\n")
    assert (windows.line, windows.column, windows.message) == (told.line, told.column, told.message)
    marked = problem(f"\ufeff{front}{text}\n")
    assert (marked.line, marked.column, marked.message) == (told.line, told.column, told.message)
    indented = problem(f"{front}\t  {text}\n# the end\n")
    assert indented.message == told.message
    assert (indented.line, indented.column) == (told.line, column + (3 if line == 1 else 0))


def test_old_line_ends_are_told() -> None:
    """CR alone ends no line."""
    told = problem("x = 1\ry = 2\r")
    assert (told.line, told.column) == (1, 6)
    assert "CR alone" in told.message


def test_a_file_of_16_bit_characters_is_told() -> None:
    """Without a mark in front it is read as UTF-8 with a NUL after each character."""
    told = problem("[proxy]\n".encode("utf-16-le").decode())
    assert "UTF-16" in told.message


def test_a_byte_order_mark_in_front_is_no_part_of_the_file() -> None:
    """Neither for what it says nor for where that stands."""
    reading = read(Source("/etc/mc/mc-proxy.toml", '\ufeffincl = 1\n[proxy]\nworkers = "x"\n'))
    assert [(one.line, one.column, one.key) for one in reading.problems] == [(3, 11, "proxy.workers"), (1, 1, "incl")]
    table = read(Source("/etc/mc/mc-proxy.toml", "\ufeff[proxy]\r\nworkers = 3\r\n"))
    assert table.problems == ()
    assert table.document is not None
    assert table.document.config.proxy.workers == 3
    assert table.document.positions["proxy",] == (1, 2)
    assert read(Source("/etc/mc/mc-proxy.toml", "\ufeff")).problems == ()
