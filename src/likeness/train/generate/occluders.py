"""Things in front of a face, drawn into its photograph: hands, glasses, hair, and what people hold; all at random.

What they look like is not meant to deceive anybody; where they are, how large, and that a hand has the skin's own
colour and its own shade is what a mask of the skin has to be learned and measured on.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from likeness.geometry.landmarks import LEFT_EYE, RIGHT_EYE

SUBPIXEL = 4
"""Bits of a pixel's fraction in drawn coordinates."""


def occluded(
    photo: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator, other: np.ndarray, kind: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A photo with something in front of the face.

    Args:
        photo: (H, W, 3) uint8.
        landmarks: (68, 2) iBUG points, pixels.
        rng: draws what, where, and how.
        other: (h, w, 3) uint8 another photo, of which things are made.
        kind: one of :data:`KINDS`; None: any.

    Returns:
        The photo (H, W, 3) uint8, and how much of each pixel is not the face's, (H, W) float32 in [0, 1].
    """
    kind = str(rng.choice([*KINDS])) if kind is None else kind
    front, alpha = KINDS[kind](photo, np.asarray(landmarks, np.float64), rng, other)
    shadow = 1 - rng.uniform(0, 0.4) * cv2.GaussianBlur(alpha, (0, 0), max(0.03 * _width(landmarks), 0.5))
    behind = photo * shadow[..., None]
    mixed = behind + alpha[..., None] * (front - behind)
    return np.asarray(mixed.clip(0, 255), np.uint8), alpha


def hand(
    photo: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A palm and fingers in the face's own colour, a little lighter or darker, each finger round and lit."""
    size = _width(landmarks)
    middle = _somewhere(landmarks, rng, outside=0.9)
    turn, width = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.08, 0.13)
    along = np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-along[1], along[0]])
    solid, round_ = _blank(photo), _blank(photo)
    palm = _outline(middle, width * np.array([2.1, 2.3]), turn, 2.0)
    cv2.fillPoly(solid, [palm], 255, cv2.LINE_AA, SUBPIXEL)
    parts = [solid]
    for finger in range(int(rng.integers(2, 5))):
        root = middle + across * (finger - 1.5) * width * 1.08 + along * width
        bend = root + along * width * rng.uniform(1.2, 2.4)
        tip = bend + (along + across * rng.normal(0, 0.3)) * width * rng.uniform(0.8, 2.4)
        mask = _blank(photo)
        cv2.polylines(mask, [_fixed([root, bend, tip])], False, 255, max(round(width), 1), cv2.LINE_AA, SUBPIXEL)
        parts.append(mask)
    shade = np.zeros(photo.shape[:2], np.float32)
    for mask in parts:
        depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
        relief = np.sqrt(np.clip(depth / max(0.5 * width, 1.0), 0, 1))
        shade = np.where(mask > 127, relief, shade).astype(np.float32)
        round_ = np.maximum(round_, mask)
    color = _own_color(photo, landmarks) * rng.uniform(0.65, 1.25) * rng.uniform(0.94, 1.06, 3)
    lit = rng.uniform(0.45, 0.85)
    front = color * (lit + (1 - lit) * shade)[..., None] + rng.normal(0, 2.5, photo.shape)
    return front, _soft(round_, rng)


def glasses(
    photo: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Frames around the eyes, with lenses that are dark, clear, or reflect."""
    right, left = landmarks[list(RIGHT_EYE)].mean(0), landmarks[list(LEFT_EYE)].mean(0)
    apart, turn = np.linalg.norm(left - right), float(np.arctan2(*(left - right)[::-1]))
    size = apart * np.array([rng.uniform(0.34, 0.46), rng.uniform(0.2, 0.4)])
    drop = np.array([-np.sin(turn), np.cos(turn)]) * apart * rng.uniform(0.0, 0.12)
    thick = max(round(apart * rng.uniform(0.03, 0.11)), 1)
    square, frames, lenses = rng.random() < 0.5, _blank(photo), _blank(photo)
    for eye in (right + drop, left + drop):
        outline = _outline(eye, size, turn, 2.0 + 4.0 * square)
        cv2.polylines(frames, [outline], True, 255, thick, cv2.LINE_AA, SUBPIXEL)
        cv2.fillPoly(lenses, [outline], 255, cv2.LINE_AA, SUBPIXEL)
    inner, way = 0.5 * (right + left) + drop, (left - right) / apart
    ends = (inner - way * (0.5 * apart - size[0]), inner + way * (0.5 * apart - size[0]))
    cv2.polylines(frames, [_fixed(ends)], False, 255, thick, cv2.LINE_AA, SUBPIXEL)
    for eye, sign in ((right, -1), (left, 1)):
        arm = [eye + drop + sign * way * size[0], eye + drop + sign * way * (size[0] + apart * rng.uniform(0.2, 0.5))]
        cv2.polylines(frames, [_fixed(arm)], False, 255, thick, cv2.LINE_AA, SUBPIXEL)
    front = np.broadcast_to(rng.uniform(5, 90) * rng.uniform(0.7, 1.2, 3), photo.shape).astype(np.float32).copy()
    alpha = frames.astype(np.float32) / 255
    what = rng.random()
    if what < 0.4:  # dark
        lens = lenses.astype(np.float32) / 255 * rng.uniform(0.6, 1.0)
        front = np.where((frames < 128)[..., None], rng.uniform(0, 60, 3), front)
        alpha = np.maximum(alpha, lens)
    elif what < 0.7:  # a window in each
        shine = _blank(photo)
        for eye in (right + drop, left + drop):
            at = eye + rng.normal(0, 0.25, 2) * size
            window = _outline(at, size * rng.uniform(0.2, 0.7, 2), rng.uniform(0, np.pi), 2.0)
            cv2.fillPoly(shine, [window], 255, cv2.LINE_AA, SUBPIXEL)
        shine = np.minimum(cv2.GaussianBlur(shine, (3, 3), 0), lenses)
        front = np.where(((shine > 0) & (frames < 128))[..., None], rng.uniform(170, 255, 3), front)
        alpha = np.maximum(alpha, shine.astype(np.float32) / 255 * rng.uniform(0.5, 1.0))
    return front, cv2.GaussianBlur(alpha, (3, 3), 0.6)


def strands(
    photo: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Hair that falls from above into the face: a few strands or a curtain."""
    size, down = _width(landmarks), _down(landmarks)
    across = np.array([down[1], -down[0]])
    top = landmarks[27] - down * size * rng.uniform(0.5, 0.8)
    start, mask = rng.uniform(-0.5, 0.5), _blank(photo)
    for _ in range(int(rng.integers(5, 60))):
        at = top + across * size * (start + rng.normal(0, 0.13))
        steps = rng.normal([0.0, 0.16], [0.05, 0.05], (6, 2)).cumsum(0) * size
        line = at + steps[:, :1] * across + steps[:, 1:] * down
        cv2.polylines(mask, [_fixed([at, *line])], False, 255, int(rng.integers(1, 4)), cv2.LINE_AA, SUBPIXEL)
    color = rng.uniform(5, 150) * np.array([1.0, rng.uniform(0.7, 0.95), rng.uniform(0.4, 0.85)])
    streaks = cv2.GaussianBlur(rng.normal(0, 40, photo.shape[:2]), (0, 0), 1.0, sigmaY=4.0)
    return color + streaks[..., None], _soft(mask, rng)


def thing(
    photo: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A round or square thing, of one colour or with the pattern of another photo."""
    size, mask = _width(landmarks), _blank(photo)
    middle = _somewhere(landmarks, rng, outside=1.1)
    sides, turn = size * rng.uniform(0.08, 0.45, 2), rng.uniform(0, np.pi)
    cv2.fillPoly(mask, [_outline(middle, sides, turn, rng.choice([2.0, 8.0]))], 255, cv2.LINE_AA, SUBPIXEL)
    if rng.random() < 0.6:
        front = cv2.resize(other, photo.shape[1::-1]).astype(np.float32)
        return front[:, :: rng.choice([-1, 1])], _soft(mask, rng)
    return rng.uniform(0, 255, 3) + rng.normal(0, rng.uniform(0, 12), photo.shape), _soft(mask, rng)


def mask(
    photo: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A cloth over mouth and chin, up to the nose or not."""
    upper = landmarks[28 + int(rng.integers(0, 6))]
    sides = [landmarks[int(rng.integers(1, 5))], landmarks[16 - int(rng.integers(1, 5))]]
    below = [landmarks[n] + _down(landmarks) * 0.1 * _width(landmarks) for n in range(13, 2, -1)]
    cloth = _blank(photo)
    cv2.fillPoly(cloth, [_fixed([sides[0], upper, sides[1], *below])], 255, cv2.LINE_AA, SUBPIXEL)
    folds = cv2.GaussianBlur(rng.normal(0, 60, photo.shape[:2]), (0, 0), 6.0, sigmaY=1.5)
    return rng.uniform(20, 250, 3) + folds[..., None], _soft(cloth, rng)


Draw = Callable[[np.ndarray, np.ndarray, np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray]]

KINDS: dict[str, Draw] = {"hand": hand, "glasses": glasses, "hair": strands, "thing": thing, "mask": mask}
"""What can be in front of a face."""


def _blank(photo: np.ndarray) -> np.ndarray:
    return np.zeros(photo.shape[:2], np.uint8)


def _width(landmarks: np.ndarray) -> float:
    """Of the face, pixels: the root of its box's area."""
    return float(np.sqrt(np.prod(np.ptp(landmarks, axis=0))))


def _down(landmarks: np.ndarray) -> np.ndarray:
    """(2,) unit, from the bridge of the nose to the chin."""
    way = np.asarray(landmarks[8] - landmarks[27])
    return np.asarray(way / max(float(np.linalg.norm(way)), 1e-6))


def _somewhere(landmarks: np.ndarray, rng: np.random.Generator, outside: float) -> np.ndarray:
    """(2,) a place in the box of the face, made larger by a factor."""
    low, high = landmarks.min(0), landmarks.max(0)
    return np.asarray(0.5 * (low + high) + outside * rng.uniform(-0.5, 0.5, 2) * (high - low))


def _own_color(photo: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(3,) the middle of what the cheeks show."""
    places = np.concatenate(
        [0.5 * (landmarks[[2, 3, 4]] + landmarks[31]), 0.5 * (landmarks[[14, 13, 12]] + landmarks[35])]
    )
    column, row = np.clip(np.rint(places).astype(int), 0, [photo.shape[1] - 1, photo.shape[0] - 1]).T
    return np.asarray(np.median(photo[row, column].astype(np.float64), axis=0))


def _outline(middle: np.ndarray, sides: np.ndarray, turn: float, power: float) -> np.ndarray:
    """A superellipse, turned, in fixed-point pixels; power 2 is an ellipse, a large one nearly a box."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    wave = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = np.sign(wave) * np.abs(wave) ** (2.0 / power) * sides
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return _fixed(middle + points @ rotation)


def _fixed(points: list[np.ndarray] | np.ndarray | tuple[np.ndarray, ...]) -> np.ndarray:
    return np.asarray(np.rint(np.asarray(points) * (1 << SUBPIXEL)), np.int32)


def _soft(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(mask, (3, 3), rng.uniform(0.4, 1.0)).astype(np.float32) / 255
