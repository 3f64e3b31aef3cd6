"""The albedo model: maps of log reflectance on our head, from what is known of skin, not from photographs.

Pigments multiply, so their logs add: melanin darkens all channels (most in blue, after the falling absorption of
eumelanin, about λ^-3.3, flattened by scattering: Jacques 2013), haemoglobin takes green and blue. Every map is a
mask on the surface times a colour; its weight is about N(0, 1) over people. Values are linear RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from annotate import soften
from correspondence import Template

SKIN = np.log([0.46, 0.27, 0.19])  # a middle complexion, about sRGB (181, 142, 121)
MELANIN = np.array([-0.48, -0.56, -0.62])
BLOOD = np.array([-0.02, -0.10, -0.075])
UP = np.array([0.0, 1.0, 0.0])
HAIR = np.array([-1.5, -1.6, -1.65])


@dataclass(frozen=True)
class AlbedoMaps:
    """Log reflectance: mean (V, 3) and one map (V, 3) per name."""

    mean: np.ndarray
    basis: np.ndarray
    names: tuple[str, ...]


def build_albedo(
    template: Template, vertices: np.ndarray, regions: dict[str, np.ndarray], landmarks: np.ndarray
) -> AlbedoMaps:
    """Maps for the registered head.

    Args:
        vertices: (V, 3) mm, model axes (origin between the eyes).
        regions: masks (V,) bool of :func:`annotate.regions`.
        landmarks: (68, 3) mm.
    """
    masks = _masks(template, vertices, regions, landmarks)
    skin, lips, brow, scalp, beard = (masks[key] for key in ("skin", "lips", "brow", "scalp", "beard"))
    mean = _mean(masks)
    maps: dict[str, np.ndarray] = {
        "melanin": np.outer(skin, MELANIN),
        "haemoglobin": np.outer(skin, BLOOD),
        "cheekFlush": np.outer(masks["cheeks"], BLOOD),
        "noseFlush": np.outer(masks["nose"], BLOOD),
        "shine": np.outer(masks["tzone"], [0.10, 0.10, 0.10]),
        "lipRed": np.outer(lips, [-0.02, -0.22, -0.16]),
        "lipDark": np.outer(lips, [-0.25, -0.28, -0.25]),
        "lipstick": np.outer(lips, [0.02, -0.45, -0.30]),
        "browDensity": np.outer(brow, [-0.35, -0.38, -0.38]),
        "browThickness": np.outer(masks["browWide"] - brow, [-0.5, -0.5, -0.5]),
        "browBlond": np.outer(brow, [0.30, 0.20, 0.02]),
        "irisLight": np.outer(masks["iris"], [0.45, 0.45, 0.45]),
        "irisBlue": np.outer(masks["iris"], [-0.35, 0.12, 0.65]),
        "sclera": np.outer(masks["sclera"], [0.12, 0.14, 0.16]),
        "lashes": np.outer(masks["lids"], [-0.4, -0.4, -0.4]),
        "eyeShadow": np.outer(masks["upperLid"], [-0.16, -0.22, -0.14]),
        "underEye": np.outer(masks["underEye"], [-0.10, -0.14, -0.10]),
        "stubble": np.outer(beard, [-0.32, -0.32, -0.28]),
        "moustache": np.outer(masks["moustache"], [-0.30, -0.30, -0.28]),
        "chinBeard": np.outer(masks["chinBeard"], [-0.30, -0.30, -0.28]),
        "hairDark": np.outer(scalp, [-0.6, -0.6, -0.6]),
        "hairBlond": np.outer(scalp, [0.45, 0.30, 0.02]),
        "bald": np.outer(masks["front"], -0.55 * HAIR),
        "mouth": np.outer(masks["mouth"], [0.5, 0.5, 0.5]),
        "neckShade": np.outer(masks["neck"], [-0.15, -0.15, -0.15]),
        "unevenA": np.outer(skin * np.sin(vertices[:, 1] / 22 + vertices[:, 0] / 60), [0.05, 0.05, 0.05]),
        "unevenB": np.outer(skin * np.sin(vertices[:, 0] / 25 - vertices[:, 1] / 70), [0.04, 0.05, 0.05]),
        "unevenC": np.outer(skin * np.tanh(vertices[:, 0] / 40), [0.05, 0.05, 0.05]),
    }
    return AlbedoMaps(mean, np.stack(list(maps.values())), tuple(maps))


def _mean(masks: dict[str, np.ndarray]) -> np.ndarray:
    """Log reflectance (V, 3) of the average person: skin with lips, brows, lashes, hair and eyes laid over it."""
    mean = np.broadcast_to(SKIN, (len(masks["skin"]), 3)).copy()
    mean += np.outer(masks["lips"], [-0.12, -0.5, -0.38])
    mean += np.outer(masks["brow"], [-1.15, -1.2, -1.2])
    mean += np.outer(masks["lids"], [-0.45, -0.45, -0.42])
    mean += np.outer(masks["scalp"], HAIR) + np.outer(masks["beard"], [-0.08, -0.08, -0.06])
    for key, colour in (
        ("sclera", [0.55, 0.50, 0.48]),
        ("iris", [0.075, 0.045, 0.03]),
        ("pupil", [0.01, 0.01, 0.01]),
        ("mouthOnly", [0.06, 0.018, 0.016]),
        ("tongue", [0.30, 0.11, 0.10]),
    ):
        inside = masks[key] > 0.5
        mean[inside] = np.log(colour)
    return mean


def _masks(
    template: Template, vertices: np.ndarray, regions: dict[str, np.ndarray], landmarks: np.ndarray
) -> dict[str, np.ndarray]:
    x, y, z = vertices.T
    soft = {key: soften(regions[key], template.triangles, 1) for key in ("lips", "scalp", "neck")}
    skin = (regions["skin"] | regions["lips"]).astype(float)
    eyes = _eye_masks(template, vertices)
    plain = skin * (1 - regions["lips"])
    brow_line = [landmarks[k] - UP * 2.5 for k in range(17, 27)]
    brow_distance = np.minimum(
        _distance_to_line(vertices, np.array(brow_line[:5])), _distance_to_line(vertices, np.array(brow_line[5:]))
    )
    lid_distance = np.minimum(
        _distance_to_line(vertices, landmarks[[36, 37, 38, 39, 40, 41, 36]]),
        _distance_to_line(vertices, landmarks[[42, 43, 44, 45, 46, 47, 42]]),
    )
    mouth, chin, nose = landmarks[48:60].mean(0), landmarks[8], landmarks[30]
    moustache = _blob(vertices, mouth + UP * 11, [26, 7, 40]) * plain
    chin_beard = _blob(vertices, chin + UP * 8, [26, 22, 45]) * plain
    jaw = plain * _step(nose[1] - 22 - y, 10) * _step(25 - np.abs(mouth[1] - 4 - y) + np.abs(x) * 0.6, 8)
    cheek = sum(_blob(vertices, [side * 36, nose[1] + 2, -9], [24, 20, 60]) for side in (-1, 1)) * plain
    under = (_blob(vertices, landmarks[[40, 41]].mean(0) - UP * 6, [13, 6, 30]) +
             _blob(vertices, landmarks[[46, 47]].mean(0) - UP * 6, [13, 6, 30])) * plain  # fmt: skip
    upper = (_blob(vertices, landmarks[[37, 38]].mean(0) + UP * 4, [14, 5, 30]) +
             _blob(vertices, landmarks[[43, 44]].mean(0) + UP * 4, [14, 5, 30])) * plain  # fmt: skip
    return {
        "skin": skin * (1 - 0.5 * regions["lips"]),
        "lips": soft["lips"] * skin,
        "scalp": soft["scalp"] * skin,
        "front": soft["scalp"] * skin * _step(y - 45, 12) * _step(z + 45, 25),
        "neck": soft["neck"] * skin,
        "brow": np.exp(-((brow_distance / 3.6) ** 2)) * plain * (z > -40),
        "browWide": np.exp(-((brow_distance / 6.0) ** 2)) * plain * (z > -40),
        "lids": np.exp(-((lid_distance / 1.8) ** 2)) * skin,
        "upperLid": upper,
        "underEye": under,
        "cheeks": cheek,
        "nose": _blob(vertices, nose, [15, 14, 25]) * plain,
        "tzone": (_blob(vertices, nose + UP * 60, [32, 24, 60]) + _blob(vertices, nose, [9, 30, 25])) * plain,
        "moustache": moustache,
        "chinBeard": chin_beard,
        "beard": np.clip(jaw + moustache, 0, 1) * (1 - soft["neck"]) * (z > -65),
        "mouth": regions["mouth"].astype(float),
        "mouthOnly": (regions["mouth"] & ~template.part("tongue")).astype(float),
        "tongue": template.part("tongue").astype(float),
        **eyes,
    }


def _eye_masks(template: Template, vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Pupil, iris and sclera by distance from the optical axis; the rings were laid at these radii."""
    masks = {key: np.zeros(len(vertices)) for key in ("pupil", "iris", "sclera")}
    for side in "LR":
        eye = np.flatnonzero(template.part(f"eye_front.{side}", f"eye_back.{side}"))
        local = vertices[eye] - vertices[eye].mean(0)
        rank = np.argsort(np.argsort(-local[:, 2], kind="stable"), kind="stable")
        masks["pupil"][eye] = rank < 8
        masks["iris"][eye] = (rank >= 8) & (rank < 16)
        masks["sclera"][eye] = rank >= 16
    return masks


def _distance_to_line(vertices: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance (V,) mm to a polyline, measured in the frontal plane with depth at a third."""
    scale = np.array([1, 1, 1 / 3])
    points, line = vertices * scale, line * scale
    best = np.full(len(points), np.inf)
    for a, b in pairwise(line):
        along = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - along[:, None] * (b - a), axis=1))
    return best


def _blob(vertices: np.ndarray, center: np.ndarray | list[float], radii: list[float]) -> np.ndarray:
    """Gaussian bump (V,) with standard deviations ``radii`` / √2 mm."""
    return np.exp(-((((vertices - np.asarray(center)) / radii) ** 2).sum(1)))


def _step(values: np.ndarray, width: float) -> np.ndarray:
    """Smooth step from 0 (values << 0) to 1 (values >> 0)."""
    return 1 / (1 + np.exp(-np.clip(values / width * 4, -30, 30)))
