"""Pose and expression of heads of known identity from landmarks; what is left, the identity does not explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from likeness.fit import ExpressionPrior, FaceFit, IdentityPrior, Observations, Stopping, fit_face
from likeness.geometry.camera import Camera
from likeness.model.face_model import FaceModel
from likeness.reconstruct.proposals import crop_from_landmarks

NOISE = 0.015
"""Of annotated points, standard deviation over the box's size."""

EXPRESSION_STD = 0.5
"""Prior of each weight about 0: most are near 0, none is free."""

KNOWN = 1e8
"""Precision of a code that is not to change."""

CONVERGED = Stopping(decrease=1e-3)

CROP = 100
"""Pixels of the crop that landmarks are brought to; any number would do."""


@dataclass(frozen=True, eq=False)
class Refit:
    """Heads laid on landmarks.

    Args:
        landmarks: (N, 68, 2) photo pixels, of the fitted heads.
        errors: (N,) mean distance to the given landmarks over sqrt(w h) of their box.
        expression: (N, E) weights in [0, 1].
        rotation: (N, 3, 3) model axes -> the crop camera's axes.
        translation: (N, 3) mm.
    """

    landmarks: np.ndarray
    errors: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def refit(model: FaceModel, identity: np.ndarray, landmarks: np.ndarray) -> Refit:
    """Fit pose and expression to landmarks while identity stays (:func:`likeness.fit.fit_face`).

    Minimises squared distances over the noise plus squared weights over their prior's; weights stay in [0, 1]. Each
    face is seen by the camera of its crop (:meth:`likeness.Camera.from_crop_size`).

    Args:
        model: the face model.
        identity: (N, K) codes.
        landmarks: (N, 68, 2) photo pixels.

    Raises:
        ValueError: other shapes.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.shape != (len(identity), 68, 2):
        raise ValueError(f"expected landmarks ({len(identity)}, 68, 2), got {landmarks.shape}")
    expression = ExpressionPrior.sparse(len(model.expression_basis), rate=0.0, spread=EXPRESSION_STD)
    photo, fits = np.empty_like(landmarks), list[FaceFit]()
    for number, (code, points) in enumerate(zip(identity, landmarks, strict=True)):
        crop = crop_from_landmarks(points, CROP)
        target = crop.to_crop(points)
        fit = _fit(model, np.asarray(code, np.float64), target, expression)
        photo[number] = crop.to_photo(target + fit.residuals[0])
        fits.append(fit)
    size = np.sqrt(np.prod(np.ptp(landmarks, axis=1), axis=-1))
    errors = np.linalg.norm(photo - landmarks, axis=-1).mean(-1) / size
    weights, rotation, translation = (
        np.stack([getattr(fit, name) for fit in fits]) for name in ("expression", "rotation", "translation")
    )
    return Refit(photo, errors, weights, rotation, translation)


def _fit(model: FaceModel, code: np.ndarray, target: np.ndarray, expression: ExpressionPrior) -> FaceFit:
    noise = NOISE * np.sqrt(np.prod(np.ptp(target, axis=0)))
    return fit_face(
        model,
        Observations(target, noise**2),
        Camera.from_crop_size(CROP),
        identity=IdentityPrior(code, KNOWN * np.eye(len(code))),
        expression=expression,
        stopping=CONVERGED,
    )
