"""Commands that write, killed at random moments: nothing half-written is taken for whole, nothing is left over.

Each is killed once here, and the quick ones only; ``make torture`` kills all of them ``TORTURE_TIMES`` times (100),
and writes a line for each into the file ``TORTURE_REPORT`` if that is set.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import tyro
from torture_targets import MEDIAPIPE, TARGETS, Inputs, Target

from likeness import FaceModel, Mesh
from likeness.unfinished import _NAMES

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
TIMES = int(os.environ.get("TORTURE_TIMES", "0"))
ROUND = 10
"""Kills into one folder, before the command is run to its end there."""

WRITE_NOTHING = {"models info", "completion"}
HERE = Path(__file__).parent


class Warm:
    """The process from which commands are forked (warm.py)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "warm.py")],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "TMPDIR": str(folder),
                "XDG_CACHE_HOME": str(folder / "cache"),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def __call__(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**request, "told": str(self.folder / "told.txt")}) + "\n")
        self._process.stdin.flush()
        outcome: dict[str, Any] = json.loads(self._answer())
        return outcome

    @property
    def told(self) -> str:
        """What the last command said."""
        return (self.folder / "told.txt").read_text()

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, small_model: FaceModel) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("inputs"), small_model)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    process = Warm(tmp_path_factory.mktemp("temporary"))
    yield process
    process.close()


def visible(folder: Path) -> dict[str, Path]:
    """The files that somebody who opens the folder sees as results."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path
        for name, path in found.items()
        if not any(part[0] == "." or _NAMES.fullmatch(part) for part in Path(name).parts)
    }


def everything(folder: Path) -> Counter[str]:
    """Files, hidden ones too, and folders; TensorBoard's, which have the time in their names, by their number."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return Counter(re.sub(r"(/events\.out\.tfevents)\.[^/]*", r"\1", name) for name in names)


def check_whole(path: Path) -> None:
    """A file that is there is whole."""
    data = path.read_bytes()
    if path.suffix == ".json":
        json.loads(data)
    elif path.suffix in (".obj", ".ply", ".glb"):
        assert len(Mesh.load(path).vertices)
    elif path.suffix == ".png":
        assert data.endswith(b"IEND\xaeB`\x82")
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            assert [arrays[name] for name in arrays]
    elif path.suffix == ".npy":
        assert len(np.load(path))
    elif path.suffix == ".html":
        assert data.rstrip().endswith(b"</html>")
    elif path.suffix == ".onnx":
        pytest.importorskip("onnx").checker.check_model(str(path))
    elif path.suffix == ".pt":
        pytest.importorskip("torch").load(path, weights_only=True)
    elif path.suffix == ".parquet":
        assert pytest.importorskip("pyarrow.parquet").read_table(path).num_rows
    elif path.suffix == ".mp4":
        from likeness.images.video import VideoFile

        assert list(VideoFile(path).frames())


@dataclass
class Report:
    """What kills did.

    Args:
        command: that was killed.
        kills: how often.
        half_written: files that were taken for whole, and are not.
        left_over: what the next run left of a killed one.
        other: results that differ, and runs that failed.
        ended: runs that were quicker than their kill.
        seconds: all in all.
    """

    command: str
    kills: int = 0
    half_written: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    ended: int = 0
    seconds: float = 0.0

    def write(self) -> None:
        """Where ``TORTURE_REPORT`` says."""
        if place := os.environ.get("TORTURE_REPORT"):
            with open(place, "a") as stream:
                stream.write(json.dumps(vars(self)) + "\n")


class Torture:
    """One command, killed in a folder beside one in which it was let alone."""

    def __init__(self, name: str, inputs: Inputs, folder: Path, warm: Warm) -> None:
        self.target, self.inputs, self.folder, self.warm = TARGETS[name], inputs, folder, warm
        self.report, self.rng = Report(name), random.Random(name)

    def __call__(self, times: int) -> Report:
        began = time.monotonic()
        self.whole = self._let_alone("whole")
        self.files = {one: path.read_bytes() for one, path in visible(self.folder / "whole").items()}
        number = 0
        while self.report.kills < times and self.report.ended < 3 * times:
            number += 1
            self._round(f"killed-{number}", min(ROUND, times - self.report.kills))
        self.report.seconds = round(time.monotonic() - began, 1)
        return self.report

    def _round(self, name: str, kills: int) -> None:
        """Kills into one folder, and a run to the end there."""
        for _ in range(kills):
            outcome = self._run(name, **self._moment())
            if outcome["code"] < 0:
                self.report.kills += 1
            else:
                self.report.ended += 1
                self._check_code(outcome)
            self._look(name)
            if outcome["code"] >= 0 and self.target.is_done_once:
                break
        self._let_alone(name)
        there, right = everything(self.folder / name), everything(self.folder / "whole")
        if self.target.is_named:
            self.report.left_over += sorted(there - right)
            self.report.other += [f"{one} is missing" for one in sorted(right - there)]
        self.report.left_over += [one for one in there if _NAMES.fullmatch(Path(one).name)]
        self._look(name)

    def _moment(self) -> dict[str, Any]:
        """Mostly when a file is touched, or a little later; sometimes whenever; sometimes without its processes."""
        alone = self.rng.random() < 0.2
        if self.whole["touches"] > 2 and self.rng.random() < 0.8:
            late = self.rng.choice([0.0, self.rng.expovariate(50), self.rng.expovariate(5)])
            return {"touches": self.rng.randint(1, self.whole["touches"]), "seconds": late, "alone": alone}
        return {"seconds": self.rng.uniform(0.1, 1.0) * self.whole["seconds"], "alone": alone}

    def _look(self, name: str) -> None:
        """At what somebody takes for results."""
        for one, path in visible(self.folder / name).items():
            try:
                check_whole(path)
            except Exception as error:  # whatever a reader says of half a file
                self.report.half_written.append(f"{one}: {error!r}")
                continue
            if self.target.is_same and "cache/" not in one and path.read_bytes() != self.files.get(one):
                self.report.other.append(f"{one} differs")

    def _let_alone(self, name: str) -> dict[str, Any]:
        outcome = self._run(name)
        self._check_code(outcome)
        return outcome

    def _run(self, name: str, **more: Any) -> dict[str, Any]:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        arguments = self.target.arguments(self.inputs, str(folder / self.target.out))
        return self.warm(arguments=arguments, folder=str(folder), function=self.target.function, **more)

    def _check_code(self, outcome: dict[str, Any]) -> None:
        if outcome["code"]:
            self.report.other.append(f"ended with {outcome['code']}: {self.warm.told[-400:]}")


def skip_what_is_missing(name: str, target: Target) -> None:
    if not (TIMES or target.is_quick):
        pytest.skip("takes long; make torture has it")
    pytest.importorskip(target.needs)
    if name == "train label-points" and not MEDIAPIPE.is_dir():
        pytest.skip("no shared data")


@pytest.mark.parametrize("name", TARGETS)
def test_it_is_killed(name: str, inputs: Inputs, tmp_path: Path, warm: Warm) -> None:
    skip_what_is_missing(name, TARGETS[name])
    report = Torture(name, inputs, tmp_path, warm)(TIMES or 1)
    report.write()
    assert (report.half_written, report.left_over, report.other) == ([], [], [])
    assert report.kills >= (TIMES or 1)


def test_every_command_that_writes_is_killed() -> None:
    from likeness.cli.main import Likeness

    named = set(leaves(Likeness))
    assert "train photos" in named
    assert {words for words in named if not any(name.startswith(words) for name in TARGETS)} == WRITE_NOTHING


def leaves(command: type, words: str = "") -> Iterator[str]:
    """The words of each command that has none below it."""
    below = [one for kind in get_type_hints(command, include_extras=True).values() for one in subcommands(kind)]
    if not below:
        yield words
    for name, one in below:
        yield from leaves(one, f"{words} {name}".strip())


def subcommands(kind: Any) -> Iterator[tuple[str, type]]:
    """Names and settings that a field can have."""
    if get_origin(kind) is Annotated:
        kind, *told = get_args(kind)
        names = [one.name for one in told if isinstance(one, type(tyro.conf.subcommand("")))]
        yield from [(names[0], kind)] if names else subcommands(kind)
    elif get_origin(kind) in (Union, UnionType):
        for one in get_args(kind):
            yield from subcommands(one)
