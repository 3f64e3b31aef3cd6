"""Types are shipped, and a user's own strictly typed script finds them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "typed_user.py"


def strict(scripts: list[Path], cache: Path) -> subprocess.CompletedProcess[str]:
    """mypy --strict on scripts that use the package; what is wrong inside the package is not the user's matter."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--config-file=",
        f"--cache-dir={cache}",
    ]
    environment = os.environ | {"MYPYPATH": str(ROOT / "src")}
    return subprocess.run(
        [*command, *map(str, scripts)], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_a_strictly_typed_script_is_clean_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from likeness import Mesh\n\nnumber: int = Mesh.load('a.obj').vertex_areas()\n")
    run = strict([SCRIPT, wrong], tmp_path / "cache")
    assert run.returncode == 1
    errors = [line for line in run.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1, run.stdout
    assert errors[0].startswith(str(wrong))
    assert "Incompatible types in assignment" in errors[0]


def test_the_marker_that_types_are_shipped_lies_in_the_package() -> None:
    assert (ROOT / "src" / "likeness" / "py.typed").is_file()
