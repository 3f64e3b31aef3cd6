"""Textures from photographs: what was painted on a head and photographed comes back, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from gltf_laws import Glb

from likeness import Camera, Coefficients, FaceModel, FileError, Mesh, Reconstruction
from likeness.assets import asset
from likeness.geometry.camera import image_center
from likeness.geometry.landmarks import MIRRORED
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.images.color import linear_from_srgb, srgb_from_linear
from likeness.images.texture import decode_texture
from likeness.model.head import iris_color
from likeness.model.uv_layout import UvLayout
from likeness.reconstruct.texture import View, texture_of
from likeness.reconstruct.texture.atlas import atlas_of
from likeness.reconstruct.texture.eyes import _places, _rings
from likeness.reconstruct.texture.fill import spread_out
from likeness.reconstruct.texture.view import Seen
from likeness.render import render_image
from likeness.render.lighting import ambient_light, distant_light
from likeness.render.raster import rasterize, rasterize_view
from likeness.render.texture import Texture

SIZE, SIDE, DISTANCE = 256, 400, 900.0
SIDELIGHT = ambient_light(np.full(3, 0.5)) + distant_light((0.7, 0.3, 0.6), np.full(3, 0.6))
FRONTLIGHT = ambient_light(np.full(3, 0.4)) + distant_light((-0.3, 0.4, 0.8), np.array([0.7, 0.65, 0.6]))


@cache
def head() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


def plain() -> np.ndarray:
    """(V, 3) the model's mean reflectance."""
    return head().albedo(np.zeros(len(head().albedo_names)))


@cache
def painted() -> np.ndarray:
    """(SIZE, SIZE, 3) a texture: the model's colours with blotches of some millimetres, in colour and brightness."""
    rng = np.random.default_rng(0)
    atlas = atlas_of(head(), SIZE)
    noise = cv2.GaussianBlur(rng.normal(size=(SIZE, SIZE, 3)), (0, 0), 2.0)
    noise = 0.12 * noise / noise.std()
    base = spread_out(atlas.fine.picture(atlas.fine.values(np.log(plain()))), atlas.fine.covered.astype(np.float32))
    return np.rint(255 * srgb_from_linear(np.exp(base + noise))).astype(np.uint8)


def photographed(
    light: np.ndarray = FRONTLIGHT, yaw: float = 0.0, side: int = SIDE, skin: np.ndarray | None = None
) -> View:
    model = head()
    camera = Camera(side * DISTANCE / 300, image_center((side, side)), (side, side))
    rotation = FRONTAL @ rotation_from_euler(yaw, 0.0, 0.0)
    translation = np.array([0.0, 0.0, DISTANCE]) - rotation @ [0.0, -20.0, -20.0]
    worn = Texture(painted() if skin is None else skin, model.topology.uv, model.topology.uv_triangles)
    photo = render_image(model.mean, model.topology.triangles, worn, camera, rotation, translation, light)
    return View(photo, model.mean, camera, rotation, translation, light)


def log_of(texture: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(linear_from_srgb(texture / 255.0), 1e-3))


def middle_of_the_face() -> np.ndarray:
    """(SIZE, SIZE) bool: skin that a camera in front sees well."""
    atlas = atlas_of(head(), SIZE)
    skip = sum(atlas.zones[name] for name in ("eyes", "mouth", "lids", "lips", "hair"))
    inside = (atlas.zones["face"] > 0.99) & (skip < 0.01)
    inside &= atlas.coarse.picture(atlas.coarse.values(head().mean[:, 2:])[:, 0], -999.0) > -15.0
    return cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


@pytest.mark.parametrize("light", [FRONTLIGHT, SIDELIGHT])
def test_what_was_painted_comes_back(light: np.ndarray) -> None:
    found = texture_of(head(), plain(), [photographed(light)], SIZE)
    inside, wanted = middle_of_the_face(), log_of(painted())
    error = (log_of(found) - wanted)[inside]
    model = texture_of(head(), plain(), [], SIZE)
    before = (log_of(model) - wanted)[inside]
    assert np.sqrt((error**2).mean()) < 0.5 * np.sqrt((before**2).mean())
    correlation = np.corrcoef((log_of(found) - log_of(model))[inside].ravel(), -before.ravel())[0, 1]
    assert correlation > 0.85


def test_the_photo_s_light_is_taken_out() -> None:
    one, two = (photographed(light) for light in (FRONTLIGHT, SIDELIGHT))
    inside = middle_of_the_face()
    apart = {
        relight: np.abs(
            np.subtract(*(log_of(texture_of(head(), plain(), [view], SIZE, relight=relight)) for view in (one, two)))
        )[inside].mean()
        for relight in (True, False)
    }
    assert apart[True] < 0.4 * apart[False]


def test_how_bright_a_photo_is_says_nothing_of_skin() -> None:
    view, inside = photographed(), middle_of_the_face()
    darker = np.rint(255 * srgb_from_linear(0.5 * linear_from_srgb(view.photo / 255.0))).astype(np.uint8)
    found = [texture_of(head(), plain(), [one], SIZE) for one in (view, replace(view, photo=darker))]
    assert np.abs(np.subtract(*(log_of(one)[inside] for one in found))).mean() < 0.05
    assert np.abs(np.median(log_of(found[1])[inside] - log_of(painted())[inside], axis=0)).max() < 0.1


def test_what_is_white_in_a_photo_is_not_skin() -> None:
    """A patch of sun on a cheek, in which the photo has no colour any more."""
    view, atlas = photographed(), atlas_of(head(), SIZE)
    place = atlas.coarse.picture(atlas.coarse.values(head().mean))
    center = np.array([38.0, -38.0])
    spot = np.linalg.norm(head().mean[:, :2] - center, axis=1) < 9
    hull = cv2.convexHull(view.pixels[spot & (head().mean[:, 2] > -40)].astype(np.float32))
    burnt = cv2.fillConvexPoly(view.photo.copy(), np.rint(hull).astype(np.int32), (255, 255, 255))
    found = [texture_of(head(), plain(), [one], SIZE) for one in (view, replace(view, photo=burnt))]
    where = (np.linalg.norm(place[..., :2] - center, axis=2) < 6) & (place[..., 2] > -40) & middle_of_the_face()
    assert where.sum() > 20
    assert np.abs(np.subtract(*(np.median(log_of(one)[where], axis=0) for one in found))).max() < 0.2


def test_teeth_beside_the_model_s_mouth_are_no_lips() -> None:
    view, atlas = photographed(), atlas_of(head(), SIZE)
    lips = head().topology.regions["lips"]
    lower = lips & (head().mean[:, 1] < np.median(head().mean[lips, 1]))
    hull = cv2.convexHull(view.pixels[lower].astype(np.float32))
    smile = cv2.fillConvexPoly(view.photo.copy(), np.rint(hull).astype(np.int32), (225, 220, 205))
    found = [texture_of(head(), plain(), [one], SIZE) for one in (view, replace(view, photo=smile))]
    where = (atlas.zones["lips"] > 0.99) & atlas.coarse.covered
    assert np.abs(np.subtract(*(log_of(one)[where] for one in found))).mean() < 0.15


def test_hidden_skin_takes_nothing_from_the_photo() -> None:
    model, view = head(), photographed(yaw=0.6)
    triangles = model.topology.triangles
    weights = Seen(view, model).weights(view.placed, view.normals(triangles), view.pixels)
    depth = rasterize_view(view.placed, triangles, view.camera, cull=False).depth
    column, row = np.rint(view.pixels).astype(int).T
    behind = view.placed[:, 2] - depth[row, column]
    assert (behind > 8).sum() > 1000
    assert weights[behind > 8].max() == 0
    assert (weights[np.abs(behind) < 1] > 0.9).sum() > 400


def test_colours_of_the_hidden_side_do_not_matter() -> None:
    view = photographed(yaw=0.7)
    pixels = view.photo.copy()
    covered = rasterize_view(view.placed, head().topology.triangles, view.camera).triangle >= 0
    pixels[~covered] = (0, 255, 0)  # another wall behind
    found = [texture_of(head(), plain(), [one], SIZE) for one in (view, replace(view, photo=pixels))]
    difference = np.abs(np.subtract(*(one.astype(int) for one in found)))
    difference = difference[atlas_of(head(), SIZE).fine.covered]
    assert np.quantile(difference, 0.999) <= 2
    assert difference.max() <= 5


def test_a_mirrored_photo_gives_the_mirrored_texture() -> None:
    view = photographed(SIDELIGHT, yaw=0.3)
    model = head()
    assert model.topology.mirror is not None
    landmarks = np.asarray(
        model.landmark_map.project(view.camera, model.landmark_map.gather(view.placed), view.rotation)
    )
    view = replace(view, landmarks=landmarks)
    flip = np.diag([-1.0, 1.0, 1.0])
    turned = landmarks[MIRRORED] * [-1, 1] + [SIDE - 1, 0]
    light = view.light * np.array([1, 1, 1, -1, -1, 1, 1, -1, 1])[:, None]  # harmonics odd in x change their sign
    other = replace(
        view,
        photo=np.ascontiguousarray(view.photo[:, ::-1]),
        vertices=(model.mean * [-1, 1, 1])[model.topology.mirror].astype(np.float32),
        rotation=flip @ view.rotation @ flip,
        translation=flip @ view.translation,
        light=light,
        landmarks=turned,
    )
    found, mirrored = (texture_of(model, plain(), [one], SIZE) for one in (view, other))
    difference = np.abs(found.astype(int) - mirrored[:, ::-1])[atlas_of(model, SIZE).fine.covered]
    assert difference.mean() < 1.5
    assert np.quantile(difference, 0.99) < 20


def test_photos_complete_each_other() -> None:
    left, right = photographed(yaw=0.7), photographed(yaw=-0.7)
    inside, wanted = middle_of_the_face(), log_of(painted())
    errors = [
        np.sqrt(((log_of(texture_of(head(), plain(), views, SIZE)) - wanted)[inside] ** 2).mean())
        for views in ([left], [right], [left, right])
    ]
    assert errors[2] < 0.9 * min(errors[:2])


def test_a_tiny_photo_leaves_the_model_s_detail() -> None:
    found = texture_of(head(), plain(), [photographed(side=20)], SIZE)
    model = texture_of(head(), plain(), [], SIZE)
    inside = middle_of_the_face()
    fine = [log_of(one) - cv2.GaussianBlur(log_of(one), (0, 0), 3.0) for one in (found, model)]
    assert np.corrcoef(fine[0][inside].ravel(), fine[1][inside].ravel())[0, 1] > 0.7
    assert np.abs(fine[0] - fine[1])[inside].mean() < np.abs(log_of(painted()) - log_of(model))[inside].mean() / 3


def test_irises_are_round_and_the_eyes_no_photograph() -> None:
    model, atlas = head(), atlas_of(head(), 512)
    texture = texture_of(model, plain(), [photographed()], 512)
    eyes = cv2.resize((atlas.zones["eyes"] > 0.5).astype(np.uint8), (512, 512)) > 0
    dark = eyes & (texture.max(axis=2) < 60)
    count, _, stats, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8))
    pupils = [row for row in stats[1:count].tolist() if row[cv2.CC_STAT_AREA] > 20]
    assert len(pupils) == 2
    for row in pupils:
        width, height, area = row[cv2.CC_STAT_WIDTH], row[cv2.CC_STAT_HEIGHT], row[cv2.CC_STAT_AREA]
        assert abs(width - height) <= 2
        assert area == pytest.approx(np.pi / 4 * width * height, rel=0.15)


@pytest.mark.parametrize("iris", [(0.02, 0.014, 0.011), (0.11, 0.13, 0.16)])
def test_irises_have_the_photo_s_colour_however_dark_the_back_of_the_head_is(iris: tuple[float, ...]) -> None:
    model, atlas = head(), atlas_of(head(), 512)
    worn = texture_of(model, plain(), [], 512)
    for texel, radius, size in _places(atlas, _rings(model)):
        worn.reshape(-1, 3)[texel[(radius > 2.2) & (radius < size)]] = np.rint(255 * srgb_from_linear(np.array(iris)))
    light = ambient_light(np.full(3, 0.15)) + distant_light((0.0, 0.0, 1.0), np.full(3, 0.8))
    view = photographed(light, side=800, skin=worn)
    found = texture_of(model, plain(), [view], 512)
    color = iris_color(model, replace(model.mesh(np.zeros(len(model.identity_basis))), texture=found))
    np.testing.assert_allclose(np.log(color), np.log(iris), atol=0.3)


@pytest.mark.parametrize("size", [0, 63, 9000])
def test_sizes_that_cannot_be_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="texture of 64 to 8192"):
        texture_of(head(), plain(), [], size)


def test_bad_input_is_refused() -> None:
    view = photographed(side=40)
    with pytest.raises(ValueError, match="albedo"):
        texture_of(head(), plain()[:5], [view], 64)
    with pytest.raises(ValueError, match="uint8 photo"):
        replace(view, photo=view.photo[:, :10])
    with pytest.raises(ValueError, match="finite vertices"):
        replace(view, vertices=np.full_like(view.vertices, np.nan))
    with pytest.raises(ValueError, match="landmarks"):
        replace(view, landmarks=np.zeros((5, 2)))
    with pytest.raises(ValueError, match="expected vertices"):
        texture_of(head(), plain(), [replace(view, vertices=view.vertices[:10])], 64)
    without = replace(head(), topology=replace(head().topology, uv=np.zeros((0, 2), np.float32)))
    with pytest.raises(ValueError, match="texture coordinates"):
        texture_of(without, plain(), [], 64)


def test_what_is_known_is_kept_and_nothing_leaves_its_range() -> None:
    rng = np.random.default_rng(3)
    values = rng.uniform(-1, 2, (50, 37, 2)).astype(np.float32)
    weights = (rng.uniform(size=(50, 37)) < 0.1).astype(np.float32)
    filled = spread_out(values, weights)
    np.testing.assert_allclose(filled[weights > 0], values[weights > 0], atol=1e-5)
    assert filled.min() >= values[weights > 0].min() - 1e-4
    assert filled.max() <= values[weights > 0].max() + 1e-4
    np.testing.assert_allclose(spread_out(np.full_like(values, 0.7), weights), 0.7, atol=1e-4)
    assert not spread_out(values, np.zeros_like(weights)).any()


def test_the_layout_covers_the_plane_once_and_is_symmetric() -> None:
    topology, side = head().topology, 2048
    assert topology.mirror is not None
    points = topology.uv.astype(np.float64) * [side, -side] + [-0.5, side - 0.5]
    corners = points[topology.uv_triangles]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = 0.5 * (b[:, 0] * a[:, 1] - b[:, 1] * a[:, 0])
    assert (area > 0).all()  # none turned over
    drawn = rasterize(np.column_stack([points, np.full(len(points), 10.0)]), topology.uv_triangles, (side, side))
    assert area.sum() == pytest.approx((drawn.triangle >= 0).sum(), rel=2e-3)  # none over another
    covered = drawn.triangle >= 0
    assert (covered != covered[:, ::-1]).mean() < 1e-3
    face = topology.regions["face"][topology.triangles].all(1)
    space = Mesh(head().mean, topology.triangles).triangle_areas()[face].sum()
    assert np.sqrt(area[face].sum() / space) > 2 * 2.7  # texels per mm


def test_layouts_are_read_back_and_others_refused(tmp_path: Path) -> None:
    topology = head().topology
    layout = UvLayout.of(topology.uv.astype(np.float64) ** 2, topology)
    layout.save(tmp_path / "a.npz")
    again = UvLayout.load(tmp_path / "a.npz")
    np.testing.assert_allclose(again.uv, layout.uv)
    assert again.fits(topology)
    assert not again.fits(replace(topology, uv=topology.uv[::-1]))
    np.savez(tmp_path / "b.npz", uv=np.zeros((3, 2)), digest="x")
    with pytest.raises(FileError, match="16-bit"):
        UvLayout.load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", other=np.zeros(3))
    with pytest.raises(FileError, match="is missing"):
        UvLayout.load(tmp_path / "c.npz")


def test_a_plain_texture_looks_like_plain_vertices() -> None:
    view, topology = photographed(side=120), head().topology
    one = np.full((64, 64, 3), 130, np.uint8)
    shown = [
        render_image(view.vertices, topology.triangles, skin, view.camera, view.rotation, view.translation)
        for skin in (
            Texture(one, topology.uv, topology.uv_triangles),
            np.full((len(view.vertices), 3), linear_from_srgb(np.array(130 / 255))),
        )
    ]
    assert np.abs(np.subtract(*(picture.astype(int) for picture in shown))).max() <= 1


def test_a_texture_made_small_is_averaged() -> None:
    checks = np.indices((256, 256)).sum(0) % 2 * 255
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    triangles, uv = np.array([[0, 1, 2], [0, 2, 3]]), np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    skin = Texture(np.repeat(checks[..., None], 3, 2).astype(np.uint8), uv, triangles)
    camera = Camera(100.0, image_center((32, 32)), (32, 32))
    picture = render_image(square, triangles, skin, camera, FRONTAL, np.array([0.0, 0.0, 10.0]), ambient_light())
    middle = picture[10:22, 10:22].astype(int)
    assert np.abs(middle - np.rint(255 * srgb_from_linear(np.array(0.5)))).max() <= 2


def test_a_texture_for_another_mesh_is_refused() -> None:
    view, topology = photographed(side=40), head().topology
    skin = Texture(np.zeros((8, 8, 3), np.uint8), topology.uv, topology.uv_triangles[:10])
    with pytest.raises(ValueError, match="texture for"):
        render_image(view.vertices, topology.triangles, skin, view.camera, view.rotation, view.translation)
    with pytest.raises(ValueError, match="uint8"):
        Texture(np.zeros((8, 8, 3)), topology.uv, topology.uv_triangles)


def embedded(path: Path) -> list[np.ndarray]:
    """The images in a GLB file."""
    glb = Glb(path.read_bytes())
    return [decode_texture(path, glb.view(image["bufferView"])) for image in glb.list("images")]


def test_a_face_is_saved_with_its_skin(tmp_path: Path) -> None:
    model, view = head(), photographed(side=150)
    coefficients = Coefficients(
        np.zeros(len(model.identity_basis)), np.zeros(52), np.zeros(len(model.albedo_names)), view.light
    )
    landmarks = np.asarray(
        model.landmark_map.project(view.camera, model.landmark_map.gather(view.placed), view.rotation)
    )
    box = np.concatenate([landmarks.min(0), landmarks.max(0)])
    face = Reconstruction(
        model, coefficients, view.camera, view.rotation, view.translation, landmarks, box, 1.0, view.photo
    )
    face.save(tmp_path, texture=256)
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == ["face-texture.png", "face.glb", "face.json", "face.mtl", "face.obj", "face.png"]
    skin = face.texture(256)
    loaded = Mesh.load(tmp_path / "face.obj")
    assert loaded.texture is not None
    np.testing.assert_array_equal(loaded.texture, skin)
    np.testing.assert_array_equal(embedded(tmp_path / "face.glb")[0], skin)
    face.save(tmp_path, formats=("obj", "glb"), texture=1024)
    assert b"map_Kd face-texture.jpg" in (tmp_path / "face.mtl").read_bytes()
    assert embedded(tmp_path / "face.glb")[0].shape == (1024, 1024, 3)
    face.save(tmp_path / "bare", formats=("glb",), texture=None)
    assert embedded(tmp_path / "bare" / "face.glb") == []
    with pytest.raises(ValueError, match="one model"):
        face.texture(256, [replace(face, model=replace(model, name="other"))])
