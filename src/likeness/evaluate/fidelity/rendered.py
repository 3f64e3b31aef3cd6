"""Fidelity on rendered people, whose true heads are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from likeness.datasets.rendered_people import RenderedPeople
from likeness.datasets.test_sets import PhotoItem
from likeness.evaluate.cache import Cache
from likeness.evaluate.predictions import Predictor, predict
from likeness.metrics.fidelity_shapes import ShapeFidelity, shape_fidelity
from likeness.model.face_model import FaceModel
from likeness.progress import Steps


def measure_rendered(
    people: RenderedPeople, predictor: Predictor, cache: Cache | None = None, steps: Steps | None = None
) -> ShapeFidelity:
    """Reconstruct rendered people in the crops of their true landmarks and compare their neutral heads over the face.

    Raises:
        ValueError: a face was not found, or the truth is of another topology than the predictor's model.
    """
    items = [
        PhotoItem(path.stem, path.stem, None, path.read_bytes, path, landmarks)
        for path, landmarks in zip(people.photos, people.landmarks, strict=True)
    ]
    codes = []
    for prediction in predict(items, replace(predictor, annotated_crops=True), cache, steps):
        if prediction.face is None:
            raise ValueError(f"expected a face in {prediction.item.name}, got none: {prediction.reason}")
        codes.append(prediction.face.identity)
    found = predictor.model.vertices(np.stack(codes))
    return shape_fidelity(found, people.vertices, face_mask(predictor.model), yaw=people.yaw)


def face_mask(model: FaceModel) -> np.ndarray:
    """(V,) bool: the region ``face``; everything where it is not known.

    Vertices count alike, so where the mesh is dense (eyes, nose, mouth) counts more than by its area.
    """
    return np.asarray(model.topology.regions.get("face", np.ones(len(model.mean), bool)))
