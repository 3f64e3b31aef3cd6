"""What must hold for the embedded face model: symmetry, expressions, regions, people who look like people."""

from __future__ import annotations

import numpy as np
import pytest

from likeness import FaceModel
from likeness.assets import asset
from likeness.mesh import Mesh, mirror_map


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


def test_size_and_axes(model: FaceModel) -> None:
    assert len(model.identity_basis) >= 100
    assert len(model.expression_basis) == 52
    assert len(model.albedo_names) <= 30
    eyes = model.mean[model.topology.regions["eyes"]]
    np.testing.assert_allclose(eyes.mean(0), 0, atol=1.0)  # the origin lies between the eyes
    nose = model.mean[model.mean[:, 2].argmax()]
    assert abs(nose[0]) < 2  # the nose points along +z
    assert model.mean[:, 1].max() > 80  # the crown is up


def test_the_mean_is_nearly_its_own_mirror_image(model: FaceModel) -> None:
    mirrored = model.mean[model.topology.mirror] * [-1, 1, 1]
    assert np.linalg.norm(mirrored - model.mean, axis=1)[model.topology.regions["face"]].mean() < 0.5
    np.testing.assert_array_equal(model.topology.mirror[model.topology.mirror], np.arange(len(model.mean)))


def test_the_mirror_map_is_the_topologys(model: FaceModel) -> None:
    pytest.importorskip("scipy")
    symmetric = 0.5 * (model.mean + model.mean[model.topology.mirror] * [-1, 1, 1])
    found = mirror_map(symmetric, model.topology.triangles, quads=model.topology.quads)
    np.testing.assert_array_equal(found, model.topology.mirror)


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_expressions_move_the_side_that_they_name(model: FaceModel, side: str) -> None:
    sign = 1 if side == "Left" else -1  # x points to the subject's left
    for name in (f"eyeBlink{side}", f"mouthSmile{side}", f"browOuterUp{side}"):
        moved = np.linalg.norm(model.expression_basis[model.expression_names.index(name)], axis=1)
        x = model.mean[:, 0]
        assert moved[sign * x > 15].sum() > 10 * moved[sign * x < -15].sum()


def test_an_open_jaw_opens_the_lips_and_a_smile_widens_the_mouth(model: FaceModel) -> None:
    def points(name: str) -> np.ndarray:
        weights = np.zeros(52)
        if name:
            weights[[i for i, n in enumerate(model.expression_names) if n.startswith(name)]] = 1
        return model.landmark_points(np.zeros(len(model.identity_basis)), weights)[:51]

    upper, lower, right, left = 62 - 17, 66 - 17, 48 - 17, 54 - 17
    rest, jaw, smile = points(""), points("jawOpen"), points("mouthSmile")
    assert (jaw[upper] - jaw[lower])[1] > (rest[upper] - rest[lower])[1] + 15
    assert (smile[left] - smile[right])[0] > (rest[left] - rest[right])[0] + 5


def test_landmarks_lie_on_the_face_in_their_order(model: FaceModel) -> None:
    points = model.landmark_points(np.zeros(len(model.identity_basis)))
    inner = points[:51]
    assert (np.diff(inner[[36 - 17, 39 - 17, 42 - 17, 45 - 17], 0]) > 5).all()  # eye corners, right to left
    assert inner[30 - 17, 2] > inner[[36 - 17, 45 - 17], 2].max() + 20  # the nose tip stands out
    jaw = points[51:].reshape(17, -1, 3)[:, -2]
    assert (np.diff(jaw[:, 0]) > 0).all()
    assert jaw[:, 1].argmin() == 8


def test_random_people_have_no_folded_faces_and_human_sizes(model: FaceModel) -> None:
    codes = model.space.sample(20, np.random.default_rng(0))
    rest = Mesh(model.mean, model.topology.triangles).triangle_normals()
    face = model.topology.regions["face"][model.topology.triangles].all(1)
    for vertices in model.vertices(np.clip(codes, -3, 3)):
        normals = Mesh(vertices, model.topology.triangles).triangle_normals()
        turned = ((normals * rest).sum(1) < 0)[face]
        assert turned.mean() < 0.004
        width = np.ptp(vertices[model.topology.regions["skin"] & ~model.topology.regions["ears"], 0])
        assert 120 < width < 190


def test_regions_cover_the_head_without_overlap(model: FaceModel) -> None:
    regions = model.topology.regions
    assert set(regions) == {"face", "skin", "lips", "eyes", "ears", "scalp", "neck", "mouth"}
    for name in ("ears", "scalp", "neck"):
        assert not (regions["face"] & regions[name]).any()
    assert (regions["lips"] <= regions["skin"]).all()
    assert not (regions["eyes"] & regions["skin"]).any()
