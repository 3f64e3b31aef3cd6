"""Laws of the registration of raw scans: what is known of a made scan is found again, whatever was done to it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gltf_laws import check_laws
from other_programs import khronos
from register_scans import POSE, code_of, colour_reader, coloured, raw_scan

from likeness.errors import FileError, MissingExtraError
from likeness.images.color import srgb_from_linear
from likeness.mesh import Mesh
from likeness.mesh.glb_writer import read_glb
from likeness.model.face_model import FaceModel

pytest.importorskip("scipy")
pytest.importorskip("igl")

from likeness.geometry.rotation import rotation_from_euler
from likeness.register import (
    Registration,
    Similarity,
    guess_units,
    read_landmarks,
    read_scan,
    register_scan,
    robust_similarity,
    similarity_from_points,
    simplified,
)
from likeness.register.initial_pose import place_by_landmarks
from likeness.register.scan import checked_scan

SCAN = Path(__file__).parents[2] / "shared" / "data" / "scan" / "raw-scan.ply"


def marks(model: FaceModel, identity: np.ndarray, pose: Similarity = POSE) -> np.ndarray:
    """The 51 inner landmarks on a scan made with :func:`raw_scan`."""
    return pose.apply(model.landmark_points(identity)[:51])


@pytest.fixture(scope="module")
def code(small_model: FaceModel) -> np.ndarray:
    return code_of(small_model, 3)


@pytest.fixture(scope="module")
def registered(small_model: FaceModel, code: np.ndarray) -> Registration:
    scan = raw_scan(small_model, code, noise=0.1, holes=0.2)
    return register_scan(scan, small_model, landmarks=marks(small_model, code))


def turned(found: Similarity, truth: Similarity) -> float:
    """Degrees between two rotations."""
    return float(np.degrees(np.arccos(np.clip((np.trace(found.rotation.T @ truth.rotation) - 1) / 2, -1, 1))))


def test_pose_scale_and_units_are_found(registered: Registration) -> None:
    assert registered.units == "m"
    assert registered.scan_from_model.scale == pytest.approx(0.001, rel=1e-9)  # exactly the unit's
    assert turned(registered.scan_from_model, POSE) < 4  # the small model's modes can turn a little themselves


def test_the_mesh_lies_on_the_scan(small_model: FaceModel, code: np.ndarray, registered: Registration) -> None:
    quality = registered.quality
    assert quality.scan_to_mesh_median < 0.25
    assert quality.scan_to_mesh_p95 < 1.0
    assert quality.folded_triangles == 0
    assert quality.coverage > 0.5
    face = small_model.topology.regions["face"]
    truth = POSE.apply(small_model.vertices(code))[face] * 1000
    there = registered.mesh_in_scan().vertices[face] * 1000
    assert np.median(np.linalg.norm(there - truth, axis=1)) < 1.5  # also along the surface, on a smooth ellipsoid


def test_a_page_shows_head_and_scan(small_model: FaceModel, registered: Registration) -> None:
    head, scan = registered.view().heads
    weights = np.array([head.weights[name] for name in small_model.expression_names])
    posed = head.vertices + np.tensordot(weights, small_model.expression_basis, 1)
    np.testing.assert_allclose(posed, registered.mesh.vertices, atol=1e-3)
    assert scan.vertices is registered.scan.vertices


def test_holes_follow_the_model(small_model: FaceModel, code: np.ndarray, registered: Registration) -> None:
    truth = POSE.apply(small_model.vertices(code)) * 1000
    there = registered.mesh_in_scan().vertices * 1000
    assert np.linalg.norm(there - truth, axis=1).max() < 12
    error = registered.error
    face = small_model.topology.regions["face"]
    assert np.isnan(error[~face]).all()
    assert np.isnan(error[face]).any()
    assert np.nanmax(error) < 5


@pytest.mark.parametrize(
    ("scale", "units"),
    [(1.0, "mm"), (0.1, "cm"), (1 / 25.4, "inch"), (0.001, "m"), (3.3, "unknown"), (1e-6, "unknown")],
)
def test_units_of_a_face(scale: float, units: str) -> None:
    assert guess_units(scale) == units


def test_an_unknown_unit_keeps_the_shape(small_model: FaceModel, code: np.ndarray) -> None:
    pose = replace(POSE, scale=0.37)
    scan = raw_scan(small_model, code, pose)
    result = register_scan(scan, small_model, landmarks=marks(small_model, code, pose))
    assert result.units == "unknown"
    assert result.scan_from_model.scale == pytest.approx(0.37, rel=0.1)
    assert result.quality.scan_to_mesh_median < 0.25


def test_triangles_the_other_way_round(small_model: FaceModel, code: np.ndarray) -> None:
    scan = raw_scan(small_model, code)
    inside_out = Mesh(scan.vertices, scan.triangles[:, ::-1])
    result = register_scan(inside_out, small_model, landmarks=marks(small_model, code))
    assert result.quality.scan_to_mesh_median < 0.2
    assert result.mesh.triangles is small_model.topology.triangles


def test_wrong_and_missing_landmarks_are_survived(small_model: FaceModel, code: np.ndarray) -> None:
    points = marks(small_model, code)
    points[5:13] += 0.05
    points[20:30] = np.nan
    result = register_scan(raw_scan(small_model, code), small_model, landmarks=points)
    assert result.quality.scan_to_mesh_median < 0.25
    assert 20 not in result.landmark_index


def test_codes_of_a_sphere_model_stay_on_the_sphere(small_model: FaceModel, code: np.ndarray) -> None:
    lifted = small_model.lifted()
    result = register_scan(raw_scan(small_model, code), lifted, landmarks=marks(small_model, code))
    assert np.linalg.norm(result.identity) == pytest.approx(lifted.space.radius)  # type: ignore[union-attr]
    assert result.quality.model_fit_median < 1.0
    assert result.quality.scan_to_mesh_median < 0.25


def test_landmarks_are_found_by_looking(small_model: FaceModel, code: np.ndarray) -> None:
    scan = coloured(small_model, raw_scan(small_model, code))
    result = register_scan(scan, small_model, reconstructor=colour_reader(small_model, code))  # type: ignore[arg-type]
    assert result.landmarks_found
    assert result.units == "m"
    assert turned(result.scan_from_model, POSE) < 6
    apart = np.linalg.norm(result.landmarks - marks(small_model, code)[result.landmark_index], axis=1) * 1000
    assert np.median(apart) < 3
    assert result.quality.scan_to_mesh_median < 0.25


def test_no_face_to_be_seen(small_model: FaceModel, code: np.ndarray) -> None:
    grey = raw_scan(small_model, code)
    with pytest.raises(ValueError, match="no face found"):
        register_scan(grey, small_model, reconstructor=lambda image, **_: [])  # type: ignore[arg-type]


def test_bad_scans_and_landmarks(small_model: FaceModel, code: np.ndarray) -> None:
    scan, points = raw_scan(small_model, code), marks(small_model, code)
    with pytest.raises(ValueError, match="points only"):
        register_scan(Mesh(scan.vertices, np.zeros((0, 3), int)), small_model, landmarks=points)
    with pytest.raises(ValueError, match="without area"):
        register_scan(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), small_model, landmarks=points)
    with pytest.raises(ValueError, match=r"\(51, 3\) or \(68, 3\)"):
        register_scan(scan, small_model, landmarks=points[:50])
    with pytest.raises(ValueError, match="at least 8"):
        register_scan(scan, small_model, landmarks=np.full((51, 3), np.nan))
    with pytest.raises(ValueError, match="shape of a face"):
        register_scan(scan, small_model, landmarks=np.random.default_rng(0).permutation(points))
    with pytest.raises(ValueError, match="axes and units"):
        register_scan(scan, small_model, landmarks=points + 0.1)
    with pytest.raises(ValueError, match="adult's size"):
        register_scan(scan, small_model, landmarks=points, units="mm")
    with pytest.raises(ValueError, match="units"):
        register_scan(scan, small_model, landmarks=points, units="furlong")


def test_files_are_named_when_they_are_bad(small_model: FaceModel, code: np.ndarray, tmp_path: Path) -> None:
    cloud = tmp_path / "cloud.ply"
    Mesh(np.eye(3), np.zeros((0, 3), int)).save(cloud)
    with pytest.raises(FileError, match=r"cloud\.ply: .*triangles"):
        read_scan(cloud)
    nan = tmp_path / "nan.obj"
    nan.write_text("v 0 0 0\nv 1 0 0\nv nan 1 0\nf 1 2 3\n")
    with pytest.raises(FileError, match=r"nan\.obj"):
        read_scan(nan)
    scan = tmp_path / "scan.ply"
    raw_scan(small_model, code).save(scan)
    with pytest.raises(FileError, match=r"scan\.ply: expected landmarks"):
        register_scan(scan, small_model, landmarks=np.random.default_rng(0).standard_normal((51, 3)))


@pytest.mark.parametrize("text", ["", "1 2 3\n" * 50, "1 2\n" * 51, "a b c\n" * 51, "1 2 3 4\n" * 68])
def test_bad_landmark_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "points.txt"
    path.write_text(text)
    with pytest.raises(FileError, match=r"points\.txt"):
        read_landmarks(path)


def test_landmark_files(tmp_path: Path) -> None:
    path = tmp_path / "points.txt"
    path.write_text("# iBUG\n" + "1.5, -2, 3e-1\n" * 50 + "nan nan nan\n")
    points = read_landmarks(path)
    np.testing.assert_array_equal(points[0], [1.5, -2, 0.3])
    assert np.isnan(points[50]).all()
    with pytest.raises(FileError, match="cannot be read"):
        read_landmarks(tmp_path / "none.txt")


def test_files_of_a_result(registered: Registration, tmp_path: Path) -> None:
    paths = registered.save(tmp_path / "out", ("obj", "ply", "json", "png"), name="head")
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == [
        f"head.{f}" for f in ("json", "obj", "ply", "png")
    ]
    np.testing.assert_allclose(Mesh.load(paths["obj"]).vertices, registered.mesh.vertices, atol=1e-3)
    stored = json.loads(paths["json"].read_text())
    assert stored["units"] == "m"
    assert stored["quality"]["folded_triangles"] == 0
    assert len(stored["error_mm"]) == len(registered.mesh.vertices)
    back = stored["scan_from_model"]
    moved = back["scale"] * registered.mesh.vertices @ np.array(back["rotation"]).T + back["translation"]
    np.testing.assert_allclose(moved, registered.mesh_in_scan().vertices, atol=1e-6)
    with pytest.raises(ValueError, match="formats"):
        registered.save(tmp_path, ("fbx",))


def test_a_registered_head_is_animatable(registered: Registration, tmp_path: Path) -> None:
    given = replace(registered, expression=np.linspace(0, 0.4, 52))
    path = given.save(tmp_path, ("glb",), name="head")["glb"]
    check_laws(path.read_bytes())
    mesh, shapes, weights = read_glb(path)
    assert tuple(shapes) == registered.model.expression_names
    shown = mesh.vertices + np.tensordot(weights, np.array(list(shapes.values())), 1)
    np.testing.assert_allclose(shown, registered.mesh.vertices, atol=2e-3)
    usual = srgb_from_linear(given.model.albedo(np.zeros(len(given.model.albedo_names))))
    np.testing.assert_allclose(mesh.colors, usual, atol=1e-4)
    at_rest = np.linalg.norm(mesh.vertices - registered.mesh.vertices, axis=1)
    assert at_rest.max() > 1


def test_the_khronos_validator_has_nothing_to_say_of_a_registration(registered: Registration, tmp_path: Path) -> None:
    assert khronos([registered.save(tmp_path, ("glb",), name="head")["glb"]]) == {"head.glb": []}


def test_the_picture_shows_scan_head_and_error(registered: Registration) -> None:
    picture = registered.picture(side=96)
    assert picture.dtype == np.uint8
    assert picture.shape[0] == 192
    scan, head, error = (picture[:96, k * 96 : (k + 1) * 96].astype(int) for k in range(3))
    assert all((panel < 250).mean() > 0.2 for panel in (scan, head, error))
    assert np.ptp(error, axis=2).max() > 60  # colours, where the others are grey
    assert np.ptp(head, axis=2).max() < 30


def test_simplified_keeps_the_surface(small_model: FaceModel, code: np.ndarray) -> None:
    from likeness.register import closest_points

    scan = raw_scan(small_model, code, Similarity.identity())
    coarse = simplified(scan, 1200)
    assert 600 < len(coarse.vertices) <= 1200
    distance = closest_points(coarse.vertices, scan.vertices, scan.triangles).distance
    assert distance.mean() < 0.5
    agree = (coarse.vertex_normals() * (coarse.vertices - coarse.vertices.mean(0))).sum(1)
    assert (agree > 0).mean() > 0.99  # the triangles still look outwards
    assert simplified(scan, len(scan.vertices)) is scan


def test_colours_are_read_off_a_texture() -> None:
    texture = np.zeros((2, 2, 3), np.uint8)
    texture[0, 1] = 255  # top right
    uv = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]])
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]), uv=uv, texture=texture)
    np.testing.assert_array_equal(checked_scan(mesh).colors, [[0, 0, 0], [0, 0, 0], [1, 1, 1]])


def test_similarities_are_a_group() -> None:
    a = Similarity(2.0, rotation_from_euler(0.3, 0.1, -0.2), np.array([1.0, 2, 3]))
    b = Similarity(0.5, rotation_from_euler(-0.7, 0.4, 0.9), np.array([-4.0, 0, 1]))
    points = np.random.default_rng(0).standard_normal((10, 3))
    np.testing.assert_allclose(a.after(b).apply(points), a.apply(b.apply(points)))
    np.testing.assert_allclose(a.inverse().apply(a.apply(points)), points, atol=1e-12)


def test_robust_similarity_ignores_what_lies() -> None:
    rng = np.random.default_rng(4)
    source = rng.normal(0, 40, (51, 3))
    truth = Similarity(0.7, rotation_from_euler(1.0, 0.5, -2.0), np.array([5.0, -3, 100]))
    target = truth.apply(source) + rng.normal(0, 0.5, source.shape)
    target[:20] += rng.normal(0, 60, (20, 3))
    found, weights = robust_similarity(source, target, 10.0)
    assert np.abs(found.apply(source) - truth.apply(source)).max() < 1.0
    assert (weights[20:] > 0.5).all()
    assert (weights[:20] > 0.5).sum() <= 1
    plain = Similarity(*similarity_from_points(source, target))
    assert np.abs(plain.apply(source) - truth.apply(source)).max() > 5.0


def test_a_placement_says_the_unit(small_model: FaceModel, code: np.ndarray) -> None:
    placement = place_by_landmarks(marks(small_model, code), small_model)
    assert placement.units == "m"
    assert not placement.found
    all68 = np.concatenate([np.zeros((17, 3)), marks(small_model, code)])
    again = place_by_landmarks(all68, small_model)
    np.testing.assert_allclose(again.scan_from_model.translation, placement.scan_from_model.translation)


def test_importing_it_imports_no_extra() -> None:
    code = "import sys, likeness.register; print(sorted({'scipy', 'igl', 'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("module", ["igl", "scipy.sparse"])
def test_missing_extras_are_named(
    small_model: FaceModel, code: np.ndarray, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"likeness3d\[scans\]"):
        register_scan(raw_scan(small_model, code), small_model, landmarks=marks(small_model, code))


def shipped_model() -> FaceModel:
    """The embedded face model, where there is one and a network with it."""
    from likeness.assets import asset

    try:
        asset("regressor.onnx")
        return FaceModel.load(asset("face_model.npz"))
    except FileError as error:
        pytest.skip(f"no embedded model: {error}")


@pytest.mark.skipif(not SCAN.exists(), reason=f"no real scan at {SCAN}")
@pytest.mark.parametrize("given", [True, False])
def test_a_real_scan_reaches_the_target(given: bool) -> None:
    landmarks = SCAN.with_name("raw-scan-landmarks51.txt") if given else None
    result = register_scan(SCAN, shipped_model(), landmarks=landmarks)
    assert result.units == "m"
    assert result.quality.scan_to_mesh_median <= 0.25
    assert result.quality.scan_to_mesh_p95 <= 1.0
    assert result.quality.folded_triangles == 0
    assert result.quality.cpu_seconds <= 30
