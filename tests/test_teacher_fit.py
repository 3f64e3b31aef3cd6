"""MediaPipe's points, as fit takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness.assets import asset
from likeness.geometry.camera import Camera, image_center, project
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.model.face_model import Coefficients, FaceModel
from likeness.model.surface_points import default_point_map
from likeness.networks.mediapipe import FaceLandmarker
from likeness.reconstruct import teacher_fit
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
    from likeness.reconstruct.reconstructor import Reconstructor

    face = Reconstructor(threads=1)(portraits[0], max_faces=1)[0]
    found = teacher_fit.fit_to_teacher(face, FaceLandmarker.load(folder))
    points = default_point_map()
    places = points.gather(found.model.vertices(found.identity, found.expression)) @ found.rotation.T
    seen = project(found.camera, places + found.translation)[points.ibug]
    size = np.sqrt(np.prod(np.ptp(face.landmarks, axis=0)))
    assert np.linalg.norm(seen[17:] - face.landmarks[17:], axis=1).mean() / size < 0.06
