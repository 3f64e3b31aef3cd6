"""The house stands: no file imports itself in a circle, lazy and typing imports included, and the floors hold."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((SOURCE / "likeness").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of ours that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: expected absolute imports"
            base = node.module or ""
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names}
    return found & set(known)


def test_no_file_is_in_a_circle_of_imports() -> None:
    known = modules()
    graph = {name: imports_of(path, known) - {name} for name, path in known.items()}
    assert sum(map(len, graph.values())) > 300
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-c", code, "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (None, ""),
        ("geometry/camera.py", "from likeness.mesh import Mesh"),
        ("metrics/roc.py", "def late() -> None:\n    from likeness.register import Similarity"),
        (
            "evaluate/tables.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import likeness.train.settings",
        ),
        ("render/lighting.py", "import torch"),
    ],
)
def test_the_contract_notices_what_breaks_it(file: str | None, line: str, tmp_path: Path) -> None:
    pytest.importorskip("importlinter")
    shutil.copytree(SOURCE, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.onnx", "*.npz"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    if file is not None:
        with (tmp_path / "src" / "likeness" / file).open("a") as stream:
            stream.write(f"\n{line}\n")
    run = lint_imports(tmp_path)
    assert (run.returncode == 0) == (file is None), run.stdout + run.stderr
