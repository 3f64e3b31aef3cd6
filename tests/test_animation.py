"""Animated GLB files: keys come back as they went in, as glTF 2.0 (3.11) asks for them."""

from __future__ import annotations

import numpy as np
import pytest
from test_glb import blendshapes, chunks, head

from likeness.geometry.quaternions import continuous_quaternions, rotations_from_quaternions
from likeness.geometry.rotation import rotation_from_euler, rotation_from_vector
from likeness.mesh import Mesh
from likeness.mesh.animation import Animation
from likeness.mesh.glb_writer import glb_bytes

WIDTH = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


def moves(count: int = 9, shapes: int = 7) -> Animation:
    rng = np.random.default_rng(4)
    angles = np.cumsum(rng.normal(0, 1.0, (count, 3)), axis=0)
    return Animation(
        np.cumsum(rng.uniform(0.01, 0.2, count)),
        rng.uniform(0, 1, (count, shapes)),
        rotation_from_euler(*angles.T),
        rng.normal(0, 100, (count, 3)),
    )


def outputs(data: bytes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Path -> times and values of a file's only animation."""
    document, binary = chunks(data)

    def read(number: int) -> np.ndarray:
        accessor = document["accessors"][number]
        view = document["bufferViews"][accessor["bufferView"]]
        assert accessor["componentType"] == 5126
        assert "target" not in view  # only vertices and indices have one
        width = WIDTH[accessor["type"]]
        values = np.frombuffer(binary, "<f4", accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
        if "min" in accessor:
            assert np.allclose(accessor["min"], values.min(0))
            assert np.allclose(accessor["max"], values.max(0))
        return values

    (animation,) = document["animations"]
    found = {}
    for channel in animation["channels"]:
        assert channel["target"]["node"] == 0
        sampler = animation["samplers"][channel["sampler"]]
        assert sampler["interpolation"] == "LINEAR"
        assert "min" in document["accessors"][sampler["input"]]  # required of times
        found[channel["target"]["path"]] = (read(sampler["input"])[:, 0], read(sampler["output"]))
    return found


def test_keys_come_back() -> None:
    mesh, made = head(), moves()
    found = outputs(glb_bytes(mesh, blendshapes(mesh), animation=made))
    assert set(found) == {"weights", "rotation", "translation"}
    for times, _ in found.values():
        assert np.allclose(times, made.times)
    assert np.allclose(found["weights"][1].reshape(9, 7), made.weights)
    assert made.translation is not None
    assert np.allclose(found["translation"][1] * 1e3, made.translation, atol=1e-3)
    assert np.allclose(np.linalg.norm(found["rotation"][1], axis=1), 1)
    assert np.allclose(rotations_from_quaternions(found["rotation"][1]), made.rotation, atol=1e-6)


def test_an_animated_file_is_read_as_the_head_at_rest(tmp_path) -> None:
    mesh = head()
    path = tmp_path / "a.glb"
    path.write_bytes(glb_bytes(mesh, blendshapes(mesh), animation=moves()))
    assert np.allclose(Mesh.load(path).vertices, mesh.vertices, atol=1e-3)


def test_only_what_moves_has_channels() -> None:
    mesh, made = head(), moves()
    assert set(outputs(glb_bytes(mesh, blendshapes(mesh), animation=Animation(made.times, made.weights)))) == {
        "weights"
    }
    still = Animation(made.times, np.zeros((9, 0)), made.rotation)
    assert set(outputs(glb_bytes(mesh, animation=still))) == {"rotation"}


@pytest.mark.parametrize(
    ("times", "weights", "rotation"),
    [
        ([], np.zeros((0, 2)), None),
        ([0.1, 0.1], np.zeros((2, 2)), None),
        ([-0.1, 0.1], np.zeros((2, 2)), None),
        ([0.0, 1.0], np.zeros((3, 2)), None),
        ([0.0, 1.0], np.full((2, 2), np.nan), None),
        ([0.0, 1.0], np.zeros((2, 2)), np.zeros((2, 4))),
    ],
)
def test_keys_that_do_not_fit_together(times, weights, rotation) -> None:
    with pytest.raises(ValueError, match="expected"):
        Animation(np.array(times), weights, rotation)


def test_weights_of_other_shapes_are_refused() -> None:
    mesh = head()
    with pytest.raises(ValueError, match="7"):
        glb_bytes(mesh, blendshapes(mesh), animation=moves(shapes=5))
    with pytest.raises(ValueError, match="neither"):
        glb_bytes(mesh, animation=Animation(np.zeros(1), np.zeros((1, 0))))


def test_quaternions_are_the_rotations_and_never_jump() -> None:
    rng = np.random.default_rng(8)
    axis = np.array([0.3, -0.5, 0.8]) / np.linalg.norm([0.3, -0.5, 0.8])
    turning = np.stack([rotation_from_vector(axis * angle) for angle in np.linspace(0, 4 * np.pi, 60)])
    half = np.stack([rotation_from_vector(np.pi * one / np.linalg.norm(one)) for one in rng.normal(size=(20, 3))])
    for rotations in (turning, half):
        q = continuous_quaternions(rotations)
        assert np.allclose(np.linalg.norm(q, axis=1), 1)
        assert ((q[1:] * q[:-1]).sum(1) >= 0).all()
        assert np.allclose(rotations_from_quaternions(3 * q), rotations, atol=1e-12)
    assert np.linalg.norm(np.diff(continuous_quaternions(turning), axis=0), axis=1).max() < 0.12
