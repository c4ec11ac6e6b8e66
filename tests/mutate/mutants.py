"""What may be wrong in a module: small changes of its source, each of which a test should notice.

====================  ===========================================================================================
``comparison``        ``==`` for ``!=``, ``<`` for ``<=`` and ``>=``, ``is`` for ``is not``, ``in`` for ``not in``
``boolean``           ``and`` for ``or``, ``not x`` for ``x``, ``True`` for ``False``
``condition``         a condition that is neither of these, negated
``arithmetic``        ``+`` for ``-``, ``*`` for ``//``, ``<<`` for ``>>``, ``&`` for ``|``, also as assignments
``constant``          a number one higher or one lower
``return``            ``return None`` in place of a value
``deletion``          a call, a raise, an assignment to an attribute or item, ``break``, ``continue`` left out
====================  ===========================================================================================

What no test can or should notice is left alone: annotations, decorators, options of classes, docstrings and other texts, assertions, protocols,
what is logged, the attributes that a constructor sets (any use of one that is missing fails).
"""

import ast
import difflib
from collections.abc import Iterator

import msgspec

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_LOGS = frozenset({"log", "_log", "logger"})


class Mutant(msgspec.Struct, frozen=True, order=True):
    """One change of one module.

    Attributes:
        path: the module's, from the root of the tree.
        line: where the change begins, from 1.
        start, end: the bytes of the source that are replaced.
        operator: the kind of change, as in the table.
        text: what stands there instead.
    """

    path: str
    line: int
    start: int
    end: int
    operator: str
    text: str

    def apply(self, source: bytes) -> bytes:
        """Return the changed source."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def diff(self, source: bytes) -> str:
        """Return the change as a unified diff without context."""
        before, after = (text.decode().splitlines() for text in (source, self.apply(source)))
        lines = difflib.unified_diff(before, after, lineterm="", n=0)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """Return all mutants of a module, in the order of their places; each is valid Python, and another program."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(source)
    original = ast.dump(tree)
    found: dict[Mutant, None] = {}
    for node, operator, text in _changes(tree, ""):
        assert node.end_lineno is not None  # what is parsed has it
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        mutant = Mutant(path, node.lineno, start, end, operator, text)
        try:
            changed = ast.dump(ast.parse(mutant.apply(source)))
        except SyntaxError:
            continue
        if changed != original:
            found[mutant] = None
    return sorted(found)


_Change = tuple[ast.expr | ast.stmt, str, str]


def _changes(node: ast.AST, function: str) -> Iterator[_Change]:
    """Yield the node to replace, the operator and the replacement, of a node and all in it."""
    if _is_exempt(node):
        return
    if isinstance(node, ast.expr):
        for operator, new in _of_expression(node):
            yield node, operator, f"({ast.unparse(new)})"
    elif isinstance(node, ast.stmt):
        for operator, text in _of_statement(node, function):
            yield node, operator, text
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.BoolOp):
        negated = isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not)
        if not negated and not isinstance(node.test, ast.Constant):
            yield node.test, "condition", f"(not ({ast.unparse(node.test)}))"
    inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
    for child in _children(node):
        yield from _changes(child, inside)


def _is_exempt(node: ast.AST) -> bool:
    match node:
        case ast.Assert() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():  # positions in an f-string mean nothing
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name)))):
            return name in _LOGS
        case ast.ClassDef():
            return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
    return False


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or (
            isinstance(node, ast.ClassDef) and name == "keywords"
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _of_expression(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Compare():
            for index, operation in enumerate(node.ops):
                for other in _COMPARISONS[type(operation)]:
                    operations = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                    yield "comparison", ast.Compare(node.left, operations, node.comparators)
        case ast.BoolOp():
            yield "boolean", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not()):
            yield "boolean", node.operand
        case ast.BinOp() if type(node.op) in _ARITHMETIC and not _is_text(node.left) and not _is_text(node.right):
            yield "arithmetic", ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
        case ast.Constant(value=bool(value)):
            yield "boolean", ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield "constant", ast.Constant(value + 1)
            yield "constant", ast.Constant(value - 1)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _of_statement(node: ast.stmt, function: str) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Return(value=value):
            if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
                yield "return", "return None"
        case ast.AugAssign():
            if type(node.op) in _ARITHMETIC:
                other = ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value)
                yield "arithmetic", ast.unparse(other)
            yield "deletion", "pass"
        case ast.Assign() if function != "__init__":
            if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
                yield "deletion", "pass"
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.Break() | ast.Continue() | ast.Delete():
            yield "deletion", "pass"
