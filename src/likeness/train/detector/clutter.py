"""What is no face but may look like one: drawings, patterns, round things, hands, skin; all drawn at random.

Everything draws on an (H, W, 3) uint8 image in place, from the generator that it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

Draw = Callable[[np.ndarray, np.ndarray, float, np.random.Generator], None]
"""An image, the place (x, y), the size in pixels, and a generator."""


def skin_color(rng: np.random.Generator) -> np.ndarray:
    """(3,) sRGB 0 … 255 of skin, light to dark."""
    tone = rng.uniform(0.1, 1.0)
    return (np.array([70.0, 40.0, 25.0]) + tone * np.array([165.0, 150.0, 130.0])) * rng.uniform(0.8, 1.1)


def _any_color(rng: np.random.Generator) -> np.ndarray:
    return skin_color(rng) if rng.random() < 0.4 else rng.uniform(0, 255, 3)


def _point(*values: float) -> tuple[int, ...]:
    return tuple(round(float(value)) for value in values)


def _stamp(image: np.ndarray, mask: np.ndarray, color: np.ndarray, rng: np.random.Generator, shaded: bool) -> None:
    """Paint a colour where the mask (H, W) uint8 is; shaded: lighter towards one side."""
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0 or height == 0:
        return
    part = image[y : y + height, x : x + width]
    alpha = cv2.GaussianBlur(mask[y : y + height, x : x + width], (0, 0), 0.6 + 0.02 * rng.random() * width)
    front = np.broadcast_to(color.astype(np.float32), part.shape)
    if shaded:
        away = rng.uniform(0, 2 * math.pi)
        ramp = np.linspace(-1, 1, width)[None] * math.cos(away) + np.linspace(-1, 1, height)[:, None] * math.sin(away)
        front = front * (1.0 + rng.uniform(0.1, 0.45) * ramp[..., None]).astype(np.float32)
    weight = alpha[..., None].astype(np.float32) / 255.0
    part[:] = (part + (front - part) * weight).clip(0, 255).astype(np.uint8)


def hand(image: np.ndarray, at: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """A palm with fingers, often with an arm."""
    mask = np.zeros(image.shape[:2], np.uint8)
    angle, width = rng.uniform(0, 2 * math.pi), size / 4.5
    along = np.array([math.cos(angle), math.sin(angle)])
    across = np.array([-along[1], along[0]])
    cv2.ellipse(mask, _point(*at), _point(1.9 * width, 2.2 * width), math.degrees(angle), 0, 360, 255, -1)
    reach, spread = rng.uniform(0.4, 1.0), rng.uniform(0.9, 1.6)
    for finger in range(5):
        root = at + across * (finger - 2.0) * 0.85 * width + along * width
        tip = root + (along + across * 0.2 * spread * (finger - 2)) * width * rng.uniform(2.0, 4.0) * reach
        cv2.line(mask, _point(*root), _point(*tip), 255, max(1, int(0.8 * width)))
    if rng.random() < 0.6:
        cv2.line(mask, _point(*at), _point(*(at - along * 9 * width)), 255, max(1, int(2.2 * width)))
    _stamp(image, mask, skin_color(rng), rng, True)


def drawing(image: np.ndarray, at: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """A face as children and icons have it: flat colours, dots for eyes, an arc for a mouth."""
    fill, ink = _any_color(rng), rng.uniform(0, 90, 3) if rng.random() < 0.8 else rng.uniform(180, 255, 3)
    thick = max(1, int(size * rng.uniform(0.02, 0.07)))
    radius = 0.75 * size
    if rng.random() < 0.8:
        axes = _point(radius * rng.uniform(0.8, 1.1), radius)
        cv2.ellipse(image, _point(*at), axes, 0, 0, 360, fill.tolist(), -1, cv2.LINE_AA)
        cv2.ellipse(image, _point(*at), axes, 0, 0, 360, ink.tolist(), thick, cv2.LINE_AA)
    apart, up, eye = rng.uniform(0.2, 0.35) * size, rng.uniform(0.1, 0.3) * size, rng.uniform(0.04, 0.14) * size
    for side in (-1, 1):
        place = _point(at[0] + side * apart, at[1] - up)
        if rng.random() < 0.3:
            cv2.circle(image, place, round(2 * eye), (250, 250, 250), -1, cv2.LINE_AA)
        cv2.circle(image, place, max(1, round(eye)), ink.tolist(), -1, cv2.LINE_AA)
    if rng.random() < 0.4:
        cv2.line(image, _point(*at), _point(at[0], at[1] + 0.12 * size), ink.tolist(), thick, cv2.LINE_AA)
    mouth = _point(at[0], at[1] + rng.uniform(0.1, 0.25) * size)
    bow = _point(rng.uniform(0.15, 0.4) * size, rng.uniform(0.03, 0.25) * size)
    start = 0 if rng.random() < 0.7 else 180
    cv2.ellipse(image, mouth, bow, 0, start, start + 180, ink.tolist(), thick, cv2.LINE_AA)


def rings(image: np.ndarray, at: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """A wheel, a clock, a ball or a plate."""
    radius = 0.75 * size
    for _ in range(int(rng.integers(1, 5))):
        cv2.circle(image, _point(*at), max(1, round(radius)), _any_color(rng).tolist(), -1, cv2.LINE_AA)
        radius *= rng.uniform(0.4, 0.9)
    spokes, color = int(rng.choice([0, 3, 5, 12])), rng.uniform(0, 255, 3).tolist()
    for turn in 2 * math.pi * np.arange(spokes) / max(spokes, 1) + rng.uniform(0, 6):
        way = np.array([math.cos(turn), math.sin(turn)]) * size * 0.7
        cv2.line(image, _point(*(at + rng.uniform(0, 0.9) * way)), _point(*(at + way)), color, 1 + int(size / 30))


def blob(image: np.ndarray, at: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """An oval of skin or cloth with light from a side: an elbow, a cheek, a ball, a bald head from behind."""
    mask = np.zeros(image.shape[:2], np.uint8)
    axes = size * rng.uniform(0.4, 0.9, 2)
    cv2.ellipse(mask, _point(*at), _point(*axes), float(rng.uniform(0, 180)), 0, 360, 255, -1)
    _stamp(image, mask, _any_color(rng), rng, True)
    for _ in range(int(rng.integers(0, 4))):  # spots that are no features
        mask[:] = 0
        place = at + rng.uniform(-0.5, 0.5, 2) * size
        cv2.ellipse(mask, _point(*place), _point(*(size * rng.uniform(0.03, 0.2, 2))), 0, 0, 360, 255, -1)
        _stamp(image, mask, _any_color(rng) * 0.7, rng, False)


def body(image: np.ndarray, at: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Shoulders with a neck and a collar, and no head."""
    mask = np.zeros(image.shape[:2], np.uint8)
    w, h = 1.6 * size, 1.4 * size
    shape = at + np.array([[-w, h], [-0.9 * w, 0.3 * h], [-0.3 * w, 0], [0.3 * w, 0], [0.9 * w, 0.3 * h], [w, h]])
    cv2.fillPoly(mask, [shape.round().astype(np.int32)], 255)
    _stamp(image, mask, rng.uniform(0, 255, 3), rng, True)
    mask[:] = 0
    neck = at + np.array([[-0.3 * w, 0], [-0.22 * w, -0.35 * h], [0.22 * w, -0.35 * h], [0.3 * w, 0], [0, 0.6 * h]])
    cv2.fillPoly(mask, [neck.round().astype(np.int32)], 255)
    _stamp(image, mask, skin_color(rng), rng, True)


def lattice(image: np.ndarray, at: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """A patch of checks, stripes or dots."""
    cells = int(rng.integers(2, 9))
    ground, ink = _any_color(rng), _any_color(rng)
    y, x = np.mgrid[:cells, :cells]
    kind = rng.integers(4)
    even = [(x + y) % 2, y % 2, x % 2, rng.integers(0, 2, (cells, cells))][kind] > 0
    patch = np.where(even[..., None], ground, ink).clip(0, 255).astype(np.uint8)
    if kind == 0 and rng.random() < 0.5:
        patch = np.tile(ground.clip(0, 255).astype(np.uint8), (12 * cells, 12 * cells, 1))
        for row, column in np.ndindex(cells, cells):
            cv2.circle(patch, (12 * column + 6, 12 * row + 6), int(rng.integers(2, 6)), ink.tolist(), -1)
    paste_turned(image, patch, at, 2.2 * size, float(rng.uniform(-math.pi, math.pi)))


def writing(image: np.ndarray, at: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """Letters and figures."""
    text = "".join(rng.choice(list("ABCDEFGHOQRS0689@&%:)(.oO"), int(rng.integers(1, 7))))
    scale = size / 25.0
    place = _point(at[0] - 0.5 * size, at[1] + 0.4 * size)
    thick = max(1, int(scale * rng.uniform(1, 5)))
    cv2.putText(image, text, place, int(rng.integers(0, 8)), scale, _any_color(rng).tolist(), thick, cv2.LINE_AA)


def paste_turned(image: np.ndarray, patch: np.ndarray, at: np.ndarray, side: float, angle: float) -> None:
    """A patch (h, w, 3) into the image in place, turned, its longer side ``side`` pixels, its middle at ``at``."""
    height, width = patch.shape[:2]
    scale = side / max(height, width)
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[c, -s], [s, c]])
    matrix = np.column_stack([linear, at - linear @ [width / 2.0 - 0.5, height / 2.0 - 0.5]])
    size = image.shape[1::-1]
    cv2.warpAffine(patch, matrix, size, dst=image, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)


ALL: tuple[Draw, ...] = (hand, drawing, rings, blob, body, lattice, writing)


def draw_any(image: np.ndarray, at: np.ndarray, size: float, rng: np.random.Generator) -> None:
    """One of all kinds."""
    ALL[int(rng.integers(len(ALL)))](image, at, size, rng)
