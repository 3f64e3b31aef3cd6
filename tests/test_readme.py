"""What README says is so: its Python runs, its commands, targets, links and extras exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs_blocks import blocks, check_other, commands, parse

from likeness import MissingExtraError
from likeness.errors import TORCH_FOR_CPU

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.jpg", pytest.importorskip("skimage.data").astronaut()[..., ::-1])
    code = "\n".join(block.code for block in blocks(ROOT / "README.md", "python"))
    assert "Reconstructor" in code
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "out" / "photo.glb").is_file()
    assert (tmp_path / "out" / "photo.png").is_file()


def test_the_commands_are_the_programs_own() -> None:
    lines = [words for block in blocks(ROOT / "README.md", "bash") for words in commands(block)]
    assert sum(words[0] == "likeness" for words in lines) > 5
    for words in lines:
        (parse if words[0] == "likeness" else check_other)(words)


def test_targets_and_links_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)", README):
        assert f"\n{target}:" in makefile, target
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_extras_are_the_packages_own() -> None:
    package = (ROOT / "pyproject.toml").read_text()
    for extra in set(re.findall(r"likeness3d\[(\w+)\]", README)):
        assert f"\n{extra} = [" in package, extra


def test_how_to_get_torch_without_libraries_for_gpus_is_said_alike_wherever_it_is_named() -> None:
    line = str(MissingExtraError("training", "train"))
    assert "pip install 'likeness3d[train]'" in line
    assert TORCH_FOR_CPU in line
    assert TORCH_FOR_CPU not in str(MissingExtraError("registration", "scans"))
    for text in (README, (ROOT / "docs" / "training.md").read_text()):
        assert TORCH_FOR_CPU in text


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README
