"""Skins of real people, taken from photographs, for rendered heads of any shape.

    likeness train skins --data photos/people-train.tar -o work/skins.npz

What a network learns from faces in the model's own colours is how those look; pores, beards, brows, wrinkles and hair
over a forehead are in none of them. A skin is a texture (:func:`likeness.reconstruct.texture.texture_of`): the light
of its photograph is taken out, and a head of another shape, pose and light can wear it; all its labels are known.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from likeness.datasets import Photos
from likeness.datasets.image_store import readable
from likeness.errors import FileError, StrPath
from likeness.files import write_atomically
from likeness.model.face_model import FaceModel
from likeness.progress import Steps, unheard, watched
from likeness.readers import NpzArrays
from likeness.reconstruct.reconstructor import Reconstructor
from likeness.reconstruct.result import Reconstruction

SIZE = 256
"""Texels of a skin's side: more than a crop of 112 pixels shows."""

TRUSTED = 0.99
"""A face is taken from this score on."""

MOST_YAW, MOST_OPEN = 40.0, 0.3
"""A face is taken that is turned no further (degrees), and with a jaw no wider open: a side that is not seen is made
up, and so are lips that are stretched."""

COLORFUL = 0.02
"""Mean difference of red and blue, of 1, below which a photograph is taken for a grey one."""

KEPT = 0.8
"""The share of skins that is kept, those with the least contrast: hard light and things in front make more."""


@dataclass(frozen=True, eq=False)
class Skins:
    """Textures of people, for the texture coordinates of one model.

    Args:
        pixels: (N, S, S, 3) uint8 sRGB reflectance.
        model: the name of the model whose coordinates they are for.

    Raises:
        ValueError: a shape or type is wrong, or there are none.
    """

    pixels: np.ndarray
    model: str

    def __post_init__(self) -> None:
        pixels = self.pixels
        square = pixels.ndim == 4 and pixels.shape[1] == pixels.shape[2] and pixels.shape[3] == 3
        if not square or not pixels.size or pixels.dtype != np.uint8:
            raise ValueError(f"expected skins (N, S, S, 3) uint8, got {pixels.shape} {pixels.dtype}")

    def __len__(self) -> int:
        return len(self.pixels)

    @classmethod
    def load(cls, path: StrPath, model: FaceModel) -> Skins:
        """What :meth:`save` wrote.

        Raises:
            FileError: it is no such file, or its skins are for another model.
        """
        fields = NpzArrays(path, "skins of `likeness train skins`")
        try:
            skins = cls(fields["pixels"], str(fields["model"]))
        except ValueError as error:
            raise FileError(path, str(error)) from None
        if skins.model != model.name:
            raise FileError(path, f"expected skins for the model {model.name!r}, got some for {skins.model!r}")
        return skins

    def save(self, path: StrPath) -> None:
        """Write them as .npz.

        Raises:
            FileError: the file cannot be written.
        """
        buffer = io.BytesIO()
        np.savez_compressed(buffer, pixels=self.pixels, model=np.array(self.model))
        write_atomically(path, buffer.getvalue())


def skins_of(
    photos: Photos,
    reconstruct: Reconstructor,
    each: int = 1,
    size: int = SIZE,
    min_score: float = TRUSTED,
    watch: Steps = unheard,
) -> Skins:
    """The skins of the people of photographs.

    Args:
        photos: tight pictures, a face in the middle of each, taken in their order until a person has enough.
        reconstruct: takes the heads out of them.
        each: skins of a person, at most.
        size: texels of their sides.
        min_score: a face is taken from this score on, 0 to 1.
        watch: hears how far it is.

    Raises:
        ValueError: no photograph shows a face that can be used.
    """
    taken: dict[int, int] = {}
    found = []
    count = len(photos.images)
    for number, image in watched(readable(photos.images, range(count)), "taking skins", watch, count):
        person = int(photos.person[number])
        if (person >= 0 and taken.get(person, 0) >= each) or _is_gray(image):
            continue
        face = _face_in_the_middle(image, reconstruct)
        if face.score >= min_score and _is_plain(face):
            found.append(face.texture(size))
            taken[person] = taken.get(person, 0) + 1
    if not found:
        raise ValueError("expected photographs with faces that look at the camera, found none")
    pixels = np.stack(found)
    contrast = np.array([_contrast(skin) for skin in pixels])
    return Skins(pixels[contrast <= np.quantile(contrast, KEPT)], reconstruct.model.name)


def _face_in_the_middle(image: np.ndarray, reconstruct: Reconstructor) -> Reconstruction:
    height, width = image.shape[:2]
    middle, half = np.array([width, height]) / 2.0 - 0.5, 0.35 * min(width, height)
    return reconstruct(image, boxes=np.concatenate([middle - half, middle + half])[None])[0]


def _is_gray(image: np.ndarray) -> bool:
    return bool(np.abs(image[..., 0].astype(float) - image[..., 2]).mean() < 255 * COLORFUL)


def _is_plain(face: Reconstruction) -> bool:
    """Seen from the front, the mouth closed."""
    forward = face.rotation[:, 2]
    turned = abs(np.degrees(np.arctan2(forward[0], -forward[2])))
    opened = face.coefficients.expression[list(face.model.expression_names).index("jawOpen")]
    return bool(turned <= MOST_YAW and opened <= MOST_OPEN)


def _contrast(skin: np.ndarray) -> float:
    """Standard deviation of what is finer than a tenth of the side, of brightness, of 1."""
    import cv2

    gray = cv2.cvtColor(skin, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    return float(np.std(gray - cv2.GaussianBlur(gray, (0, 0), 0.1 * len(skin) / 3)))
