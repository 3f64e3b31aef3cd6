"""MediaPipe's points, as fit takes them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from likeness.assets import asset
from likeness.errors import FileError, MissingExtraError
from likeness.geometry.camera import Camera, image_center, project
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.model.face_model import Coefficients, FaceModel
from likeness.model.surface_points import PointMap, default_point_map
from likeness.networks import mediapipe
from likeness.networks.mediapipe import LANDMARKS_FILE, FaceLandmarker
from likeness.reconstruct import teacher_fit
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.reconstruct.result import Reconstruction
from likeness.reconstruct.teacher_points import TeacherPoints

SHARED = Path(__file__).parents[2] / "shared" / "data"


def test_exact_points_give_the_face_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model, points, rng = FaceModel.load(asset("face_model.npz")), default_point_map(), np.random.default_rng(2)
    camera = Camera(900.0, image_center((400, 400)), (400, 400))
    rotation, translation = FRONTAL @ rotation_from_euler(0.3, -0.1, 0.05), np.array([10.0, -20.0, 800.0])
    identity = model.space.sample(1, rng)[0]
    expression = np.zeros(len(model.expression_names))
    places = points.gather(model.vertices(identity, expression)).astype(float)
    pixels = project(camera, places @ rotation.T + translation)
    truth = TeacherPoints(np.column_stack([pixels, places[:, 2]]), np.zeros(478), 1.0)
    monkeypatch.setattr(teacher_fit, "teacher_points", lambda *_: truth)
    mean = Coefficients(np.zeros_like(identity), expression, np.zeros(len(model.albedo_names)), np.zeros((9, 3)))
    face = Reconstruction(
        model, mean, camera, FRONTAL, translation, pixels[points.ibug], np.zeros(4), 1.0, np.zeros((400, 400, 3))
    )
    network: Any = None
    found = teacher_fit.fit_to_teacher(face, network)
    seen = points.gather(model.vertices(found.identity, found.expression)) @ found.rotation.T + found.translation
    off = np.linalg.norm(project(found.camera, seen) - pixels, axis=1)[:468]
    assert np.median(off) < 0.6  # points are taken to be off by 2 mm, 2.2 pixels here
    assert np.abs(found.rotation - rotation).max() < 0.03
    region = model.topology.regions["face"]
    between = [
        np.linalg.norm(model.vertices(one)[region] - model.vertices(identity)[region], axis=1).mean()
        for one in (found.identity, np.zeros_like(identity))
    ]
    assert between[0] < 0.6 * between[1]  # nearer to the truth than the mean face


def test_mediapipes_points_of_a_portrait_fit_a_head() -> None:
    pytest.importorskip("ai_edge_litert")
    folder, portraits = SHARED / "teachers" / "mediapipe", sorted((SHARED / "portraits").glob("*-neutral.jpg"))
    if not folder.is_dir() or not portraits:
        pytest.skip("no shared data")
    face = Reconstructor(threads=1)(portraits[0], max_faces=1)[0]
    found = teacher_fit.fit_to_teacher(face, FaceLandmarker.load(folder))
    points = default_point_map()
    places = points.gather(found.model.vertices(found.identity, found.expression)) @ found.rotation.T
    seen = project(found.camera, places + found.translation)[points.ibug]
    size = np.sqrt(np.prod(np.ptp(face.landmarks, axis=0)))
    assert np.linalg.norm(seen[17:] - face.landmarks[17:], axis=1).mean() / size < 0.06


def bundle(path: Path, name: str = LANDMARKS_FILE) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"no network")
    return path


def test_a_bundle_is_opened_and_others_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = []

    class Interpreter:
        def __init__(self, model_content: bytes, num_threads: int) -> None:
            contents.append(model_content)
            raise ValueError("not a model")

    litert = SimpleNamespace(Interpreter=Interpreter)
    monkeypatch.setattr(mediapipe, "import_extra", lambda *_: litert)
    with pytest.raises(FileError, match="LiteRT"):
        FaceLandmarker.load(bundle(tmp_path / "face_landmarker.task"))
    assert contents == [b"no network"]
    with pytest.raises(FileError, match="which holds"):
        FaceLandmarker.load(bundle(tmp_path / "hand.task", "hands.tflite"))
    (tmp_path / "broken.task").write_bytes(b"PK nothing")
    with pytest.raises(FileError, match="cannot be read"):
        FaceLandmarker.load(tmp_path / "broken.task")


def test_the_installed_package_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec: Any = None
    monkeypatch.setattr(mediapipe.importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(FileError, match="no package mediapipe"):
        mediapipe.installed_landmarker()
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    with pytest.raises(FileError, match="does not have it"):
        mediapipe.installed_landmarker()
    (tmp_path / "modules").mkdir()
    there = bundle(tmp_path / "modules" / "face_landmarker.task")
    assert mediapipe.installed_landmarker() == there


def test_a_reconstructor_takes_mediapipes_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads are fitted to what a made network says; where it sees no face the package's own points stay."""
    chance = 1.0
    seen: list[np.ndarray] = []

    def placed(image: np.ndarray, landmarks: np.ndarray, network: Any, points: PointMap) -> TeacherPoints:
        model = FaceModel.load(asset("face_model.npz"))
        front = points.gather(model.mean)[:, :2] * [1.0, -1.0]
        low, high = front[points.ibug].min(0), front[points.ibug].max(0)
        box = np.ptp(landmarks, axis=0)
        pixels = (front - low) / (high - low) * box + landmarks.min(0)
        seen.append(pixels)
        return TeacherPoints(np.column_stack([pixels, np.zeros(478)]), np.zeros(478), chance)

    monkeypatch.setattr(teacher_fit, "teacher_points", placed)
    monkeypatch.setattr(FaceLandmarker, "load", classmethod(lambda *_: None))
    photo = np.random.default_rng(1).integers(0, 256, (160, 150, 3), dtype=np.uint8)
    finder = Reconstructor(points="mediapipe", mediapipe="anything", threads=1)
    boxes = np.array([[20.0, 30.0, 120.0, 130.0]])
    face = finder(photo, boxes=boxes)[0]
    assert face.points_by == face.to_dict()["points_by"] == "mediapipe"
    np.testing.assert_array_equal(face.points, seen[0])
    np.testing.assert_allclose(face.landmarks, seen[0][default_point_map().ibug])
    places = default_point_map().gather(face.vertices()) @ face.rotation.T + face.translation
    size = np.ptp(face.landmarks, axis=0).max()
    assert np.linalg.norm(project(face.camera, places) - seen[0], axis=1)[:468].mean() < 0.03 * size
    assert face.size.deviation > 0
    chance = 0.2
    other = finder(photo, boxes=boxes)[0]
    assert other.points_by == "network"


def test_what_does_not_go_together_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="with MediaPipe's files"):
        Reconstructor(mediapipe="anything")
    with pytest.raises(ValueError, match="refine=False"):
        Reconstructor(points="mediapipe", mediapipe="anything", refine=False)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("likeness.extras.importlib.import_module", missing)
    with pytest.raises(MissingExtraError, match=r"likeness3d\[points\]"):
        Reconstructor(points="mediapipe", mediapipe="anything")
