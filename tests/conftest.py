"""Fixtures that several tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from likeness.geometry.landmarks import LandmarkMap
from likeness.model.face_model import ARKIT_NAMES, FaceModel
from likeness.model.topology import Topology
from likeness.networks.session import import_onnxruntime

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CENTER = np.array([0.0, -30.0, -80.0])
AXES = np.array([78.0, 115.0, 100.0])
RINGS, SEGMENTS, IDENTITY_MODES, CANDIDATES = 15, 20, 12, 3


def pytest_configure() -> None:
    """Where processes share the tests, each has one thread unless a test says otherwise: threads of several processes
    wait for each other, and waiting takes all of a core."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of what is loaded later, and of processes that tests start
    threadpool_limits(1)
    onnxruntime = import_onnxruntime()

    class Options(onnxruntime.SessionOptions):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.intra_op_num_threads = 1

    onnxruntime.SessionOptions = Options


@pytest.fixture(scope="module")  # no longer: while Playwright is there, no other event loop can run
def browser() -> Iterator[Browser]:
    from browser import launched

    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def small_model() -> FaceModel:
    """A closed ellipsoid of 282 vertices with 12 identity modes, 52 expressions, 5 albedo maps and 68 landmarks."""
    rng = np.random.default_rng(42)
    mean, triangles, mirror = _ellipsoid()
    direction = (mean - CENTER) / AXES
    identity = _smooth_fields(direction, IDENTITY_MODES, rng) * np.geomspace(6.0, 0.5, IDENTITY_MODES)[:, None, None]
    front = np.clip(direction[:, 2:], 0.0, None)  # expressions and colours move only the front
    expression = 8.0 * _smooth_fields(direction, len(ARKIT_NAMES), rng) * front
    albedo = 0.2 * _smooth_fields(direction, 5, rng)
    return FaceModel(
        mean.astype(np.float32),
        identity.astype(np.float32),
        expression.astype(np.float32),
        np.full_like(mean, np.log(0.4), dtype=np.float32),
        albedo.astype(np.float32),
        ("melanin", "haemoglobin", "lipRed", "browDensity", "stubble"),
        Topology(
            triangles=triangles,
            quads=np.zeros(0, np.int32),
            uv=(0.5 + 0.45 * direction[:, :2]).astype(np.float32),
            uv_triangles=triangles,
            mirror=mirror,
            regions=_regions(direction),
            landmarks=_landmarks(mean, triangles),
        ),
        name="small",
    )


def _ellipsoid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), triangles (F, 3) counter-clockwise from outside, mirror (V,): rings about the y axis."""
    polar = np.pi * np.arange(1, RINGS) / RINGS
    around = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    ring = np.stack(
        [
            np.outer(np.sin(polar), np.sin(around)),
            np.outer(np.cos(polar), np.ones(SEGMENTS)),
            np.outer(np.sin(polar), np.cos(around)),
        ],
        axis=-1,
    )
    unit = np.concatenate([ring.reshape(-1, 3), [[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]])
    number = np.arange((RINGS - 1) * SEGMENTS).reshape(RINGS - 1, SEGMENTS)
    top, bottom = number.size, number.size + 1
    after = np.roll(number, -1, axis=1)
    triangles = [
        *zip(number[1:].ravel(), after[1:].ravel(), number[:-1].ravel(), strict=True),
        *zip(after[1:].ravel(), after[:-1].ravel(), number[:-1].ravel(), strict=True),
        *((top, a, b) for a, b in zip(number[0], after[0], strict=True)),
        *((bottom, b, a) for a, b in zip(number[-1], after[-1], strict=True)),
    ]
    mirrored = number[:, (-np.arange(SEGMENTS)) % SEGMENTS].ravel()
    return CENTER + AXES * unit, np.array(triangles, np.int32), np.array([*mirrored, top, bottom], np.int32)


def _smooth_fields(direction: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, V, 3) random waves over the sphere, about 1 large."""
    waves = np.sin(direction @ rng.normal(0, 2.0, (3, count)) + rng.uniform(0, 2 * np.pi, count))
    return waves.T[..., None] * rng.normal(0, 1.0, (count, 1, 3))


def _regions(direction: np.ndarray) -> dict[str, np.ndarray]:
    x, y, z = direction.T
    face = (z > 0.2) & (y > -0.85) & (y < 0.7)
    lips = face & (abs(x) < 0.4) & (abs(y + 0.4) < 0.15)
    eyes = face & (abs(abs(x) - 0.4) < 0.2) & (abs(y - 0.25) < 0.1)
    ears = (abs(x) > 0.9) & ~face
    neck = (y <= -0.85) & ~face
    return {
        "face": face,
        "skin": (face | ears | neck) & ~eyes,
        "lips": lips,
        "eyes": eyes,
        "ears": ears,
        "scalp": ~(face | ears | neck),
        "neck": neck,
        "mouth": np.zeros(len(direction), bool),
    }


def landmark_drawing() -> np.ndarray:
    """(68, 2) the iBUG points of a plain face, x and y of model axes, mm."""
    jaw_angle = np.linspace(np.pi, 2 * np.pi, 17)
    jaw = np.stack([70 * np.cos(jaw_angle), 98 * np.sin(jaw_angle) - 8], axis=1)
    brow = np.stack([np.linspace(-58, -14, 5), 22 + 6 * np.sin(np.linspace(0.3, np.pi - 0.6, 5))], axis=1)
    bridge = np.stack([np.zeros(4), np.linspace(2, -30, 4)], axis=1)
    nostrils = np.stack([np.linspace(-15, 15, 5), [-38, -41, -43, -41, -38]], axis=1)
    eye = np.array([[-46, 0], [-36, 6], [-26, 6], [-18, -1], [-26, -5], [-36, -5]], float)
    outer = np.array(
        [[-25, -66], [-16, -60], [-6, -57], [0, -58], [6, -57], [16, -60], [25, -66]]
        + [[15, -74], [6, -77], [0, -78], [-6, -77], [-15, -74]],
        float,
    )
    inner = np.array([[-21, -66], [-7, -64], [0, -64], [7, -64], [21, -66], [7, -68], [0, -69], [-7, -68]], float)
    mirror = np.array([-1.0, 1.0])
    left_eye = (eye * mirror)[[3, 2, 1, 0, 5, 4]]
    return np.concatenate([jaw, brow, brow[::-1] * mirror, bridge, nostrils, eye, left_eye, outer, inner])


def _landmarks(mean: np.ndarray, triangles: np.ndarray) -> LandmarkMap:
    drawing = landmark_drawing()
    jaw, middle = drawing[:17], np.array([0.0, -15.0])
    lines = np.stack([middle + share * (jaw - middle) for share in (0.86, 0.94, 1.02)], axis=1)
    inner_vertices, inner_weights = _front(drawing[17:], mean, triangles)
    vertices, weights = _front(lines.reshape(-1, 2), mean, triangles)
    outward = np.column_stack([jaw - [0.0, -8.0], np.zeros(17)])
    return LandmarkMap(
        inner_vertices,
        inner_weights,
        vertices.reshape(17, CANDIDATES, 3),
        weights.reshape(17, CANDIDATES, 3),
        outward / np.linalg.norm(outward, axis=1, keepdims=True),
    )


def _front(points: np.ndarray, mean: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and weights (N, 3) of the points of the front surface that lie at (N, 2) x, y."""
    corners = mean[triangles]
    a, b, c = corners[..., :2].transpose(1, 0, 2)
    area = _cross(b - a, c - a)
    found, weights = [], []
    for p in points:
        v, w = _cross(p - a, c - a) / area, _cross(b - a, p - a) / area
        bary = np.stack([1 - v - w, v, w], axis=1)
        hit = np.flatnonzero((area > 1e-6) & (bary.min(1) > -1e-9))
        assert len(hit), f"no surface at {p}"
        found.append(triangles[hit[0]])
        weights.append(bary[hit[0]])
    return np.array(found), np.array(weights)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
