"""Laws of the pictures of whole heads: what they show of teeth, eyes and skin, in which colours and which light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from whole_heads import SIDES, codes, default_model

from likeness import Mesh
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.rotation import FRONTAL
from likeness.images.color import linear_from_srgb
from likeness.model.head import whole_head
from likeness.reconstruct.overview import LARGER, PANELS, Sitter, overview, panels
from likeness.reconstruct.texture import View, light_on
from likeness.render import render_image
from likeness.render.lighting import ambient_light, distant_light, main_light, studio_light
from likeness.render.paint import Paint, painted
from likeness.render.texture import Texture

SIDE = 160
CAMERA = Camera(SIDE * 4.0, image_center((SIDE, SIDE)), (SIDE, SIDE))
PLACE = np.array([0.0, -10.0, 1160.0])


def green_head() -> Mesh:
    """Somebody whose skin is green all over, so that all that is not green is something else."""
    head = default_model().mesh(codes(1, 0)[0])
    return replace(head, colors=None, texture=np.full((64, 64, 3), (30, 190, 70), np.uint8))


def weights(**given: float) -> np.ndarray:
    names = default_model().expression_names
    every = {full: value for name, value in given.items() for full in (name, *(name + side for side in SIDES))}
    return np.array([every.get(name, 0.0) for name in names])


def ivory(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool: bright and of no colour, but not the white that is behind the head."""
    colors = picture.astype(int)
    return (colors.min(2) > 60) & (np.ptp(colors, axis=2) < 60) & (colors.min(2) < 250)


def test_a_portrait_shows_teeth_where_the_mouth_is_open_and_skin_by_its_texture() -> None:
    sitter = Sitter(default_model(), green_head())
    rest = sitter.portrait().view(SIDE)
    smiling = sitter.portrait(weights(mouthSmile=1.0, mouthUpperUp=0.8, mouthLowerDown=0.8)).view(SIDE)
    mouth = slice(SIDE // 2 + 8, SIDE * 3 // 4), slice(SIDE // 2 - 20, SIDE // 2 + 20)
    assert not ivory(rest)[mouth].any()
    assert ivory(smiling)[mouth].sum() > 25
    seen = rest[rest.min(2) < 250].astype(int)
    assert (seen[:, 1] > 2 * seen[:, 0]).mean() > 0.9
    assert (sitter.portrait().view(SIDE, grey=True).astype(int).max(2)[mouth] > 60).all()


def test_an_overview_is_six_pictures_of_which_one_is_the_photo_with_the_head_in_its_light() -> None:
    """A photo made of the head itself: the head over it, in the light found on it, changes next to nothing."""
    model, head = default_model(), green_head()
    mesh, paint = painted(whole_head(model, head))
    light = distant_light((0.5, 0.3, 1.0), (0.8, 0.8, 0.8)) + ambient_light((0.25, 0.25, 0.25))
    photo = render_image(mesh.vertices, mesh.triangles, paint, CAMERA, FRONTAL, PLACE, light, (0.2, 0.2, 0.3))
    view = View(photo, head.vertices, CAMERA, FRONTAL, PLACE, studio_light(), None)
    found = light_on(view, model, head)
    sheet = overview(photo, Sitter(model, head), weights(), CAMERA, FRONTAL, PLACE, found, SIDE)
    shown, front, turned, over, grey, _ = (panel.astype(int) for panel in panels(sheet, SIDE))
    assert shown.shape == front.shape == grey.shape
    assert sheet.size < 1.1 * 6 * shown.size
    is_head = shown[..., 1] > 1.5 * shown[..., 0]
    assert is_head.mean() > 0.2
    assert np.abs(shown - over)[is_head].mean() < 6
    assert (np.abs(front - turned).max(2) > 20).mean() > 0.05
    assert np.ptp(grey, axis=2).max() < 20
    assert np.ptp(front, axis=2).max() > 60
    heights = [np.ptp(np.flatnonzero(head.any(axis=1))) for head in (is_head, front.min(axis=2) < 250)]
    assert abs(heights[0] - heights[1]) < 0.06 * heights[1]


def test_an_overview_is_as_large_as_the_photo_lets_it_be() -> None:
    """Of a small photo more is shown, instead of larger pixels."""
    model, head = default_model(), green_head()
    sitter, light, heights = Sitter(model, head), studio_light(), []
    for scale in (0.25, 3.0, 40.0):
        side = round(SIDE * min(scale, 3.0))
        photo = np.zeros((side, side, 3), np.uint8)
        photo[::2] = 255
        camera = Camera(CAMERA.focal * scale, ((side - 1) / 2, (side - 1) / 2), (side, side))
        sheet = overview(photo, sitter, weights(), camera, FRONTAL, PLACE, light)
        height = round((len(sheet) + 0.5) / 2.015)
        heights.append(height)
        if scale < 1:
            middle = panels(sheet, height)[0][height // 2 - 12 : height // 2 + 12, height // 3].mean(axis=1)
            dark_to_dark = np.diff(np.flatnonzero(np.diff(np.sign(middle - 127.5)) > 0))
            assert len(dark_to_dark) > 1
            assert (dark_to_dark <= 2 * LARGER + 1).all()
    assert heights[0] == PANELS[0] <= heights[1] <= heights[2] == PANELS[1]


def test_a_grey_photo_has_a_grey_head_over_it() -> None:
    model, head = default_model(), green_head()
    photo = np.full((SIDE, SIDE, 3), 90, np.uint8)
    sheet = overview(photo, Sitter(model, head), weights(), CAMERA, FRONTAL, PLACE, studio_light(), SIDE)
    over = panels(sheet, SIDE)[3].astype(int)
    assert not np.ptp(over, axis=2).any()
    assert np.ptp(over) > 50


def test_an_overview_is_white_where_the_photo_ends() -> None:
    model, head = default_model(), green_head()
    photo = np.full((SIDE // 2, SIDE, 3), 90, np.uint8)
    camera = Camera(CAMERA.focal, image_center((SIDE, SIDE // 2)), (SIDE, SIDE // 2))
    sheet = overview(photo, Sitter(model, head), weights(), camera, FRONTAL, PLACE, studio_light(), SIDE)
    shown = panels(sheet, SIDE)[0]
    rows = [float((shown[row] == 255).all()) for row in (0, SIDE // 2, SIDE - 1)]
    assert rows == [1.0, 0.0, 1.0]
    assert set(np.unique(shown)) == {90, 255}


def test_a_model_without_eyes_and_mouth_has_portraits_of_its_surface() -> None:
    model = default_model()
    plain = replace(model, topology=replace(model.topology, regions={"face": model.topology.regions["face"]}))
    head = model.mesh(codes(1, 0)[0], albedo=np.zeros(len(model.albedo_names)))
    rest = Sitter(plain, head).portrait()
    np.testing.assert_array_equal(rest.mesh.vertices, head.vertices)
    opened = Sitter(plain, head).portrait(weights(jawOpen=1.0))
    expected = head.vertices + model.expression_basis[model.expression_names.index("jawOpen")]
    np.testing.assert_allclose(opened.mesh.vertices, expected, atol=1e-4)
    assert np.ptp(rest.view(SIDE).astype(int), axis=2).max() > 20


def test_the_main_light_is_where_a_lamp_is() -> None:
    towards, color = main_light(distant_light((1.0, 2.0, 2.0), (0.9, 0.6, 0.3)) + ambient_light())
    np.testing.assert_allclose(towards, np.array([1, 2, 2]) / 3, atol=1e-6)
    np.testing.assert_allclose(color, [0.9, 0.6, 0.3], atol=1e-6)
    np.testing.assert_array_equal(main_light(ambient_light())[1], 0)


def test_wet_surfaces_mirror_the_lamp_and_matt_ones_do_not() -> None:
    """A sphere under light from the upper left: its brightest place is half-way between camera and lamp."""
    turn, rise = np.meshgrid(np.linspace(-1.4, 1.4, 60), np.linspace(-1.4, 1.4, 60))
    points = 30 * np.stack([np.sin(turn) * np.cos(rise), np.sin(rise), np.cos(turn) * np.cos(rise)], -1).reshape(
        -1, 3
    )
    corner = (np.arange(59)[:, None] * 60 + np.arange(59)).ravel()
    triangles = np.concatenate(
        [np.column_stack([corner, corner + 1, corner + 61]), np.column_stack([corner, corner + 61, corner + 60])]
    )
    colors = np.full((len(points), 3), 0.02)
    light = distant_light((-0.6, 0.6, 0.5))
    wet = Paint(colors, exponent=np.full(len(points), 300.0))
    matt, glossy = (
        render_image(points, triangles, paint, CAMERA, FRONTAL, np.array([0, 0, 1000.0]), light, (0, 0, 0)).astype(
            int
        )
        for paint in (Paint(colors), wet)
    )
    more = (glossy - matt).sum(2)
    row, column = np.unravel_index(more.argmax(), more.shape)
    half = np.array([-0.6, 0.6, 0.5]) / np.linalg.norm([-0.6, 0.6, 0.5]) + [0, 0, 1]
    half /= np.linalg.norm(half)
    np.testing.assert_allclose([column, row], SIDE / 2 + SIDE * 4 / 970 * 30 * half[:2] * [1, -1], atol=3)
    assert (more > 0).mean() < 0.1
    assert more.max() > 200


def test_a_paint_for_other_triangles_is_refused() -> None:
    mesh, paint = painted(whole_head(default_model(), green_head()))
    assert paint.texture is not None
    fewer = Texture(paint.texture.pixels, paint.texture.uv, paint.texture.uv_triangles[:-1])
    with pytest.raises(ValueError, match="triangles"):
        render_image(mesh.vertices, mesh.triangles, replace(paint, texture=fewer), CAMERA, FRONTAL, PLACE)
    with pytest.raises(ValueError, match="colors"):
        render_image(mesh.vertices, mesh.triangles, Paint(paint.colors[:-1]), CAMERA, FRONTAL, PLACE)


def test_a_whole_heads_paint_has_the_parts_colours_off_the_texture() -> None:
    whole = whole_head(default_model(), green_head())
    mesh, paint = painted(whole)
    assert mesh.groups is not None
    assert paint.textured is not None
    np.testing.assert_array_equal(np.flatnonzero(paint.textured), mesh.groups["skin"])
    teeth = whole["teeth"].mesh
    assert teeth.colors is not None
    np.testing.assert_allclose(
        paint.colors[np.unique(mesh.triangles[mesh.groups["teeth"]])], linear_from_srgb(teeth.colors)
    )
    assert paint.exponent is not None
    assert not paint.exponent[: len(whole["skin"].mesh.vertices)].any()
