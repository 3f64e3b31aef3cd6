"""Laws of carrying a whole model over to another topology."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from register_scans import code_of, subdivided

from likeness.geometry.landmarks import LandmarkMap
from likeness.model.face_model import FaceModel
from likeness.model.topology import Topology

pytest.importorskip("scipy")
pytest.importorskip("igl")

from likeness.geometry.rotation import rotation_from_euler
from likeness.register import closest_points, transfer


def retriangulated(model: FaceModel, shift: np.ndarray | None = None, turn: np.ndarray | None = None) -> FaceModel:
    """The same surfaces on four times as many triangles, vertices in another order; no regions; turned and moved."""
    fields = [model.mean[None], model.identity_basis, model.expression_basis]
    fields += [model.albedo_mean[None], model.albedo_basis]
    columns = np.concatenate(fields).transpose(1, 0, 2)
    flat, triangles = subdivided(columns.reshape(len(columns), -1), model.topology.triangles)
    order = np.random.default_rng(0).permutation(len(flat))
    flat, triangles = flat[order], np.argsort(order)[triangles].astype(np.int32)
    dense = flat.reshape(len(flat), -1, 3).transpose(1, 0, 2).astype(np.float32)
    ends = np.cumsum([len(field) for field in fields])
    mean, identity, expression, albedo_mean, albedo = np.split(dense, ends[:-1])
    rotation = np.eye(3) if turn is None else turn
    old = np.argsort(order)
    known = model.landmark_map
    landmarks = LandmarkMap(
        old[known.inner_vertices],
        known.inner_weights,
        old[known.contour_vertices],
        known.contour_weights,
        known.outward,
    )
    return FaceModel(
        mean=(mean[0] @ rotation.T + (0 if shift is None else shift)).astype(np.float32),
        identity_basis=(identity @ rotation.T).astype(np.float32),
        expression_basis=(expression @ rotation.T).astype(np.float32),
        albedo_mean=albedo_mean[0],
        albedo_basis=albedo,
        albedo_names=model.albedo_names,
        topology=Topology(
            triangles, np.zeros(0, np.int32), np.zeros((0, 2)), np.zeros((0, 3), np.int32), None, {}, landmarks
        ),
        name="dense",
    )


def test_its_own_topology_changes_nothing(small_model: FaceModel) -> None:
    same = transfer(replace(small_model, name="other"), small_model)
    np.testing.assert_array_equal(same.mean, small_model.mean)
    np.testing.assert_array_equal(same.identity_basis, small_model.identity_basis)
    assert same.topology is small_model.topology


def test_another_triangulation_of_the_same_surfaces(small_model: FaceModel) -> None:
    dense = retriangulated(small_model)
    back = transfer(dense, small_model)
    assert back.topology is small_model.topology
    assert back.albedo_names == small_model.albedo_names
    assert back.name == "dense-on-small"
    face = small_model.topology.regions["face"]
    assert np.linalg.norm(back.mean - small_model.mean, axis=1)[face].max() < 0.3
    for found, truth in (
        (back.identity_basis, small_model.identity_basis),
        (back.expression_basis, small_model.expression_basis),
    ):
        assert np.linalg.norm(found - truth, axis=-1)[:, face].max() < 0.5
    skin = face & ~small_model.topology.regions["eyes"]  # eyes keep the template's colours
    assert np.abs(back.albedo_basis - small_model.albedo_basis)[:, skin].max() < 0.05


def test_shapes_agree_in_other_axes(small_model: FaceModel) -> None:
    turn, shift = rotation_from_euler(0.4, 0.2, -0.3), np.array([10.0, 200, -50])
    dense = retriangulated(small_model, shift, turn)
    back = transfer(dense, small_model)
    code = code_of(small_model, 5)
    expression = np.zeros(52)
    expression[3] = 0.8
    ours = back.vertices(code, expression).astype(np.float64)
    theirs = (dense.vertices(code, expression) - shift) @ turn
    face = small_model.topology.regions["face"]
    distance = closest_points(ours[face], theirs, dense.topology.triangles).distance
    assert np.median(distance) < 0.2
    assert distance.max() < 1.5


def test_what_the_other_model_lacks_moves_plausibly(small_model: FaceModel) -> None:
    dense = retriangulated(small_model)
    front = dense.mean[:, 2] > -90
    kept = front[dense.topology.triangles].all(1)
    mask = replace(dense, topology=replace(dense.topology, triangles=dense.topology.triangles[kept]))
    back = transfer(mask, small_model)
    behind = small_model.mean[:, 2] < -110
    truth = np.linalg.norm(small_model.identity_basis[:, behind], axis=-1).mean(1)
    error = np.linalg.norm(back.identity_basis - small_model.identity_basis, axis=-1)[:, behind].mean(1)
    # The template's own people say how the back moves when the front does: better than not moving it at all.
    assert error[:4].mean() < 0.5 * truth[:4].mean()
    assert np.abs(back.identity_basis).max() < 2 * np.abs(small_model.identity_basis).max()


def test_a_model_without_colours_gets_the_templates(small_model: FaceModel) -> None:
    dense = retriangulated(small_model)
    bare = replace(dense, albedo_mean=np.zeros_like(dense.mean), albedo_basis=dense.albedo_basis[:0], albedo_names=())
    back = transfer(bare, small_model)
    np.testing.assert_array_equal(back.albedo_mean, small_model.albedo_mean)
    assert back.albedo_names == small_model.albedo_names
