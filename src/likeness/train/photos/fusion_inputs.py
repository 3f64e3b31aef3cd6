"""What a frozen network says of faces, and what the fit of its own points says: what fusion is learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from likeness.datasets.image_store import readable
from likeness.fit import Start
from likeness.geometry.camera import Camera
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap
from likeness.networks.regressor import CropAnswer
from likeness.reconstruct.refine import Refiner
from likeness.reconstruct.test_time import averaged, mirrored_answer
from likeness.train.photos.augment import cut
from likeness.train.photos.evidence import PlacedFaces
from likeness.train.photos.inference import batches
from likeness.train.photos.labels import Sources
from likeness.train.photos.network import CROP_SIZE, Regressor
from likeness.train.photos.samples import SampleMaker
from likeness.train.recipe_settings import AugmentSettings

BATCH = 64

STRAYED = AugmentSettings(
    shift=0.02, log_scale=0.04, wide=0.0, angle=3.0, turned=0.0, photometric=0.8, occlusion=0.15
)
"""How crops of rendered faces stray: as those of the second look at a photograph do; half of them are blurred, as
frames of videos are, so that it is learned how little those say."""

COLOURS = ("albedo", "light")


@dataclass(frozen=True, eq=False)
class FusionInputs:
    """N looks at faces.

    Args:
        features: (N, H) of the network.
        code: (N, K) the fit's, inside the sphere.
        circumstances: (N, Q) of the photo, :func:`likeness.reconstruct.refine.circumstances`.
    """

    features: np.ndarray
    code: np.ndarray
    circumstances: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Any) -> FusionInputs:
        """Some of the looks."""
        return FusionInputs(self.features[rows], self.code[rows], self.circumstances[rows])

    @property
    def flat(self) -> np.ndarray:
        """(N, H + Q K): the features, then the code times each circumstance."""
        times = self.circumstances[:, :, None] * self.code[:, None]
        return np.concatenate([self.features, times.reshape(len(times), -1)], axis=1)


class Looker:
    """Looks at crops with a frozen network and fits the points that it places.

    Args:
        network: with a decoder, in evaluation mode.
        model: the face model.
        points: which points it places.

    Raises:
        ValueError: a network that places other points, or none.
    """

    def __init__(self, network: Regressor, model: FaceModel, points: PointMap) -> None:
        placed = len(network.settings.points)
        if placed != len(points):
            raise ValueError(f"expected a network that places the map's {len(points)} points, it places {placed}")
        self.network, self.model, self.points = network, model, points
        self.refiner = Refiner(model, points, None)
        self.camera = Camera.from_crop_size(CROP_SIZE)  # that of the program's own fits

    def answers(self, crops: np.ndarray, mirrored: bool) -> CropAnswer:
        """The network's answers for crops (n, S, S, 3), with ``features``; if ``mirrored`` averaged with
        those for the mirror images, as :class:`likeness.Reconstructor` averages views."""
        first = seen(self.network, crops)
        if not mirrored:
            return first
        other = seen(self.network, np.ascontiguousarray(crops[:, :, ::-1]))
        return averaged([first, mirrored_answer(other, self.model, self.points, CROP_SIZE)], self.model)

    def inputs(self, answer: CropAnswer) -> FusionInputs:
        """Fit the points of n answers, which come with features.

        Raises:
            ValueError: points that are not finite.
        """
        codes, circumstances = [], []
        assert answer.points is not None
        assert answer.deviation is not None
        for points, deviation, rotation, translation in zip(
            answer.points, answer.deviation, answer.rotation, answer.translation, strict=True
        ):
            start = Start(rotation.astype(np.float64), translation)
            fit = self.refiner.fit(points, deviation, self.camera, start)
            codes.append(fit.identity)
            circumstances.append(self.refiner.circumstances(fit, deviation))
        return FusionInputs(*(np.asarray(v, np.float32) for v in (answer.features, codes, circumstances)))


def seen(network: Regressor, crops: np.ndarray) -> CropAnswer:
    """Answers as the ONNX file gives them, and ``features``, for crops (n, S, S, 3) uint8."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        answer = network(torch.from_numpy(crops).to(device), whole=True)
    found = {**answer.prediction._asdict(), "features": answer.features}
    if answer.dense is not None:
        found |= {"points": answer.dense.points, "deviation": answer.dense.deviation}
    return CropAnswer(**{name: value.float().cpu().numpy() for name, value in found.items()})


@dataclass(frozen=True, eq=False)
class Photographed:
    """Looks at photographs of known people.

    Args:
        rows: (N,) which of the placed faces they are: those whose pictures could be read.
        inputs: of the looks.
        colours: name -> (N, ...) what an earlier network says of albedo and light; empty: nobody was asked.
    """

    rows: np.ndarray
    inputs: FusionInputs
    colours: dict[str, np.ndarray]


def look_at_photos(
    looker: Looker,
    faces: PlacedFaces,
    sources: Sources,
    earlier: Regressor | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Photographed:
    """Look at labelled photos, each and its mirror image.

    Args:
        looker: with the network.
        faces: where the faces are.
        sources: the pictures.
        earlier: a network whose albedo and light are asked for.
        report: hears how many of how many photos are done.
    """
    parts: list[FusionInputs] = []
    rows: list[int] = []
    colours: dict[str, list[np.ndarray]] = {name: [] for name in COLOURS if earlier is not None}
    if report is not None:
        report(0, len(faces))
    for some in batches(len(faces), BATCH):
        crops = _crops(faces, sources, some)
        if crops:
            pixels = np.stack([*crops.values()])
            parts.append(looker.inputs(looker.answers(pixels, mirrored=True)))
            rows += crops
            if earlier is not None:
                said = seen(earlier, pixels)
                for name, found in colours.items():
                    found.append(getattr(said, name))
        if report is not None:
            report(some.stop, len(faces))
    if not rows:
        raise ValueError("expected photos that can be read, got none")
    return Photographed(
        np.array(rows), _joined(parts), {name: np.concatenate(found) for name, found in colours.items()}
    )


def _crops(faces: PlacedFaces, sources: Sources, rows: range) -> dict[int, np.ndarray]:
    """The crops (S, S, 3) of pictures that can be read, by row."""
    found = {}
    for row in rows:
        source = sources.frames if faces.is_frame[row] else sources.photos
        assert source is not None
        for _, image in readable(source.images, [int(faces.number[row])]):
            found[row] = cut(image, faces.crops[row])
    return found


def look_at_rendered(
    looker: Looker,
    maker: SampleMaker,
    numbers: Sequence[int],
    report: Callable[[int, int], None] | None = None,
) -> tuple[FusionInputs, np.ndarray]:
    """Look at rendered faces, once each: what is seen of them, and their true codes (N, K).

    Args:
        looker: with the network.
        maker: makes the crops, of the set's faces by number.
        numbers: which.
        report: hears how many of how many faces are done.
    """
    parts, truth = [], []
    if report is not None:
        report(0, len(numbers))
    for some in batches(len(numbers), BATCH):
        samples = [
            maker.synthetic(number, np.random.default_rng([9, number])) for number in numbers[some.start : some.stop]
        ]
        parts.append(looker.inputs(looker.answers(np.stack([one.image for one in samples]), mirrored=False)))
        truth += [one.labels["identity"] for one in samples]
        if report is not None:
            report(some.stop, len(numbers))
    return _joined(parts), np.asarray(truth, np.float32)


def _joined(parts: list[FusionInputs]) -> FusionInputs:
    return FusionInputs(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "code", "circumstances"))
    )
