"""The reconstructor over a set of photos, one cached result a photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from likeness.assets import asset
from likeness.datasets.test_sets import PhotoItem
from likeness.errors import MissingExtraError, StrPath, as_file_error
from likeness.evaluate.cache import Cache, key_of
from likeness.files import digest, file_digest
from likeness.model.face_model import FaceModel
from likeness.networks.regressor import default_network
from likeness.progress import Steps

if TYPE_CHECKING:
    from likeness.reconstruct.result import Reconstruction

SAME_FACE_OVERLAP = 0.3
"""Intersection over union of a found face's landmark box with the annotated one, from which they are one face."""


@dataclass(frozen=True, eq=False)
class FoundFace:
    """What evaluations need of one reconstructed face.

    Args:
        identity: (K,) float32 code.
        expression: (E,) float32 weights.
        landmarks: (68, 2) photo pixels.
        score: the network's belief in the face, 0 to 1.
        faces: how many faces the photo had.
    """

    identity: np.ndarray
    expression: np.ndarray
    landmarks: np.ndarray
    score: float = 1.0
    faces: int = 1

    def fits(self, model: FaceModel) -> bool:
        """Whether the arrays are finite and of the model's sizes."""
        shapes = (self.identity.shape, self.expression.shape, self.landmarks.shape)
        expected = ((len(model.identity_basis),), (len(model.expression_basis),), (68, 2))
        finite = all(np.isfinite(values).all() for values in (self.identity, self.expression, self.landmarks))
        return shapes == expected and bool(finite)


@dataclass(frozen=True, eq=False)
class Prediction:
    """A photo and its face, or the reason why there is none; ``missed``: there simply was no face found."""

    item: PhotoItem
    face: FoundFace | None
    reason: str = ""
    missed: bool = False


@dataclass(frozen=True, eq=False)
class Predictor:
    """A reconstructor, and what its results depend on.

    Args:
        reconstruct: a :class:`likeness.Reconstructor`, or anything that is called like one.
        model: its face model.
        signature: changes whenever results may: digests of network and model, and settings.
        annotated_crops: cut faces by the annotated landmarks, where there are any, instead of searching for them.
    """

    reconstruct: Callable[..., list[Reconstruction]]
    model: FaceModel
    signature: str
    annotated_crops: bool = False


def open_predictor(
    model: StrPath | None = None,
    network: StrPath | None = None,
    *,
    yunet_model: StrPath | None = None,
    min_score: float = 0.9,
    threads: int | None = None,
    points: StrPath | None = None,
    mediapipe: StrPath | None = None,
    annotated_crops: bool = False,
) -> Predictor:
    """A :class:`likeness.Reconstructor` (whose arguments these are) as a :class:`Predictor`.

    Raises:
        FileError: a file is missing, damaged or does not fit the others.
    """
    from likeness.reconstruct.reconstructor import Reconstructor

    opened = Reconstructor(
        model,
        network,
        yunet_model=yunet_model,
        min_score=min_score,
        threads=threads,
        points=points,
        mediapipe=mediapipe,
    )
    own_map = points is None or opened.teacher is not None
    files = [
        file_digest(asset("face_model.npz") if model is None else model),
        file_digest(default_network() if network is None else network),
        None if yunet_model is None else file_digest(yunet_model),
        file_digest(asset("surface_points.npz") if own_map or points is None else points),
        None if opened.teacher is None else f"points of {mediapipe}",
    ]
    return Predictor(opened, opened.model, key_of(*files, min_score), annotated_crops)


def predict(
    items: Sequence[PhotoItem], predictor: Predictor, cache: Cache | None = None, steps: Steps | None = None
) -> list[Prediction]:
    """The face of every photo: the annotated one where landmarks are known, else the best.

    A photo that cannot be used is a :class:`Prediction` without a face; nothing is left out.

    Args:
        items: N photos.
        predictor: what finds and reconstructs faces.
        cache: where results are kept; None: nowhere.
        steps: told of every photo.
    """
    results = []
    for number, item in enumerate(items):
        if steps is not None:
            steps("photos", number, len(items))
        results.append(_predicted(item, predictor, cache))
    if steps is not None:
        steps("photos", len(items), len(items))
    return results


def _predicted(item: PhotoItem, predictor: Predictor, cache: Cache | None) -> Prediction:
    try:
        data = item.read()
    except Exception as error:  # whatever a photo does, the others are measured
        return Prediction(item, None, str(as_file_error(item.name, error)))
    points = None if item.landmarks is None else item.landmarks.tolist()
    key = key_of("face", digest(data), predictor.signature, predictor.annotated_crops, points)
    known = None if cache is None else _restored(cache.load(key), predictor.model)
    if known is None:
        try:
            known = _found(item, predictor)
        except MissingExtraError:
            raise
        except Exception as error:  # the same
            return Prediction(item, None, str(as_file_error(item.name, error)))
        if cache is not None:
            cache.store(key, _arrays(known))
    if isinstance(known, str):
        return Prediction(item, None, known, missed=True)
    return Prediction(item, known)


def _found(item: PhotoItem, predictor: Predictor) -> FoundFace | str:
    """The photo's face, or why there is none."""
    if predictor.annotated_crops and item.landmarks is not None:
        faces = predictor.reconstruct(item.source(), landmarks=item.landmarks[None])
    else:
        faces = predictor.reconstruct(item.source())
        if faces and item.landmarks is not None:
            overlaps = [overlap(face.landmarks, item.landmarks) for face in faces]
            best = int(np.argmax(overlaps))
            if overlaps[best] < SAME_FACE_OVERLAP:
                return "no face found where one is annotated"
            faces = [faces[best], *faces[:best], *faces[best + 1 :]]
    if not faces:
        return "no face found"
    face = faces[0]
    found = FoundFace(
        np.asarray(face.coefficients.identity, np.float32),
        np.asarray(face.coefficients.expression, np.float32),
        np.asarray(face.landmarks, np.float32),
        float(face.score),
        len(faces),
    )
    return found if found.fits(predictor.model) else "the network's answer is not finite"


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of the boxes around two sets of points (N, 2)."""
    low, high = np.maximum(a.min(0), b.min(0)), np.minimum(a.max(0), b.max(0))
    common = float(np.prod(np.maximum(high - low, 0)))
    areas = float(np.prod(np.ptp(a, axis=0)) + np.prod(np.ptp(b, axis=0)))
    return common / max(areas - common, 1e-9)


def _arrays(known: FoundFace | str) -> dict[str, np.ndarray]:
    if isinstance(known, str):
        return {"reason": np.array(known)}
    return {
        "identity": known.identity,
        "expression": known.expression,
        "landmarks": known.landmarks,
        "score": np.array(known.score),
        "faces": np.array(known.faces),
    }


def _restored(arrays: dict[str, np.ndarray] | None, model: FaceModel) -> FoundFace | str | None:
    """What :func:`_arrays` made; None where it cannot have been made for this model."""
    if arrays is None:
        return None
    if "reason" in arrays:
        return str(arrays["reason"])
    try:
        face = FoundFace(
            arrays["identity"],
            arrays["expression"],
            arrays["landmarks"],
            float(arrays["score"]),
            int(arrays["faces"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
    return face if face.fits(model) else None
