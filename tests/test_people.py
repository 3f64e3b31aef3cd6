"""Several photos of a person -> one head: laws on made photos, and who is left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dense_points import small_map
from fit_data import CAMERA, photographed

from likeness import Coefficients, FaceModel, FileError, LikenessError, Reconstruction
from likeness.fit import Start, SurfacePoints
from likeness.reconstruct import people
from likeness.reconstruct.agreement import PLAIN, Agreement
from likeness.reconstruct.grouping import groups
from likeness.reconstruct.inputs import PhotoResult
from likeness.reconstruct.mixed import people_of
from likeness.reconstruct.people import Sighting, Sightings, chosen_of, person_of, sight
from likeness.reconstruct.refine import Refiner
from likeness.reconstruct.result import Cues
from likeness.reconstruct.shared_errors import SharedErrors
from likeness.result_folder import Source

SIZE = (CAMERA.size[1], CAMERA.size[0], 3)


class Album:
    """Photos of made people, as a reconstructor would answer for them."""

    def __init__(self, model: FaceModel, seed: int, refine: bool = True) -> None:
        self.model, self.rng = model, np.random.default_rng(seed)
        self.map = small_map(model)
        self.refiner = Refiner(model, self.map, None)
        self.opened = model, (self.refiner if refine else None)

    def someone(self) -> np.ndarray:
        return self.rng.standard_normal(len(self.model.identity_basis))

    def face(self, person: np.ndarray, number: int = 1, noise: float = 0.5) -> Reconstruction:
        points = SurfacePoints(self.map.vertices, self.map.weights)
        truth = photographed(self.model, points, self.rng, identity=person)
        pixels = truth.pixels + self.rng.normal(0, noise, truth.pixels.shape)
        deviation = np.full(len(self.map), noise, np.float32)
        start = Start(truth.rotation, truth.translation)
        found = self.refiner(pixels, deviation, 2.0, CAMERA, start)
        face = Coefficients(
            found.identity,
            found.expression,
            self.rng.normal(0, 1, 5).astype(np.float32),
            np.zeros((9, 3), np.float32),
        )
        cues = Cues(found.identity, found.free.identity, found.free.expression, found.precision)
        return Reconstruction(
            self.model, face, CAMERA, found.rotation, found.translation, found.landmarks,
            np.array([0.0, 0.0, 9.0, 9.0]), 0.99, np.zeros(SIZE, np.uint8), f"photo{number}", "made",
            points=pixels, deviation=deviation, cues=cues,
        )  # fmt: skip

    def photos(self, *people: Sequence[np.ndarray]) -> list[list[Reconstruction]]:
        """A photo for every argument, with a face of each person in it."""
        return [[self.face(one, number) for number, one in enumerate(shown, 1)] for shown in people]


def seen(photos: Sequence[Sequence[Reconstruction]]) -> Sightings:
    from likeness.images.photo import Photo

    blank = Photo(np.zeros(SIZE, np.uint8), None)
    return sight(PhotoResult(blank, f"{n}.jpg", blank, tuple(faces)) for n, faces in enumerate(photos))


def test_one_photo_is_the_single_path(small_model: FaceModel) -> None:
    album = Album(small_model, 0)
    photos = album.photos([album.someone()])
    person, alone = person_of(*album.opened, seen(photos)), photos[0][0]
    np.testing.assert_array_equal(person.identity, alone.coefficients.identity)
    for name in ("rotation", "translation", "landmarks"):
        np.testing.assert_array_equal(getattr(person.photos[0], name), getattr(alone, name))
    np.testing.assert_array_equal(person.photos[0].coefficients.expression, alone.coefficients.expression)
    assert person.photos[0].photo.shape == SIZE


def test_order_does_not_matter_and_copies_say_nothing_new(small_model: FaceModel) -> None:
    album = Album(small_model, 1)
    someone = album.someone()
    photos = album.photos(*[[someone]] * 4)
    person = person_of(*album.opened, seen(photos))
    turned = person_of(*album.opened, seen(photos[::-1]))
    copied = person_of(*album.opened, seen([*photos, photos[2], photos[2]]))
    for other in (turned, copied):
        apart = small_model.geometry(np.asarray(other.identity) - person.identity)
        assert np.linalg.norm(apart) < 0.05  # mm; fits end within a tolerance
        assert other.effective == pytest.approx(person.effective)
        np.testing.assert_allclose(other.uncertainty, person.uncertainty, rtol=1e-5)
    np.testing.assert_allclose(turned.precision[::-1], person.precision)


def test_more_photos_are_nearer_and_surer(small_model: FaceModel) -> None:
    missed: dict[int, list[float]] = {1: [], 8: []}
    for seed in range(6):
        album = Album(small_model, 20 + seed)
        someone = album.someone()
        photos = album.photos(*[[someone]] * 8)
        unsure = []
        for count, errors in missed.items():
            person = person_of(*album.opened, seen(photos[:count]))
            assert len(person.photos) == count
            away = (person.identity - someone) @ small_model.shape_metric.factor
            errors.append(float(np.linalg.norm(away)))
            assert person.uncertainty is not None
            unsure.append(person.uncertainty.mean())
        assert unsure[1] < unsure[0]
    assert np.mean(missed[8]) < 0.8 * np.mean(missed[1])


def test_pose_and_expression_are_each_photo_s_own(small_model: FaceModel) -> None:
    album = Album(small_model, 3)
    someone = album.someone()
    person = person_of(*album.opened, seen(album.photos(*[[someone]] * 3)))
    for face in person.photos:
        np.testing.assert_array_equal(face.coefficients.identity, person.identity)
        assert face.points is not None
        surface = album.map.gather(face.vertices()) @ face.rotation.T + face.translation
        off = CAMERA.project(surface)[album.refiner.rows] - face.points[album.refiner.rows]
        assert np.sqrt((off**2).mean()) < 3.0
    assert len({tuple(face.translation) for face in person.photos}) == 3


@pytest.mark.parametrize("strangers", [1, 3])
def test_strangers_and_empty_photos_are_left_out_by_name(small_model: FaceModel, strangers: int) -> None:
    album = Album(small_model, 4)
    someone = album.someone()
    photos = album.photos(*[[someone]] * 5, *[[-someone]] * strangers)
    photos.insert(2, [])
    person = person_of(*album.opened, seen(photos))
    assert len(person.photos) == 5
    told = {one.item: one.reason for one in person.left_out}
    assert told.pop("2.jpg") == "no face found"
    assert set(told) == {f"{number}.jpg" for number in range(6, 6 + strangers)}
    assert all("somebody else" in reason for reason in told.values())
    clean = person_of(*album.opened, seen(photos[:6]))
    np.testing.assert_allclose(person.identity, clean.identity, atol=1e-6)


def test_of_several_faces_the_one_that_belongs_is_taken(small_model: FaceModel) -> None:
    album = Album(small_model, 5)
    someone = album.someone()
    person = person_of(*album.opened, seen(album.photos([-someone, someone], [someone], [someone, -someone])))
    assert [face.name for face in person.photos] == ["photo2", "photo1", "photo1"]
    assert not person.left_out


def test_without_a_majority_nobody_is_made_up(small_model: FaceModel) -> None:
    album = Album(small_model, 6)
    someone = album.someone()
    with pytest.raises(LikenessError, match=r"2 people are in 2 of 4 photos.*--group"):
        person_of(*album.opened, seen(album.photos([someone], [-someone], [someone], [-someone])))
    with pytest.raises(LikenessError, match="2 people are in 1 of 2 photos"):
        person_of(*album.opened, seen(album.photos([someone], [-someone])))
    with pytest.raises(LikenessError, match=r"no face in 2 \(0.jpg: no face found\)"):
        person_of(*album.opened, seen([[], []]))
    axes = np.eye(12)[:6] * 3.5
    with pytest.raises(LikenessError, match="more than half of the 6"):
        person_of(*album.opened, seen(album.photos([axes[0]], [axes[0]], *[[one] for one in axes[1:5]])))


def test_half_is_enough_where_nobody_else_is_in_half_as_many(small_model: FaceModel) -> None:
    album, axes = Album(small_model, 8), np.eye(12)[:5] * 3.5
    photos = album.photos(*[[axes[0]]] * 3, *[[one] for one in axes[1:4]])
    assert len(person_of(*album.opened, seen(photos)).photos) == 3
    assert len(person_of(*album.opened, seen(photos)).left_out) == 3
    others = album.photos([axes[1]], [axes[1]], [axes[2]])
    with pytest.raises(LikenessError, match="more than half of the 6"):
        person_of(*album.opened, seen([*photos[:3], *others]))
    with pytest.raises(LikenessError, match="more than half of the 4"):  # two alike are too few to tell
        person_of(*album.opened, seen([*photos[:2], *photos[3:5]]))


@pytest.mark.parametrize(("own", "others", "made"), [(6, 4, True), (5, 4, False), (4, 4, False), (8, 7, False)])
def test_two_people_in_nearly_as_many_photos_are_told_and_not_mixed(
    small_model: FaceModel, own: int, others: int, made: bool
) -> None:
    album, axes = Album(small_model, 9), np.eye(12)[:2] * 3.5
    photos = album.photos(*[[axes[0]]] * own, *[[axes[1]]] * others)
    if made:
        assert len(person_of(*album.opened, seen(photos)).photos) == own
        return
    with pytest.raises(
        LikenessError, match=rf"two people are in {own} and {others} of {own + others} photos.*--group"
    ):
        person_of(*album.opened, seen(photos))


@pytest.mark.parametrize("order", [range(8), range(7, -1, -1)])
def test_of_groups_alike_in_size_the_one_that_others_join_is_taken(
    order: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three photos of a person, three of another, and two of the first that are nearer each other than to those.
    alike = np.full((8, 8), 0.1)
    for own in (slice(0, 3), slice(3, 6), slice(6, 8)):
        alike[own, own] = 0.6
    alike[6, 7] = alike[7, 6] = 0.9
    alike[:3, 6] = alike[6, :3] = 0.345
    alike[:3, 7] = alike[7, :3] = 0.31
    monkeypatch.setattr(Sightings, "alike", lambda _: (alike[np.ix_(order, order)], PLAIN))
    nobody: Any = None
    faces = tuple(Sighting(place, f"{number}.jpg", "", nobody) for place, number in enumerate(order))
    assert np.bincount(groups(alike, np.arange(8), PLAIN.belongs)).tolist() == [3, 3, 2]
    chosen, _ = chosen_of(Sightings(faces, 8, ()))
    assert {number for number, own in zip(order, chosen, strict=True) if own} == {0, 1, 2, 6, 7}


def test_groups_say_who_is_where(small_model: FaceModel) -> None:
    album = Album(small_model, 7)
    someone = album.someone()
    found = people_of(*album.opened, seen(album.photos([someone, -someone], [someone], [], [someone], [-someone])))
    assert [len(one.photos) for one in found.people] == [3, 2]
    assert [one.item for one in found.left_out] == ["2.jpg"]
    assert not found.unsure
    assert [len(chances) for chances in found.chances] == [3, 2]
    assert all((chances > 0.9).all() for chances in found.chances)
    assert not found.similar  # they are in one photo
    assert [rows.tolist() for rows in found.rows] == [[0, 2, 3], [1, 4]]
    assert all(0.5 < chance <= 1 for chance in found.whole)


def test_people_who_may_be_one_are_told(small_model: FaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    album = Album(small_model, 7)
    photos = album.photos(*[[album.someone()] for _ in range(4)])
    middle = 0.5 * (PLAIN.same + PLAIN.other)
    alike = np.full((4, 4), 0.0)
    alike[:2, :2] = alike[2:, 2:] = 0.9
    alike[:2, 2:] = alike[2:, :2] = middle
    monkeypatch.setattr(Sightings, "alike", lambda _: (alike, PLAIN))
    found = people_of(*album.opened, seen(photos))
    assert [len(one.photos) for one in found.people] == [2, 2]
    ((one, other, chance),) = found.similar
    assert (one, other) == (0, 1)
    assert chance == pytest.approx(0.5)


def test_a_network_without_points_fuses_codes(small_model: FaceModel) -> None:
    album = Album(small_model, 8, refine=False)
    someone = album.someone()
    faces = [[replace(face, cues=None)] for (face,) in album.photos([someone], [someone])]
    person = person_of(*album.opened, seen(faces))
    mean = np.mean([face.coefficients.identity for (face,) in faces], axis=0)
    np.testing.assert_allclose(person.identity, mean, atol=1e-6)
    assert person.uncertainty is None
    assert "uncertainty_mm" not in person.to_dict()


def test_files_of_a_person(small_model: FaceModel, tmp_path: Path) -> None:
    album = Album(small_model, 9)
    someone = album.someone()
    photos = album.photos(*[[someone]] * 3, [-someone])
    person = person_of(*album.opened, seen(photos)).called("anna", Source("/photos/anna"))
    paths = person.save(tmp_path)
    assert {path.name for path in paths.values()} == {"anna.glb", "anna.obj", "anna.json", "anna.png"}
    told = json.loads(paths["json"].read_text())
    assert [one["photo"] for one in told["left_out"]] == ["3.jpg"]
    assert len(told["photos"]) == 3
    assert "identity" not in told["photos"][0]
    assert told["photos"][0]["rotation"] != told["photos"][1]["rotation"]
    np.testing.assert_allclose(told["identity"], person.identity, atol=1e-5)
    person.save(tmp_path)  # its own results are replaced
    with pytest.raises(FileError, match="--overwrite"):
        person.called("anna", Source("/photos/another")).save(tmp_path)


def test_errors_that_photos_share_count_where_they_are_known_of_the_network(
    small_model: FaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a network whose codes are known to shrink the head lies farther out; copies of a photo are that photo."""
    album = Album(small_model, 11)
    someone = album.someone()
    faces = [of_network(album.face(someone), "made") for _ in range(3)]
    spread = Agreement.of(small_model).millimetres
    size = len(spread)
    maps = np.zeros((2, size + 1, 2 * size))
    maps[0, :-1] = 0.5 * np.concatenate([np.eye(size), np.eye(size)], 1)
    small = 1e-4 * np.eye(2 * size)
    known = SharedErrors("made", maps, small, small, spread)
    monkeypatch.setattr(people, "default_errors", lambda: known)
    fused = identity_of(album, faces)
    monkeypatch.setattr(people, "default_errors", lambda: replace(known, network="another"))
    plain = identity_of(album, faces)
    assert np.linalg.norm(fused) > 1.1 * np.linalg.norm(plain)
    monkeypatch.setattr(people, "default_errors", lambda: known)
    np.testing.assert_allclose(identity_of(album, faces[:1] * 3), faces[0].coefficients.identity, atol=1e-5)


def of_network(face: Reconstruction, network: str) -> Reconstruction:
    assert face.cues is not None
    return replace(face, cues=replace(face.cues, network=network))


def identity_of(album: Album, faces: Sequence[Reconstruction]) -> np.ndarray:
    return person_of(*album.opened, seen([[face] for face in faces])).identity
