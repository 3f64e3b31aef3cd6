"""What is in front of a face, learned: hands, glasses, hair, things (``runs/build_skin_mask.py``).

On the texture plane every face looks alike, so that little is needed to say what does not belong: from a place's
surroundings, its mirror image and where on the head it is a small network (a hidden layer or two) says how likely
something is in front of it; a second one looks again, with what the first said all around (auto-context: Tu, CVPR
2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from likeness.assets import asset
from likeness.errors import FileError, StrPath
from likeness.readers import read_npz
from likeness.reconstruct.texture.atlas import Atlas
from likeness.reconstruct.texture.fill import resized
from likeness.reconstruct.texture.laid import coarser
from likeness.reconstruct.texture.view import smoothstep

LARGEST = 4_000_000
"""Bytes of one array of the file; more than any needs."""

LIMIT = 2.5
"""Log reflectance at which differences are cut."""

NEAR, FAR = 3, 8
"""Texels between the samples of the wider surroundings; colours there are means over about as many."""

LEFT, GONE = 0.6, 0.9
"""How likely something must be in front of skin for it to be taken a little less, and not at all."""

LOOKS = (2, 6)
"""The same of what the first network said."""


@dataclass(frozen=True, eq=False)
class FrontNetwork:
    """Two networks of fully connected layers, rectified but for the last.

    Args:
        layers: of each network the weights (F, H) and biases (H,) of every layer, the last with H = 1.

    Raises:
        ValueError: layers that do not fit each other.
    """

    layers: tuple[tuple[tuple[np.ndarray, np.ndarray], ...], ...]

    def __post_init__(self) -> None:
        for network in self.layers:
            widths = [weights.shape for weights, _ in network]
            fits = all(a[1] == b[0] for a, b in pairwise(widths)) and widths[-1][1] == 1
            if not fits or any(bias.shape != (weights.shape[1],) for weights, bias in network):
                raise ValueError(f"expected layers that end in one number, got weights {widths}")

    @classmethod
    def load(cls, path: StrPath) -> FrontNetwork:
        """That of a file that ``runs/build_skin_mask.py`` wrote.

        Raises:
            FileError: missing, damaged, or of other shapes.
        """
        arrays = read_npz(path, "a network that finds what is in front of skin", LARGEST)
        try:
            networks = []
            for name in ("first", "second"):
                count = sum(key.startswith(f"{name}_weights") for key in arrays)
                networks.append(
                    tuple(
                        (
                            arrays[f"{name}_weights{n}"].astype(np.float32),
                            arrays[f"{name}_bias{n}"].astype(np.float32),
                        )
                        for n in range(count)
                    )
                )
            return cls(tuple(networks))
        except (KeyError, IndexError, ValueError) as error:
            raise FileError(path, f"expected the layers of two networks ({error})") from error

    def __call__(self, atlas: Atlas, difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """How likely something is in front of the skin, (s, s) float32 in [0, 1], s = :data:`SMOOTH`; 0 where
        nothing is seen. Of a mirrored face it is the mirror image, by construction.

        Args:
            atlas: of the texture.
            difference: (s, s, 3) log reflectance by the photo over the model's; the usual difference is taken off.
            weight: (s, s) how well it is seen.
        """
        mirrored = self._once(atlas, difference[:, ::-1], weight[:, ::-1])
        return 0.5 * (self._once(atlas, difference, weight) + mirrored[:, ::-1])

    def _once(self, atlas: Atlas, difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
        seen = weight > 0
        told = surroundings(atlas, difference, weight)
        first = np.zeros(weight.shape, np.float32)
        first[seen] = answers(self.layers[0], told[seen])
        told = np.concatenate([told, second_look(first, weight)], axis=2)
        second = np.zeros(weight.shape, np.float32)
        second[seen] = answers(self.layers[1], told[seen])
        return second


@cache
def _embedded() -> FrontNetwork:
    return FrontNetwork.load(asset("skin_mask.npz"))


def uncovered(atlas: Atlas, ratio: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Where nothing is in front of the skin, (C, C) float32 in [0, 1], by the embedded network; None on heads of
    which it is not known where brows and lashes are, or whose texture plane has no mirror.

    Args:
        atlas: of the texture.
        ratio: (C, C, 3) log reflectance by the photo over the model's.
        weight: (C, C) how well it is seen.
    """
    if not (atlas.symmetric and atlas.zones["brows"].any() and atlas.zones["lids"].any()):
        return None
    covered = _embedded()(atlas, *coarser(ratio, weight))
    return 1 - smoothstep(resized(covered, len(weight)), LEFT, GONE)


def answers(network: Sequence[tuple[np.ndarray, np.ndarray]], values: np.ndarray) -> np.ndarray:
    """What fully connected layers say, (N,) in (0, 1), of inputs (N, F)."""
    for weights, bias in network[:-1]:
        values = np.maximum(values @ weights + bias, 0)
    weights, bias = network[-1]
    return np.asarray(1 / (1 + np.exp(-np.clip((values @ weights + bias)[:, 0], -30, 30))), np.float32)


def surroundings(atlas: Atlas, difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What the first network sees of each texel, (s, s, F) float32: arguments as of :class:`FrontNetwork`."""
    import cv2

    sure = weight > 0.5
    usual = np.median(difference[sure], axis=0) if sure.any() else np.zeros(3, np.float32)
    found = np.clip(difference - usual, -LIMIT, LIMIT).astype(np.float32)
    brightness = found.mean(axis=2)
    color = np.stack([brightness, found[..., 0] - brightness, found[..., 2] - brightness], axis=2)
    color *= np.minimum(weight / 0.1, 1.0)[..., None]
    parts = [*_around(color[..., 0], 1, 2), color[..., 1], color[..., 2]]
    for step in (NEAR, FAR):
        mean = cv2.GaussianBlur(np.dstack([color, weight]), (0, 0), step / 2)
        mean[..., :3] /= mean[..., 3:] + 0.05
        parts += [shifted for channel in range(4) for shifted in _around(mean[..., channel], step, 1)]
        mirrored = mean[:, ::-1]
        parts += [*(mean - mirrored)[..., :3].transpose(2, 0, 1), mirrored[..., 3]]
    detail = np.abs(color[..., 0] - cv2.GaussianBlur(color[..., 0], (0, 0), 1.0))
    parts += [weight, cv2.GaussianBlur(detail, (0, 0), 2.0)]
    return np.dstack([*parts, atlas.places]).astype(np.float32)


def second_look(first: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What the second network sees besides, (s, s, G): what the first said (s, s), around and on the other side."""
    import cv2

    parts = [first]
    for step in LOOKS:
        mean = cv2.GaussianBlur(np.dstack([first * weight, weight]), (0, 0), step / 2)
        share = mean[..., 0] / (mean[..., 1] + 0.05)
        parts += [*_around(share, step, 1), share[:, ::-1]]
    overall = float((first * weight).sum() / (weight.sum() + 1.0))
    return np.dstack([*parts, np.full_like(first, overall)]).astype(np.float32)


def _around(picture: np.ndarray, step: int, reach: int) -> list[np.ndarray]:
    """A picture (s, s) shifted by up to ``reach`` steps in both directions; its border is continued."""
    margin = step * reach
    padded, side = np.pad(picture, margin, mode="edge"), len(picture)
    places = range(0, 2 * margin + 1, step)
    return [padded[y : y + side, x : x + side] for y in places for x in places]
