"""Commands that write, killed at random moments: nothing half-written is taken for whole, nothing is left over.

Each is killed twice here, and the quick ones only; ``make torture`` kills all of them ``TORTURE_TIMES`` times (100).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from likeness import FaceModel, Mesh
from likeness.assets import asset
from likeness.unfinished import _NAMES

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
TIMES = int(os.environ.get("TORTURE_TIMES", "0"))
MODEL = str(asset("face_model.npz"))


@dataclass(frozen=True)
class Target:
    """A command.

    Args:
        arguments: all but the output, of the folder with the inputs.
        out: what is written to, in a folder of its own.
        is_same: to the last byte, whenever it is run on the same inputs.
        is_quick: enough for every run of the tests.
        needs: a package without which there is no such command.
    """

    arguments: Callable[[Path], list[str]]
    out: str = "out"
    is_same: bool = True
    is_quick: bool = True
    needs: str = "likeness"


def photos(inputs: Path, *more: str) -> list[str]:
    return ["reconstruct", str(inputs / "people"), "--threads", "1", *more]


TARGETS = {
    "reconstruct": Target(photos),
    "reconstruct by two": Target(lambda inputs: photos(inputs, "--jobs", "2")),
    "reconstruct into tables": Target(
        lambda inputs: photos(inputs, "--formats", "parquet", "json", "--jobs", "2"), is_quick=False, needs="pyarrow"
    ),
    "fit": Target(lambda inputs: ["fit", str(inputs / "face.pts"), "--size", "400", "400"]),
    "register": Target(lambda inputs: ["register", str(inputs / "scan.obj")], is_same=False, is_quick=False),
    "models convert": Target(lambda _: ["models", "convert", MODEL], "again.npz"),
    "models transfer": Target(
        lambda inputs: ["models", "transfer", MODEL, MODEL, str(inputs / "scan.obj")], is_quick=False
    ),
    "evaluate recognisability": Target(
        lambda inputs: [
            "evaluate",
            "recognisability",
            str(inputs / "codes.npz"),
            "--model",
            MODEL,
            "--bootstrap",
            "20",
        ]
    ),
    "evaluate photos": Target(lambda inputs: ["evaluate", "recognisability", str(inputs / "people")], is_quick=False),
    "train synthetic": Target(lambda _: ["train", "synthetic", "--model", MODEL, "--count", "6"]),
    "train skins": Target(
        lambda inputs: ["train", "skins", "--data", str(inputs / "people"), "--size", "64"],
        "skins.npz",
        is_quick=False,
    ),
    "train scans": Target(
        lambda inputs: ["train", "scans", MODEL, "--budget", "200", "--size", "8"], "made.npz", False, False
    ),
    "train photos": Target(
        lambda inputs: ["train", "photos", "--data", str(inputs / "people"), "--budget", "224"],
        is_same=False,
        is_quick=False,
    ),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cv2

    folder = tmp_path_factory.mktemp("inputs")
    image = pytest.importorskip("skimage.data").astronaut()[..., ::-1]
    for number, name in enumerate(("anna/1", "anna/2", "berta/1", "berta/2")):
        path = folder / "people" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[: 320 + 8 * number, 90 : 410 + 8 * number])
    model = FaceModel.load(MODEL)
    points = model.landmark_map.gather(model.mean)
    inner, outer = points[:51], points[51:].reshape(17, -1, 3)[:, -1]
    placed = np.concatenate([outer, inner]) @ np.diag([1, -1, -1]) + [0, 0, 900]
    pixels = 900 * placed[:, :2] / placed[:, 2:] + 200
    lines = ["version: 1", "n_points: 68", "{", *(f"{x:.2f} {y:.2f}" for x, y in pixels), "}", ""]
    (folder / "face.pts").write_text("\n".join(lines))
    Mesh(model.mean, model.topology.triangles).save(folder / "scan.obj")
    codes = np.random.default_rng(0).standard_normal((8, len(model.identity_basis)))
    np.savez(folder / "codes.npz", codes=codes, labels=np.repeat(["a", "b", "c", "d"], 2))
    return folder


def start(target: Target, inputs: Path, out: Path) -> subprocess.Popen[str]:
    first, *more = target.arguments(inputs)
    out.parent.mkdir(exist_ok=True)
    option = [] if more[0] == "convert" else ["-o"]
    return subprocess.Popen(
        [sys.executable, "-m", "likeness", first, *more, *option, str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def visible(folder: Path) -> dict[str, Path]:
    """The files that somebody who opens the folder sees."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if not any(part[0] == "." for part in Path(name).parts)}


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


@pytest.mark.parametrize("name", TARGETS)
def test_it_is_killed(name: str, inputs: Path, tmp_path: Path) -> None:
    target, rng = TARGETS[name], random.Random(name)
    if not (TIMES or target.is_quick):
        pytest.skip("takes long; make torture has it")
    pytest.importorskip(target.needs)
    began = time.monotonic()
    process = start(target, inputs, tmp_path / "whole" / target.out)
    told = process.communicate()[1]
    assert process.returncode == 0, told
    seconds = time.monotonic() - began
    whole = {one: path.read_bytes() for one, path in visible(tmp_path / "whole").items()}
    for _ in range(TIMES or 2):
        process = start(target, inputs, tmp_path / "killed" / target.out)
        time.sleep(rng.uniform(0.2, 1.0) * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for one, path in visible(tmp_path / "killed").items():
            check_whole(path)
            if target.is_same and "cache/" not in one:
                assert path.read_bytes() == whole[one], one
    process = start(target, inputs, tmp_path / "killed" / target.out)
    told = process.communicate()[1]
    assert process.returncode == 0, told
    again = visible(tmp_path / "killed")
    assert again.keys() == whole.keys()
    if target.is_same:
        assert {one: path.read_bytes() for one, path in again.items()} == whole
    assert not [path for path in (tmp_path / "killed").rglob("*") if _NAMES.fullmatch(path.name)]
