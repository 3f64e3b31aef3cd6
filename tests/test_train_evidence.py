"""Shapes of people from the labelled points of all their photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from dense_points import small_map
from fit_data import photographed
from test_train_points import sources  # noqa: F401

from likeness.errors import FileError
from likeness.fit import SurfacePoints, fit_face
from likeness.geometry.crop import Crop
from likeness.model.face_model import FaceModel
from likeness.reconstruct.teacher_fit import placed_observations
from likeness.train.photos.evidence import (
    HALVED,
    SIZE,
    UNSURE_MM,
    Evidence,
    PlacedFaces,
    agreement,
    crop_camera,
    evidence_of_people,
    placed_faces,
    read_evidence,
    write_evidence,
)
from likeness.train.photos.labels import Sources


def people(model: FaceModel, count: int, photos: int, seed: int = 0) -> tuple[np.ndarray, PlacedFaces]:
    """Codes of people and their labelled photos; what a label gets wrong in a photo its neighbours share."""
    rng, points = np.random.default_rng(seed), small_map(model)
    surface, camera = SurfacePoints(points.vertices, points.weights), crop_camera()
    codes = rng.standard_normal((count, len(model.identity_basis)))
    places = []
    for code in np.repeat(codes, photos, axis=0):
        truth = photographed(model, surface, rng, identity=code)
        seen = model.mean[points.vertices].mean((0, 1)) @ truth.rotation.T
        translation = [*-seen[:2], 1500.0]
        body = points.gather(model.vertices(code, truth.expression)) @ truth.rotation.T + translation
        wave = rng.normal(0, 1.0, (2, 2)) @ (points.gather(model.mean)[:, :2].T / 60.0)
        places.append(camera.project(body) + wave.T + rng.normal(0, 0.3, (len(points), 2)))
    total = count * photos
    return codes, PlacedFaces(
        tuple(f"k{number}" for number in range(total)),
        np.ones(total, bool),
        np.arange(total),
        np.repeat(np.arange(count), photos),
        (Crop.from_box([50.0, 50.0], 100.0, SIZE),) * total,
        np.array(places, np.float32),
        np.full((total, len(points)), 0.2, np.float32),
    )


@pytest.fixture(scope="module")
def made(small_model: FaceModel) -> tuple[np.ndarray, PlacedFaces, Evidence]:
    codes, faces = people(small_model, 6, 12)
    evidence = evidence_of_people(small_model, faces, Sources(small_model, point_map=small_map(small_model)))
    return codes, faces, evidence


def test_evidence_is_nearer_to_the_truth_than_a_photos_fit(
    small_model: FaceModel, made: tuple[np.ndarray, PlacedFaces, Evidence]
) -> None:
    codes, faces, evidence = made
    metric, points = small_model.shape_metric, small_map(small_model)
    for person, code in enumerate(codes):
        whole = float(metric.distance(evidence.code[person], code))
        single = []
        for row in faces.rows[person]:
            seen = placed_observations(small_model, faces.points[row], faces.deviation[row], points, UNSURE_MM)
            single.append(float(metric.distance(fit_face(small_model, seen, crop_camera()).identity, code)))
        assert whole < np.median(single)
        assert whole < float(metric.distance(0 * code, code))
    assert evidence.pictures.tolist() == [12] * 6


def test_halves_agree_where_people_have_shapes_of_their_own(
    small_model: FaceModel, made: tuple[np.ndarray, PlacedFaces, Evidence]
) -> None:
    _, _, evidence = made
    factor = small_model.shape_metric.factor
    found = agreement(evidence, factor)
    assert found["halves_auc"] > 0.95
    assert found["halves_within_mm"] < 0.7 * found["halves_between_mm"]
    mixed = replace(evidence, halves=np.stack([evidence.halves[:, 0], np.roll(evidence.halves[:, 1], 1, 0)], 1))
    assert agreement(mixed, factor)["halves_auc"] < 0.6
    nobody = replace(evidence, halves=np.full_like(evidence.halves, np.nan))
    assert agreement(nobody, factor) == {}


def test_few_photos_have_no_halves(small_model: FaceModel) -> None:
    _, faces = people(small_model, 2, HALVED - 1)
    few = evidence_of_people(small_model, faces, Sources(small_model, point_map=small_map(small_model)))
    assert np.isnan(few.halves).all()
    assert np.isfinite(few.code).all()


def test_labelled_photos_are_found_in_their_crops(sources: Sources) -> None:  # noqa: F811
    faces = placed_faces(sources)
    points = sources.point_map
    assert points is not None
    assert len(faces) == 10
    assert faces.is_frame.tolist() == [True] * 6 + [False] * 4
    box = faces.points[:, points.ibug]
    # The box of the upright crop is in its middle; where a face is not turned in its picture that is this one.
    assert np.abs(0.5 * (box.min(1) + box.max(1)) - 55.5).max() < 12
    assert faces.embedding is not None
    assert faces.embedding.shape == (10, 6)
    some = faces.first(2)
    assert len(some.rows) == 2
    assert set(some.person.tolist()) == {*faces.rows} & {0, 1}
    with pytest.raises(ValueError, match="labelled points"):
        placed_faces(replace(sources, frame_points=None, photo_points=None))
    with pytest.raises(ValueError, match="map of the surface points"):
        placed_faces(replace(sources, point_map=None))


def test_evidence_is_read_as_it_was_written(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "evidence.npz"
    halves = rng.standard_normal((3, 2, 5)).astype(np.float32)
    halves[1] = np.nan
    evidence = Evidence(
        ("a", "b/c", "d"), rng.standard_normal((3, 5)).astype(np.float32), np.array([3, 1, 9]), halves
    )
    write_evidence(path, evidence)
    again = read_evidence(path, 5)
    assert again.key == evidence.key
    np.testing.assert_array_equal(again.code, evidence.code)
    np.testing.assert_array_equal(again.halves, evidence.halves)
    np.testing.assert_array_equal(again.pictures, evidence.pictures)
    with pytest.raises(FileError, match=r"expected codes \(3, 6\)"):
        read_evidence(path, 6)
    for changes, match in (
        ({"code": np.full((3, 5), np.nan, np.float32)}, "finite codes"),
        ({"pictures": np.array([0, 1, 2])}, "a picture at least"),
        ({"pictures": np.array([0.5, 1, 2])}, "floats and counts"),
        ({"key": np.array([1, 2, 3])}, "expected codes"),
    ):
        arrays = {
            "key": np.array(evidence.key),
            "code": evidence.code,
            "pictures": evidence.pictures,
            "halves": halves,
        }
        np.savez(path, **{**arrays, **changes})
        with pytest.raises(FileError, match=match):
            read_evidence(path, 5)
    np.savez(path, key=np.array(["a"]))
    with pytest.raises(FileError, match="code is missing"):
        read_evidence(path, 5)
