"""The picture that shows a registration: scan | registered head | error map."""

from __future__ import annotations

import numpy as np

from likeness.images.color import linear_from_srgb
from likeness.mesh import Mesh
from likeness.render.error_map import color_bar, error_colors
from likeness.render.head_view import head_view
from likeness.render.lighting import ambient_light, distant_light

Array = np.ndarray

PANEL = 400
"""Pixels of the side of a picture; there are three in a row, front above, turned below."""

SHOWN_MM = 280.0
"""What a picture's side covers."""

YAWS = (0.0, -0.75)

BEHIND_FACE = np.array([0.0, 10.0, -55.0])
"""From the face's centre to the head's, mm: what the pictures turn around."""

BAR = 90
"""Pixels of the strip with the colour bar."""

LEAST_SCALE = 1.0
"""mm at the colour bar's end, at least: so that pictures of good registrations compare."""


def registration_picture(
    scan: Mesh, mesh: Mesh, error: Array, *, median: float, p95: float, side: int = PANEL
) -> Array:
    """Scan, registered head and error map from the front and turned, with a colour bar in mm.

    Args:
        scan, mesh: mm, model axes.
        error: (V,) mm at the mesh's vertices, NaN where none was measured.
        median, p95: mm, scan to mesh: what the bar's caption says.
        side: pixels of one picture's side.

    Returns:
        (2 side, 3 side + bar, 3) uint8 RGB.
    """
    largest = max(LEAST_SCALE, float(np.ceil(2 * p95) / 2))
    colors = linear_from_srgb(error_colors(error, largest))
    scan_colors = None if scan.colors is None else linear_from_srgb(scan.colors)
    flat = ambient_light((0.75, 0.75, 0.75)) + distant_light((0, 0.3, 1), (0.3, 0.3, 0.3))
    center = mesh.vertices[np.isfinite(error)].mean(0) + BEHIND_FACE
    shown: tuple[tuple[Mesh, Array | None, Array | None], ...] = (
        (scan, scan_colors, None),
        (mesh, None, None),
        (mesh, colors, flat),
    )
    rows = [
        np.concatenate(
            [
                head_view(
                    one.vertices,
                    one.triangles,
                    center,
                    SHOWN_MM,
                    side,
                    yaw=yaw,
                    albedo=albedo,
                    light=light,
                    cull=False,
                )
                for one, albedo, light in shown
            ],
            axis=1,
        )
        for yaw in YAWS
    ]
    return np.concatenate([np.concatenate(rows), _legend(largest, median, p95, 2 * side)], axis=1)


def _legend(largest: float, median: float, p95: float, height: int) -> Array:
    """The strip (height, BAR, 3) uint8 with the colours' meaning in mm and the two numbers that count."""
    import cv2

    strip = np.full((height, BAR, 3), 255, np.uint8)
    length = min(5 * BAR, height * 3 // 4)
    bar = color_bar(largest, length)
    strip[:length, : bar.shape[1]] = bar
    for number, text in enumerate(("scan to mesh", f"median {median:.2f}", f"95 %   {p95:.2f}")):
        place = (2, length + 14 + 16 * number)
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (30, 30, 30), 1, cv2.LINE_AA)
    return strip
