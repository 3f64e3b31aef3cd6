"""How far true outlines lie outside of found ones, and heads that are made wider."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.assets import asset
from likeness.metrics.fidelity_points import front_points
from likeness.metrics.outline import CHIN, SIDES, outline_distances, outward_normals
from likeness.model.face_model import FaceModel


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


def circle(radius: float, count: int = 400) -> np.ndarray:
    """A closed curve (count + 1, 2)."""
    angle = np.linspace(0, 2 * np.pi, count + 1)
    return radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def round_face(radius: float) -> np.ndarray:
    """68 points whose outline is the lower half of a circle about the middle of the others."""
    angle = np.linspace(np.pi, 0, 17)
    outline = radius * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.concatenate([outline, np.random.default_rng(0).normal(0, 1, (51, 2)) @ np.diag([1, 0.5])])


def test_distances_of_circles_are_those_of_their_radii() -> None:
    face = round_face(50.0)
    face[17:] -= face[17:].mean(0)
    ends = [0, 16]  # where the outline ends, its direction is that of the last side
    for radius in (44.0, 50.0, 57.0):
        found = np.delete(outline_distances(face, circle(radius)), ends)
        np.testing.assert_allclose(found, radius - 50.0, atol=0.02)


def test_distances_turn_and_grow_with_the_picture() -> None:
    rng = np.random.default_rng(1)
    face, truth = round_face(40.0), circle(46.0) @ np.diag([1.1, 0.9])
    angle = rng.uniform(0, 2 * np.pi)
    turn = 3.0 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = rng.normal(0, 100, 2)
    before, after = outline_distances(face, truth), outline_distances(face @ turn.T + shift, truth @ turn.T + shift)
    np.testing.assert_allclose(after, 3.0 * before, rtol=1e-6)
    np.testing.assert_allclose(outline_distances(face, truth[::-1]), before, rtol=1e-6)


def test_where_points_lie_along_the_outline_does_not_count() -> None:
    face = round_face(40.0)
    straight = np.array([[-60.0, 45.0], [60.0, 45.0]])
    dense = np.stack([np.linspace(-60, 60, 50), np.full(50, 45.0)], 1)
    np.testing.assert_allclose(outline_distances(face, straight), outline_distances(face, dense), rtol=1e-9)
    assert np.isnan(outline_distances(face, straight)[[0, 16]]).all()  # normals to the sides never meet it


@pytest.mark.parametrize(
    ("found", "truth"), [((67, 2), (9, 2)), ((68, 3), (9, 2)), ((68, 2), (1, 2)), ((68, 2), (9, 3))]
)
def test_other_shapes_are_refused(found: tuple[int, int], truth: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected points"):
        outline_distances(np.zeros(found), np.zeros(truth))


def test_normals_of_the_mean_face_point_outwards(model: FaceModel) -> None:
    mean = front_points(model, np.zeros((1, len(model.identity_basis)), np.float32))[0]
    normals = outward_normals(mean)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    assert normals[3, 0] * normals[13, 0] < 0
    assert normals[8, 1] > 0.9  # y points down


def test_heads_are_made_wider_and_their_inner_points_stay(model: FaceModel) -> None:
    pytest.importorskip("torch")
    from likeness.train.photos.fullness import wider

    size = len(model.identity_basis)
    before, after = front_points(model, np.stack([np.zeros(size), 2.0 * wider(model)]).astype(np.float32))
    # Laid on each other by their inner points.
    a, b = before[17:] - before[17:].mean(0), after[17:] - after[17:].mean(0)
    z, w = a @ np.array([1, 1j]), b @ np.array([1, 1j])
    factor = np.vdot(w, z) / np.vdot(w, w).real
    moved = (after - after[17:].mean(0)) @ np.array([1, 1j]) * factor
    laid = np.stack([moved.real, moved.imag], 1) + before[17:].mean(0)
    away = outline_distances(before, laid[:17])
    assert away[list(SIDES)].mean() == pytest.approx(2.0, abs=0.2)
    assert abs(away[list(CHIN)].mean()) < 0.2
    assert np.linalg.norm(laid[17:] - before[17:], axis=1).mean() < 0.1
    np.testing.assert_allclose(away, away[::-1], atol=0.35)


def test_photographs_get_the_change_and_rendered_faces_do_not() -> None:
    pytest.importorskip("torch")
    from likeness.train.photos.fullness import widened
    from likeness.train.photos.fusion import Estimator
    from likeness.train.photos.fusion_inputs import FusionInputs

    rng = np.random.default_rng(2)
    count, width, size = 400, 8, 3

    def looks(middle: float) -> FusionInputs:
        features = rng.standard_normal((count, width))
        features[:, 0] += middle
        return FusionInputs(features, rng.standard_normal((count, size)), np.ones((count, 1)))

    before = Estimator(
        rng.standard_normal((width, size)), rng.standard_normal(size), rng.standard_normal((1, size, size))
    )
    change = np.array([1.0, -2.0, 0.5])
    photos, rendered, between, nearly = looks(40.0), looks(0.0), looks(10.0), looks(25.0)
    after = widened(before, photos, rendered, change)
    for some, share in ((photos, 1.0), (rendered, 0.0), (between, 0.5), (nearly, 1.0)):
        more = (after(some) - before(some)).mean(0)
        np.testing.assert_allclose(more, share * change, atol=0.1 * np.abs(change).max())
    # Features that say nothing: everybody gets the same.
    alike, others = looks(0.0), looks(0.0)
    same = widened(before, alike, others, change)
    more = same(others) - before(others)
    np.testing.assert_allclose(more.mean(0), change, atol=0.2)
