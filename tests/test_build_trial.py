"""runs/build_default.sh, done: from a data folder to files that reconstruct a photo. For who gives it the data and
the time.

    BUILD_TRIAL=DATA python -m pytest tests/test_build_trial.py

BUILD_TRIAL is the data folder; what is made stays in pytest's temporary folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[1]
DATA = os.environ.get("BUILD_TRIAL", "")

pytestmark = pytest.mark.skipif(not DATA, reason="takes long: BUILD_TRIAL=DATA")


@pytest.mark.parametrize("rendered_only", ["", "1"])
def test_a_trial_ends_with_files_that_reconstruct_a_photo(rendered_only: str, tmp_path: Path) -> None:
    work, photo, environment = tmp_path / "work", tmp_path / "astronaut.png", dict(os.environ)
    cv2.imwrite(str(photo), pytest.importorskip("skimage.data").astronaut()[:300, 100:400, ::-1])
    build = ["bash", str(ROOT / "runs" / "build_default.sh"), str(Path(DATA).resolve()), str(work)]
    given = (
        {"PYTHON": str(Path(sys.executable).with_name("python"))}
        | environment
        | {"TRIAL": "1", "RENDERED_ONLY": rendered_only}
    )
    subprocess.run(build, env=given, check=True)
    command = [sys.executable, "-m", "likeness", "reconstruct", str(photo), "-o", str(tmp_path / "out")]
    command += ["--min-score", "0", "--max-faces", "1"]
    if rendered_only:
        files = {"model": "sphere.npz", "network": "fusion/regressor.onnx", "points": "surface_points.npz"}
        command += [word for name, file in files.items() for word in (f"--{name}", str(work / file))]
    else:
        environment["PYTHONPATH"] = str(work / "package")
        told = json.loads((work / "package" / "likeness" / "assets" / "provenance.json").read_text())
        assert set(told["figures"]) == {"video-val", "video-val, annotated crops", "portraits"}
    subprocess.run(command, env=environment, check=True)
    assert (tmp_path / "out" / "astronaut.glb").stat().st_size > 0
