"""Every example runs as its first lines say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from likeness.assets import asset

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two photos and a scan (a random person of the embedded model in metres, turned and shifted)."""
    import cv2
    import numpy as np

    from likeness import FaceModel, Mesh

    place = tmp_path_factory.mktemp("examples")
    photo = pytest.importorskip("skimage.data").astronaut()
    cv2.imwrite(str(place / "a.jpg"), photo[..., ::-1])
    cv2.imwrite(str(place / "b.jpg"), photo[:, ::-1, ::-1])
    model = FaceModel.load(asset("face_model.npz"))
    code = model.space.sample(1, np.random.default_rng(0))[0]
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    Mesh(model.vertices(code) @ turn.T / 1000 + [0.1, 0, 2], model.topology.triangles).save(place / "scan.ply")
    points = model.landmark_points(code)[:51] @ turn.T / 1000 + [0.1, 0, 2]
    np.savetxt(place / "points.txt", points)
    return place


ARGUMENTS = {
    "photo_to_head.py": ["a.jpg", "out"],
    "compare_two_faces.py": ["a.jpg", "b.jpg"],
    "random_heads.py": ["out"],
    "morph_between_people.py": ["a.jpg", "b.jpg", "out"],
    "demo_photo.py": ["out/demo.jpg"],
    "convert_model.py": [str(asset("face_model.npz")), "out/model.npz"],
    "register_scan.py": ["scan.ply", "out", "points.txt"],
}


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(ARGUMENTS)


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_example(name: str, folder: Path) -> None:
    (folder / "out").mkdir(exist_ok=True)
    if name == "register_scan.py":
        pytest.importorskip("igl")
        pytest.importorskip("scipy")
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *ARGUMENTS[name]], cwd=folder, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    if name == "register_scan.py":
        assert run.stdout.startswith("in m; 0.")
        made = {*(f"scan.{format}" for format in ("obj", "glb", "json", "png")), "scan-in-scan.ply"}
        assert made <= {path.name for path in (folder / "out").iterdir()}
    assert 5 <= len((EXAMPLES / name).read_text().splitlines()) <= 40
