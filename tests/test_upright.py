"""Laws of the chance that a reading is right, and of the search for the right way up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from likeness import Reconstructor
from likeness.geometry.camera import Camera, project
from likeness.geometry.crop import Crop
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.model.face_model import FaceModel
from likeness.model.surface_points import PointMap, default_point_map
from likeness.networks.detector import Detections, default_detector
from likeness.networks.regressor import CropAnswer
from likeness.reconstruct.chance import WEIGHTS, chance_of_face, disagreement, evidence
from likeness.reconstruct.proposals import _is_upright, crop_from_landmarks
from likeness.reconstruct.search import (
    AGREED,
    Face,
    Looks,
    likeliest_faces,
    quarter_turned,
    readings,
    without_doubles,
)

SIZE = 112
rng = np.random.default_rng(0)
LEVEL = rng.uniform(-1.0, 1.0, (68, 2))
LEVEL[[0, 1]] = [[-1.0, -1.0], [1.0, 1.0]]
LEVEL[36:42], LEVEL[42:48] = [-0.5, -0.4], [0.5, -0.4]
"""68 landmarks of a level face, about its middle, in halves of its size."""

# the chance


def looks(points: np.ndarray, noise: float, seed: int = 1) -> list[np.ndarray]:
    """Four views whose points stray by normal noise."""
    stray = np.random.default_rng(seed).normal(0.0, noise, (4, *points.shape))
    return [points + one for one in stray]


def test_looks_that_agree_disagree_by_nothing() -> None:
    points = rng.normal(56, 20, (3, 40, 2))
    np.testing.assert_allclose(disagreement(looks(points, 0.0)), 0.0, atol=1e-12)


def test_disagreement_is_relative_to_the_face() -> None:
    points = rng.normal(0, 20, (3, 40, 2))
    plain = looks(points, 1.0)
    large = [3.0 * one + 7.0 for one in plain]
    np.testing.assert_allclose(disagreement(large), disagreement(plain), rtol=1e-9)


def test_disagreement_grows_with_what_strays() -> None:
    points = rng.normal(56, 20, (3, 40, 2))
    values = [disagreement(looks(points, noise)).mean() for noise in (0.1, 0.5, 2.0, 8.0)]
    assert (np.diff(values) > 0).all(), values


def test_a_chance_falls_with_disagreement_and_rises_with_the_score() -> None:
    assert WEIGHTS[0] < 0 < WEIGHTS[1]
    chances = chance_of_face(evidence(np.geomspace(0.003, 0.3, 5), np.full(5, 0.9)))
    assert (np.diff(chances) < 0).all(), chances
    assert ((chances > 0) & (chances < 1)).all()
    chances = chance_of_face(evidence(np.full(5, 0.02), np.array([0.0, 0.1, 0.5, 0.9, 1.0])))
    assert (np.diff(chances) > 0).all(), chances


# the search


@dataclass
class World:
    """One face, or none, that is read rightly only from crops that are nearly level with it."""

    angle: float = 0.0
    exists: bool = True
    center: tuple[float, float] = (300.0, 200.0)
    glances: list[Crop] = field(default_factory=list)
    looked: list[Crop] = field(default_factory=list)
    compared: list[Crop] = field(default_factory=list)
    compares: bool = True
    agreement: float = 0.9999

    def read(self, crop: Crop, good: float, bad: float) -> Face:
        """A crop that is more than 60 degrees off gives a face that is level in the crop."""
        off = float(np.angle(np.exp(1j * (crop.angle - self.angle))))
        right = self.exists and abs(off) < np.radians(60)
        angle = self.angle if right else crop.angle
        c, s = np.cos(angle), np.sin(angle)
        landmarks = np.array(self.center) + 50.0 * LEVEL @ np.array([[c, s], [-s, c]])
        none = np.zeros(0)
        answer = CropAnswer(none, none, FRONTAL @ rotation_from_euler(0.0, 0.0, 0.0), none, none, none, none)
        return Face(answer, crop, landmarks, good if right else bad)

    def glance(self, crops: list[Crop]) -> list[Face]:
        self.glances += crops
        return [self.read(crop, 0.9, 0.5) for crop in crops]

    def compare(self, faces: list[Face]) -> list[Face | None]:
        """Only faces that are read rightly agree with their mirror images."""
        crops = [face.next_crop() for face in faces]
        self.compared += crops
        both = (self.read(crop, self.agreement, 0.1) for crop in crops)
        return [face if face.score > 0.1 else None for face in both]

    @property
    def looks(self) -> Looks:
        return Looks(self.glance, self.compare if self.compares else None, self.look_well)

    def look_well(self, crops: list[Crop]) -> list[Face]:
        self.looked += crops
        return [self.read(crop, 0.98, 0.6 if self.exists else 0.02) for crop in crops]


def proposed(angle: float) -> Crop:
    return Crop.from_box(np.array([303.0, 196.0]), 150.0, SIZE, angle)


@pytest.mark.parametrize("turn", range(0, 360, 15))
@pytest.mark.parametrize("guess", [0, 100, 180])
def test_a_face_comes_out_the_right_way_up_however_it_was_proposed(turn: int, guess: int) -> None:
    world = World(np.radians(turn))
    found = likeliest_faces([proposed(np.radians(guess))], world.looks, 0.5)
    assert len(found) == 1
    assert found[0].score in (0.98, 0.9999)
    assert abs(np.angle(np.exp(1j * (found[0].next_crop().angle - world.angle)))) < 1e-6


@pytest.mark.parametrize(
    ("world", "counts"),
    [
        (World(), (2, 2, 0)),  # two views agree
        (World(agreement=0.9), (2, 2, 2)),  # they do not, four views settle it
        (World(compares=False), (2, 0, 2)),
        (World(angle=0.5), (2, 2, 2)),  # they do, but the first looks were too far beside to be half of an answer
        (World(angle=np.pi), (8, 8, 0)),  # what its mirror image shows as none is not looked at well
    ],
)
def test_what_is_settled_is_asked_for_nothing_more(world: World, counts: tuple[int, int, int]) -> None:
    assert len(likeliest_faces([proposed(0.1), proposed(-0.1)], world.looks, 0.5)) == 1
    assert (len(world.glances), len(world.compared), len(world.looked)) == counts


@pytest.mark.parametrize(
    ("score", "deviation", "off", "lips", "does"),
    [
        (0.9999, 0.5, 0.0, 0.0, True),
        (0.9999, 0.5, 0.04, 0.0, True),
        (0.9999, 0.5, 0.0, 1.0, True),
        (0.9999, 0.5, 0.0, 0.5, False),  # neither surely closed nor surely open
        (0.9999, 0.5, 0.06, 0.0, False),  # too far beside
        (0.9999, 0.9, 0.0, 0.0, False),  # the network is less sure where it is
        (0.99, 0.5, 0.0, 0.0, False),  # and whether it is
        (0.9999, None, 0.0, 0.0, False),  # a network without points does not say
    ],
)
def test_one_look_does_where_it_leaves_no_doubt(
    score: float, deviation: float | None, off: float, lips: float, does: bool
) -> None:
    world = World()
    readout = SimpleNamespace(nearer=lambda points: np.full(3, lips))
    points = cast(PointMap, SimpleNamespace(readout=readout))
    crop = world.read(proposed(0.0), 1.0, 0.0).next_crop()
    beside = Crop.from_box(crop.center + [off * crop.side, 0.0], crop.side, crop.size)

    def glance(crops: list[Crop]) -> list[Face]:
        told = None if deviation is None else np.full(9, deviation, np.float32)
        seen = [world.read(crop, score, 0.0) for crop in crops]
        return [replace(face, answer=face.answer._replace(deviation=told, points=LEVEL)) for face in seen]

    twice = world.looks._replace(glance=glance)
    (found,) = readings([beside], twice._replace(plain=partial(Face.is_plain, points=points)))
    assert len(world.compared) == (0 if does else 1)
    assert found.score >= AGREED
    assert len(readings([beside], twice)) == 1  # unless it is asked for, always twice
    assert len(world.compared) == (1 if does else 2)


def test_what_strayed_to_no_face_is_not_looked_at_again() -> None:
    world, counts = World(angle=0.5), []

    def doubtful(faces: list[Face]) -> list[Face | None]:
        """The first look's mirror image is one to the network, that of where four views strayed to is none."""
        counts.append(len(faces))
        return [None if face.score == 0.6 else face for face in faces]

    def look_well(crops: list[Crop]) -> list[Face]:
        world.looked += crops
        return [world.read(crop, 0.6, 0.6) for crop in crops]

    looks = Looks(world.glance, doubtful, look_well)
    assert len(readings([proposed(0.4)], looks)) == len(world.looked) == 1
    assert counts == [1]
    world.looked.clear()
    lost = Looks(
        world.glance, doubtful, lambda crops: [replace(face, crop=proposed(1.2)) for face in look_well(crops)]
    )
    assert readings([proposed(0.4)], lost) == []
    assert len(world.looked) == 1


def test_no_turn_makes_a_face_of_what_is_none() -> None:
    world = World(exists=False)
    assert likeliest_faces([proposed(0.0)], world.looks, 0.5) == []
    assert len(world.glances) == 4


def test_two_readings_of_one_head_are_one_and_the_likelier_stays() -> None:
    world = World()
    upright, fallen = world.read(proposed(0.0), 0.7, 0.0), world.read(proposed(np.pi), 0.0, 0.6)
    apart = World(center=(500.0, 200.0)).read(proposed(0.0), 0.8, 0.0)
    assert without_doubles([fallen, upright, apart]) == [apart, upright]


def test_four_quarter_turns_are_none() -> None:
    crop = proposed(0.3)
    np.testing.assert_allclose(quarter_turned(crop, 4).photo_from_crop, crop.photo_from_crop, atol=1e-9)
    corner, size = np.array([0.0, 0.0]), SIZE - 1.0
    np.testing.assert_allclose(quarter_turned(crop, 1).to_photo(corner), crop.to_photo([size, 0.0]), atol=1e-9)


# crops of profiles


@pytest.mark.parametrize("tilt", [-2.5, -0.4, 0.0, 1.0])
def test_a_profile_is_turned_by_its_head_and_others_by_their_eyes(tilt: float) -> None:
    c, s = np.cos(tilt), np.sin(tilt)
    turn = np.array([[c, s], [-s, c]])
    wrong = np.array([1.0, 0.2])
    assert crop_from_landmarks(50 * LEVEL @ turn, SIZE, upright=True, head_up=wrong).angle == pytest.approx(tilt)
    profile = LEVEL.copy()
    profile[36:42], profile[42:48] = [-0.5, -0.4], [-0.48, -0.5]  # one eye behind the other: a line that is none
    up = np.array([0.0, -1.0]) @ turn
    assert crop_from_landmarks(50 * profile @ turn, SIZE, upright=True, head_up=up).angle == pytest.approx(tilt)


# who proposes


def test_faces_that_a_border_cuts_are_proposed_on_either_side() -> None:
    photo = pytest.importorskip("skimage.data").astronaut()
    cut = np.ascontiguousarray(photo[40:400, 190:])  # the face begins at about 180
    for image in (cut, np.ascontiguousarray(cut[:, ::-1])):
        found = default_detector()(image)
        assert found.is_sure
        x = found.center[0, 0] if image is cut else image.shape[1] - 1 - found.center[0, 0]
        assert abs(x - (219 - 190)) < 25


def test_where_a_sure_face_is_steep_others_are_sought_on_their_heads() -> None:
    def faces(*rows: tuple[float, float]) -> Detections:
        angles, scores = np.array(rows).T
        return Detections(np.zeros((len(rows), 2)), np.full(len(rows), 40.0), angles, scores)

    assert _is_upright(faces((0.1, 0.97)))
    assert _is_upright(faces((0.1, 0.97), (2.0, 0.3)))
    assert _is_upright(faces((0.1, 0.97), (1.2, 0.8)))
    assert not _is_upright(faces((0.1, 0.97), (1.2, 0.93)))
    assert not _is_upright(faces((0.1, 0.8)))


# the whole program


@dataclass
class Placing:
    """The embedded network, with the surface points of the head that its coefficients make."""

    network: Any
    model: FaceModel

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def __call__(self, crops: np.ndarray) -> CropAnswer:
        out = self.network(crops)
        points = default_point_map().gather(self.model.vertices(out.identity, out.expression))
        seen = points @ out.rotation.swapaxes(1, 2) + out.translation[:, None]
        placed = project(Camera.from_crop_size(self.network.size), seen).astype(np.float32)
        return out._replace(points=placed, deviation=np.full(placed.shape[:2], 1.5, np.float32))


@pytest.fixture(scope="module")
def placing() -> Reconstructor:
    """The program with a network that places points."""
    reconstruct = Reconstructor(threads=1, refine=False)
    reconstruct.network = Placing(reconstruct.network, reconstruct.model)  # type: ignore[assignment]
    reconstruct.points = default_point_map()
    return reconstruct


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_photo_on_its_side_or_head_gives_its_head_turned(placing: Reconstructor, quarters: int) -> None:
    photo = pytest.importorskip("skimage.data").astronaut()
    found = placing(np.ascontiguousarray(np.rot90(photo, quarters)))
    assert len(found) == 1
    assert found[0].score > 0.9
    right, left = found[0].landmarks[36:42].mean(0), found[0].landmarks[42:48].mean(0)
    # np.rot90 turns from y towards x, so what was level now points up by so many quarters.
    assert abs(np.angle(complex(*(left - right)) * 1j**quarters)) < 0.2


def test_a_cup_of_coffee_has_no_face(placing: Reconstructor) -> None:
    coffee = pytest.importorskip("skimage.data").coffee()
    assert placing(np.ascontiguousarray(coffee[:200, :300])) == []


@pytest.mark.parametrize(("angle", "looks"), [(1.1, 5), (-2.8, 5), (0.2, 4), (2.0 * np.pi - 0.1, 4)])
def test_a_doubtful_proposal_that_leans_is_tried_as_the_photo_stands(angle: float, looks: int) -> None:
    world, angles = World(exists=False), []

    def glance(crops: list[Crop]) -> list[Face]:
        angles.extend(crop.angle for crop in crops)
        return world.glance(crops)

    likeliest_faces([proposed(angle)], replace_glance(world.looks, glance), 0.5)
    assert len(angles) == looks
    assert (0.0 in angles) == (looks == 5)


def replace_glance(looks: Looks, glance: Any) -> Looks:
    """The same looks, with another first one."""
    return looks._replace(glance=glance)
