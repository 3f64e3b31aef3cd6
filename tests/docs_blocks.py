"""The code blocks of the documentation, and what is checked of each.

A block runs. One that cannot (it needs data, or hours) has a comment before it that says why,
``<!-- not run: REASON -->``; then its commands are still parsed by the real command line, its Python is compiled and
what it imports exists. Requests, after ``<!-- with a server -->``, are made of a server that is started for them.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

command_line = importlib.import_module("likeness.cli.main")

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))

BLOCK = re.compile(r"^ *(?P<fence>```+)(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^ *(?P=fence) *$", re.M | re.S)
REASON = re.compile(r"<!-- not run: ((?:(?!-->).)+) -->\s*\Z", re.S)
SERVED = re.compile(r"<!-- with a server -->\s*\Z")
ADDRESS = "http://127.0.0.1:8080"
"""Where pages say that the server is."""


class Block(NamedTuple):
    """A fenced code block."""

    page: Path
    line: int
    language: str
    code: str
    reason: str
    served: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, language: str = "") -> Iterator[Block]:
    """The blocks of a page, in order; of one language if it is named."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        if language in ("", found["language"]):
            reason = REASON.search(text[: found.start()])
            line = text[: found.start()].count("\n") + 1
            served = SERVED.search(text[: found.start()]) is not None
            yield Block(page, line, found["language"], found["code"], reason[1] if reason else "", served)


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a shell block as words, without comments, pipes and where output goes; lines that end in a
    backslash go on."""
    for line in block.code.replace("\\\n", " ").splitlines():
        words = list(itertools.takewhile(lambda word: word not in {"|", ">"}, shlex.split(line, comments=True)))
        if words:
            yield words


def parse(words: list[str]) -> None:
    """Parse a command ``likeness ...`` as the program does, without running it; SystemExit where it cannot be."""
    try:
        command_line._parsed(words[1:])
    except SystemExit as stop:
        if stop.code:
            raise


def check_other(words: list[str]) -> None:
    """What can be said of a command that is not ``likeness``: its script, target or extra exists."""
    program, rest = words[0], words[1:]
    if program == "make":
        assert any(f"\n{word}:" in (ROOT / "Makefile").read_text() for word in rest), words
    elif program == "python" and rest[0].endswith(".py"):
        source = (ROOT / rest[0]).read_text()
        for option in (word for word in rest[1:] if word.startswith("--")):
            assert option in source or option[2:].replace("-", "_") in source, words
    elif program == "pip":
        for extras in re.findall(r"likeness3d\[([\w,]+)\]", " ".join(rest)):
            for extra in extras.split(","):
                assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text(), words
    else:
        assert program in {"docker", "tensorboard"}, f"what is {program}?"


def check_python(block: Block) -> None:
    """Compile a block, and look that what it imports of this package exists."""
    tree = compile(block.code, str(block), "exec", ast.PyCF_ONLY_AST)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("likeness"):
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name) or importlib.import_module(f"{node.module}.{name.name}"), str(block)


def runs(block: Block) -> bool:
    """Whether a block is one that runs as it is, in this process."""
    return block.language in ("bash", "python") and not block.reason and not block.served


def run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run what runs of a page, from top to bottom: commands end with exit code 0, all Python is of one namespace, so
    that later blocks may use what earlier ones made."""
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in filter(runs, blocks(page)):
        if block.language == "python":
            # As many empty lines before, so that a traceback names the page's line.
            exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)
            continue
        for words in commands(block):
            if words[0] != "likeness":
                check_other(words)
                continue
            code = _exit_code(words[1:])
            assert not code, f"{block}: {shlex.join(words)}: {capsys.readouterr().err}"


def run_requests(block: Block, address: str) -> None:
    """Run a block whose server is at another address than the page says, in a process of its own."""
    code = block.code.replace(ADDRESS, address)
    start = [sys.executable, "-c"] if block.language == "python" else ["bash", "-euo", "pipefail", "-c"]
    done = subprocess.run([*start, code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{block}: {done.stderr}"


def _exit_code(words: list[str]) -> object:
    try:
        command_line.main(words)
    except SystemExit as stop:
        return stop.code
    return 0
