"""The network on pictures it is not trained on: how well it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from likeness.datasets import Frames, Photos
from likeness.datasets.image_store import readable
from likeness.geometry.crop import Crop
from likeness.metrics.recognisability import recognisability_of_codes
from likeness.metrics.records import Samples
from likeness.model.face_model import FaceModel
from likeness.reconstruct.proposals import crop_from_landmarks
from likeness.train.losses.reconstruction import LandmarkHead
from likeness.train.photos.augment import cut
from likeness.train.photos.fidelity_curves import HeldOutPortraits, rendered_figures
from likeness.train.photos.inference import BATCH, batches, landmark_error, locate, next_crop
from likeness.train.photos.labels import Sources
from likeness.train.photos.network import CROP_SIZE, Regressor
from likeness.train.photos.point_validation import HeldOutPoints, placed_figures, rendered_point_figures
from likeness.train.photos.pseudo_labels import label_photos
from likeness.train.photos.samples import SampleMaker
from likeness.train.settings import AugmentSettings

RENDERED_HELD_OUT = 400
"""Rendered faces that are kept for the curves, where there are at least ten times as many."""

DETECTOR_SHIFT, DETECTOR_LOG_SCALE = 0.05, 0.1
"""How far crops stray: centre (share of the side) and log side, standard deviations. Those of the face detector stray
less on held-out frames, by 0.025 and 0.07."""


def validate(network: Regressor, head: LandmarkHead, frames: Frames, batch: int = BATCH) -> dict[str, float]:
    """Landmark errors in percent on frames: ``nme_true`` in the crops that the true landmarks give, ``nme_jitter``
    in crops that stray as a detector's do (the same ones each time), ``nme_second`` in the crops that the landmarks
    found in those give, as :class:`likeness.Reconstructor` looks twice; and the mean ``score`` of the last."""
    rng = np.random.default_rng(0)
    errors: dict[str, list[np.ndarray]] = {"nme_true": [], "nme_jitter": [], "nme_second": []}
    scores = []
    for rows in batches(len(frames.images), batch):
        seen = dict(readable(frames.images, rows))
        if not seen:
            continue
        images, truth = [*seen.values()], frames.landmarks[[*seen]]
        exact = [crop_from_landmarks(points, CROP_SIZE) for points in truth]
        astray = [
            Crop.from_box(
                crop.center + rng.normal(0, DETECTOR_SHIFT, 2) * crop.side,
                crop.side * np.exp(rng.normal(0, DETECTOR_LOG_SCALE)),
                CROP_SIZE,
            )
            for crop in exact
        ]
        first = locate(network, head, images, astray)
        second = locate(
            network, head, images, [next_crop(p, c) for p, c in zip(first.landmarks, astray, strict=True)]
        )
        errors["nme_true"].append(landmark_error(locate(network, head, images, exact).landmarks, truth))
        errors["nme_jitter"].append(landmark_error(first.landmarks, truth))
        errors["nme_second"].append(landmark_error(second.landmarks, truth))
        scores.append(second.score)
    result = {name: 100.0 * float(np.concatenate(values).mean()) for name, values in errors.items()}
    return {**result, "score": float(np.concatenate(scores).mean())}


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Pictures of people that are not trained on, for the curves; None where there are none.

    Args:
        frames: pictures with landmarks.
        photos: pictures without.
        synthetic: makes rendered faces without augmentation.
        numbers: of the rendered faces.
        portraits: with hand-placed points.
        points: where surface points lie in the pictures.
    """

    frames: Frames | None = None
    photos: Photos | None = None
    synthetic: SampleMaker | None = None
    numbers: range = range(0)
    portraits: HeldOutPortraits | None = None
    points: HeldOutPoints | None = None

    @property
    def rendered_before(self) -> int | None:
        """The number of rendered faces before those that are held out; None: none of them is."""
        return self.numbers.start if len(self.numbers) else None

    def with_rendered(self, sources: Sources) -> HeldOut:
        """With the last rendered faces, where there are many."""
        count = 0 if sources.synthetic is None else len(sources.synthetic)
        if count < 10 * RENDERED_HELD_OUT:
            return self
        plain = AugmentSettings(shift=0.0, log_scale=0.0, angle=0.0, turned=0.0, photometric=0.0, occlusion=0.0)
        return replace(self, synthetic=SampleMaker(sources, plain), numbers=range(count - RENDERED_HELD_OUT, count))

    def figures(self, network: Regressor, head: LandmarkHead, model: FaceModel) -> dict[str, float]:
        """All figures that the pictures allow: landmark errors (:func:`validate`), recognisability
        (:func:`separation`), for rendered faces what of the labels is found (:func:`known_shapes`), fidelity
        (:mod:`likeness.train.photos.fidelity_curves`), and how well points are placed
        (:mod:`likeness.train.photos.point_validation`).

        Args:
            network: in evaluation mode.
            head: its landmarks.
            model: whose codes the network gives.
        """
        factor = model.metric.factor
        found: dict[str, float] = {}
        if self.frames is not None:
            found.update(validate(network, head, self.frames))
            codes = codes_at(network, self.frames.images, self.frames.landmarks)
            found.update(separation(codes, self.frames.person, factor, "video", np.array(self.frames.clip)))
        if self.photos is not None:
            labels = label_photos(network, head, self.photos)
            if len(labels.index) > 1:
                codes = codes_at(network, self.photos.images, labels.landmarks, labels.index)
                found.update(separation(codes, self.photos.person[labels.index], factor, "photo"))
        if self.synthetic is not None:
            found.update(known_shapes(network, self.synthetic, self.numbers, factor))
        if self.portraits is not None:
            found.update(known_points(network, head, self.portraits, model))
        if network.dense is not None:
            found.update(self._points(network))
        return found

    def _points(self, network: Regressor) -> dict[str, float]:
        """How well surface points are placed."""
        found: dict[str, float] = {}
        if self.points is not None:
            sets = (("video", self.frames, self.points.frames), ("photo", self.photos, self.points.photos))
            for name, source, known in sets:
                if source is not None and known is not None:
                    found.update(placed_figures(network, source.images, known, self.points.point_map, name))
        if self.synthetic is not None and self.synthetic.rendered_points is not None:
            found.update(rendered_point_figures(network, self.synthetic, self.numbers))
        return found


def codes_at(
    network: Regressor,
    images: Sequence[np.ndarray],
    landmarks: np.ndarray,
    index: np.ndarray | None = None,
    batch: int = BATCH,
) -> np.ndarray:
    """Identity codes (n, K) of faces in the crops that their landmarks (n, 68, 2) give; NaN where a picture cannot be
    read. ``index`` (n,): which pictures these are, if not all."""
    device = next(network.parameters()).device
    codes = np.full((len(landmarks), network.settings.identity), np.nan, np.float32)
    for rows in batches(len(landmarks), batch):
        crops = {}
        for row in rows:
            for _, image in readable(images, [row if index is None else int(index[row])]):
                crops[row] = cut(image, crop_from_landmarks(landmarks[row], CROP_SIZE, upright=True))
        if crops:
            with torch.inference_mode():
                pixels = torch.from_numpy(np.stack([*crops.values()])).to(device)
                codes[[*crops]] = network(pixels).identity.cpu().numpy()
    return codes


def separation(
    codes: np.ndarray, person: np.ndarray, factor: np.ndarray, name: str, clip: np.ndarray | None = None
) -> dict[str, float]:
    """AUC of telling people apart: by the codes' cosines, and by what the shapes differ in mm.

    Args:
        codes: (n, K).
        person: (n,) -1 unknown: left out.
        factor: (K, K) L of the geometry metric.
        name: of the set, for the names of the figures.
        clip: (n,) pairs within one clip do not count.
    """
    known = (person >= 0) & np.isfinite(codes).all(1)
    found = {}
    for domain, values, measure in (("code", codes, "cosine"), ("mm", codes @ factor, "euclidean")):
        samples = Samples(values[known], person[known], None if clip is None else clip[known])
        try:
            auc = recognisability_of_codes(samples, measure=measure, bootstrap=0).auc.value
        except ValueError:  # one person only, or no two pictures of anyone: there is nothing to tell
            return {}
        if auc is not None:
            found[f"auc_{domain}_{name}"] = float(auc)
    return found


def known_shapes(network: Regressor, maker: SampleMaker, numbers: range, factor: np.ndarray) -> dict[str, float]:
    """What is found of rendered faces: ``shape_mm`` (RMS over the face), and the labels' correlation with the shapes'
    twenty strongest directions (``shape_r``, mean) and the skin's melanin (``melanin_r``), and
    :func:`likeness.train.photos.trainer.fidelity_curves.rendered_figures`."""
    device = next(network.parameters()).device
    samples = [maker.synthetic(number, np.random.default_rng(number)) for number in numbers]
    with torch.inference_mode():
        answers = [
            network(torch.from_numpy(np.stack([samples[row].image for row in rows])).to(device))
            for rows in batches(len(samples), 96)
        ]
    identity = np.concatenate([answer.identity.cpu().numpy() for answer in answers])
    true_identity = np.stack([sample.labels["identity"] for sample in samples])
    codes, truth = identity @ factor, true_identity @ factor
    strongest = np.argsort(-truth.var(0))[:20]
    result = {
        "shape_mm": float(np.linalg.norm(codes - truth, axis=1).mean()),
        "shape_r": float(np.mean([np.corrcoef(codes[:, k], truth[:, k])[0, 1] for k in strongest])),
    }
    result |= rendered_figures(identity, true_identity, maker.sources.model)
    names = maker.sources.model.albedo_names
    if "melanin" in names:
        found = np.concatenate([answer.albedo.cpu().numpy() for answer in answers])[:, names.index("melanin")]
        label = np.array([sample.labels["albedo"][names.index("melanin")] for sample in samples])
        known = np.isfinite(label)
        if known.sum() > 1:
            result["melanin_r"] = float(np.corrcoef(found[known], label[known])[0, 1])
    return result


def known_points(
    network: Regressor, head: LandmarkHead, portraits: HeldOutPortraits, model: FaceModel
) -> dict[str, float]:
    """What of hand-placed points is found in portraits, seen in their boxes first and then in the crops of what was
    found there: :meth:`likeness.train.photos.trainer.fidelity_curves.HeldOutPortraits.figures`."""
    images, boxes = list(portraits.images), portraits.crops(CROP_SIZE)
    first = locate(network, head, images, boxes)
    crops = [next_crop(points, crop) for points, crop in zip(first.landmarks, boxes, strict=True)]
    second = locate(network, head, images, crops)
    device = next(network.parameters()).device
    pixels = np.stack([cut(image, crop) for image, crop in zip(images, crops, strict=True)])
    with torch.inference_mode():
        identity = network(torch.from_numpy(pixels).to(device)).identity.cpu().numpy()
    return portraits.figures(second.landmarks, identity, model)


def contact_sheet(pixels: np.ndarray, found: np.ndarray, truth: np.ndarray | None = None) -> np.ndarray:
    """Crops (n, S, S, 3), found landmarks (n, 68, 2) in green, true ones in red -> one picture (H, W, 3):
    the crops doubled, eight a row."""
    tiles = []
    for number, image in enumerate(pixels):
        tile = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        known = [] if truth is None else [(truth[number], (255, 60, 60))]
        for points, color in [*known, (found[number], (60, 255, 60))]:
            if not np.isfinite(points).all():
                continue
            for x, y in np.clip(points * 2 + 0.5, -9999, 9999):
                cv2.circle(tile, (round(float(x)), round(float(y))), 1, color, -1)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 8)
    return np.concatenate([np.concatenate(tiles[i : i + 8], axis=1) for i in range(0, len(tiles), 8)])
