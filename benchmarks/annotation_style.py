"""How much of the cross-photo landmark error is the annotation's own, and how much could anybody's shape explain?

    python benchmarks/annotation_style.py DATA/photos [--network FILE --model FILE] [--json FILE]

Landmarks that people annotated lie where these put them. What all frames of ``video-train.tar`` have in common,
as one code that belongs to nobody (their style), is added to the mean face; on ``video-val.tar`` it shows how much of
the mean face's error is of that kind, and what is left for a person's shape: from the annotation of another clip's
frame, and from the network's head, both as their differences from their own mean, under the style.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from likeness import FaceModel, Reconstructor
from likeness.datasets.test_sets import PhotoItem, open_photos
from likeness.evaluate.fidelity.refit import CROP, EXPRESSION_STD, NOISE, refit
from likeness.fit import ExpressionPrior, IdentityPrior, Observations, fit_face
from likeness.geometry.camera import Camera
from likeness.metrics.fidelity_cross import cross_photo_pairs
from likeness.reconstruct.proposals import crop_from_landmarks

BELIEVED = (0.05, 0.1, 0.2)
"""How much the annotation of another clip's frame is believed; its points err together."""


def quadratics(model: FaceModel, items: list[PhotoItem]) -> tuple[np.ndarray, np.ndarray]:
    """What each photo's landmarks say of the code, pose and expression unknown: A (N, K, K) and b (N, K) of the cost
    ``c A c / 2 - b c``, as :func:`refit` weighs them."""
    prior = IdentityPrior.population(model)
    expression = ExpressionPrior.sparse(len(model.expression_basis), rate=0.0, spread=EXPRESSION_STD)
    matrices, vectors = [], []
    for item in items:
        assert item.landmarks is not None
        points = item.landmarks.astype(np.float64)
        target = crop_from_landmarks(points, CROP).to_crop(points)
        seen = Observations(target, (NOISE**2) * np.prod(np.ptp(target, axis=0)))
        fit = fit_face(model, seen, Camera.from_crop_size(CROP), identity=prior, expression=expression)
        precision = np.linalg.inv(fit.covariance)
        matrices.append(precision - prior.precision)
        vectors.append(precision @ fit.identity - prior.precision @ prior.mean)
    return np.stack(matrices), np.stack(vectors)


def main() -> None:
    parser = argparse.ArgumentParser(description="The annotation's own part of the cross-photo landmark error.")
    parser.add_argument("photos", type=Path, help="the folder with video-train.tar and video-val.tar")
    parser.add_argument("--network", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    look = Reconstructor(arguments.model, arguments.network, threads=1)
    model, size = look.model, len(look.model.identity_basis)
    matrices, vectors = quadratics(model, list(open_photos(arguments.photos / "video-train.tar").items))
    style = np.linalg.solve(matrices.sum(0) + np.eye(size), vectors.sum(0))
    items = [item for item in open_photos(arguments.photos / "video-val.tar").items if item.landmarks is not None]
    found = [look(item.image(), landmarks=np.asarray(item.landmarks)[None])[0] for item in items]
    heads = np.stack([face.coefficients.identity for face in found]).astype(np.float64)
    truth = np.stack([np.asarray(item.landmarks, np.float64) for item in items])
    labels, groups = (np.array([str(getattr(item, name)) for item in items]) for name in ("identity", "group"))
    target, own, stranger = cross_photo_pairs(labels, groups, 1)
    matrices, vectors = quadratics(model, items)

    def error(codes: np.ndarray) -> float:
        return float(refit(model, codes, truth[target]).errors.mean())

    mean_face, shifted = error(np.zeros((len(target), size))), error(np.broadcast_to(style, (len(target), size)))
    result = {"photos": len(target), "style over mean face": shifted / mean_face}
    result["head over mean face"] = error(heads[own]) / mean_face
    for name, rows in (("own", own), ("stranger's", stranger)):
        moved = heads[rows] - heads.mean(0)
        result[f"{name} head's differences over style"] = error(style + moved) / shifted
        result[f"half of {name} head's differences over style"] = error(style + 0.5 * moved) / shifted
        for share in BELIEVED:
            rest = vectors[rows] - matrices[rows] @ style
            codes = np.linalg.solve(share * matrices[rows] + np.eye(size), share * rest[..., None])[..., 0]
            result[f"{name} annotated frame over style, believed {share:g}"] = error(style + codes) / shifted
    for key, value in result.items():
        print(f"{key:52} {value:.4g}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
