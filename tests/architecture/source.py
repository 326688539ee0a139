"""The source as the checks read it: modules as syntax trees, from disk or from a snippet. Not here: any rule."""

import ast
import textwrap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Module:
    """One file. `path` is relative to the root, so that a finding can be clicked."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    def walk(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)

    def calls(self) -> Iterator[ast.Call]:
        return (node for node in self.walk() if isinstance(node, ast.Call))

    def strings(self) -> Iterator[tuple[int, str]]:
        """Every string of the program with its line; an f-string is one, `{}` for each value. Docstrings not."""
        inside = {id(part) for node in self.walk() for part in _parts(node)}
        for node in self.walk():
            if id(node) not in inside and (text := _text(node)) is not None:
                yield getattr(node, "lineno", 0), text


def _parts(node: ast.AST) -> list[ast.expr]:
    """What belongs to something greater: a docstring to its statement, pieces to their f-string."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return [node.value]
    return node.values if isinstance(node, ast.JoinedStr) else []


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "{}" for part in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
        return node.value.decode("latin-1")
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def read(path: Path) -> Module:
    return Module(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))


def modules_under(folder: str) -> list[Module]:
    return [read(path) for path in sorted((ROOT / folder).rglob("*.py"))]


def snippet(text: str, path: str = "services/sender/snippet.py") -> Module:
    return Module(path, textwrap.dedent(text).lstrip("\n"))
