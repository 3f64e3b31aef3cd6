"""Photographs of real scans, taken by our own renderer: several poses, lights and distances of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from likeness.geometry.camera import Camera, image_center
from likeness.geometry.landmarks import INNER_COUNT
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.mesh import Mesh, vertex_normals
from likeness.model.face_model import FaceModel
from likeness.render.lighting import ambient_light, distant_light, shade, studio_light
from likeness.render.raster import Fragments, Rasterizer, interpolate, interpolate_seen
from likeness.render.texture import Texture

PICTURE, PICTURE_MM = 320, 330.0
"""Pixels of a photo's side, and what it covers at the head's distance."""

SUPERSAMPLE = 2
BACKGROUND = 0.35
"""Linear grey behind the head."""

YAWS = (-40.0, -20.0, 0.0, 20.0, 40.0)
"""Degrees to the head's left."""

SETTINGS: tuple[tuple[float, float, str], ...] = (
    (0.0, 1500.0, "studio"),
    (12.0, 700.0, "side"),
    (-10.0, 450.0, "top"),
)
"""Pitch in degrees, distance in mm (the focal length follows: the head's size in the photo stays), and light."""


@dataclass(frozen=True)
class View:
    """From where and how a head is photographed: degrees, mm, and the light's name."""

    yaw: float
    pitch: float
    distance: float
    light: str

    @property
    def name(self) -> str:
        """For tables."""
        return f"yaw {self.yaw:g}, pitch {self.pitch:g}, {self.distance:g} mm, {self.light} light"

    def rotation(self) -> np.ndarray:
        """(3, 3) model axes -> camera axes."""
        return np.asarray(FRONTAL @ rotation_from_euler(*np.radians([self.yaw, self.pitch, 0.0])))


def all_views() -> Iterator[View]:
    """Every yaw with every setting."""
    for yaw in YAWS:
        for pitch, distance, light in SETTINGS:
            yield View(yaw, pitch, distance, light)


def lights() -> dict[str, np.ndarray]:
    """Spherical-harmonics lights (9, 3) by name, in upright camera axes."""
    side = ambient_light(np.full(3, 0.25)) + distant_light(np.array([0.9, 0.2, 0.5]), np.array([0.75, 0.72, 0.65]))
    top = ambient_light(np.full(3, 0.3)) + distant_light(np.array([-0.2, 0.9, 0.5]), np.array([0.6, 0.62, 0.7]))
    return {"studio": studio_light(), "side": side, "top": top}


def photograph(mesh: Mesh, model: FaceModel, view: View) -> tuple[np.ndarray, Camera, np.ndarray, np.ndarray]:
    """A photo of a head in model axes.

    Args:
        mesh: mm, model axes, with a texture or vertex colours (taken for its albedo), else grey.
        model: whose landmarks' middle is put in the photo's middle.
        view: from where.

    Returns:
        picture (S, S, 3) uint8, camera, rotation (3, 3) and translation (3,) mm.
    """
    size = (PICTURE, PICTURE)
    camera = Camera(PICTURE * view.distance / PICTURE_MM, image_center(size), size)
    rotation = view.rotation()
    middle = model.landmark_points(np.zeros(len(model.identity_basis)))[:INNER_COUNT].mean(0)
    translation = np.array([0.0, 0.0, view.distance]) - rotation @ middle
    return _picture(mesh, camera, rotation, translation, lights()[view.light]), camera, rotation, translation


def _picture(
    mesh: Mesh, camera: Camera, rotation: np.ndarray, translation: np.ndarray, light: np.ndarray
) -> np.ndarray:
    import cv2

    vertices = mesh.vertices.astype(np.float64)
    corners = mesh.triangles.reshape(-1)
    triangles = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)  # corners of their own: texture seams
    fine = camera.scaled(SUPERSAMPLE)
    placed = vertices @ rotation.T + translation
    fragments = Rasterizer(triangles, len(corners), fine.size)(placed[corners], fine)
    normals = vertex_normals(vertices, mesh.triangles) @ (FRONTAL @ rotation).T
    covered = fragments.triangle >= 0
    normal = interpolate(fragments, normals[corners])[covered]
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    base = _albedo(mesh, fragments, corners, placed, fine)
    linear = np.full((*covered.shape, 3), BACKGROUND, np.float32)
    linear[covered] = np.maximum(shade(normal, base, light), 0.02 * base)
    return np.asarray(
        np.rint(255 * srgb_from_linear(np.clip(cv2.resize(linear, camera.size, interpolation=cv2.INTER_AREA), 0, 1))),
        np.uint8,
    )


def _albedo(mesh: Mesh, fragments: Fragments, corners: np.ndarray, placed: np.ndarray, camera: Camera) -> np.ndarray:
    """(N, 3) linear reflectance of the N pixels that see something; vertices ``placed`` (V, 3) in camera axes."""
    texture = Texture.of(mesh)
    if texture is not None:
        return texture.seen(fragments, texture.levels_seen(placed, mesh.triangles, camera))
    if mesh.colors is None:
        return np.full((int((fragments.triangle >= 0).sum()), 3), linear_from_srgb(np.array(0.7)), np.float32)
    return np.asarray(linear_from_srgb(interpolate_seen(fragments, mesh.colors[corners])), np.float32)


def landmarks_seen(
    vertices: np.ndarray, model: FaceModel, camera: Camera, rotation: np.ndarray, translation: np.ndarray
) -> np.ndarray:
    """The 68 points (68, 2) of a head (V, 3) in the model's topology as a camera sees them, pixels."""
    points = model.landmark_map.gather(vertices.astype(np.float64))
    return np.asarray(model.landmark_map.project(camera, points @ rotation.T + translation, rotation))
