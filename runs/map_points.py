"""Where MediaPipe's 478 points lie on a face model: rendered, looked at by its network, solved, made symmetric.

    python runs/map_points.py MODEL TEACHER OUT [--count 2000]

Each point is the combination of a triangle's corners whose projections lie nearest to where the network sees it, over
many random faces, poses and expressions of the model. TEACHER is the folder of MediaPipe's models.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from likeness.geometry.camera import Camera, image_center, project
from likeness.geometry.rotation import FRONTAL, euler_from_rotation
from likeness.mesh.normals import vertex_normals
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap, default_point_map
from likeness.networks.mediapipe import POINTS, FaceLandmarker
from likeness.reconstruct.teacher_points import FACE, teacher_points
from likeness.train.generate.rendered import SyntheticFaces

SIZE = 256  # of the pictures
SEED = 777_000_000  # no face of a training set has such a number
MOST_YAW = 35.0  # degrees; beyond, the network guesses
LEAST_SEEN = 0.3  # of the pictures that show a point's triangle from the front
WILD_MM = 12.0  # errors beyond count no more
ROUNDS = 5  # of reweighted least squares
NEAREST = 4  # vertices about which triangles are tried
GRID = 40  # steps along a triangle's side where points are made symmetric


@dataclass(frozen=True, eq=False)
class Seen:
    """N pictures: the mesh in them, and where the network sees its points.

    Attributes:
        vertices: (N, V, 2) float32 pixels.
        facing: (N, V) whether a vertex's normal points to the camera.
        points: (N, 478, 2) pixels.
        mm: (N,) per pixel at the head's distance.
    """

    vertices: np.ndarray
    facing: np.ndarray
    points: np.ndarray
    mm: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description="Find MediaPipe's points on a face model.")
    parser.add_argument("model", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    arguments = parser.parse_args()
    model = FaceModel.load(arguments.model)
    known = (
        default_point_map()
    )  # what is each other's mirror image, and what stands for iBUG's points, is MediaPipe's
    seen = look(model, FaceLandmarker.load(arguments.teacher), known, arguments.count)
    vertices, weights, error = solve(model, seen)
    print(f"{len(seen.mm)} pictures; points off by {np.median(error):.2f} mm (median), {error.max():.2f} (worst)")
    vertices, weights = symmetric(model, vertices, weights, known.mirror)
    PointMap(vertices, weights, known.mirror, known.ibug).save(arguments.out)


def look(model: FaceModel, network: FaceLandmarker, known: PointMap, count: int) -> Seen:
    """Render faces on plain backgrounds and let the network look at those that do not turn away."""
    faces, camera_of = SyntheticFaces(model, SIZE), image_center((SIZE, SIZE))
    vertices, facing, points, mm = [], [], [], []
    for number in range(count):
        face, rng = faces(SEED + number), np.random.default_rng(number)
        rotation, translation = face.rotation.astype(float), face.translation.astype(float)
        yaw = np.degrees(euler_from_rotation(FRONTAL @ rotation)[0])
        if abs(yaw) > MOST_YAW:
            continue
        alpha = face.rgba[..., 3:].astype(np.float32) / 255
        image = (face.rgba[..., :3] * alpha + rng.integers(40, 220, 3) * (1 - alpha)).astype(np.uint8)
        camera = Camera(float(face.focal), camera_of, (SIZE, SIZE))
        places = model.landmark_points(face.identity, face.expression) @ rotation.T + translation
        landmarks = model.landmark_map.select(project(camera, places), rotation)
        found = teacher_points(image, landmarks, network, known)
        if found.chance < 0.5:
            continue
        mesh = model.vertices(face.identity, face.expression)
        there = mesh @ rotation.T + translation
        vertices.append(project(camera, there).astype(np.float32))
        facing.append(((vertex_normals(mesh, model.topology.triangles) @ rotation.T) * there).sum(1) < 0)
        points.append(found.points[:, :2])
        mm.append(there[:, 2].mean() / float(face.focal))
    return Seen(np.stack(vertices), np.stack(facing), np.stack(points), np.array(mm))


def solve(model: FaceModel, seen: Seen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (478, 3), weights (478, 3) and RMS errors (478,) in mm of the best triangle of each point."""
    triangles, regions = model.topology.triangles, model.topology.regions
    on_face = (seen.facing.mean(0) > LEAST_SEEN) & ~regions["mouth"]
    corners, weights, errors = np.zeros((POINTS, 3), np.int32), np.zeros((POINTS, 3)), np.full(POINTS, np.inf)
    for point in range(POINTS):
        there = seen.points[:, point] * seen.mm[:, None]
        away = np.linalg.norm(seen.vertices * seen.mm[:, None, None] - there[:, None], axis=-1)
        score = np.square(np.minimum(away, WILD_MM)).mean(0)
        score[~(on_face if point < FACE else regions["eyes"])] = np.inf
        near = np.argsort(score)[:NEAREST]
        for triangle in triangles[np.isin(triangles, near).any(1)]:
            found, error = _fit(seen.vertices[:, triangle] * seen.mm[:, None, None], there)
            if error < errors[point]:
                corners[point], weights[point], errors[point] = triangle, found, error
    return corners, weights, errors


def _fit(corners: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, float]:
    """Barycentric weights (3,) of corners (N, 3, 2) nearest to points (N, 2), robustly, and the RMS error."""
    sides = np.moveaxis(corners[:, 1:] - corners[:, :1], 1, 2).reshape(-1, 2)
    wanted = (points - corners[:, 0]).reshape(-1)
    trust = np.ones(len(wanted))
    for _ in range(ROUNDS):
        solution = np.linalg.lstsq(sides * trust[:, None], wanted * trust, rcond=None)[0]
        trust = 1 / np.sqrt(1 + np.square((sides @ solution - wanted) / 2.0))  # millimetres
    weights = np.clip([1 - solution.sum(), *solution], 0.0, None)
    weights /= weights.sum()
    error = np.linalg.norm(np.einsum("ncd,c->nd", corners, weights) - points, axis=1)
    return weights, float(np.sqrt(np.square(np.minimum(error, WILD_MM)).mean()))


def symmetric(
    model: FaceModel, vertices: np.ndarray, weights: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The map whose mirror pairs lie at mirrored places of the mean face, moved along the surface only."""
    mean, triangles = model.mean.astype(float), model.topology.triangles
    places, normals = (
        np.einsum("pcd,pc->pd", values[vertices], weights) for values in (mean, vertex_normals(mean, triangles))
    )
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    move = 0.5 * (places[mirror] * [-1.0, 1.0, 1.0] - places)
    targets = places + move - normals * (move * normals).sum(1, keepdims=True)
    steps = np.linspace(0.0, 1.0, GRID + 1)
    a, b = (values.ravel() for values in np.meshgrid(steps, steps))
    inside = a + b <= 1.0 + 1e-9
    shares = np.stack([1 - a - b, a, b], axis=1)[inside]
    corners, found = vertices.copy(), weights.copy()
    for point in range(len(vertices)):
        ring = np.isin(triangles, vertices[point]).any(1)
        near = triangles[np.isin(triangles, triangles[ring]).any(1)]
        distance = np.square(shares @ mean[near] - targets[point]).sum(-1)
        number, share = np.unravel_index(distance.argmin(), distance.shape)
        corners[point], found[point] = near[number], shares[share]
    return corners, np.clip(found, 0.0, 1.0).astype(np.float32)


if __name__ == "__main__":
    main()
