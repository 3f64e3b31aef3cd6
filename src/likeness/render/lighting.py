"""Distant light as nine spherical harmonics, and what a matt surface reflects of it.

Light axes: x to the right of the image, y up, z towards the camera; they are the model axes of a face that looks
straight into the camera, so camera axes turned by `FRONTAL`, and do not turn with the head.

The harmonics are real and orthonormal (the integral of Y_i Y_j over the sphere is 1 for i = j, else 0), without
the Condon-Shortley sign, in the order (l, m) = (0,0) (1,-1) (1,0) (1,1) (2,-2) (2,-1) (2,0) (2,1) (2,2): those of
Ramamoorthi and Hanrahan, An Efficient Representation for Irradiance Environment Maps, SIGGRAPH 2001. Nine of them
carry all but about 1 % of the light that a matt surface gathers; the rest is what `shade` leaves out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from likeness.geometry.rotation import stack

_Y0 = math.sqrt(1.0 / (4.0 * math.pi))
_Y1 = math.sqrt(3.0 / (4.0 * math.pi))
_Y2 = math.sqrt(15.0 / (4.0 * math.pi))
_Y20 = math.sqrt(5.0 / (16.0 * math.pi))
_Y22 = math.sqrt(15.0 / (16.0 * math.pi))

# What a clamped cosine, divided by pi, leaves of the orders 0, 1 and 2 (their equation 8: pi, 2 pi / 3, pi / 4).
_REFLECTED = (1.0,) + (2.0 / 3.0,) * 3 + (0.25,) * 5


def sh_basis(normals: Any) -> Any:
    """The nine harmonics at unit vectors: (..., 3) -> (..., 9), NumPy or torch alike."""
    return stack(_harmonics(normals), axis=-1)


def shade(normals: Any, albedo: Any, sh: Any) -> Any:
    """Linear RGB of a matt surface: albedo times the light it gathers over pi; NumPy or torch alike.

    Args:
        normals: (..., N, 3) unit, light axes.
        albedo: (..., N, 3) linear RGB reflectance, [0, 1].
        sh: (..., 9, 3) the light's radiance, RGB, as coefficients of `sh_basis`.

    Returns:
        (..., N, 3) linear RGB. Under the same radiance from everywhere, 1, it is the albedo. Linear in light
        and albedo and not clipped: a little below 0 where nine harmonics of a small bright light ring.
    """
    reflected = [factor * y for factor, y in zip(_REFLECTED, _harmonics(normals), strict=True)]
    return albedo * (stack(reflected, axis=-1) @ sh)


def ambient_light(color: Any = (1.0, 1.0, 1.0)) -> np.ndarray:
    """(9, 3) the same linear RGB radiance from everywhere: a surface of albedo 1 shows this colour."""
    sh = np.zeros((9, 3), np.float32)
    sh[0] = np.asarray(color) / _Y0
    return sh


def distant_light(direction: Any, color: Any = (1.0, 1.0, 1.0)) -> np.ndarray:
    """(9, 3) light from one direction: a surface of albedo 1 that faces it shows about this linear RGB.

    Args:
        direction: (3,) towards the light, light axes, any length > 0.
        color: (3,) linear RGB.
    """
    towards = np.asarray(direction, np.float64)
    length = float(np.linalg.norm(towards))
    if towards.shape != (3,) or not (math.isfinite(length) and length > 0):
        raise ValueError(f"expected a direction (3,) of some length, got {direction!r}")
    return (math.pi * sh_basis(towards / length)[:, None] * np.asarray(color)).astype(np.float32)


def main_light(sh: Any) -> tuple[np.ndarray, np.ndarray]:
    """The one direction (3,) that light (9, 3) comes from most, unit, and the linear RGB (3,) that a surface of
    albedo 1 would show if it faced light from there alone: what of the order 1 there is. Without direction:
    (0, 0, 1) and black."""
    first = np.asarray(sh, np.float64)[[3, 1, 2]] / (math.pi * _Y1)
    towards = first.mean(axis=1)
    length = float(np.linalg.norm(towards))
    if length < 1e-9:
        return np.array([0.0, 0.0, 1.0]), np.zeros(3)
    return towards / length, np.maximum(towards / length @ first, 0.0)


def studio_light() -> np.ndarray:
    """(9, 3) a warm key light three quarters from the upper left, a cool fill from the right, some from all over."""
    key = distant_light((-0.6, 0.5, 0.6), (1.25, 1.2, 1.13))
    fill = distant_light((0.9, 0.1, 0.5), (0.2, 0.23, 0.28))
    return key + fill + ambient_light((0.14, 0.15, 0.16))


def reflection_polynomial(sh: np.ndarray) -> np.ndarray:
    """(9, 3) light -> (10, 3) p with ``shade(n, 1, sh) = (1, x, y, z, xy, yz, zx, x², y², z²) · p``."""
    s = np.asarray(sh) * np.asarray(_REFLECTED)[:, None]
    return np.stack(
        [
            _Y0 * s[0] - _Y20 * s[6],
            *(_Y1 * s[3], _Y1 * s[1], _Y1 * s[2]),
            *(_Y2 * s[4], _Y2 * s[5], _Y2 * s[7]),
            *(_Y22 * s[8], -_Y22 * s[8], 3.0 * _Y20 * s[6]),
        ]
    )


def _harmonics(normals: Any) -> list[Any]:
    x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
    return [
        x * 0.0 + _Y0,
        *(_Y1 * y, _Y1 * z, _Y1 * x),
        *(_Y2 * x * y, _Y2 * y * z, _Y20 * (3.0 * z * z - 1.0), _Y2 * x * z, _Y22 * (x * x - y * y)),
    ]
