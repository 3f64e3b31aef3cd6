"""Laws of draping: folds are undone, gaps are bridged, what is inside a head stays inside."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("igl")

from likeness.mesh.closest import boundary_vertices
from likeness.model.face_model import FaceModel
from likeness.register import Surface, drape, folded_triangles
from likeness.register.head_parts import Parts
from likeness.register.nonrigid_scan import unfolded, with_loose_parts


def sheet(side: int = 21, spacing: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """A flat square (V, 3), (F, 3) in the plane z = 0 that looks to +z, its middle at the origin."""
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="xy")
    points = np.stack([x, y, 0 * x], -1).reshape(-1, 3).astype(float)
    n = np.arange(side * side).reshape(side, side)
    a, b, c, d = (part.ravel() for part in (n[:-1, :-1], n[:-1, 1:], n[1:, 1:], n[1:, :-1]))
    points = (points - [(side - 1) / 2, (side - 1) / 2, 0]) * spacing
    return points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def ball(center: np.ndarray, radius: float) -> np.ndarray:
    """(N, 3) points spread evenly over a sphere (Fibonacci)."""
    k = np.arange(120)
    z, angle = 1 - (2 * k + 1) / 120, k * np.pi * (3 - 5**0.5)
    ring = np.sqrt(1 - z * z)
    return center + radius * np.stack([ring * np.cos(angle), ring * np.sin(angle), z], 1)


def parts_of(rest: np.ndarray, triangles: np.ndarray, loose: np.ndarray, *, eyes: bool) -> Parts:
    """Parts whose body is a sheet, all of it face, with one loose piece that follows the vertices in the middle."""
    count = len(rest)
    body = ~np.isin(np.arange(count), loose)
    around = np.argsort(np.linalg.norm(rest[body], axis=1))[:24]
    is_eye = ~body & eyes
    pieces = ((loose, around),) if len(loose) else ()
    return Parts(rest, triangles, body.astype(float), np.zeros(count, bool), body, body, is_eye, pieces)


def test_a_fold_is_undone() -> None:
    rest, triangles = sheet()
    after = rest + [0, 0, 5.0]
    after[220] += [5.0, 0, 0]  # past its neighbours
    assert len(folded_triangles(rest, after, triangles))
    fixed = unfolded(rest, rest, after, triangles)
    assert not len(folded_triangles(rest, fixed, triangles))
    far = np.linalg.norm(rest - rest[220], axis=1) > 12
    np.testing.assert_array_equal(fixed[far], after[far])


def test_what_is_not_folded_stays() -> None:
    rest, triangles = sheet()
    after = 1.2 * rest
    assert unfolded(rest, rest, after, triangles) is after


def test_a_gap_in_the_scan_is_bridged() -> None:
    rest, triangles = sheet()
    target = rest + [0, 0, 2.0] + 0.01 * (rest[:, :1] ** 2) * [0, 0, 1]
    hole = np.linalg.norm(target[triangles].mean(1)[:, :2], axis=1) > 8
    parts = parts_of(rest, triangles, np.zeros(0, int), eyes=False)
    draped = drape(parts, rest, Surface(target, triangles[hole]))
    off = Surface(target, triangles).closest(draped).distance
    reach = np.linalg.norm(rest[:, :2], axis=1)
    assert off[(reach > 9) & (reach < 18)].max() < 0.1
    assert off[reach < 7].max() < 0.5
    assert not len(folded_triangles(rest, draped, triangles))


def test_the_lining_of_a_cheek_keeps_behind_it() -> None:
    skin, triangles = sheet()
    rest = np.concatenate([skin, skin - [0, 0, 3.0]])
    count = len(skin)
    edge = np.flatnonzero(skin[:, 0] == skin[:, 0].min())  # where the two hang together
    hem = np.stack([edge[:-1], edge[1:] + count, edge[1:]], 1)
    both = np.concatenate([triangles, triangles[:, ::-1] + count, hem])
    face = np.arange(2 * count) < count
    none = np.zeros(2 * count, bool)
    parts = Parts(rest, both, face.astype(float), none, face, ~none, none, ())
    target = skin - [0, 0, 6.0] * np.exp(-(skin[:, :1] ** 2 + skin[:, 1:2] ** 2) / 50)
    draped = drape(parts, rest, Surface(target, triangles))
    middle = np.linalg.norm(skin[:, :2], axis=1) < 12
    thickness = (draped[:count] - draped[count:])[middle, 2]
    assert draped[:count][middle, 2].min() < -5
    assert thickness.min() > 2.5


def test_an_eyeball_goes_where_its_lids_go_and_back_when_they_sink() -> None:
    skin, triangles = sheet()
    radius = 12.0
    lens = ball(np.array([0, 0, -radius]), radius)
    rest = np.concatenate([skin, lens])
    loose = np.arange(len(skin), len(rest))
    parts = parts_of(rest, triangles, loose, eyes=True)
    moved = np.concatenate([skin + [3.0, -2, 1], lens])
    np.testing.assert_allclose(with_loose_parts(parts, rest, moved)[loose], lens + [3.0, -2, 1], atol=0.2)
    dent = skin - [0, 0, 3.0] * (np.abs(skin[:, :1]) > 2)  # all but a strip sinks, less than that the eye follows
    sunk = with_loose_parts(parts, rest, np.concatenate([dent, lens]))
    center = sunk[loose].mean(0)
    assert center[2] < -radius - 2
    assert np.linalg.norm(dent - center, axis=1).min() > radius - 0.5


def test_a_tongue_stays_behind_the_face() -> None:
    skin, triangles = sheet()
    tongue = ball(np.array([0, 0, -8.0]), 5.0)
    rest = np.concatenate([skin, tongue])
    loose = np.arange(len(skin), len(rest))
    parts = parts_of(rest, triangles, loose, eyes=False)
    dent = skin - [0, 0, 6.0] * ((skin[:, :1] > 4) | (skin[:, :1] < -4))
    result = with_loose_parts(parts, rest, np.concatenate([dent, tongue]))
    near = Surface(dent, triangles).closest(result[loose])
    normals = Surface(dent, triangles).triangle_normals[near.triangle]
    assert (((result[loose] - near.points) * normals).sum(1) < 0).all()


def test_parts_of_a_model(small_model: FaceModel) -> None:
    parts = Parts.of(small_model)
    regions = small_model.topology.regions
    assert parts.body.all()
    assert not parts.loose
    assert (parts.weights[regions["eyes"]] == 0).all()
    assert (parts.weights[regions["scalp"]] < 0.1).all()
    assert parts.weights.max() == 1.0


def test_the_rim_of_a_sheet() -> None:
    points, triangles = sheet(5)
    rim = np.abs(points[:, :2]).max(1) == 4
    np.testing.assert_array_equal(boundary_vertices(triangles, len(points)), rim)
    surface = Surface(points, triangles)
    beyond = surface.closest(np.array([[9.0, 0, 0], [0.3, 0.2, 5]]))
    assert surface.on_boundary(beyond).tolist() == [True, False]
