"""Many photos -> people: one head of each, from all photos that show them.

The identity is fused from the photos' codes (:mod:`likeness.reconstruct.agreement`); what several views together
say of depth, and none alone, is added from a fit of one shape to all photos' points
(:func:`likeness.fit.fit_person`). Then each photo's pose and expression are fitted under the shared code. One
photo's person is its own reconstruction.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from likeness.errors import Excluded, FileError, LikenessError, listed
from likeness.fit import Start, Stopping, fit_person
from likeness.model.face_model import FaceModel
from likeness.reconstruct.agreement import Agreement, Evidence, Fused, probability
from likeness.reconstruct.grouping import groups, members
from likeness.reconstruct.inputs import PhotoResult, PhotoSource, as_photo
from likeness.reconstruct.person import Person
from likeness.reconstruct.refine import Refiner
from likeness.reconstruct.result import Cues, Reconstruction
from likeness.reconstruct.shared_errors import circumstances, counted, default_errors
from likeness.reconstruct.whitening import compared
from likeness.render.close_up import close_up

PARALLAX = 0.3
"""How much of what the joint fit says beyond the mean of the photos' own fits is believed. Rendered people would have
it at 1, photographs at 0, where what is wrong with all of a person's points is taken for depth (docs/people.md)."""

BELIEVED = 0.5
"""How much of what the model of errors makes of a person's photos beyond the mean of their codes is believed: it is
right for rendered people; of photographs it is known less well how they err (docs/people.md)."""

CLEAR = 3
"""Photos of a person who is in half of all, and no more, for that to be enough if nobody else is in half as many."""

NEARLY, LARGE = 0.75, 4
"""The share of the largest group's photos, and their least number, from which another group is nearly as large: who
is meant cannot be told then, and a head might be made of both. Chosen on 90 training people (docs/people.md)."""

JOINT = 24
"""Photos that are fitted together at most, the most precise ones: more say nothing new, and take time."""

TOGETHER = Stopping(decrease=1e-3)

KEPT_BYTES = 1 << 30
"""Bytes of pixels that a person's photos hold, about."""

NO_FACE = "no face found"
"""Why a photo is left out that can be read."""

NO_PIXELS = np.zeros((0, 0, 3), np.uint8)

SHOWN = 96
"""Side of the small picture of a face that is kept, pixels."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A face in one of many photos.

    Args:
        photo: number of the photo.
        label: what it is called in messages.
        given: what it is read from again.
        face: without pixels.
        shown: (:data:`SHOWN`, :data:`SHOWN`, 3) uint8 RGB, the photo around it; empty: not kept.
    """

    photo: int
    label: str
    given: PhotoSource
    face: Reconstruction
    shown: np.ndarray = field(default_factory=lambda: NO_PIXELS)


@dataclass(frozen=True, eq=False)
class Sightings:
    """The faces of many photos.

    Args:
        faces: M, in the order of the photos.
        photos: how many photos there were, with those left out.
        left_out: photos that could not be read or show no face.
    """

    faces: tuple[Sighting, ...]
    photos: int
    left_out: tuple[Excluded, ...]

    @property
    def photo(self) -> np.ndarray:
        """(M,) number of each face's photo."""
        return np.array([one.photo for one in self.faces], int)

    def alike(self) -> tuple[np.ndarray, Evidence]:
        """(M, M) how much the faces resemble each other, and what that is worth."""
        codes = np.stack([one.face.coefficients.identity for one in self.faces])
        return compared(codes, [one.face.cues for one in self.faces])


def sight(results: Iterable[PhotoResult], shown: bool = False) -> Sightings:
    """The faces of reconstructed photos; pixels are let go, so that thousands of photos fit into memory, but for a
    small picture of each if ``shown``."""
    faces: list[Sighting] = []
    left_out: list[Excluded] = []
    count = 0
    for count, result in enumerate(results, start=1):
        label = result.name if result.name != type(result.given).__name__ else f"photo {count}"
        if result.error is not None:
            left_out.append(Excluded(label, result.error.reason))
        elif not result.faces:
            left_out.append(Excluded(label, NO_FACE))
        # A stream is read once: what is given anew is the photo that was read from it.
        again = result.given if isinstance(result.given, str | os.PathLike) else result.photo
        for face in result.faces:
            small = close_up(face.photo, face.landmarks, SHOWN) if shown else NO_PIXELS
            faces.append(Sighting(count, label, again, replace(face, photo=NO_PIXELS), small))
    return Sightings(tuple(faces), count, tuple(left_out))


def person_of(model: FaceModel, refiner: Refiner | None, seen: Sightings) -> Person:
    """The person whom most of the photos show.

    Args:
        model: of the faces' codes.
        refiner: that fitted them to points; None: nothing did.
        seen: the faces.

    Raises:
        LikenessError: no photo shows a face, or nobody is in most of those that do (:func:`chosen_of`).
    """
    if not seen.faces:
        if seen.photos == 1 and seen.left_out[0].reason != NO_FACE:
            raise FileError(seen.left_out[0].item, seen.left_out[0].reason)
        reason = f" ({seen.left_out[0].item}: {seen.left_out[0].reason})" if seen.left_out else ""
        raise LikenessError(f"expected photos of a person, found no face in {seen.photos}{reason}")
    photo = seen.photo
    shown = np.unique(photo)
    if len(shown) == 1:
        return head_of(model, refiner, seen.faces[:1], seen.left_out)
    chosen, odds = chosen_of(seen)
    left_out = [*seen.left_out]
    for number in shown[~np.isin(shown, photo[chosen])]:
        rows = np.flatnonzero(photo == number)
        best = rows[np.argmax(odds[rows])]
        chance = probability(float(odds[best]))
        what = "shows somebody else" if seen.faces[best].face.score >= 0.9 else "shows somebody else or no clear face"
        left_out.append(
            Excluded(seen.faces[best].label, f"{what} (the chance that it is the same person: {chance:.2f})")
        )
    return head_of(model, refiner, [seen.faces[row] for row in np.flatnonzero(chosen)], tuple(left_out))


def chosen_of(seen: Sightings) -> tuple[np.ndarray, np.ndarray]:
    """Which faces (M,) bool are the person whom most photos show, and the log odds (M,) that each is, by how much it
    resembles the others alone.

    Raises:
        LikenessError: no person is in more than half of the photos that show a face, or in half of them where the
            others are of as many people; or another one is in nearly as many, at least :data:`LARGE`.
    """
    photo, (alike, evidence) = seen.photo, seen.alike()
    number = groups(alike, photo, evidence.belongs, evidence)
    _no_second(number, seen)
    chosen, odds = _largest(number, alike, evidence, seen)
    shown, own = len(np.unique(photo)), int(chosen.sum())
    others = np.bincount(number[~chosen]).max(initial=0)
    if 2 * own < shown or (2 * own == shown and (own < CLEAR or 2 * others > own)):
        _no_majority(chosen, seen, shown)
    # That all show one person says who it is, but excuses nobody: a stranger spoils more than one photo less.
    alone = odds - evidence.belongs
    stays = chosen & (alone > 0)
    return (stays if stays.sum() >= 2 else chosen), alone


def _largest(
    number: np.ndarray, alike: np.ndarray, evidence: Evidence, seen: Sightings
) -> tuple[np.ndarray, np.ndarray]:
    """The faces (M,) bool and the log odds (M,) of the person who is in most photos: of the groups with most photos
    the one that more photos belong to, when all are asked."""
    counts = np.bincount(number)
    twins = [number == one for one in np.flatnonzero(counts == counts.max())]
    if counts.max() > 1 or len(twins) == 1:
        grown = [members(alike, seen.photo, group, evidence) for group in twins]
        most = max(int(chosen.sum()) for chosen, _ in grown)
        people = {chosen.tobytes(): (chosen, odds) for chosen, odds in grown if chosen.sum() == most}
        if len(people) == 1:
            return next(iter(people.values()))
    first = listed(sorted({seen.faces[np.argmax(group)].label for group in twins}))
    raise LikenessError(
        f"expected photos of one person, but {len(twins)} people are in {counts.max()} of "
        f"{len(np.unique(seen.photo))} photos each (as in {first}); --group sorts photos into people"
    )


def _no_second(number: np.ndarray, seen: Sightings) -> None:
    counts = np.bincount(number)
    first, second = np.argsort(-counts, kind="stable")[:2] if len(counts) > 1 else (0, 0)
    if first != second and counts[second] >= max(LARGE, NEARLY * counts[first]):
        as_in = listed([seen.faces[np.argmax(number == one)].label for one in (first, second)])
        raise LikenessError(
            f"expected photos of one person, but two people are in {counts[first]} and {counts[second]} of "
            f"{len(np.unique(seen.photo))} photos (as in {as_in}); --group sorts photos into people"
        )


def _no_majority(chosen: np.ndarray, seen: Sightings, shown: int) -> None:
    names = listed([seen.faces[row].label for row in np.flatnonzero(chosen)])
    raise LikenessError(
        f"expected photos of one person, but no one is in more than half of the {shown} that show a face; most alike "
        f"are {names or 'none'}; --group sorts photos into people"
    )


def head_of(
    model: FaceModel, refiner: Refiner | None, faces: Sequence[Sighting], left_out: tuple[Excluded, ...]
) -> Person:
    """The head of faces that are one person's."""
    found = [one.face for one in faces]
    cues = [face.cues for face in found]
    codes = np.stack([face.coefficients.identity for face in found])
    covariance = None
    if refiner is None or any(one is None for one in cues):
        precision, effective = np.ones(len(found)), float(len(found))
        identity = codes[0] if len(found) == 1 else np.asarray(model.space.fuse(codes))
        posed = [_with_code(face, identity) for face in found]
    else:
        fused, identity = fused_identity(refiner, found, [one for one in cues if one is not None])
        precision, effective, covariance = fused.precision, fused.effective, fused.covariance
        posed = found if len(found) == 1 else [posed_under(refiner, face, identity) for face in found]
    photos = _with_pixels(posed, faces, precision)
    name = found[0].name if len(found) == 1 else "person"
    identity = np.asarray(identity, np.float32)
    return Person(model, identity, photos, precision, effective, covariance, left_out, name, found[0].source)


def fused_identity(
    refiner: Refiner, faces: Sequence[Reconstruction], cues: Sequence[Cues]
) -> tuple[Fused, np.ndarray]:
    """What N faces of a person say together, and the code (K,) with what their views add to that.

    Args:
        refiner: that fitted them.
        faces, cues: N.
    """
    codes = np.stack([face.coefficients.identity for face in faces]).astype(np.float64)
    alone = np.array([one.precision for one in cues])
    fused = Agreement.of(refiner.model).fuse(codes, alone)
    if len(faces) == 1:
        return fused, codes[0]
    # Copies once, and in an order that does not depend on the one given: sums and steps round alike.
    _, first, copies = np.unique(codes, axis=0, return_index=True, return_counts=True)
    precision = fused.precision[first] * copies
    kept = np.argsort(-precision, kind="stable")[:JOINT]
    rows, precision = first[kept], precision[kept]
    if len(rows) == 1:
        return fused, fused.code
    mean = np.average([cues[row].fitted for row in rows], axis=0, weights=precision)
    code = _with_errors(refiner, fused.code, [faces[row] for row in rows], alone[rows], precision)
    together = _joint_code(refiner, [faces[row] for row in rows], alone[rows] / precision)
    return fused, code + PARALLAX * refiner.symmetric(together - mean)


def _with_errors(
    refiner: Refiner, code: np.ndarray, faces: Sequence[Reconstruction], alone: np.ndarray, precision: np.ndarray
) -> np.ndarray:
    """A fused code (K,), nearer to what the photos say if errors that they share are told from those of each.

    Args:
        refiner: that fitted the faces.
        code: the mean of their codes.
        faces: N, no two alike.
        alone, precision: (N,) of each by itself, and what is left of it where others are like it.
    """
    cues = [face.cues for face in faces]
    errors = default_errors()
    if {None if one is None else one.network for one in cues} != {errors.network}:
        return code
    agreement, size = Agreement.of(refiner.model), len(errors.spread)
    directions = agreement.axes[:, :size] * errors.spread
    fitted = np.stack([one.fitted for one in cues if one is not None]).astype(np.float64)
    codes = np.stack([face.coefficients.identity for face in faces]).astype(np.float64)
    found = errors.posterior_mean(
        np.concatenate([fitted @ directions, codes @ directions], 1),
        circumstances(np.stack([face.rotation for face in faces])),
        counted(alone) * precision / alone,
    )
    # Photos that are nearly one say no more than one, whose code is its own.
    share = BELIEVED * min(1.0, precision.sum() / precision.max() - 1)
    axes = agreement.axes[:, :size]
    return code + share * (axes @ (found / errors.spread - code @ axes))


def _joint_code(refiner: Refiner, faces: Sequence[Reconstruction], times: np.ndarray) -> np.ndarray:
    """The code (K,) of the shape that explains all faces' points; ``times`` (N,): how often each is seen in all."""
    seen, starts = [], []
    for face, often in zip(faces, times, strict=True):
        assert face.points is not None
        assert face.deviation is not None
        starts.append(Start(face.rotation, face.translation, face.coefficients.expression))
        seen.append(refiner.observations(face.points, face.deviation, face.camera, starts[-1], float(often)))
    cameras = [face.camera for face in faces]
    found = fit_person(refiner.model, seen, cameras, starts=starts, photo_freedom=None, stopping=TOGETHER)
    return found.identity


def posed_under(refiner: Refiner, face: Reconstruction, identity: np.ndarray) -> Reconstruction:
    """A face with another code, and the pose and expression that fit its points then."""
    assert face.points is not None
    assert face.deviation is not None
    assert face.cues is not None
    start = Start(face.rotation, face.translation, face.cues.expression)
    fit = refiner.express(face.points, face.deviation, face.camera, start, identity)
    code, expression = np.asarray(identity, np.float32), np.asarray(fit.expression, np.float32)
    return replace(
        face,
        coefficients=replace(face.coefficients, identity=code, expression=expression),
        posterior=None,  # how sure one photo alone is says nothing of the person
        rotation=np.asarray(fit.rotation, np.float32),
        translation=np.asarray(fit.translation, np.float32),
    )


def _with_code(face: Reconstruction, identity: np.ndarray) -> Reconstruction:
    shared = replace(face.coefficients, identity=np.asarray(identity, np.float32))
    return replace(face, coefficients=shared, posterior=None)


def _with_pixels(
    posed: Sequence[Reconstruction], faces: Sequence[Sighting], precision: np.ndarray
) -> tuple[Reconstruction, ...]:
    """The faces with their photos' pixels, the most precise ones first, as far as memory is meant to go."""
    filled, left = list(posed), KEPT_BYTES
    for row in np.argsort(-precision, kind="stable"):
        width, height = posed[row].camera.size
        left -= 3 * width * height
        if left < 0 and row != np.argmax(precision):
            break
        filled[row] = replace(posed[row], photo=as_photo(faces[row].given).image)
    return tuple(filled)
