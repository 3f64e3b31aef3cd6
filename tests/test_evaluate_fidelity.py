"""`likeness evaluate fidelity` on made data whose truth is known, and its readers of what others made."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from evaluate_data import annotated, drawing, photo, predictor, write_photos
from register_scans import POSE, code_of, raw_scan

from likeness import FaceModel, FileError
from likeness.datasets.hand_placed import (
    COUNT,
    IBUG_POINTS,
    NEARLY,
    ORIGINAL_WIDTH,
    OUTLINE,
    PROPORTIONS,
    SAME_PLACE,
    ibug_points,
    read_portraits,
    read_tem,
)
from likeness.datasets.rendered_people import photo_name, read_rendered_people, write_truth
from likeness.evaluate.fidelity.judge import Judge, drawn_head, told
from likeness.evaluate.fidelity.portraits import lip_gap, portrait_fidelity
from likeness.evaluate.fidelity.refit import _fit, refit
from likeness.evaluate.fidelity.rendered import measure_rendered
from likeness.evaluate.fidelity.scan_photos import (
    PICTURE,
    PICTURE_MM,
    SETTINGS,
    YAWS,
    View,
    all_views,
    landmarks_seen,
    photograph,
)
from likeness.evaluate.predictions import FoundFace, Predictor
from likeness.evaluate.reports.fidelity import PARTS, FidelityData, fidelity_table, mean_face_column, measure_fidelity
from likeness.evaluate.run import evaluate
from likeness.evaluate.settings import Fidelity
from likeness.fit import ExpressionPrior
from likeness.geometry.camera import Camera, image_center, project
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.mesh import Mesh

DATA = Path(__file__).parents[2] / "shared" / "data"


def placed_points(rng: np.random.Generator) -> np.ndarray:
    """189 points in a picture of the original width."""
    return rng.uniform(300, 1000, (COUNT, 2))


def write_tem(path: Path, points: np.ndarray) -> None:
    rows = [f"{x}\t{y}" for x, y in points.tolist()]
    path.write_text("\n".join([str(len(points)), *rows, "1", "0", "2", "0 1", ""]))


def write_portraits(folder: Path, people: int = 4, width: int = 135) -> np.ndarray:
    """Portraits whose pixels say who they are; returns the points (N, 189, 2) as written."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    base, everyone = placed_points(rng), []
    for person in range(people):
        points = base + rng.normal(0, 10, base.shape)
        everyone.append(points)
        write_tem(folder / f"{person:03d}-neutral.tem", points)
        for kind in ("neutral", "smile"):
            image = np.full((width, width, 3), 120, np.uint8)
            image[0, :2] = [[0, kind == "smile", person]] * 2  # BGR
            cv2.imwrite(str(folder / f"{person:03d}-{kind}.png"), image)
    return np.stack(everyone)


def test_points_are_read_in_pixels_of_the_photo(tmp_path: Path) -> None:
    written = write_portraits(tmp_path)
    portraits = read_portraits(tmp_path)
    assert portraits.names == tuple(f"{person:03d}-neutral" for person in range(4))
    assert portraits.points.shape == (4, 34, 2)
    expected = (written[0, SAME_PLACE[36]] + 0.5) * 135 / ORIGINAL_WIDTH - 0.5
    np.testing.assert_allclose(portraits.points[0, IBUG_POINTS.index(36)], expected)
    middle = (written[0, list(NEARLY[37])].mean(0) + 0.5) * 135 / ORIGINAL_WIDTH - 0.5
    np.testing.assert_allclose(portraits.points[0, IBUG_POINTS.index(37)], middle)
    box = np.ptp(written[0, list(OUTLINE)], axis=0) * 135 / ORIGINAL_WIDTH
    assert portraits.sizes[0] == pytest.approx(np.sqrt(box.prod()))


def test_every_point_is_one_of_those_placed() -> None:
    points = np.random.default_rng(1).normal(size=(COUNT, 2))
    chosen = ibug_points(points)
    lone = [IBUG_POINTS.index(point) for point in SAME_PLACE]
    np.testing.assert_array_equal(chosen[lone], points[list(SAME_PLACE.values())])
    assert len(set(IBUG_POINTS)) == len(SAME_PLACE) + len(NEARLY) == 34
    assert {IBUG_POINTS[a] for pair in PROPORTIONS.values() for a in pair} == {31, 35, 39, 42, 48, 54, 51, 62}


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "189"), ("189\n1 2\n", "189"), ("3\n1 2\n3 4\n5 6\n", "189"), ("189\n" + "1 nan\n" * 189, "finite")],
)
def test_damaged_points_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "1.tem"
    path.write_text(text)
    with pytest.raises(FileError, match=message) as caught:
        read_tem(path)
    assert "1.tem" in str(caught.value)


def test_points_without_a_photo_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="found none"):
        read_portraits(tmp_path)
    write_tem(tmp_path / "9.tem", placed_points(np.random.default_rng(0)))
    with pytest.raises(FileError, match="no photo"):
        read_portraits(tmp_path)


@pytest.mark.skipif(not (DATA / "portraits").is_dir(), reason="needs the portraits of ../shared/data")
def test_real_points_make_a_face() -> None:
    portraits = read_portraits(DATA / "portraits")
    at = {number: portraits.points[:, IBUG_POINTS.index(number)] for number in (36, 45, 33, 48, 54, 8)}
    assert (at[36][:, 0] < at[45][:, 0]).all()
    assert (at[48][:, 0] < at[54][:, 0]).all()
    assert (at[36][:, 1] < at[33][:, 1]).all()
    assert (at[33][:, 1] < at[48][:, 1]).all()
    assert (at[54][:, 1] < at[8][:, 1]).all()
    assert (lip_gap(portraits.points) < 0.02).all()  # neutral: lips closed


def seen_points(
    model: FaceModel, identity: np.ndarray, expression: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (N, 68, 2) of heads turned at random, seen by a camera of 200 px, and the rotations."""
    rng = np.random.default_rng(seed)
    camera = Camera(900.0, image_center((200, 200)), (200, 200))
    points = model.landmark_points(identity, expression).astype(np.float64)
    rotations = np.stack([FRONTAL @ rotation_from_euler(*rng.uniform(-0.4, 0.4, 3)) for _ in points])
    shift = np.array([0.0, 0.0, 1200.0]) - rotations @ points[:, :51].mean(1)[..., None][..., 0].mean(0)
    seen = project(camera, points @ rotations.transpose(0, 2, 1) + shift[:, None])
    return np.asarray(model.landmark_map.select(seen, rotations)), rotations


def test_refit_explains_landmarks_of_the_right_head_best(small_model: FaceModel) -> None:
    rng = np.random.default_rng(2)
    codes = np.stack([code_of(small_model, seed) for seed in range(6)])
    expression = np.clip(rng.normal(0, 0.2, (6, 52)), 0, 1)
    landmarks, _ = seen_points(small_model, codes, expression)
    own = refit(small_model, codes, landmarks)
    assert own.errors.max() < 0.004  # the prior of the weights keeps a little
    assert own.expression.min() >= 0
    assert own.expression.max() <= 1
    nobody = refit(small_model, np.zeros_like(codes), landmarks)
    stranger = refit(small_model, np.roll(codes, 1, axis=0), landmarks)
    assert (own.errors < 0.7 * nobody.errors).all()
    assert own.errors.mean() < nobody.errors.mean() < stranger.errors.mean()


def test_refit_moves_with_the_photo(small_model: FaceModel) -> None:
    codes = np.stack([code_of(small_model, seed) for seed in range(3)])
    landmarks, _ = seen_points(small_model, codes, np.zeros((3, 52)))
    other = refit(small_model, 0.5 * codes, 2.5 * landmarks + [30, -12])
    one = refit(small_model, 0.5 * codes, landmarks)
    np.testing.assert_allclose(other.errors, one.errors, atol=1e-9)
    np.testing.assert_allclose(other.landmarks, 2.5 * one.landmarks + [30, -12], atol=1e-6)


def test_refit_leaves_the_identity_as_it_is(small_model: FaceModel) -> None:
    """Also where another would explain the landmarks far better."""
    codes = np.stack([code_of(small_model, seed) for seed in range(3)])
    landmarks, _ = seen_points(small_model, codes, np.zeros((3, 52)))
    expression = ExpressionPrior.sparse(52, rate=0.0)
    for code, points in zip(-2.0 * codes, landmarks, strict=True):
        np.testing.assert_allclose(_fit(small_model, code, points, expression).identity, code, atol=1e-4)


def test_perfect_faces_on_portraits(small_model: FaceModel, tmp_path: Path) -> None:
    write_portraits(tmp_path)
    portraits = read_portraits(tmp_path)
    faces = []
    for person in range(4):
        landmarks = np.zeros((68, 2))
        landmarks[list(IBUG_POINTS)] = portraits.points[person]
        faces.append(FoundFace(code_of(small_model, person), np.full(52, 0.5), landmarks))
    found = portrait_fidelity(portraits, small_model, faces, faces)
    assert found.found.explained == pytest.approx(1)
    assert found.lip_gap_percent == pytest.approx(found.true_lip_gap_percent)
    assert found.weight_sum == pytest.approx(26)
    assert found.rank1_across == 1
    assert found.front.explained < 0.5  # those heads have nothing to do with the points
    assert found.mean_face.explained == pytest.approx(0, abs=1e-9)
    assert found.front_of_smile == found.front
    json.dumps(found.to_dict(), allow_nan=False)


@dataclass
class Knows:
    """Stands in for a reconstructor: answers with codes in the order in which it is asked."""

    codes: np.ndarray
    told: list[float | None] = field(default_factory=list)

    def __call__(self, source: Any, *, landmarks: np.ndarray | None = None, focal: float | None = None) -> list[Any]:
        code = self.codes[len(self.told) % len(self.codes)]
        self.told.append(focal)
        seen = np.zeros((68, 2)) if landmarks is None else landmarks[0]
        return [
            SimpleNamespace(
                coefficients=SimpleNamespace(identity=code, expression=np.zeros(52)), landmarks=seen, score=1.0
            )
        ]


def rendered(folder: Path, model: FaceModel, codes: np.ndarray) -> Path:
    folder.mkdir()
    for number in range(len(codes)):
        cv2.imwrite(str(folder / photo_name(number)), np.full((64, 64, 3), number, np.uint8))
    square = np.stack(np.meshgrid(np.linspace(10, 50, 17), np.linspace(10, 50, 4)), -1).reshape(68, 2)
    yaw = np.linspace(-60, 60, len(codes))
    write_truth(folder, model.vertices(codes), np.tile(square, (len(codes), 1, 1)), yaw)
    return folder


@pytest.mark.parametrize(("factor", "slope"), [(1.0, 1.0), (0.5, 2.0)])
def test_rendered_people_are_measured(small_model: FaceModel, tmp_path: Path, factor: float, slope: float) -> None:
    codes = np.stack([code_of(small_model, seed) for seed in range(12)])
    people = read_rendered_people(rendered(tmp_path / "people", small_model, codes))
    found = measure_rendered(people, Predictor(Knows(factor * codes), small_model, "knows"))
    assert found.slope == pytest.approx(slope, rel=0.05)
    assert found.spread == pytest.approx(factor, rel=0.05)
    assert found.ratio == pytest.approx(1 - factor, abs=0.08)
    assert sum(one.people for one in found.by_pose) == 12


def test_rendered_people_that_are_not_whole_are_refused(small_model: FaceModel, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"truth\.npz"):
        read_rendered_people(tmp_path)
    folder = rendered(tmp_path / "people", small_model, np.stack([code_of(small_model, seed) for seed in range(3)]))
    (folder / photo_name(1)).unlink()
    with pytest.raises(FileError, match=r"00001\.png"):
        read_rendered_people(folder)


def test_the_same_people_are_rendered_again(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from likeness.train.generate.rendered_people import SIZE, render_people

    for name in ("a", "b"):
        render_people(small_model, tmp_path / name, 2)
    first, second = (read_rendered_people(tmp_path / name) for name in ("a", "b"))
    for one, other in zip(first.photos, second.photos, strict=True):
        assert one.read_bytes() == other.read_bytes()
    np.testing.assert_array_equal(first.landmarks, second.landmarks)
    assert 0 < first.landmarks.min() < first.landmarks.max() < SIZE
    assert np.abs(first.vertices[0] - first.vertices[1]).max() > 1
    before = first.photos[0].stat().st_mtime_ns
    render_people(small_model, tmp_path / "a", 2)
    assert first.photos[0].stat().st_mtime_ns == before


def test_views_turn_the_head_as_they_say(small_model: FaceModel) -> None:
    views = list(all_views())
    assert len({view.name for view in views}) == len(views) == len(YAWS) * len(SETTINGS)
    head = small_model.vertices(np.zeros(12)).astype(float)
    mesh = Mesh(head, small_model.topology.triangles, colors=np.full(head.shape, 0.6))
    for view in (View(40.0, 0.0, 900.0, "studio"), View(-40.0, 0.0, 450.0, "side")):
        picture, camera, rotation, translation = photograph(mesh, small_model, view)
        forward = rotation @ [0.0, 0.0, 1.0]
        assert np.degrees(np.arctan2(forward[0], -forward[2])) == pytest.approx(view.yaw)
        points = landmarks_seen(head, small_model, camera, rotation, translation)
        background = picture[0, 0].astype(int)
        covered = np.abs(picture.astype(int) - background).max(-1) > 3
        inner = np.rint(points[17:]).astype(int)
        assert covered[inner[:, 1], inner[:, 0]].mean() > 0.9


def test_a_texture_is_seen_where_its_coordinates_say(small_model: FaceModel) -> None:
    head = small_model.vertices(np.zeros(12)).astype(float)
    topology = small_model.topology
    texture = np.zeros((40, 40, 3), np.uint8)
    texture[:, :20], texture[:, 20:] = [200, 40, 40], [40, 40, 200]
    textured = Mesh(head, topology.triangles, uv=topology.uv, uv_triangles=topology.uv_triangles, texture=texture)
    picture = photograph(textured, small_model, View(0.0, 0.0, 1500.0, "studio"))[0].astype(int)
    middle = picture[picture.shape[0] // 2]
    left, right = middle[len(middle) // 2 - 25], middle[len(middle) // 2 + 25]
    assert left[0] > left[2] + 30  # u grows with x, to the subject's left: to the right of the photo
    assert right[2] > right[0] + 30


def test_scans_are_measured_against_the_mean_face(small_model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("igl")
    from likeness.evaluate.fidelity.scans import ScanSource, measure_scans, prepared_scan, scan_sources

    code = code_of(small_model, 3)
    unit = 0.001
    scan = raw_scan(small_model, code)
    scan.save(tmp_path / "one.ply")
    np.savetxt(tmp_path / "one.txt", POSE.apply(small_model.landmark_points(code)[:51]))
    (source,) = scan_sources(tmp_path)
    assert source.landmarks is not None
    prepared = prepared_scan(ScanSource(source.path, source.landmarks, 1 / unit), small_model)
    views = [View(0.0, 0.0, 900.0, "studio"), View(30.0, 0.0, 900.0, "side")]
    knows = Knows(code[None])
    right = measure_scans([prepared], Predictor(knows, small_model, "knows"), views=views)[0]
    nothing = measure_scans([prepared], Predictor(Knows(0 * code[None]), small_model, "nothing"), views=views)[0]
    assert right.ratio < 0.3
    assert right.median < 0.2
    assert nothing.ratio == nothing.worst_ratio == nothing.told_ratio == pytest.approx(1, abs=1e-6)
    focal = PICTURE * 900.0 / PICTURE_MM
    assert knows.told == 2 * [None, focal]
    assert nothing.median == pytest.approx(right.mean_face_median)
    assert [one.view for one in right.views] == [view.name for view in views]


def test_the_judge_tells_by_cosine() -> None:
    codes = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    assert told(codes, codes) == (1.0, 1.0)
    assert told(codes, np.roll(codes, 1, axis=0))[0] == 0
    assert told(np.tile(codes[:1], (8, 1)), np.tile(codes[:1], (8, 1))) == (0.0, 0.0)  # all alike tells nobody


def test_a_judge_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        Judge(tmp_path / "judge.onnx")
    (tmp_path / "judge.onnx").write_bytes(b"no network")
    with pytest.raises(FileError, match="ONNX"):
        Judge(tmp_path / "judge.onnx")


def test_a_head_is_drawn_where_its_landmarks_are(small_model: FaceModel) -> None:
    coefficients = SimpleNamespace(identity=code_of(small_model, 2), albedo=np.zeros(5))
    picture, landmarks = drawn_head(SimpleNamespace(model=small_model, coefficients=coefficients), "albedo")  # type: ignore[arg-type]
    covered = (picture != picture[0, 0]).any(-1)
    inner = np.rint(landmarks[17:]).astype(int)
    assert covered[inner[:, 1], inner[:, 0]].mean() > 0.9
    assert np.abs(landmarks[17:].mean(0) - image_center((320, 320))).max() < 8


def test_the_command_writes_what_it_measured(small_model: FaceModel, tmp_path: Path) -> None:
    photos = annotated(tmp_path / "frames.tar", people=4)
    codes = np.stack([code_of(small_model, seed) for seed in range(12)])
    people = rendered(tmp_path / "people", small_model, codes)
    command = Fidelity(input=photos, out=tmp_path / "out", rendered=people, bootstrap=0)
    done = evaluate(command, predictor=predictor(small_model)[0])
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {"rendered", "cross_photo", "landmarks", "clips"} <= set(written)
    assert "portraits" not in written
    assert written["clips"]["auc_shape"] > 0.9
    assert written["tables"][0]["columns"] == ["measure", "network", "mean face"]
    assert any("own" in key for key in done.results["cross_photo"])


@pytest.mark.parametrize("count", [1, 3])
def test_of_photos_of_nobody_known_what_can_be_measured_is(
    count: int, small_model: FaceModel, tmp_path: Path
) -> None:
    folder = tmp_path / "300w"
    folder.mkdir()
    for number in range(count):
        (folder / f"image_{number}.png").write_bytes(photo(number, 0))
        lines = "\n".join(f"{x + 1} {y + 1}" for x, y in drawing())
        (folder / f"image_{number}.pts").write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")
    done = evaluate(Fidelity(input=folder, out=tmp_path / "out", bootstrap=0), predictor=predictor(small_model)[0])
    assert done.results["landmarks"]["nme_percent"] > 0
    assert set(done.results["left_out"]) == {"cross_photo", "clips"}
    assert any("cross_photo: expected an input that tells who" in note for note in done.outcome.notes)
    for file in folder.glob("*.pts"):
        file.unlink()
    with pytest.raises(ValueError, match=r"cross_photo: .*; landmarks: "):
        measure_fidelity(FidelityData(frames=write_photos(tmp_path / "one", people=1)), predictor(small_model)[0])


def test_only_the_parts_that_are_wanted_are_measured(small_model: FaceModel, tmp_path: Path) -> None:
    photos = annotated(tmp_path / "frames.tar")
    data = FidelityData(frames=photos)
    assert set(measure_fidelity(data, predictor(small_model)[0], "e")) == {"landmarks"}
    assert measure_fidelity(data, predictor(small_model)[0], "abc") == {}
    with pytest.raises(ValueError, match="parts of a, b"):
        measure_fidelity(data, predictor(small_model)[0], "z")


def test_the_table_shows_columns_side_by_side() -> None:
    figures = {"rendered": {"rms": 2.5, "mean_face_rms": 3.0, "ratio": 2.5 / 3, "spread": 0.7, "slope": None}}
    table = fidelity_table({"network": figures, "mean face": mean_face_column(figures)})
    shown = {row[0].strip(): row[1:] for row in table.rows}
    assert shown["rendered people, RMS mm after a similarity"] == ("2.50", "3.00")
    assert shown["over the mean face's"] == ("0.833", "1.000")
    assert len(PARTS) == 7
