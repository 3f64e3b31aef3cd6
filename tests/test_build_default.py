"""runs/build_default.sh and runs/train_on.sh without their work: what they would run is understood, and reads nothing
that is made later."""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from likeness.cli.main import _parsed

ROOT = Path(__file__).parents[1]
RUNS, BENCHMARKS = ROOT / "runs", ROOT / "benchmarks"
ASSETS = ROOT / "src" / "likeness" / "assets"
STUB = """#!/bin/sh
for word in "$@"; do printf '%s\\t' "$word"; done >> "$COMMANDS"
printf '\\n' >> "$COMMANDS"
"""
SIZES = (
    "BUDGET", "PLACES", "HEADS", "POINTS", "SCOUT", "PEOPLE", "SPHERE", "SYNTHETIC", "SKINNED", "MORPHS", "SKINS",
    "MAPPED", "FUSED", "SCENES", "THREADS", "WORKERS", "PROCESSES",
)  # fmt: skip
WHOLE = {"train scans", "train synthetic", "train photos", "train fusion"}
FROM_PHOTOS = {
    "train skins",
    "train morphs",
    "train label-points",
    "train detector",
    "several_photos.py",
    "build_glasses.py",
}

pytestmark = pytest.mark.skipif(
    not RUNS.is_dir() or shutil.which("bash") is None, reason="needs the repository and bash"
)


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The files of runs and benchmarks can be imported, and are forgotten again."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(RUNS))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith((str(RUNS), str(BENCHMARKS))):
            del sys.modules[name]


def commands(tmp_path: Path, script: str = "build_default.sh", **environment: str) -> list[list[str]]:
    """What the script runs with Python, each call's words, if every program succeeds and does nothing."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name in ("python", "pip", "make"):
        stub = stubs / name
        stub.write_text(STUB if name == "python" else "#!/bin/sh\n")
        stub.chmod(0o755)
    record = tmp_path / "commands"
    given = {name: value for name, value in os.environ.items() if name not in (*SIZES, "RENDERED_ONLY", "TRIAL")}
    given |= {"PATH": f"{stubs}:{os.environ['PATH']}", "PYTHON": str(stubs / "python"), "COMMANDS": str(record)}
    call = ["bash", str(RUNS / script), str(tmp_path / "data"), str(tmp_path / "work")]
    done = subprocess.run(call, env={**given, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[:-1] for line in record.read_text().splitlines()]


class UnderstoodError(Exception):
    """The arguments were."""


def understand(words: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Parse a call's arguments as its program would, and say which it is."""
    if words[:2] == ["-m", "likeness"]:
        _parsed(words[2:])
        return " ".join(words[2:4])
    parse = argparse.ArgumentParser.parse_args

    def parsed(parser: argparse.ArgumentParser, *given: Any) -> NoReturn:
        parse(parser, *given)
        raise UnderstoodError

    path = ROOT / words[0]
    module = importlib.import_module(path.stem)
    assert module.__file__ == str(path)
    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", parsed)
        patched.setattr(sys, "argv", words)
        with pytest.raises(UnderstoodError):
            module.main()
    return path.name


@pytest.mark.parametrize(("rendered_only", "trial"), [("", ""), ("", "1"), ("1", "")])
def test_every_command_is_understood(
    rendered_only: str, trial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("scipy")
    found = commands(tmp_path, RENDERED_ONLY=rendered_only, TRIAL=trial)
    names = {understand(words, monkeypatch) for words in found}
    assert names >= WHOLE
    if rendered_only:
        assert not names & (FROM_PHOTOS | {"ship.py", "landmark_weights.py", "point_readout.py"})
        photos = str(tmp_path / "data" / "photos")
        assert not [word for words in found for word in words if word.startswith(photos) or "recogni" in word]
    else:
        assert names >= FROM_PHOTOS | {"ship.py"}


def test_to_train_on_every_command_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("scipy")
    found = commands(tmp_path, "train_on.sh")
    names = {understand(words, monkeypatch) for words in found}
    assert names >= {"train photos", "train fusion", "several_photos.py", "ship.py"}
    assert not names & {"train scans", "train morphs", "train detector"}
    shipped = str(tmp_path / "work" / "shipped.onnx")
    (trained,) = (words for words in found if words[2:4] == ["train", "photos"])
    assert trained[trained.index("--start") + 1] == shipped
    assert (tmp_path / "work" / "shipped.onnx").read_bytes() == (ASSETS / "regressor.onnx").read_bytes()


def test_what_is_trained_on_keeps_the_provenance_of_what_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    ship = importlib.import_module("ship")
    monkeypatch.setattr(ship, "training", lambda path: {"settings": path.parent.name, "net": 1, "seen": 2})
    monkeypatch.setattr(ship, "read_checkpoint", lambda path: {"fusion": {"steps": 3}})
    before = {"commit": "old", "sphere": {"mm": 1}, "points": {"settings": "first", "net": 1, "seen": 1}}
    once = ship.trained_on(before, {"commit": "new"}, tmp_path)
    twice = ship.trained_on(once, {"commit": "newest"}, tmp_path)
    assert once["earlier_points"] == [{"settings": "first", "seen": 1}]
    assert twice["earlier_points"] == [{"settings": "first", "seen": 1}, {"settings": "points", "seen": 2}]
    assert (twice["commit"], twice["sphere"], twice["fusion"]) == ("newest", {"mm": 1}, {"steps": 3})


@pytest.mark.parametrize(
    ("script", "rendered_only"), [("build_default.sh", ""), ("build_default.sh", "1"), ("train_on.sh", "")]
)
def test_nothing_is_read_before_it_is_made(script: str, rendered_only: str, tmp_path: Path) -> None:
    """Whatever of the work folder a command names was named as an output by itself or by an earlier one."""
    work, made = tmp_path / "work", set[str]()
    outputs = {"-o", "--out", "--run"}
    if script == "train_on.sh":  # copies of what is shipped
        made |= {str(work / name) for name in ("shipped.onnx", "surface_points.npz")}
    for words in commands(tmp_path, script, RENDERED_ONLY=rendered_only):
        named = [word for word in words if word.startswith(str(work))]
        if words[0] == "-m":
            new = {word for flag, word in itertools.pairwise(words) if flag in outputs}
        else:  # the scripts of runs name what they make behind what they read
            positional = [word for word in named if words[words.index(word) - 1][:2] != "--"]
            new = {*positional[-1:]}
        for word in named:
            whole = {word, *map(str, Path(word).parents)}
            assert whole & (made | new) or word == str(work), f"{word} of {' '.join(words)} is not there yet"
        made |= new | ({f"{work}/carried.npz"} if "build_model.py" in words[0] else set())


def budgets(found: list[list[str]]) -> list[int]:
    return [int(words[words.index("--budget") + 1]) for words in found if "--budget" in words]


def test_a_trial_is_small_and_leaves_the_package_alone(tmp_path: Path) -> None:
    whole, trial = tmp_path / "whole", tmp_path / "trial"
    whole.mkdir()
    trial.mkdir()
    usual, small = commands(whole), commands(trial, TRIAL="1")
    assert len(budgets(usual)) == len(budgets(small)) >= 8
    assert all(100 * few <= many for few, many in zip(budgets(small), budgets(usual), strict=True))
    ships = [next(words for words in found if words[0].endswith("ship.py")) for found in (usual, small)]
    assets = trial / "work" / "package" / "likeness" / "assets"
    assert [words[3] for words in ships] == ["src/likeness/assets", str(assets)]
    assert (assets / "provenance.json").is_file()
    read = [words for words in small if any(word.startswith(str(trial / "data")) for word in words)]
    assert [words[0] for words in read] == ["runs/trial_data.py"]  # all else sees what that has cut


def test_sizes_reach_the_commands(tmp_path: Path) -> None:
    values = {name: str(1001 + number) for number, name in enumerate(SIZES)}
    words = {word for call in commands(tmp_path, **values) for word in call}
    assert {value for value in values.values() if value not in words} == set()


def test_what_is_shipped_is_measured_by_programs_that_understand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    ship = importlib.import_module("ship")
    called: list[list[str]] = []

    def ran(words: list[str], check: bool) -> None:
        called.append(words[1:])
        Path(words[-1]).write_text(json.dumps({}))

    monkeypatch.setattr(ship.subprocess, "run", ran)
    ship.figures(tmp_path, tmp_path / "data", 0.5)
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    assert {understand(words, monkeypatch) for words in called} == {"landmarks.py", "portraits.py"}
