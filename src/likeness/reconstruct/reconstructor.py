"""Photographs -> heads: find faces, cut crops, run the network, carry its answer back to the photo."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from likeness.assets import asset
from likeness.errors import FileError, LikenessError, MissingExtraError, StrPath, as_file_error
from likeness.fit import Start
from likeness.geometry.camera import Camera
from likeness.geometry.crop import Crop
from likeness.geometry.landmarks import box_of
from likeness.model.face_model import Coefficients, FaceModel
from likeness.model.surface_points import PointMap, default_point_map
from likeness.networks.mediapipe import FaceLandmarker, installed_landmarker
from likeness.networks.regressor import CropAnswer, Network, Precision, default_network
from likeness.reconstruct.chance import chance_of_face, disagreement, evidence
from likeness.reconstruct.inputs import PhotoResult, PhotoSource, as_photo, each_source, label_of, stem_of
from likeness.reconstruct.mixed import Groups, people_of
from likeness.reconstruct.people import person_of, sight
from likeness.reconstruct.person import Person
from likeness.reconstruct.proposals import (
    Proposal,
    crop_from_landmarks,
    crop_from_proposal,
    find_faces,
    largest_faces,
)
from likeness.reconstruct.refine import Refiner
from likeness.reconstruct.result import NETWORK, Reconstruction
from likeness.reconstruct.search import AGAIN, AGREED, Face, Looks, likeliest_faces, without_doubles
from likeness.reconstruct.skin_color import with_own_skin
from likeness.reconstruct.teacher_fit import MEDIAPIPE, TeacherRefiner
from likeness.reconstruct.test_time import SCALES, averaged, carried_answer, mirrored_answer, nearer_answer, views_of
from likeness.result_folder import Source

MIN_SCORE = 0.9


class Reconstructor:
    """Photographs in, heads out; opening it takes a fraction of a second, keep it for many photos.

    Args:
        model: a face model or its file; None: the embedded default.
        network: the regressor's ``.onnx`` file; None: the embedded default.
        yunet_model: the file of OpenCV's YuNet detector, used instead of the embedded one.
        min_score: faces whose chance is lower are dropped (:mod:`likeness.reconstruct.chance`); with a network that
            places no points, those in which it, times who found them, believes less.
        threads: CPU threads of the network; None: all.
        points: which points of the surface the network places, or the file that says it; None: the embedded map. It
            is looked at where the network places any. ``"mediapipe"``: heads are fitted to the points of MediaPipe's
            network, which is the user's own (extra ``points``); faces are found and coloured as always. Where it sees
            no face (profiles), the other points stay: :attr:`Reconstruction.points_by` says whose they are.
        mediapipe: MediaPipe's ``face_landmarker.task``, or the folder of its ``.tflite`` files; None: they are looked
            for in an installed ``mediapipe`` package.
        refine: fit the head to the points, where the network places any (:mod:`likeness.reconstruct.refine`); if not,
            the network's own coefficients are the answer.
        views: of every face, 1, 2 or 4, at least. With 1 a first look that leaves no doubt is enough, as in good
            photos; others, and with 2 all, are looked at twice, for half as much time again, and two views that do
            not agree become four. What they are worth: ``docs/speed.md``. For networks without points always four.
        precision: of the embedded network, see :func:`likeness.networks.regressor.default_network`; one's own is used
            as it is.

    Raises:
        FileError: a file is missing, damaged or does not fit the others.
    """

    def __init__(
        self,
        model: FaceModel | StrPath | None = None,
        network: StrPath | None = None,
        *,
        yunet_model: StrPath | None = None,
        min_score: float = MIN_SCORE,
        threads: int | None = None,
        points: PointMap | StrPath | None = None,
        mediapipe: StrPath | None = None,
        refine: bool = True,
        views: int = 1,
        precision: Precision = "auto",
    ) -> None:
        if not 0 <= min_score <= 1:
            raise ValueError(f"expected min_score from 0 to 1, got {min_score}")
        if views not in (1, 2, 4):
            raise ValueError(f"expected 1, 2 or 4 views, got {views!r}")
        if network is not None and precision != "auto":
            raise ValueError(f"expected precision='auto' with another network than the embedded, got {precision!r}")
        path = default_network(precision) if network is None else network
        self.network = Network.load(path, threads)
        if not isinstance(model, FaceModel):
            model = FaceModel.load(asset("face_model.npz") if model is None else model)
        self.model = model
        self.yunet_model = yunet_model
        self.min_score = min_score
        self.views = views
        if self.network.model_name and self.network.model_name != model.name:
            raise FileError(path, f"was trained for face model {self.network.model_name!r}, got {model.name!r}")
        by_teacher = isinstance(points, str) and points == MEDIAPIPE
        if mediapipe is not None and not by_teacher:
            raise ValueError(f"expected points={MEDIAPIPE!r} with MediaPipe's files, got {points!r}")
        if by_teacher and not refine:
            raise ValueError("expected MediaPipe's points to be fitted to, got refine=False")
        self.teacher = None
        if by_teacher:
            network_file = installed_landmarker() if mediapipe is None else mediapipe
            self.teacher = TeacherRefiner(model, FaceLandmarker.load(network_file), default_point_map())
            points = None
        self.points = _point_map(path, self.network.points, points)
        self.refiner = None
        if refine and self.points is not None:
            self.refiner = Refiner(model, self.points, self.network.fusion)

    def __call__(
        self,
        photo: PhotoSource,
        *,
        boxes: np.ndarray | None = None,
        landmarks: np.ndarray | None = None,
        focal: float | None = None,
        max_faces: int | None = None,
    ) -> list[Reconstruction]:
        """Reconstruct the faces of one photo.

        Args:
            photo: a file's path, its content as bytes, an open file, an upright RGB image (H, W, 3) uint8, or a
                Pillow image.
            boxes: (N, 4) x0 y0 x1 y1 px around faces, if you know them: the first look is taken there, and the crop
                that counts is placed by what it sees; none is dropped.
            landmarks: (N, 68, 2) px iBUG points, if you know them: their crops are used as they are.
            focal: focal length in pixels, if you know it; else the file's EXIF is asked.
            max_faces: keep the best; where so many are certain at first sight, smaller ones are not looked for, which
                takes half of the time.

        Returns:
            The faces, best first (score, then size); empty if there is none.

        Raises:
            FileError: the file is no usable photo.
            ValueError: an array of another shape or type, boxes and landmarks at once, or ``max_faces`` below 1.
        """
        if boxes is not None and landmarks is not None:
            raise ValueError("expected boxes or landmarks, got both")
        if max_faces is not None and max_faces < 1:
            raise ValueError(f"expected max_faces of at least 1, got {max_faces}")
        loaded, name = as_photo(photo), stem_of(photo)
        if loaded.note:
            warnings.warn(f"{label_of(photo)} {loaded.note}", stacklevel=2)
        if focal is None:
            focal = loaded.focal
        if boxes is not None or landmarks is not None:
            crops = _given_crops(boxes, landmarks, self.network.size)
            if landmarks is None:
                crops = [face.next_crop() for face in self.regress(loaded.image, crops)]
            found = self.regress(loaded.image, crops, final=True)
        else:
            found = self._find(loaded.image, max_faces)
        found.sort(key=lambda face: (-round(face.score, 1), -_side(face.landmarks)))
        source = Source() if loaded.path is None else Source(os.path.abspath(loaded.path), loaded.sha256)
        return [
            replace(self.carry_back(face, loaded.image, focal, name), source=source, number=number)
            for number, face in enumerate(found[:max_faces], start=1)
        ]

    def batch(self, photos: Iterable[PhotoSource], *, max_faces: int | None = None) -> Iterator[PhotoResult]:
        """Reconstruct the faces of many photos, one after the other; none of them ends the others.

        Args:
            photos: each as for :meth:`__call__`, or a folder, or a pattern such as ``shots/*.jpg``.
            max_faces: keep the best of each photo.

        Yields:
            One :class:`PhotoResult` a photo, in their order, as soon as it is done: its faces, or why there are none.
        """
        for given in photos:
            try:
                sources = [*each_source(given)]
            except LikenessError as error:
                yield PhotoResult(given, label_of(given), error=error)
                continue
            for source in sources:
                yield self._result(source, max_faces)

    def person(self, photos: Iterable[PhotoSource]) -> Person:
        """One head of one person from several photos of them (:mod:`likeness.reconstruct.people`).

        Photos that do not belong (other people, no face, no usable file) are found and left out, each with the
        reason; of several faces in a photo the one that belongs to the others is taken.

        Args:
            photos: each as for :meth:`batch`, in any order.

        Raises:
            LikenessError: no photo shows a face, or nobody is in most of those that do.
        """
        return person_of(self.model, self.refiner, sight(self.batch(photos)))

    def group(self, photos: Iterable[PhotoSource], *, max_faces: int | None = None) -> Groups:
        """Sort photos of several people, and make a head of each person.

        Args:
            photos: each as for :meth:`batch`.
            max_faces: look only at the best of each photo.
        """
        return people_of(self.model, self.refiner, sight(self.batch(photos, max_faces=max_faces)))

    def _result(self, given: PhotoSource, max_faces: int | None) -> PhotoResult:
        name, photo = label_of(given), None
        try:
            photo = as_photo(given)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the photo's note is in the result
                faces = self(photo, max_faces=max_faces)
            named = (replace(face, name=stem_of(given)) for face in faces)
            return PhotoResult(given, name, photo, tuple(named))
        except MissingExtraError:
            raise
        except Exception as error:  # whatever a photo does, the others are done
            return PhotoResult(given, name, photo, error=as_file_error(name, error))

    def _find(self, image: np.ndarray, most: int | None = None) -> list[Face]:
        """Faces of an image; where no proposal is confirmed, those of a more thorough search are tried. If ``most``
        are wanted, one look may do."""
        if most and self.yunet_model is None:
            proposals = largest_faces(image, most)
            found = self.confirmed(image, proposals, False) if proposals else []
            if sum(round(face.score, 1) == 1.0 for face in found) >= most:  # no other can be before them
                return found
        for thorough in (False, True):
            proposals = find_faces(image, thorough=thorough, yunet_model=self.yunet_model)
            found = self.confirmed(image, proposals, thorough)
            if found:
                return found
        return []

    def confirmed(self, image: np.ndarray, proposals: list[Proposal], thorough: bool) -> list[Face]:
        """What the network makes of proposals: first of the proposed crop, then, unless that leaves no doubt, of the
        one that it found.

        A network that places points judges by how its looks agree (:mod:`likeness.reconstruct.search`). Another one
        and who proposes err on different things: the product of what both believe is asked for. Where nobody proposes
        or no face passes, the network alone decides.
        """
        crops = [crop_from_proposal(proposal, self.network.size) for proposal in proposals]
        glance, look_well = partial(self.regress, image), partial(self.regress, image, final=True)
        if self.points is not None:
            compare = partial(self._compare, image) if self.views <= 2 else None
            # One look says AGREED at most: who asks for more is answered by several.
            one_may_do = self.views == 1 and self.min_score <= AGREED
            plain = partial(Face.is_plain, points=self.points) if one_may_do else None
            return likeliest_faces(crops, Looks(glance, compare, look_well, plain), self.min_score)
        beliefs = [1.0 if thorough or p.kind == "whole" else p.score for p in proposals]
        # A proposal is only roughly placed, so its first score is asked for half, no more.
        half = 0.5 * self.min_score
        likely = [(face, belief) for face, belief in zip(glance(crops), beliefs, strict=True) if face.score > half]
        judged = zip(look_well([face.next_crop() for face, _ in likely]), likely, strict=True)
        return without_doubles([face for face, (_, belief) in judged if face.score * belief >= self.min_score])

    def regress(self, image: np.ndarray, crops: list[Crop], final: bool = False) -> list[Face]:
        """Run the network on crops of an image; for the final answer on all views of them
        (:mod:`likeness.reconstruct.test_time`)."""
        if not crops:
            return []
        if final:
            out = self._regress_views(image, crops)
        else:
            out = self.network(np.stack([crop.extract(image) for crop in crops]))
        return [self._face(out.select(number), crop) for number, crop in enumerate(crops)]

    def _face(self, answer: CropAnswer, crop: Crop) -> Face:
        """A crop's answer with what it says of the photo."""
        if self.points is not None and answer.points is not None:
            landmarks = answer.points[self.points.ibug]  # placed freely they lie better than what a code can reach
        else:
            head, camera = (answer.identity, answer.expression), Camera.from_crop_size(self.network.size)
            landmarks = self.model.seen_landmarks(*head, camera, answer.rotation, answer.translation)
        return Face(answer, crop, crop.to_photo(landmarks), float(answer.score))

    def _compare(self, image: np.ndarray, faces: list[Face]) -> list[Face | None]:
        """One answer of a first look and of the mirror image of the crop around it; None where that shows no face."""
        crops = [face.next_crop() for face in faces]
        out = self.network(np.stack([crop.extract(image)[:, ::-1] for crop in crops]))
        mirrored = mirrored_answer(out, self.model, self.points, self.network.size)
        both: list[Face | None] = []
        for number, (face, crop) in enumerate(zip(faces, crops, strict=True)):
            if out.score[number] < AGAIN:
                both.append(None)
                continue
            first = carried_answer(face.answer.select(np.newaxis), face.crop, crop)
            second = mirrored.select(slice(number, number + 1))
            both.append(self._face(self._judged([first, second]).select(0), crop))
        return both

    def _regress_views(self, image: np.ndarray, crops: list[Crop]) -> CropAnswer:
        """One answer of several views of each crop."""
        count, views = len(crops), [views_of(crop) for crop in crops]
        pixels = np.stack(
            [views[row][number].extract(image) for number in range(len(SCALES)) for row in range(count)]
        )
        out = self.network(np.concatenate([pixels, pixels[:, :, ::-1]]))
        answers = []
        for number, scale in enumerate(2 * SCALES):  # all crops at one scale, then at the next; then mirrored
            part = out.select(slice(number * count, (number + 1) * count))
            if number >= len(SCALES):
                part = mirrored_answer(part, self.model, self.points, self.network.size)
            answers.append(nearer_answer(part, scale, self.network.size))
        return self._judged(answers)

    def _judged(self, answers: list[CropAnswer]) -> CropAnswer:
        """The mean of several views of crops; where there are points, with the chance that they show a face."""
        mean = averaged(answers, self.model)
        if self.points is not None:
            found = evidence(disagreement([one.points for one in answers if one.points is not None]), mean.score)
            return mean._replace(evidence=found, score=chance_of_face(found))
        return mean

    def carry_back(self, face: Face, image: np.ndarray, focal: float | None, name: str) -> Reconstruction:
        """A face as a reconstruction of the image, fitted to its points where there are any, in a skin of the colour
        that the image shows."""
        return with_own_skin(self._carried_back(face, image, focal, name))

    def _carried_back(self, face: Face, image: np.ndarray, focal: float | None, name: str) -> Reconstruction:
        size = (image.shape[1], image.shape[0])
        answer = face.answer
        seen = size, answer.rotation, answer.translation
        if self.refiner is not None and answer.points is not None:  # the fit finds the pose that is left to find
            camera, rotation, translation = face.crop.near_camera_to_photo(*seen, focal)
        else:
            points = self.model.landmark_points(answer.identity, answer.expression)
            camera, rotation, translation, _ = face.crop.camera_to_photo(*seen, points, focal)
        found = Reconstruction(
            model=self.model,
            coefficients=Coefficients(answer.identity, answer.expression, answer.albedo, answer.light),
            camera=camera,
            rotation=rotation,
            translation=translation,
            landmarks=face.landmarks,
            box=np.array(box_of(face.landmarks), face.landmarks.dtype),
            score=face.score,
            photo=image,
            name=name,
            network=self.network.name,
        )
        if answer.points is None or answer.deviation is None:
            return self._of_teacher(found, face.crop.scale)
        pixels, deviation = face.crop.to_photo(answer.points), face.crop.scale * answer.deviation
        found = replace(found, points=pixels, deviation=deviation, points_by=NETWORK)
        if self.refiner is None:
            return found
        start = Start(rotation, translation)
        fitted = self.refiner(pixels, deviation, face.crop.scale, camera, start, answer.mean).placed(
            found, self.network.digest
        )
        return self._of_teacher(fitted, face.crop.scale)

    def _of_teacher(self, found: Reconstruction, scale: float) -> Reconstruction:
        """The face by MediaPipe's points, where these are asked for and there are any."""
        other = None if self.teacher is None else self.teacher(found, scale)
        return found if other is None else other


def _point_map(path: StrPath, count: int, points: PointMap | StrPath | None) -> PointMap | None:
    """The map of the points that the network of a file places, if it places any."""
    if not count:
        return None
    if not isinstance(points, PointMap):
        points = default_point_map() if points is None else PointMap.load(points)
    if len(points) != count:
        raise FileError(path, f"places {count} surface points, expected the {len(points)} of the map")
    return points


def _given_crops(boxes: np.ndarray | None, landmarks: np.ndarray | None, size: int) -> list[Crop]:
    if landmarks is not None:
        points = np.asarray(landmarks, np.float64)
        if points.ndim != 3 or points.shape[1:] != (68, 2) or not np.isfinite(points).all():
            raise ValueError(f"expected landmarks (N, 68, 2), finite, got {points.shape}")
        return [crop_from_landmarks(one, size, upright=True) for one in points]
    corners = np.asarray(boxes, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 4 or not (corners[:, 2:] > corners[:, :2]).all():
        raise ValueError(f"expected boxes (N, 4) as x0 y0 x1 y1 with x1 > x0 and y1 > y0, got {corners.shape}")
    return [crop_from_proposal(Proposal(box, 1.0, "given"), size) for box in corners]


def _side(points: np.ndarray) -> float:
    return float(np.ptp(points, axis=0).max())
