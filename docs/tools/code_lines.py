"""Where the documentation's links to code lead: a file, a symbol in it, a line of that symbol.

A link to code is an ordinary one, whose title says what is meant: ``[text](../src/x.py "Class.method: a piece of the
line")``. As line numbers are nowhere written down, they cannot be wrong; a symbol or a line that is gone is an error
of the build, and of ``tests/test_docs_code.py``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

LINK = re.compile(r'(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)(?:\s+"(?P<title>[^"]*)")?\)')
"""A link of Markdown, no picture."""

FENCE = re.compile(r"^ *(```+|~~~+)")


class Line(NamedTuple):
    """A line of a file, from 1."""

    path: Path
    number: int


def line_of(path: Path, title: str) -> Line:
    """The line that a link's title means.

    Args:
        path: of a Python file.
        title: ``symbol`` or ``symbol: code``; a symbol is a function, a class, ``Class.method`` or a constant.

    Raises:
        LookupError: the file has no such symbol, or the symbol no such code.
    """
    symbol, _, code = (part.strip() for part in title.partition(":"))
    source = path.read_text()
    start, end = _span(ast.parse(source), symbol, path)
    if not code:
        return Line(path, start)
    for number, line in enumerate(source.splitlines()[start - 1 : end], start):
        if code in line:
            return Line(path, number)
    raise LookupError(f"expected {code!r} in {symbol} of {path.relative_to(ROOT)}")


def links(markdown: str) -> Iterator[re.Match[str]]:
    """The links outside of code blocks."""
    yield from LINK.finditer(without_code(markdown))


def without_code(markdown: str) -> str:
    """The text with code blocks and inline code of several words blanked, as long as before."""
    lines, fence = [], ""
    for line in markdown.splitlines(keepends=True):
        mark = FENCE.match(line)
        blank = bool(fence or mark)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip().startswith(fence):
            fence = ""
        lines.append(re.sub(r"[^\n]", " ", line) if blank else line)
    return "".join(lines)


def _span(tree: ast.Module, symbol: str, path: Path) -> tuple[int, int]:
    """First and last line of a symbol."""
    body: list[ast.stmt] = tree.body
    found: ast.stmt | None = None
    for name in symbol.split("."):
        found = next((node for node in body if name in _names(node)), None)
        if found is None:
            raise LookupError(f"expected {symbol} in {path.relative_to(ROOT)}")
        body = found.body if isinstance(found, ast.ClassDef) else []
    assert found is not None
    return found.lineno, found.end_lineno or found.lineno


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [
        item.id
        for target in targets
        for item in (target.elts if isinstance(target, ast.Tuple) else [target])
        if isinstance(item, ast.Name)
    ]
