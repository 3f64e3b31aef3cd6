"""Error maps: a scan in the colours of its distances, with a bar that says what they mean in millimetres."""

from __future__ import annotations

import numpy as np

from likeness.geometry.rotation import rotation_from_euler
from likeness.images.color import linear_from_srgb
from likeness.mesh import Mesh
from likeness.render.head_view import head_view
from likeness.render.lighting import ambient_light, distant_light

_MARGIN = 1.08
_UNMEASURED = (0.80, 0.80, 0.80)  # sRGB
_INK = (60, 60, 60)

# From light to dark throughout, so that the order survives grey prints and colour blindness.
_STOPS = np.array(
    [
        [0.99, 0.98, 0.80],
        [0.98, 0.80, 0.36],
        [0.93, 0.49, 0.22],
        [0.74, 0.20, 0.30],
        [0.41, 0.08, 0.38],
        [0.12, 0.04, 0.22],
    ]
)


def error_colors(errors: np.ndarray, limit: float) -> np.ndarray:
    """Colours of distances: light yellow at 0 over red to dark violet at ``limit`` and beyond; grey for NaN.

    Args:
        errors: (...,) mm, >= 0 or NaN.
        limit: mm, > 0.

    Returns:
        (..., 3) sRGB in [0, 1].
    """
    if not (np.isfinite(limit) and limit > 0):
        raise ValueError(f"expected a limit > 0 mm, got {limit}")
    values = np.asarray(errors, np.float64)
    known = ~np.isnan(values)
    place = np.clip(np.where(known, values, 0.0) / limit, 0.0, 1.0)
    stops = np.linspace(0.0, 1.0, len(_STOPS))
    colors = np.stack([np.interp(place, stops, channel) for channel in _STOPS.T], axis=-1)
    return np.where(known[..., None], colors, _UNMEASURED)


def error_map(
    scan: Mesh,
    errors: np.ndarray,
    axes: np.ndarray,
    *,
    limit: float = 4.0,
    side: int = 360,
    yaw: float = 0.0,
    bar: bool = True,
    unit_mm: float = 1.0,
) -> np.ndarray:
    """A picture of a scan's face, coloured by its points' distances.

    Args:
        scan: with triangles.
        errors: (V,) mm at the scan's vertices, NaN where none was measured
            (:meth:`likeness.metrics.scan_error.ReconstructionError.per_vertex`).
        axes: (3, 3) rotation from the scan's axes to model axes (:meth:`FaceLandmarks.axes`), so that a scan in any
            pose is shown upright.
        limit: mm, the distance at the dark end of the colours.
        side: of the square picture, pixels, at least 64.
        yaw: radians, how far the head is turned to the subject's left.
        bar: add a colour bar of ``limit`` mm to the right.
        unit_mm: millimetres per unit of the scan's vertices.

    Returns:
        (side, side, 3) uint8 RGB on white, a fifth of the side wider with the bar. Colours are a little darker or
        lighter than the bar's where the surface turns from the light: the shading shows the shape.

    Raises:
        ValueError: a mesh without triangles, errors of another number or none at all, or a size out of range.
    """
    values = np.asarray(errors, np.float64)
    if not len(scan.triangles):
        raise ValueError("expected a scan with triangles, got points only")
    if values.shape != (len(scan.vertices),) or np.isinf(values).any() or np.isnan(values).all():
        raise ValueError(
            f"expected errors ({len(scan.vertices)},) that are finite or NaN, some finite, got {values.shape}"
        )
    if side < 64:
        raise ValueError(f"expected a picture of at least 64 pixels a side, got {side}")
    turned = unit_mm * scan.vertices @ (rotation_from_euler(yaw, 0.0, 0.0) @ axes).T
    shown = turned[~np.isnan(values)]
    low, high = shown.min(axis=0), shown.max(axis=0)
    reach = max(_MARGIN * float((high - low)[:2].max()), 1.0)
    light = ambient_light((0.72, 0.72, 0.72)) + distant_light((-0.3, 0.4, 1.0), (0.28, 0.28, 0.28))
    albedo = linear_from_srgb(error_colors(values, limit))
    middle = (low + high) / 2
    picture = head_view(turned, scan.triangles, middle, reach, side, albedo=albedo, light=light, cull=False)
    return np.concatenate([picture, color_bar(limit, side)], axis=1) if bar else picture


def color_bar(limit: float, height: int) -> np.ndarray:
    """The colours of :func:`error_map` from 0 (bottom) to ``limit`` mm (top): (height, height // 5, 3) uint8 RGB."""
    import cv2

    width = height // 5
    picture = np.full((height, width, 3), 255, np.uint8)
    top, bottom = height // 8, height - height // 8
    left, right = width // 10, width // 10 + max(width // 5, 3)
    shades = error_colors(np.linspace(limit, 0.0, bottom - top), limit)
    picture[top:bottom, left:right] = np.rint(255 * shades)[:, None]
    labels = {part: f"{part * limit:.3g}" + (" mm" if part == 1.0 else "") for part in (0.0, 0.5, 1.0)}
    start, font = right + width // 10, cv2.FONT_HERSHEY_SIMPLEX
    # At most so large that the longest label ends inside the picture.
    longest = max(cv2.getTextSize(label, font, 1.0, 1)[0][0] for label in labels.values())
    size = min(height / 900, (width - start - 2) / longest)
    for part, label in labels.items():
        row = round(bottom - 1 - part * (bottom - 1 - top))
        picture[row, right : right + max(width // 16, 2)] = _INK
        cv2.putText(picture, label, (start, row + round(9 * size)), font, size, _INK, 1, cv2.LINE_AA)
    return picture
