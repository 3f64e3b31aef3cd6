"""The rasteriser against exact arithmetic, and what pictures keep."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from likeness.geometry.camera import Camera
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.mesh import vertex_normals
from likeness.render import kernels as raster_kernels
from likeness.render import shading
from likeness.render.raster import interpolate_seen
from likeness.render.shading import (
    Rasterizer,
    ambient_light,
    distant_light,
    draw_points,
    interpolate,
    overlay,
    rasterize,
    rasterize_view,
    render_image,
    shade,
    srgb_from_linear,
)

SUBPIXEL = 4096
CAMERA = Camera(220.0, (31.5, 23.5), (64, 48))
DISTANCE = np.array([0.0, 0.0, 500.0])


def ball(rings: int = 12, around: int = 20, radius: float = 45.0) -> tuple[np.ndarray, np.ndarray]:
    """A closed, convex mesh, counter-clockwise seen from outside, in model axes."""
    theta = np.linspace(0, np.pi, rings + 2)[1:-1, None]
    phi = np.linspace(0, 2 * np.pi, around, endpoint=False)
    points = np.stack(
        np.broadcast_arrays(np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)), -1
    )
    vertices = np.concatenate([points.reshape(-1, 3), [[0, 1, 0], [0, -1, 0]]]) * radius
    triangles = []
    for column in range(around):
        beside = (column + 1) % around
        for row in range(rings - 1):
            a, b = row * around + column, row * around + beside
            triangles += [(a, a + around, b + around), (a, b + around, b)]
        last = (rings - 1) * around
        triangles += [(rings * around, column, beside), (rings * around + 1, last + beside, last + column)]
    return vertices.astype(np.float32), np.array(triangles, np.int32)


def soup(rng: np.random.Generator, count: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Triangles of all sizes, some beyond the image, many with corners and edges right on pixel centres."""
    width, height = size
    middle = rng.uniform((-2, -2), (width + 2, height + 2), (count, 1, 2))
    xy = middle + rng.normal(size=(count, 3, 2)) * rng.uniform(0.2, 12, (count, 1, 1))
    xy = np.where(rng.random((count, 1, 1)) < 0.5, np.rint(xy), np.rint(xy * SUBPIXEL) / SUBPIXEL)
    points = np.concatenate([xy, rng.uniform(200, 900, (count, 3, 1))], axis=-1).reshape(-1, 3)
    return points.astype(np.float32), np.arange(3 * count).reshape(-1, 3)


def covers(corners: np.ndarray, x: int, y: int) -> bool:
    """Whether a triangle covers a pixel's centre, in whole numbers.

    The top-left rule is what remains of moving the centre right by a tiny step and down by a far tinier one,
    after which it is on no edge at all: the units here are those steps.
    """
    across, down = 1 << 80, 1 << 40
    points = [tuple(round(float(v) * SUBPIXEL) * across * down for v in corner[:2]) for corner in corners]
    px, py = x * SUBPIXEL * across * down + down, y * SUBPIXEL * across * down + 1
    signs = []
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        signs.append((bx - ax) * (py - ay) - (by - ay) * (px - ax) > 0)
    return all(signs) or not any(signs)


def naive(points: np.ndarray, triangles: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel by pixel, triangle by triangle, in float64: (H, W, 2) the two nearest depths and the nearest's index."""
    width, height = size
    depth = np.full((height, width, 2), np.inf)
    nearest = np.full((height, width), -1)
    for index, corners in enumerate(points[triangles].astype(np.float64)):
        (ax, ay), (bx, by), (cx, cy) = corners[:, :2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        low, high = np.floor(corners[:, :2].min(0)).astype(int), np.ceil(corners[:, :2].max(0)).astype(int)
        for y in range(max(low[1], 0), min(high[1], height - 1) + 1):
            for x in range(max(low[0], 0), min(high[0], width - 1) + 1):
                if not covers(corners, x, y):
                    continue
                b = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
                c = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                here = 1 / ((1 - b - c) / corners[0, 2] + b / corners[1, 2] + c / corners[2, 2])
                if here < depth[y, x, 0]:
                    depth[y, x] = here, depth[y, x, 0]
                    nearest[y, x] = index
                else:
                    depth[y, x, 1] = min(here, depth[y, x, 1])
    return depth, nearest


@pytest.mark.parametrize("seed", range(4))
def test_pixels_agree_with_a_naive_reference(seed: int) -> None:
    size = (26, 19)
    points, triangles = soup(np.random.default_rng(seed), 40, size)
    fragments = rasterize(points, triangles, size, cull=False)
    depth, nearest = naive(points, triangles, size)
    np.testing.assert_array_equal(fragments.triangle >= 0, nearest >= 0)
    np.testing.assert_allclose(fragments.depth, depth[..., 0], rtol=2e-6)
    clear = depth[..., 1] > depth[..., 0] * (1 + 1e-5)
    np.testing.assert_array_equal(fragments.triangle[clear], nearest[clear])


@pytest.mark.parametrize("grid", [1, 8, SUBPIXEL])
def test_a_plane_of_triangles_covers_every_pixel_once(grid: int) -> None:
    rng = np.random.default_rng(7)
    side, size = 9, (33, 29)
    x, y = np.meshgrid(np.linspace(-3, 36, side), np.linspace(-3, 32, side))
    xy = np.stack([x, y], -1)
    xy[1:-1, 1:-1] += rng.uniform(-1.2, 1.2, (side - 2, side - 2, 2))
    xy = np.rint(xy * grid) / grid
    points = np.concatenate([xy.reshape(-1, 2), np.full((side * side, 1), 300.0)], axis=1)
    a = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    triangles = np.concatenate(
        [np.stack([a, a + side, a + 1], 1), np.stack([a + 1, a + side, a + side + 1], 1)]
    ).astype(np.int32)
    count = sum((rasterize(points, one[None], size).triangle >= 0).astype(int) for one in triangles)
    np.testing.assert_array_equal(count, 1)


@pytest.mark.parametrize("flip", [1, -1])
def test_a_speck_on_a_pixel_centre_is_as_near_as_its_corners(flip: int) -> None:
    wall = np.array([[-9, -9, 120], [-9, 40, 120], [40, -9, 120]], np.float32)
    for turn in (np.eye(2), [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]):
        xy = 2 + np.array([[-1, -1], [-1, 1], [1, 0]]) @ np.array(turn) / SUBPIXEL
        speck = np.concatenate([xy, np.full((3, 1), 100.0)], axis=1)[::flip]
        fragments = rasterize(np.concatenate([wall, speck]), np.array([[0, 1, 2], [3, 4, 5]]), (5, 5), cull=False)
        assert fragments.triangle[2, 2] == 1
        assert (fragments.triangle == 1).sum() == 1
        assert fragments.depth[2, 2] == pytest.approx(100)


def test_a_pixel_spans_half_a_unit_around_its_whole_number() -> None:
    square = np.array([[-0.5, -0.5, 9], [1.5, -0.5, 9], [1.5, 2.5, 9], [-0.5, 2.5, 9]], np.float32)
    seen = rasterize(square, np.array([[0, 2, 1], [0, 3, 2]]), (5, 5)).triangle >= 0
    expected = np.zeros((5, 5), bool)
    expected[:3, :2] = True
    np.testing.assert_array_equal(seen, expected)


def test_a_closed_surface_shows_its_near_side_without_holes() -> None:
    vertices, triangles = ball()
    fragments = rasterize_view(vertices, triangles, CAMERA, FRONTAL, DISTANCE)
    seen = fragments.triangle >= 0
    assert fragments.depth[seen].max() < 500 < fragments.depth[~seen].min()
    assert abs(fragments.depth.min() - 455) < 2
    for line in [*seen, *seen.T]:
        assert np.abs(np.diff(np.flatnonzero(line))).max(initial=1) == 1, "a hole in a convex silhouette"
    inside = rasterize_view(vertices, triangles[:, ::-1], CAMERA, FRONTAL, DISTANCE)
    far = inside.depth[inside.triangle >= 0]
    assert 490 < far.min() < 500 < 543 < far.max(), "turned inside out, only the far side is seen"


def test_the_order_of_triangles_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    size = (70, 50)
    points, triangles = soup(rng, 120, size)
    order = rng.permutation(len(triangles))
    given, shuffled = (rasterize(points, t, size, cull=False) for t in (triangles, triangles[order]))
    seen = given.triangle >= 0
    np.testing.assert_array_equal(order[shuffled.triangle[seen]], given.triangle[seen])
    np.testing.assert_array_equal(shuffled.barycentric, given.barycentric)
    np.testing.assert_array_equal(shuffled.depth, given.depth)


def test_equally_near_triangles_show_the_lower_index() -> None:
    points = np.array([[0, 0, 9], [0, 8, 9], [8, 0, 9]], np.float32)
    fragments = rasterize(points, np.array([[0, 1, 2], [0, 1, 2]]), (6, 6))
    assert set(np.unique(fragments.triangle)) == {-1, 0}


def test_barycentrics_lead_back_to_the_pixel() -> None:
    vertices, triangles = ball()
    R = FRONTAL @ rotation_from_euler(0.5, -0.3, 0.2)
    t = np.array([15.0, -8.0, 160.0])  # so near that weights without perspective would be off by pixels
    fragments = rasterize_view(vertices, triangles, CAMERA, R, t)
    seen = fragments.triangle >= 0
    placed = vertices @ R.T + t
    where = interpolate(fragments, placed)[seen]
    rows, columns = np.nonzero(seen)
    error = CAMERA.project(where) - np.stack([columns, rows], 1)
    assert np.abs(error).max() < 3e-4
    assert np.abs(error.mean(axis=0)).max() < 7e-5, "snapped to one side"
    np.testing.assert_allclose(where[:, 2], fragments.depth[seen], rtol=1e-5)
    weights = fragments.barycentric
    assert weights.min() >= 0
    np.testing.assert_allclose(weights[seen].sum(-1), 1, atol=1e-6)
    assert not weights[~seen].any()


def test_attributes_of_what_is_seen_are_those_of_the_picture() -> None:
    vertices, triangles = ball()
    fragments = rasterize_view(vertices, triangles, CAMERA, FRONTAL, DISTANCE)
    for channels in (0, 1, 5):
        attributes = np.random.default_rng(1).normal(size=(len(vertices), channels))
        picture, seen = interpolate(fragments, attributes), interpolate_seen(fragments, attributes)
        assert picture.shape == (*fragments.triangle.shape, channels)
        np.testing.assert_array_equal(picture[fragments.triangle >= 0], seen)
        corners = attributes[triangles[fragments.triangle[fragments.triangle >= 0]]]
        weights = fragments.barycentric[fragments.triangle >= 0]
        np.testing.assert_allclose(seen, np.einsum("nc,ncd->nd", weights, corners), atol=1e-5)


def test_a_pose_is_applied_as_convention_says() -> None:
    vertices, triangles = ball()
    posed = rasterize_view(vertices, triangles, CAMERA, FRONTAL, DISTANCE)
    placed = rasterize_view(vertices @ FRONTAL.T + DISTANCE, triangles, CAMERA)
    for a, b in zip(posed, placed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_rasterizer_repeats_itself_and_leaves_its_last_picture_alone() -> None:
    vertices, triangles = ball()
    rasterizer = Rasterizer(triangles, len(vertices), CAMERA.size)
    first = rasterizer(vertices, CAMERA, FRONTAL, DISTANCE)
    before = [a.copy() for a in first]
    rasterizer(vertices + np.float32([30, 0, 0]), CAMERA, FRONTAL, DISTANCE)
    rasterizer.from_pixels(np.zeros_like(vertices))
    again = rasterizer(vertices, CAMERA, FRONTAL, DISTANCE)
    other = rasterize_view(vertices, triangles, CAMERA, FRONTAL, DISTANCE)
    for a, b, c, d in zip(before, first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(a, d)


def test_work_in_pieces_is_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    size = (70, 50)
    points, triangles = soup(np.random.default_rng(6), 120, size)
    whole = rasterize(points, triangles, size, cull=False)
    for piece in (2, 7, 64):
        monkeypatch.setattr(raster_kernels, "PIECE", piece)
        for a, b in zip(whole, rasterize(points, triangles, size, cull=False), strict=True):
            np.testing.assert_array_equal(a, b)


def test_corners_far_outside_the_image_are_exact() -> None:
    rng = np.random.default_rng(8)
    size = (9, 7)
    for _ in range(60):
        through = np.append(rng.uniform((0, 0), size), 0.0)
        far = rng.uniform(-131_000, 131_000, (3, 3)) * [1, 1, 0]
        far[1] = through + (through - far[0]) * rng.uniform(0.1, 0.9)  # an edge that crosses the image
        corners = np.rint(far * SUBPIXEL) / SUBPIXEL + [0, 0, 400]
        if np.abs(corners[:, :2]).max() >= 131_000:
            continue
        seen = rasterize(corners, np.array([[0, 1, 2]]), size, cull=False).triangle >= 0
        expected = [[covers(corners, x, y) for x in range(size[0])] for y in range(size[1])]
        np.testing.assert_array_equal(seen, expected)


def test_the_widest_image_is_exact_to_its_end() -> None:
    size = (65_536, 2)
    corners = np.array([[-60_000.25, -3, 500], [65_534.5, 0.5, 500], [-60_000, 90_000, 500]])
    seen = rasterize(corners, np.array([[0, 1, 2]]), size, cull=False).triangle >= 0
    columns = [0, 1, 30_000, *range(65_500, 65_536)]
    np.testing.assert_array_equal(seen[:, columns], [[covers(corners, x, y) for x in columns] for y in (0, 1)])


def test_triangles_that_reach_behind_the_near_plane_are_dropped() -> None:
    corners = np.array([[-25, -25, 300], [-25, 25, 300], [25, -25, 300], [25, 25, 300]], np.float32)
    triangles = np.array([[0, 1, 2], [1, 3, 2]])
    assert len(np.unique(rasterize_view(corners, triangles, CAMERA).triangle)) == 3
    for z in (0.5, 0.0, -300.0):
        moved = corners.copy()
        moved[3, 2] = z
        assert set(np.unique(rasterize_view(moved, triangles, CAMERA).triangle)) == {-1, 0}


def test_nothing_to_draw_gives_empty_fragments() -> None:
    line = np.array([[0, 0, 9], [5, 5, 9], [10, 10, 9]], np.float32)
    for points, triangles in (
        (np.zeros((0, 3)), np.zeros((0, 3), int)),
        (line, np.zeros((0, 3), int)),
        (line, np.array([[0, 1, 2], [1, 1, 1]])),
        (line + np.float32([1e6, 0, 0]), np.array([[0, 1, 2]])),
    ):
        fragments = rasterize(points, triangles, (6, 4), cull=False)
        assert (fragments.triangle == -1).all()
        assert np.isposinf(fragments.depth).all()
        assert not fragments.barycentric.any()
        assert not interpolate(fragments, np.ones((len(points), 2))).any()


def test_bad_input_is_refused() -> None:
    points, triangles = np.ones((3, 3), np.float32), np.array([[0, 1, 2]])
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            rasterize(np.where(np.eye(3) > 0, bad, points), triangles, (4, 4))
    with pytest.raises(ValueError, match="vertex indices"):
        rasterize(points, np.array([[0, 1, 3]]), (4, 4))
    with pytest.raises(ValueError, match="vertex indices"):
        rasterize(points, np.array([[0, -1, 2]]), (4, 4))
    with pytest.raises(ValueError, match="integers"):
        rasterize(points, triangles.astype(float), (4, 4))
    with pytest.raises(ValueError, match="width"):
        rasterize(points, triangles, (0, 4))
    with pytest.raises(ValueError, match="expected vertices"):
        rasterize(points[:, :2], triangles, (4, 4))
    with pytest.raises(ValueError, match="camera"):
        Rasterizer(triangles, 3, (4, 5))(points, CAMERA)
    with pytest.raises(ValueError, match="at least 3 vertices"):
        interpolate(rasterize(points, triangles, (4, 4)), np.ones((2, 1)))


def test_rasterising_needs_only_numpy() -> None:
    code = (
        "import sys, numpy as np, likeness.render.raster as r\n"
        "fragments = r.rasterize(np.ones((3, 3)), np.array([[0, 1, 2]]), (4, 4))\n"
        "r.interpolate(fragments, np.ones((3, 1)))\n"
        "assert not {'numba', 'warp', 'scipy', 'torch', 'OpenGL'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_picture_is_shaded_per_pixel() -> None:
    vertices, triangles = ball()
    rng = np.random.default_rng(2)
    albedo = rng.uniform(0.2, 0.9, (len(vertices), 3))
    light = distant_light((0.5, 0.5, 0.7), (0.6, 0.5, 0.4)) + ambient_light((0.2, 0.2, 0.3))
    R = FRONTAL @ rotation_from_euler(0.4, 0.2, -0.1)
    picture = render_image(vertices, triangles, albedo, CAMERA, R, DISTANCE, light, (0, 0, 0), supersample=1)
    fragments = rasterize_view(vertices, triangles, CAMERA, R, DISTANCE)
    normals = interpolate(fragments, vertex_normals(vertices, triangles) @ R.T @ FRONTAL)
    seen = fragments.triangle >= 0
    normals = normals[seen] / np.linalg.norm(normals[seen], axis=-1, keepdims=True)
    expected = 255 * srgb_from_linear(shade(normals, interpolate(fragments, albedo)[seen], light))
    assert np.abs(picture[seen] - expected).max() < 1
    assert not picture[~seen].any()


def test_light_comes_from_where_its_axes_say() -> None:
    vertices, triangles = ball()
    for direction, rows, columns in (
        ((1, 0, 0), slice(None), slice(32, None)),
        ((0, 1, 0), slice(None, 24), slice(None)),
    ):
        light = distant_light(direction) + ambient_light((0.05,) * 3)
        picture = render_image(vertices, triangles, None, CAMERA, FRONTAL, DISTANCE, light, (0, 0, 0)).astype(int)
        assert picture[rows, columns].sum() > 2 * (picture.sum() - picture[rows, columns].sum())


def test_half_a_pixel_is_half_the_light() -> None:
    # A wall of albedo 1 whose edge runs through the middle of a column of pixels.
    wall = np.array([[-100, -100, 100], [0, -100, 100], [0, 100, 100], [-100, 100, 100]], float)
    camera = Camera(100.0, (4.0, 4.0), (9, 9))
    view = (wall, np.array([[0, 2, 1], [0, 3, 2]]), np.ones((4, 3)), camera, np.eye(3), np.zeros(3), ambient_light())
    picture = render_image(*view, background=(0, 0, 0), supersample=4)
    np.testing.assert_array_equal(picture[:, :4], 255)
    np.testing.assert_array_equal(picture[:, 5:], 0)
    np.testing.assert_array_equal(picture[:, 4], round(255 * float(srgb_from_linear(0.5))))


def test_an_overlay_leaves_the_rest_of_the_photo_alone() -> None:
    rng = np.random.default_rng(4)
    photo = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    before = photo.copy()
    vertices, triangles = ball()
    camera = Camera(220.0, (80.0, 10.0), (120, 90))  # the head sticks out of the photo
    view = (vertices, triangles, camera, FRONTAL, DISTANCE)
    result = overlay(photo, *view, alpha=1.0)
    seen = rasterize_view(vertices, triangles, camera, FRONTAL, DISTANCE).triangle >= 0
    near = np.zeros_like(seen)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near |= np.roll(seen, (dy, dx), (0, 1))
    np.testing.assert_array_equal(result[~near], photo[~near])
    assert (result[seen] != photo[seen]).any(axis=-1).mean() > 0.9
    np.testing.assert_array_equal(overlay(photo, *view, alpha=0.0), photo)
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(result, render_image(*view[:2], None, *view[2:], background=photo))
    away = overlay(photo, vertices, triangles, camera, FRONTAL, -DISTANCE)
    np.testing.assert_array_equal(away, photo)


def test_a_picture_in_bands_is_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, triangles = ball()
    view = (vertices, triangles, None, CAMERA, FRONTAL, DISTANCE)
    whole = render_image(*view).astype(int)
    monkeypatch.setattr(shading, "BAND", 1000)
    bands = render_image(*view).astype(int)
    # Vertices may snap to the other of two neighbouring 1/4096 pixels where the origin moves.
    assert (whole != bands).any(axis=-1).mean() < 0.01


def test_pictures_refuse_bad_input() -> None:
    vertices, triangles = ball(4, 5)
    good = (vertices, triangles, None, CAMERA, FRONTAL, DISTANCE)
    for bad, what in (
        ({"supersample": 0}, "samples"),
        ({"light": np.zeros((9, 1))}, "light"),
        ({"background": np.zeros((5, 5, 3), np.uint8)}, "image"),
        ({"background": np.zeros((48, 64, 3))}, "uint8"),
        ({"background": (0, 0, 2)}, "colour"),
    ):
        with pytest.raises(ValueError, match=what):
            render_image(*good, **bad)
    with pytest.raises(ValueError, match="albedo"):
        render_image(vertices, triangles, np.ones((3, 3)), *good[3:])
    with pytest.raises(ValueError, match="vertices"):
        render_image(np.where(vertices > 40, np.nan, vertices), *good[1:])
    with pytest.raises(ValueError, match="alpha"):
        overlay(np.zeros((48, 64, 3), np.uint8), vertices, triangles, *good[3:], alpha=2)
    with pytest.raises(ValueError, match="points"):
        draw_points(np.zeros((8, 8, 3), np.uint8), np.array([[np.nan, 0]]))


def test_a_dot_is_where_its_point_is() -> None:
    image = np.zeros((40, 50, 3), np.uint8)
    for x, y in ((20.0, 20.0), (13.3, 25.6), (30.5, 10.5)):
        ink = draw_points(image, np.array([[x, y], [-30, 5], [500, 500]]), (1, 1, 1), radius=3)[..., 0] / 255
        rows, columns = np.mgrid[:40, :50]
        assert ink.sum() == pytest.approx(np.pi * 9, rel=0.05)
        assert (ink * columns).sum() / ink.sum() == pytest.approx(x, abs=0.03)
        assert (ink * rows).sum() / ink.sum() == pytest.approx(y, abs=0.03)
    assert not image.any()
