"""Scans as their releases lie: NoW's and MICC's folders, whatever the photos' and meshes' folders are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluate_data import NOBODY, codes_of, photo, predictor

from likeness import FaceModel, FileError
from likeness.datasets.scan_landmark_files import landmark_file
from likeness.evaluate.run import evaluate
from likeness.evaluate.scans import find_scans
from likeness.evaluate.settings import Reconstruction
from likeness.geometry.landmarks import INNER_COUNT


def picked_points(points: np.ndarray) -> str:
    rows = (f'<point x="{x}" y="{y}" z="{z}" name="{n}" active="1"/>' for n, (x, y, z) in enumerate(points))
    return "<!DOCTYPE PickedPoints>\n<PickedPoints>\n" + "\n".join(rows) + "\n</PickedPoints>\n"


def write_now(root: Path, model: FaceModel, people: int) -> Path:
    """The release of NoW: scans of all but one person whose photos are there."""
    for person in range(people):
        code = codes_of(model, person, 0)
        at = root / "scans" / f"S{person}" / "natural_head_rotation.000001.obj"
        at.parent.mkdir(parents=True)
        model.mesh(code).save(at)
        marks = root / "scans_lmks_onlypp" / f"S{person}" / "natural_head_rotation.000001_picked_points.pp"
        marks.parent.mkdir(parents=True)
        points = model.landmark_points(code)[:INNER_COUNT]
        marks.write_text(picked_points(points[np.array([19, 22, 25, 28, 16, 31, 37])]))
        for number in range(2):
            (root / "iphone_pictures" / f"S{person}" / "multiview_neutral").mkdir(parents=True, exist_ok=True)
            (root / "iphone_pictures" / f"S{person}" / "multiview_neutral" / f"IMG_{number}.png").write_bytes(
                photo(person, 0)
            )
    (root / "iphone_pictures" / "T0" / "selfie").mkdir(parents=True)
    (root / "iphone_pictures" / "T0" / "selfie" / "IMG_0.png").write_bytes(photo(NOBODY, 0))
    return root


@pytest.mark.parametrize("people", [1, 2])
def test_photos_of_now_against_its_scans(small_model: FaceModel, tmp_path: Path, people: int) -> None:
    pytest.importorskip("igl")
    root = write_now(tmp_path / "now", small_model, people)
    tool, fake = predictor(small_model)
    found = evaluate(Reconstruction(input=root, scans=root, out=tmp_path / "out"), predictor=tool)
    assert found.results["shapes"] == 2 * people
    assert found.results["people"] == people
    assert found.results["median_mm"] < 1e-3
    assert fake.calls == people  # both photos of a person are alike; nobody else is reconstructed
    assert {one.item: one.reason for one in found.outcome.excluded}[
        "iphone_pictures/T0/selfie/IMG_0"
    ] == "no scan of T0"


@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("scans", ["", "scans"])
def test_meshes_in_the_challenges_folders(small_model: FaceModel, tmp_path: Path, people: int, scans: str) -> None:
    pytest.importorskip("igl")
    root = write_now(tmp_path / "now", small_model, people)
    for person in range(people):
        at = tmp_path / "predicted" / f"S{person}" / "multiview_neutral" / "IMG_0.obj"
        at.parent.mkdir(parents=True)
        code = codes_of(small_model, person, 0)
        small_model.mesh(code).save(at)
        np.save(at.with_suffix(".npy"), small_model.landmark_points(code)[:INNER_COUNT])
    command = Reconstruction(input=tmp_path / "predicted", scans=root / scans, out=tmp_path / "out")
    found = evaluate(command)
    assert found.results["shapes"] == people
    assert found.results["median_mm"] < 1e-3
    assert f"{people} {'people' if people > 1 else 'person'} (S0" in found.read[0]
    assert f"scans: {people}" in found.read[1]


def test_photos_of_others_than_the_scans_are_an_error(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("igl")
    root = write_now(tmp_path / "now", small_model, 1)
    others = tmp_path / "others"
    for person in "ab":
        (others / person).mkdir(parents=True)
        (others / person / "1.png").write_bytes(photo(0, 0))
    with pytest.raises(FileError, match="of people with scans, of S0; got photos of a, b"):
        evaluate(Reconstruction(input=others, scans=root, out=tmp_path / "out"), predictor=predictor(small_model)[0])


def test_the_frontal_scan_of_micc_is_taken(small_model: FaceModel, tmp_path: Path) -> None:
    for person in (1, 2):
        for scan in ("frontal1", "frontal2", "sideL"):
            at = tmp_path / f"subject_{person:02d}" / "Model" / scan / "obj" / f"11092015045{person}.obj"
            at.parent.mkdir(parents=True)
            small_model.mesh(codes_of(small_model, person, 0)).save(at)
            np.savetxt(at.with_suffix(".txt"), np.zeros((7, 3)))
    scans, excluded = find_scans(tmp_path)
    assert {name: scan.path.parts[-3] for name, scan in scans.items()} == dict.fromkeys(
        ("subject_01", "subject_02"), "frontal1"
    )
    assert len(excluded) == 4


@pytest.mark.parametrize(
    "marks",
    ["a/S/x.txt", "a/S/x.pp", "a/S/x_picked_points.pp", "a_lmks_onlypp/S/x_picked_points.pp", "a_landmarks/S/x.npy"],
)
def test_where_landmarks_of_a_mesh_may_lie(tmp_path: Path, marks: str) -> None:
    mesh = tmp_path / "a" / "S" / "x.obj"
    mesh.parent.mkdir(parents=True)
    assert landmark_file(mesh) is None
    (tmp_path / marks).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / marks).touch()
    assert landmark_file(mesh) == tmp_path / marks
