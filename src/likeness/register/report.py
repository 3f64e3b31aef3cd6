"""The files of a registration, with the picture that shows it: scan | registered head | error map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from likeness.files import write_atomically
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.images.color import linear_from_srgb
from likeness.render import render_image
from likeness.render.lighting import ambient_light, distant_light

if TYPE_CHECKING:
    from likeness.register.pipeline import Registration

Array = np.ndarray

PANEL = 400
"""Pixels of the side of a picture; there are three in a row, front above, turned below."""

SHOWN_MM, DISTANCE_MM = 280.0, 1200.0
"""What a picture's side covers, and how far the camera is."""

YAWS = (0.0, -0.75)

BEHIND_FACE = np.array([0.0, 10.0, -55.0])
"""From the face's centre to the head's, mm: what the pictures turn around."""

BAR = 90
"""Pixels of the strip with the colour bar."""

LEAST_SCALE = 1.0
"""mm at the colour bar's end, at least: so that pictures of good registrations compare."""

UNKNOWN = (0.62, 0.62, 0.62)
"""sRGB of what is outside the face or has no scan under it."""


def save_registration(registration: Registration, paths: dict[str, Path]) -> None:
    """Write the files of ``Registration.save``: format -> path."""
    for format, path in paths.items():
        if format == "json":
            write_atomically(path, (json.dumps(registration.to_dict(), indent=1) + "\n").encode())
        elif format == "png":
            write_atomically(path, _png(registration_picture(registration)))
        else:
            registration.mesh.save(path)


def registration_picture(registration: Registration, side: int = PANEL) -> Array:
    """Scan, registered head and error map from the front and turned, with a colour bar in mm.

    Args:
        side: pixels of one picture's side.

    Returns:
        (2 side, 3 side + bar, 3) uint8 RGB.
    """
    largest = max(LEAST_SCALE, float(np.ceil(2 * registration.quality.scan_to_mesh_p95) / 2))
    scan, mesh = registration.scan, registration.mesh
    colors = linear_from_srgb(_error_colors(registration.error, largest))
    scan_colors = None if scan.colors is None else linear_from_srgb(scan.colors)
    flat = ambient_light((0.75, 0.75, 0.75)) + distant_light((0, 0.3, 1), (0.3, 0.3, 0.3))
    center = mesh.vertices[np.isfinite(registration.error)].mean(0) + BEHIND_FACE
    rows = []
    for yaw in YAWS:
        rows.append(
            np.concatenate(
                [
                    _view(scan.vertices, scan.triangles, scan_colors, None, yaw, center, side),
                    _view(mesh.vertices, mesh.triangles, None, None, yaw, center, side),
                    _view(mesh.vertices, mesh.triangles, colors, flat, yaw, center, side),
                ],
                axis=1,
            )
        )
    return np.concatenate([np.concatenate(rows), _colour_bar(registration, largest, 2 * side)], axis=1)


def _view(
    vertices: Array, triangles: Array, albedo: Array | None, light: Array | None, yaw: float, center: Array, side: int
) -> Array:
    rotation = FRONTAL @ rotation_from_euler(yaw, 0.0, 0.0)
    camera = Camera(side * DISTANCE_MM / SHOWN_MM, image_center((side, side)), (side, side))
    translation = np.array([0.0, 0.0, DISTANCE_MM]) - rotation @ center
    white = (1.0, 1.0, 1.0)
    return render_image(vertices, triangles, albedo, camera, rotation, translation, light, white, cull=False)


def _palette(shares: Array) -> Array:
    """Colours (N, 3) sRGB of numbers from 0 to 1: OpenCV's viridis, which grows evenly brighter."""
    import cv2

    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    return np.asarray(table[np.rint(255 * np.clip(shares, 0, 1)).astype(int)] / 255.0)


def _error_colors(error: Array, largest: float) -> Array:
    known = np.isfinite(error)
    colors = np.tile(np.array(UNKNOWN), (len(error), 1))
    colors[known] = _palette(error[known] / largest)
    return colors


def _colour_bar(registration: Registration, largest: float, height: int) -> Array:
    """The strip (height, BAR, 3) uint8 with the scale in mm and the two numbers that count."""
    import cv2

    strip = np.full((height, BAR, 3), 255, np.uint8)
    top, bottom = int(0.12 * height), int(0.72 * height)
    shares = np.linspace(1, 0, bottom - top)
    strip[top:bottom, 12:32] = np.rint(255 * _palette(shares)).astype(np.uint8)[:, None]

    def write(text: str, x: int, y: int) -> None:
        cv2.putText(strip, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (30, 30, 30), 1, cv2.LINE_AA)

    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        write(f"{share * largest:.2f}", 38, round(bottom - share * (bottom - top)) + 4)
    write("mm to scan", 8, top - 14)
    quality = registration.quality
    lines = ("scan to mesh", f"median {quality.scan_to_mesh_median:.2f}", f"95 %   {quality.scan_to_mesh_p95:.2f}")
    for number, text in enumerate(lines):
        write(text, 2, bottom + 40 + 18 * number)
    return strip


def _png(picture: Array) -> bytes:
    import cv2

    data: bytes = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    return data
