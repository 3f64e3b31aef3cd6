"""Reconstruction error on surfaces whose distance is known, and what its parts promise."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("igl")

from reconstruction_surfaces import face_mesh, marks, moved, sphere

from likeness.datasets.scan_landmark_files import read_landmarks
from likeness.errors import MissingExtraError
from likeness.geometry.rotation import rotation_from_euler
from likeness.mesh import Mesh
from likeness.mesh.closest import Surface
from likeness.metrics.scan_alignment import icp, refine, refine_from_several, similarity_from_landmarks
from likeness.metrics.scan_error import PROTOCOLS, error_curve, reconstruction_error
from likeness.metrics.scan_landmarks import FaceLandmarks
from likeness.register import Similarity, closest_points, similarity_from_points

REAL_SCAN = Path(__file__).parents[2] / "shared/data/scan"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_identical_surfaces_are_at_zero_both_ways(protocol: str) -> None:
    mesh = face_mesh()
    found = reconstruction_error(mesh, marks(), mesh, marks(), protocol)
    assert found.error < 1e-9
    assert found.distances.max() < 1e-9
    if found.mesh_to_scan is not None:
        np.testing.assert_array_equal(found.mesh_to_scan.index, found.scan_to_mesh.index)
        np.testing.assert_allclose(found.mesh_to_scan.surface, found.scan_to_mesh.surface, atol=1e-9)


@pytest.mark.parametrize("offset", [0.5, 3.0])
def test_a_sphere_offset_along_its_normals_is_at_the_offset_when_size_counts(offset: float) -> None:
    (scan, scan_marks), (mesh, mesh_marks) = sphere(50.0), sphere(50.0 + offset)
    found = reconstruction_error(scan, scan_marks, mesh, mesh_marks, "now-metrical")
    assert len(found.distances) == len(scan.vertices)
    for distances in (found.distances, found.scan_to_mesh.plane):
        np.testing.assert_allclose(distances, offset, atol=0.05)  # facets are up to 0.04 mm inside the sphere
    for protocol in ("now", "deng", "genova"):
        assert reconstruction_error(scan, scan_marks, mesh, mesh_marks, protocol).error < 0.05


def test_distances_are_those_of_closest_points_and_statistics_theirs() -> None:
    scan, mesh = face_mesh(40), face_mesh(25, 1.0)
    found = reconstruction_error(scan, marks(), mesh, marks(1.0), "now")
    placed = found.scan_to_mesh.alignment.apply(mesh.vertices)
    naive = closest_points(scan.vertices[found.scan_to_mesh.index], placed, mesh.triangles)
    np.testing.assert_allclose(found.distances, naive.distance, atol=1e-9)
    assert (found.scan_to_mesh.plane <= found.scan_to_mesh.surface).all()
    assert found.error == found.median == pytest.approx(np.median(naive.distance))
    assert (found.mean, found.std) == pytest.approx((naive.distance.mean(), naive.distance.std()))
    deng = reconstruction_error(scan, marks(), mesh, marks(1.0), "deng")
    assert deng.error == deng.rms == pytest.approx(np.sqrt((deng.scan_to_mesh.plane**2).mean()))
    genova = reconstruction_error(scan, marks(), mesh, marks(1.0), "genova")
    assert genova.mesh_to_scan is not None
    assert genova.error == pytest.approx(
        (genova.scan_to_mesh.surface.mean() + genova.mesh_to_scan.surface.mean()) / 2
    )
    for part, points, surface in (
        (genova.scan_to_mesh, scan.vertices, (genova.scan_to_mesh.alignment.apply(mesh.vertices), mesh.triangles)),
        (genova.mesh_to_scan, genova.mesh_to_scan.alignment.apply(mesh.vertices), (scan.vertices, scan.triangles)),
    ):
        np.testing.assert_allclose(part.surface, closest_points(points[part.index], *surface).distance, atol=1e-9)
    per_vertex = found.per_vertex(len(scan.vertices))
    assert np.isnan(per_vertex).sum() == len(scan.vertices) - len(found.distances)
    np.testing.assert_array_equal(per_vertex[found.scan_to_mesh.index], found.distances)


angle = st.floats(-3.0, 3.0)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(PROTOCOLS),
    st.tuples(angle, angle, angle),
    st.tuples(*[st.floats(-2000, 2000)] * 3),
    st.floats(-3, 3),
)
def test_the_meshs_pose_and_where_it_is_free_its_scale_do_not_matter(
    protocol: str, angles: tuple[float, float, float], shift: tuple[float, float, float], exponent: float
) -> None:
    scan, mesh = face_mesh(24), face_mesh(18, 1.0)
    scale = 1.0 if protocol == "now-metrical" else 10.0**exponent
    motion = Similarity(scale, rotation_from_euler(*angles), scale * np.array(shift))
    straight = reconstruction_error(scan, marks(), mesh, marks(1.0), protocol)
    turned = reconstruction_error(scan, marks(), *moved(mesh, marks(1.0), motion), protocol)
    assert turned.error == pytest.approx(straight.error, rel=1e-5)
    np.testing.assert_allclose(turned.distances, straight.distances, atol=1e-5)
    together = turned.scan_to_mesh.alignment.after(motion)
    np.testing.assert_allclose(
        together.apply(mesh.vertices), straight.scan_to_mesh.alignment.apply(mesh.vertices), atol=1e-4
    )


def test_the_metrical_variant_sees_size_and_the_other_does_not() -> None:
    mesh = face_mesh(30)
    larger, larger_marks = moved(mesh, marks(), Similarity(1.05, np.eye(3), np.zeros(3)))
    assert reconstruction_error(mesh, marks(), larger, larger_marks, "now").mean < 1e-3
    assert reconstruction_error(mesh, marks(), larger, larger_marks, "now-metrical").mean > 0.3


def test_several_starts_find_what_one_bad_start_misses() -> None:
    """A head that is turned twice as far as the starts around the first one reach lands where a good start leads."""
    mesh, other = face_mesh(16), face_mesh(14, 1.5)
    surface = Surface(other.vertices, other.triangles)
    good = refine(mesh.vertices, surface, Similarity.identity(), True).history[-1]
    ends = []
    for angles in ((0.3, 0.0, 0.0), (-0.2, -0.2, 0.2)):
        start = Similarity(0.95, rotation_from_euler(*angles), np.array([3.0, -2.0, 4.0]))
        one, several = (align(mesh.vertices, surface, start, True) for align in (refine, refine_from_several))
        assert several.history[-1] <= one.history[-1] + 1e-6
        ends.append(several.history[-1])
    assert ends == pytest.approx([good] * 2, abs=0.01)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_refinement_corrects_noisy_landmarks(protocol: str) -> None:
    mesh, noise = face_mesh(40), np.random.default_rng(4).normal(0, 3.0, (8, 3))
    start = similarity_from_landmarks((marks() + noise)[:7], marks()[:7])
    before = closest_points(mesh.vertices, start.apply(mesh.vertices), mesh.triangles).distance.mean()
    found = reconstruction_error(mesh, marks(), mesh, marks() + noise, protocol)
    assert before > 0.8
    # Closest-point iteration to 0.001 mm stops short of the minimum that the others reach.
    assert found.error < (0.1 if protocol == "genova" else 1e-4)


@pytest.mark.parametrize("with_scale", [True, False])
def test_refine_ends_in_a_minimum_of_the_squared_distance(with_scale: bool) -> None:
    scan, mesh = face_mesh(30).vertices, face_mesh(20, 1.5)
    scan = scan[scan[:, 2] > 40]
    surface = Surface(mesh.vertices, mesh.triangles)
    done = refine(scan, surface, Similarity.identity(), with_scale, tolerance=1e-5)

    def cost(motion: Similarity) -> float:
        return float(np.square(motion.scale * surface.closest(motion.inverse().apply(scan)).distance).mean())

    least = cost(done.motion)
    assert done.converged
    assert done.history[-1] == pytest.approx(np.sqrt(least))
    assert all(a > b for a, b in zip(done.history, done.history[1:], strict=False))
    assert with_scale or done.motion.scale == 1.0
    middle = scan.mean(0)
    for axis in range(7 if with_scale else 6):
        for sign in (-1, 1):
            shift = sign * 0.05 * np.eye(3)[axis] if axis < 3 else np.zeros(3)
            turn = rotation_from_euler(*(sign * 1e-3 * np.eye(3)[axis - 3])) if 3 <= axis < 6 else np.eye(3)
            grown = 1 + sign * 1e-3 * (axis == 6)
            nudge = Similarity(grown, turn, middle + shift - grown * turn @ middle)
            assert cost(nudge.after(done.motion)) > least


def test_icp_converges_to_its_tolerance_and_says_when_it_did_not() -> None:
    mesh, points = face_mesh(30), face_mesh(30, 1.0).vertices
    start = Similarity(1.03, rotation_from_euler(0.05, -0.04, 0.03), np.array([2.0, -1.0, 3.0]))
    surface = Surface(mesh.vertices, mesh.triangles)
    done = icp(points, surface, start, tolerance=0.001)
    falls = -np.diff(done.history)
    assert done.converged
    assert (falls[:-1] > 0.001).all()
    assert falls[-1] <= 0.001
    np.testing.assert_allclose(done.closest.distance, surface.closest(done.motion.apply(points)).distance)
    short = icp(points, surface, start, tolerance=0.001, iterations=3)
    assert not short.converged
    assert short.queries == 3


def test_icp_finds_the_scale_and_does_not_shrink_noisy_points() -> None:
    mesh = face_mesh(40)
    surface = Surface(mesh.vertices, mesh.triangles)
    start = Similarity(1.06 / 0.9, np.eye(3), np.zeros(3))
    found = icp(0.9 * mesh.vertices, surface, start, tolerance=1e-6).motion
    assert found.scale == pytest.approx(1 / 0.9, rel=2e-3)
    noisy = mesh.vertices + np.random.default_rng(0).normal(0, 10.0, mesh.vertices.shape)
    on_surface = surface.closest(noisy).points
    kept = icp(noisy, surface, Similarity.identity(), iterations=2).motion.scale
    spread = [float(np.linalg.norm(points - points.mean(0))) for points in (on_surface, noisy)]
    assert kept == pytest.approx(spread[0] / spread[1])
    assert kept > similarity_from_points(noisy, on_surface)[0]


def test_refine_never_takes_a_step_uphill_however_bad_the_start() -> None:
    mesh = face_mesh(30, 1.0)
    scan = face_mesh(40).vertices
    scan = scan[scan[:, 2] > 30]
    surface = Surface(mesh.vertices, mesh.triangles)
    rejected = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        turn, shift = rotation_from_euler(*rng.uniform(-1.2, 1.2, 3)), rng.uniform(-60, 60, 3)
        done = refine(scan, surface, Similarity(1.0, turn, shift), True)
        assert (np.diff(done.history) < 0).all()
        rejected += done.queries - len(done.history)
    assert rejected > 0


def test_similarities_compose_and_invert() -> None:
    first = Similarity(2.0, rotation_from_euler(0.3, 0.2, -1.0), np.array([1.0, 2.0, 3.0]))
    second = Similarity(0.3, rotation_from_euler(-2.0, 0.4, 0.1), np.array([-5.0, 0.0, 7.0]))
    points = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(second.after(first).apply(points), second.apply(first.apply(points)))
    np.testing.assert_allclose(first.inverse().apply(first.apply(points)), points)


def test_the_disc_has_the_published_centre_and_radius() -> None:
    seven = np.array([[-50, 40, 0], [-20, 40, 0], [20, 40, 0], [50, 40, 0], [0, 0, 0], [-30, -30, 0], [30, -30, 0.0]])
    center, radius = FaceLandmarks(seven).disc()
    np.testing.assert_allclose(center, [0, 12, 0])
    assert radius == pytest.approx(1.4 * (100 + 40) / 2)
    inside, outside = center + [radius - 1e-6, 0, 0], center - [0, 0, radius + 1e-6]
    mesh = face_mesh(20)
    points = Mesh(np.stack([inside, outside, center, center + [0, 5, 0]]), np.empty((0, 3), int))
    found = reconstruction_error(points, seven, mesh, marks(), "now")
    np.testing.assert_array_equal(found.scan_to_mesh.index, [0, 2, 3])


def test_micc_crops_at_95_mm_around_the_nose_tip_marked_or_found() -> None:
    mesh = face_mesh(60)
    marked = reconstruction_error(mesh, marks(), mesh, marks(), "deng")
    within = np.linalg.norm(mesh.vertices - marks()[7], axis=1) <= 95.0
    np.testing.assert_array_equal(marked.scan_to_mesh.index, np.flatnonzero(within))
    turn = Similarity(1.0, rotation_from_euler(1.0, 2.0, -0.5), np.array([10.0, 0.0, 0.0]))
    scan, scan_marks = moved(mesh, marks(), turn)
    tip = FaceLandmarks.from_points(scan_marks[:7]).nose_tip_on(scan.vertices)
    assert np.linalg.norm(tip - scan_marks[7]) < 4.0
    assert turn.inverse().apply(tip[None])[0, 2] == pytest.approx(mesh.vertices[:, 2].max())


def test_units_are_turned_into_millimetres() -> None:
    scan, mesh = face_mesh(24), face_mesh(18, 1.0)
    for protocol in ("now-metrical", "genova"):
        straight = reconstruction_error(scan, marks(), mesh, marks(1.0), protocol)
        in_metres, in_centimetres = scan.transformed(scale=1e-3), mesh.transformed(scale=0.1)
        other = reconstruction_error(
            in_metres, marks() / 1e3, in_centimetres, marks(1.0) / 10, protocol, scan_unit="m", mesh_unit="cm"
        )
        np.testing.assert_allclose(other.distances, straight.distances, atol=1e-6)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50), st.floats(0.1, 50))
def test_error_curves_rise_from_zero_to_one_and_their_area_is_bounded(distances: list[float], limit: float) -> None:
    curve = error_curve(np.array(distances), limit, 201)
    assert (np.diff(curve.fraction) >= 0).all()
    assert curve.fraction[0] >= 0
    assert curve.fraction[-1] == (np.array(distances) <= limit).mean()
    assert 0 <= curve.auc <= curve.fraction[-1] + 1e-12
    steps = (curve.fraction[1:] + curve.fraction[:-1]) / 2
    assert curve.auc == pytest.approx(steps.mean(), abs=1 / 200)
    assert error_curve(np.array(distances) / 2, limit).auc >= curve.auc


def test_error_curves_at_the_ends_and_bad_ones() -> None:
    assert error_curve(np.zeros(3)).auc == 1.0
    assert error_curve(np.full(3, 9.0), limit=8.0).auc == 0.0
    assert error_curve(np.array([2.0]), limit=8.0).auc == pytest.approx(0.75)
    for bad in ([], [np.nan], [-1.0], [np.inf]):
        with pytest.raises(ValueError, match="finite distances"):
            error_curve(np.array(bad))
    with pytest.raises(ValueError, match="limit > 0"):
        error_curve(np.zeros(3), limit=0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scan_landmarks": marks()[:6]}, r"scan landmarks: expected 7 .*\(6, 3\)"),
        ({"mesh_landmarks": np.full((7, 3), np.nan)}, "mesh landmarks: .*not finite"),
        ({"mesh_landmarks": marks()[[3, 2, 1, 0, 4, 6, 5]]}, "mesh landmarks: .*right before the left"),
        ({"mesh_landmarks": marks() * [-1, 1, 1]}, "mesh landmarks: .*not mirrored"),
        ({"mesh_landmarks": np.ones((7, 3))}, "mesh landmarks: .*on one line or in one place"),
        ({"mesh": Mesh(np.eye(3), np.empty((0, 3), int))}, "mesh with triangles"),
        ({"mesh": Mesh(np.ones((3, 3)), np.array([[0, 1, 2]]))}, "triangles with an area"),
        ({"scan": face_mesh(9).transformed(translation=np.array([900.0, 0, 0]))}, "found none; the nearest is"),
        ({"scan": face_mesh(9).transformed(translation=np.array([900.0, 0, 0])), "protocol": "deng"}, "found none"),
        ({"scan": Mesh(marks(), np.empty((0, 3), int)), "protocol": "genova"}, "scan with triangles"),
        ({"scan_landmarks": marks() / 1e3}, "is mm its unit"),
        ({"mesh_landmarks": marks() / 1e3, "protocol": "now-metrical"}, "expected a mesh .*is mm its unit"),
        ({"protocol": "micc"}, "now, now-metrical, deng, genova, got 'micc'"),
        ({"scan_unit": "yard"}, "scan unit of mm, cm, m, inch, got 'yard'"),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    mesh = face_mesh(9)
    arguments: dict[str, object] = {
        "scan": mesh, "scan_landmarks": marks()[:7], "mesh": mesh, "mesh_landmarks": marks()[:7]
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        reconstruction_error(**(arguments | change))  # type: ignore[arg-type]


def test_degenerate_triangles_change_nothing() -> None:
    mesh = face_mesh(20)
    broken = Mesh(mesh.vertices, np.concatenate([[[0, 0, 1], [5, 5, 5]], mesh.triangles]))
    whole = reconstruction_error(mesh, marks(), mesh, marks())
    found = reconstruction_error(mesh, marks(), broken, marks())
    np.testing.assert_allclose(found.distances, whole.distances, atol=1e-6)


def test_without_libigl_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "igl", None)
    with pytest.raises(MissingExtraError, match=r"likeness3d\[scans\]"):
        reconstruction_error(face_mesh(9), marks(), face_mesh(9), marks())


@pytest.mark.skipif(not REAL_SCAN.exists(), reason="needs the raw scan of ../shared/data")
def test_a_real_scan_with_holes_and_hair_is_measured_against_itself_turned() -> None:
    scan = Mesh.load(REAL_SCAN / "raw-scan.ply")
    landmarks = read_landmarks(REAL_SCAN / "raw-scan-landmarks51.txt")
    motion = Similarity(30.0, rotation_from_euler(0.5, 0.1, -0.2), np.array([3.0, 2.0, 1.0]))
    noise = np.random.default_rng(0).normal(0, 0.002, (7, 3))
    mesh, mesh_landmarks = moved(scan, landmarks.points + noise, motion)
    found = reconstruction_error(scan, landmarks, mesh, mesh_landmarks, "now", scan_unit="m")
    assert len(found.distances) > 20_000
    assert found.distances.max() < 1e-2
