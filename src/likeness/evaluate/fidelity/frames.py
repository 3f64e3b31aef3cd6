"""Fidelity and recognisability on photos of people in several clips or sessions, with landmarks or without."""

from __future__ import annotations

from typing import Any

import numpy as np

from likeness.datasets.test_sets import PhotoSet
from likeness.evaluate.cache import Cache
from likeness.evaluate.collection import Collection, from_predictions, of_known_people
from likeness.evaluate.fidelity.refit import refit
from likeness.evaluate.pair_examples import made_pairs
from likeness.evaluate.pair_rows import rows_by_name
from likeness.evaluate.predictions import Predictor, predict
from likeness.evaluate.reports.recognisability import measure_recognisability
from likeness.evaluate.reports.verification import measure_verification
from likeness.metrics.fidelity_cross import CrossPhotoError, cross_photo_error, cross_photo_pairs
from likeness.metrics.fidelity_expression import blink_correlation
from likeness.metrics.landmark_error import errors_without_side, landmark_errors
from likeness.progress import Steps

PAIRS = 3000
BLINKS = ("eyeBlinkRight", "eyeBlinkLeft")


def collected(
    photos: PhotoSet, predictor: Predictor, cache: Cache | None = None, steps: Steps | None = None
) -> Collection:
    """The faces of photos, found by the program itself."""
    predictions = predict(photos.items, predictor, cache, steps)
    return from_predictions(predictions, predictor.model, photos.excluded)


def measure_identity(faces: Collection, *, bootstrap: int = 0, seed: int = 0) -> dict[str, Any]:
    """How well people are told apart: AUC by code and by shape, SIR metric, accuracy on made pairs.

    Raises:
        ValueError: one person only, or no two photos of anyone.
    """
    faces = of_known_people(faces)
    measured, gaps = measure_recognisability(faces, bootstrap=bootstrap, seed=seed)
    pairs = made_pairs(faces, PAIRS, seed)
    verified = measure_verification(faces, pairs, rows_by_name(pairs, faces))
    code = next(name for name in measured if name != "geometry")
    return {
        "people": len(np.unique(faces.labels)),
        "photos": len(faces),
        "missed": len(faces.excluded),
        "auc_code": measured[code].auc.value,
        "auc_shape": measured["geometry"].auc.value,
        "gap": gaps[code].value,
        "sir_code": measured[code].sir.value,
        "sir_shape": measured["geometry"].sir.value,
        "accuracy_code": verified[code].accuracy,
        "accuracy_shape": verified["geometry"].accuracy,
    }


def measure_cross_photo(faces: Collection, *, partners: int = 3, seed: int = 0) -> CrossPhotoError:
    """Landmarks of each photo explained by the shapes of the person's photos of other clips, by the mean face and by
    strangers' shapes; pose and expression are fitted anew (:func:`likeness.evaluate.fidelity.refit.refit`).

    Args:
        faces: of photos with landmarks and groups.
        partners: photos that each photo is compared with.
        seed: of their choice.

    Raises:
        ValueError: no landmarks or groups, or nobody has photos of two groups.
    """
    faces = of_known_people(faces)
    model, codes, groups = faces.model, faces.codes, faces.groups
    if model is None or codes is None or groups is None:
        raise ValueError("expected photos of people in several clips or sessions, got none")
    landmarks = annotated(faces)
    target, own, stranger = cross_photo_pairs(faces.labels, groups, partners, seed)
    photos, index = np.unique(target, return_inverse=True)
    mean_face = refit(model, np.zeros((len(photos), codes.shape[1])), landmarks[photos]).errors[index]
    of_person, of_strangers = (refit(model, codes[rows], landmarks[target]).errors for rows in (own, stranger))
    return cross_photo_error(of_person, mean_face, of_strangers, target, faces.labels[target], seed)


def measure_landmarks(faces: Collection) -> dict[str, Any]:
    """NME in percent of the box, with the annotations' side and without, and blinks against the lids."""
    truth = annotated(faces)
    found = np.stack([face.landmarks for face in faces.faces or ()])
    side, rest = errors_without_side(found, truth)
    names = [] if faces.model is None else list(faces.model.expression_names)
    blinks = None
    if set(BLINKS) <= set(names) and len(truth) > 1:
        weights = np.stack([face.expression for face in faces.faces or ()])
        blinks = blink_correlation(weights[:, [names.index(name) for name in BLINKS]], truth)
    return {
        "nme_percent": 100 * float(landmark_errors(found, truth).errors.mean()),
        "nme_without_side_percent": 100 * float(rest.mean()),
        "side_percent": 100 * side,
        "blink_correlation": blinks,
    }


def annotated(faces: Collection) -> np.ndarray:
    """(N, 68, 2) annotated landmarks.

    Raises:
        ValueError: a photo has none.
    """
    points = [item.landmarks for item in faces.items or ()]
    if not points or any(one is None for one in points):
        raise ValueError("expected photos that all have 68 annotated landmarks, got some without")
    return np.stack([one for one in points if one is not None])
