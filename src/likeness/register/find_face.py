"""Landmarks of a raw scan found by looking at it: it is rendered from several sides, the photo network finds the
face in the pictures, and the depth buffer lifts the 68 points onto the scan.

Nothing is assumed of the scan's axes or units. First the whole scan is seen from directions all around, likelier
ones first, until the network is sure of a face whose lifted landmarks have a face's shape; then the face is seen from
several sides near its front, and every landmark becomes the robust mean of what was seen of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from likeness.geometry.camera import Camera, image_center
from likeness.geometry.landmarks import INNER_COUNT, JAW_COUNT
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.geometry.similarity import Similarity, robust_similarity, similarity_from_points
from likeness.images.color import linear_from_srgb
from likeness.mesh import Mesh
from likeness.mesh.closest import Surface
from likeness.mesh.normals import triangle_normals_of, vertex_normals
from likeness.model.face_model import FaceModel
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.reconstruct.result import Reconstruction
from likeness.register.initial_pose import TOLERANCE, Placement
from likeness.register.scan import guess_units
from likeness.render import render_image
from likeness.render.lighting import ambient_light, distant_light
from likeness.render.raster import rasterize_view

Array = np.ndarray

RADIUS = 150.0
"""Half of the scan's size in the pictures' own unit, so that the camera's distances fit any scan."""

DISTANCE = 8 * RADIUS
"""Of the camera; a photograph's perspective, which the network knows."""

SIDE = 320
"""Pixels of the pictures of the whole scan."""

CLOSE_SIDE, CLOSE_MM = 256, 240.0
"""Pixels of the pictures of the face, and what they show of it."""

SKIN = (0.42, 0.27, 0.2)
"""Linear albedo of a scan without colours: grey clay is no photograph, skin is what the network has seen."""

SURE = 0.8
"""The network's score from which the search stops."""

LEAST = 30
"""Of the 51 landmarks, those that must have a face's shape."""

CLOSE, AGREE = 5.0, 0.7
"""mm and cosine of normals within which the mean face, moved onto the scan, counts as lying on it."""

SHARE = 0.7
"""The part of the mean face that must lie on the scan: hair and ears pass for faces in pictures, not in 3D."""

STEEPEST = 0.2
"""Cosine between the surface's normal and the view below which the depth under a pixel is not believed."""

CLOSE_VIEWS = ((0.0, 0.0), (-0.3, 0.0), (0.3, 0.0), (0.0, -0.2), (0.0, 0.2), (-0.6, 0.05), (0.6, 0.05), (-0.2, -0.25),
               (0.2, -0.25))  # fmt: skip
"""Yaw and pitch, radians, from which the found face is seen again."""

ROUNDS = 2
"""How often all close views are seen; the second time from where the first found the front."""

OUTLIER = 6.0
"""mm from a landmark's median over the views beyond which a view is not believed."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """The 51 inner landmarks as one picture shows them, on the scan."""

    points: Array  # (51, 3) in the scan's axes and units
    weights: Array  # (51,) 0 where there is no surface, or a steep one
    score: float


def place_by_views(scan: Mesh, model: FaceModel, reconstructor: Reconstructor) -> Placement:
    """Find the face in a scan, its units and its landmarks.

    Args:
        scan: in any axes and units; some ten thousand vertices are plenty.
        model: whose mean face the landmarks are compared with.

    Raises:
        ValueError: no face is seen from any side.
    """
    template = model.landmark_bases[0][:INNER_COUNT].astype(np.float64)
    model_from_scan = _first_look(scan, _Mask.of(model, scan), template, reconstructor)
    for _ in range(ROUNDS):
        views = [
            seen
            for yaw, pitch in CLOSE_VIEWS
            if (seen := _close_look(scan, model_from_scan, yaw, pitch, model, reconstructor)) is not None
        ]
        points, index = _combined(views, 1 / model_from_scan.scale)
        model_from_scan = _fitted(points, template[index])
    scan_from_model = model_from_scan.inverse()
    return Placement(scan_from_model, guess_units(scan_from_model.scale), points, index, found=True)


def _fitted(points: Array, template: Array) -> Similarity:
    if len(points) >= LEAST:
        found, weights = robust_similarity(points, template, TOLERANCE)
        if (weights > 0).sum() >= LEAST:
            return found
    raise ValueError("no face found in the scan; give its landmarks, or check that it shows a face")


def _directions() -> Iterator[Array]:
    """Rotations (3, 3), model axes from the scan's: how a face might look out of a scan, likelier ones first.

    Scans mostly have an axis upwards and one along the gaze. Then come the 26 directions of a cube's faces, edges and
    corners, at most 27° from any gaze, twice: the photo detector finds heads tilted by up to a right angle by itself,
    and the half turn makes up for the rest.
    """
    x, y, z = np.eye(3)
    pairs = [(z, y), (-y, z), (x, y), (-z, y), (-x, y), (y, z), (x, z), (-x, z)]
    around = [np.array(step, float) - 1 for step in np.ndindex(3, 3, 3) if step != (1, 1, 1)]
    for gaze in sorted(around, key=lambda d: np.abs(d).sum()):
        up = y if np.abs(gaze[[0, 2]]).any() else z
        pairs += [(gaze, up), (gaze, -up)]
    for gaze, up in pairs:
        front = gaze / np.linalg.norm(gaze)
        left = np.cross(up, front)
        left /= np.linalg.norm(left)
        yield np.stack([left, np.cross(front, left), front])


@dataclass(frozen=True, eq=False)
class _Mask:
    """The mean face's surface, which a guess of its place is checked with."""

    points: Array  # (N, 3) mm, model axes
    normals: Array  # (N, 3)
    surface: Surface  # the scan

    @classmethod
    def of(cls, model: FaceModel, scan: Mesh) -> _Mask:
        mean = model.mean.astype(np.float64)
        normals = vertex_normals(mean, model.topology.triangles)
        face = model.topology.regions.get("face", np.ones(len(mean), bool)) & (normals[:, 2] > 0)
        chosen = np.flatnonzero(face)[:: max(1, int(face.sum()) // 400)]
        return cls(mean[chosen], normals[chosen], Surface(scan.vertices, scan.triangles))

    def settled(self, model_from_scan: Similarity, rounds: int = 8) -> tuple[Similarity, float]:
        """A guess moved by trimmed closest points (Chetverikov et al. 2002), and the part of the mask that then lies
        on the scan; normals count whichever way round the scan's triangles are."""
        share = 0.0
        for turn in range(rounds + 1):
            guess = model_from_scan.inverse()
            near = self.surface.closest(guess.apply(self.points))
            distance = near.distance / guess.scale
            agree = np.abs((self.normals @ guess.rotation.T * self.surface.triangle_normals[near.triangle]).sum(1))
            share = float(((distance < CLOSE) & (agree > AGREE)).mean())
            kept = distance <= np.quantile(distance, 0.8)
            if turn == rounds or share == 0:
                break
            # The size stays that of the landmarks: closest points alone would let the face shrink into a crease.
            moved = similarity_from_points(near.points[kept], self.points[kept], scale=model_from_scan.scale)
            model_from_scan = Similarity(*moved)
        return model_from_scan, share


def _first_look(scan: Mesh, mask: _Mask, template: Array, reconstructor: Reconstructor) -> Similarity:
    """A rough similarity, model axes (mm) from the scan's."""
    low, high = np.percentile(scan.vertices, (1, 99), axis=0)
    center, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-12)
    best: tuple[float, Similarity] | None = None
    for rotation in _directions():
        scale = RADIUS / radius
        view = Similarity(scale, rotation, -scale * rotation @ center)
        camera = Camera(SIDE * DISTANCE / (2.2 * RADIUS), image_center((SIDE, SIDE)), (SIDE, SIDE))
        for face in reconstructor(_picture(scan, view, camera), max_faces=2):
            seen = _lifted(scan, view, camera, face)
            known = seen.weights > 0
            try:
                found = _fitted(seen.points[known], template[known])
            except ValueError:
                continue
            found, share = mask.settled(found)
            if share >= SHARE and face.score >= SURE:
                return found
            if share >= SHARE and (best is None or face.score > best[0]):
                best = face.score, found
    if best is None:
        raise ValueError("no face found in the scan; give its landmarks, or check that it shows a face")
    return best[1]


def _close_look(
    scan: Mesh, model_from_scan: Similarity, yaw: float, pitch: float, model: FaceModel, reconstructor: Reconstructor
) -> _Seen | None:
    """The face from a side near its front, cut out where the mean face's landmarks are."""
    turn = rotation_from_euler(yaw, pitch, 0.0)
    points = model.landmark_bases[0].astype(np.float64)
    center = points[:INNER_COUNT].mean(0)
    view = Similarity(1.0, turn, -turn @ center).after(model_from_scan)
    size = (CLOSE_SIDE, CLOSE_SIDE)
    camera = Camera(CLOSE_SIDE * DISTANCE / CLOSE_MM, image_center(size), size)
    placed = (points - center) @ turn.T @ FRONTAL.T + [0, 0, DISTANCE]
    where = model.landmark_map.project(camera, placed, FRONTAL @ turn)
    faces = reconstructor(_picture(scan, view, camera), landmarks=where[None])
    return _lifted(scan, view, camera, faces[0]) if faces else None


def _picture(scan: Mesh, view: Similarity, camera: Camera) -> Array:
    """The scan (H, W, 3) uint8 as a camera in front of it sees it; both sides of its surface are drawn."""
    albedo = np.broadcast_to(SKIN, scan.vertices.shape) if scan.colors is None else linear_from_srgb(scan.colors)
    light = distant_light((-0.25, 0.45, 1.0), (0.75, 0.75, 0.75)) + ambient_light((0.35, 0.35, 0.35))
    return render_image(
        view.apply(scan.vertices),
        scan.triangles,
        albedo,
        camera,
        FRONTAL,
        np.array([0.0, 0.0, DISTANCE]),
        light,
        background=(0.5, 0.5, 0.5),
        cull=False,
    )


def _lifted(scan: Mesh, view: Similarity, camera: Camera, face: Reconstruction) -> _Seen:
    """The inner landmarks of a picture on the scan's surface: what the pixel under each sees."""
    vertices = view.apply(scan.vertices) @ FRONTAL.T + [0, 0, DISTANCE]
    fragments = rasterize_view(vertices, scan.triangles, camera, cull=False)
    column, row = np.rint(face.landmarks[JAW_COUNT:]).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < camera.size[0]) & (row < camera.size[1])
    column, row = column.clip(0, camera.size[0] - 1), row.clip(0, camera.size[1] - 1)
    triangle = fragments.triangle[row, column]
    corners = scan.triangles[triangle]
    points = (scan.vertices[corners] * fragments.barycentric[row, column][..., None]).sum(1)
    seen = vertices[corners]
    normals = triangle_normals_of(seen.reshape(-1, 3), np.arange(3 * len(seen)).reshape(-1, 3))
    towards = seen.mean(1)
    cosine = np.abs((normals * towards).sum(1)) / np.linalg.norm(towards, axis=1)
    weights = np.where(inside & (triangle >= 0) & (cosine > STEEPEST), cosine * face.score, 0.0)
    return _Seen(points.astype(np.float64), weights, face.score)


def _combined(views: list[_Seen], units_per_mm: float) -> tuple[Array, Array]:
    """Robust mean (N, 3) of every landmark over the views that see it, and which (N,) those are."""
    if not views:
        raise ValueError("no face found in the scan; give its landmarks, or check that it shows a face")
    points, weights = np.stack([v.points for v in views]), np.stack([v.weights for v in views])
    found, index = [], []
    for k in range(points.shape[1]):
        known = weights[:, k] > 0
        if known.sum() < min(3, len(views)):
            continue
        here, weight = points[known, k], weights[known, k]
        near = np.linalg.norm(here - np.median(here, axis=0), axis=1) < OUTLIER * units_per_mm
        if near.any():
            found.append((here[near] * weight[near, None]).sum(0) / weight[near].sum())
            index.append(k)
    return np.array(found).reshape(-1, 3), np.array(index, int)
