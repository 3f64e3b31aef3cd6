"""Normal maps from photographs: bumps come back as bumps whatever light they stood in, and flat skin stays flat."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from gltf_laws import Glb
from test_texture import FRONTLIGHT, SIDELIGHT, head, middle_of_the_face, photographed, plain

from likeness import Mesh
from likeness.images.color import srgb_from_linear
from likeness.mesh import vertex_normals
from likeness.mesh.tangents import vertex_tangents
from likeness.model.head import head_glb, head_obj_files
from likeness.reconstruct.texture import View, normal_map_of
from likeness.reconstruct.texture.atlas import Grid, atlas_of
from likeness.reconstruct.texture.relief import FLAT, STEEPEST
from likeness.render import render_image
from likeness.render.lighting import ambient_light, distant_light, shade
from likeness.render.texture import Texture

SIZE = 512
PLACES = ((30.0, -32.0), (-30.0, -32.0), (0.0, 40.0))
"""x and y on the mean head, mm: both cheeks and the forehead."""
WIDTH, HEIGHT = 1.5, 0.5
"""Of the bumps, mm: standard deviation and height."""
FROM_THE_LEFT = ambient_light(np.full(3, 0.4)) + distant_light((0.9, 0.2, 0.6), np.full(3, 0.8))
FROM_THE_RIGHT = ambient_light(np.full(3, 0.4)) + distant_light((-0.9, 0.2, 0.6), np.full(3, 0.8))


@cache
def on_the_grid() -> tuple[Grid, np.ndarray, np.ndarray]:
    """The texture's texels, where they are on the mean head and its normals there, (N, 3) each."""
    grid, mean = atlas_of(head(), SIZE).fine, head().mean.astype(np.float64)
    places, normals = grid.values(mean), grid.values(vertex_normals(mean, head().topology.triangles))
    return grid, places, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)


@cache
def bump_at(place: tuple[float, float]) -> np.ndarray:
    """(3,) the point of the mean head's front there."""
    _, places, normals = on_the_grid()
    front = np.where(normals[:, 2] > 0.3, np.hypot(*(places[:, :2] - place).T), np.inf)
    return places[int(np.argmin(front))]


def bumpy(light: np.ndarray, height: float = HEIGHT) -> View:
    """A photo of the mean head with three bumps, which nothing but their shading shows."""
    grid, places, normals = on_the_grid()
    slope = np.zeros_like(places)
    for place in PLACES:
        away = places - bump_at(place)
        z = height * np.exp(-0.5 * (away**2).sum(1) / WIDTH**2)
        across = away - (away * normals).sum(1, keepdims=True) * normals
        slope -= (z / WIDTH**2)[:, None] * across
    leaning = normals - slope
    leaning /= np.maximum(np.linalg.norm(leaning, axis=1, keepdims=True), 1e-6)
    one = np.ones((len(places), 1))
    ratio = shade(leaning, one, light) / np.maximum(shade(normals, one, light), 0.1)
    skin = np.clip(grid.values(plain()) * ratio, 0, 1)
    pixels = np.rint(255 * srgb_from_linear(grid.picture(skin))).astype(np.uint8)
    model, view = head(), photographed(light)
    painting = Texture(pixels, model.topology.uv, model.topology.uv_triangles)
    photo = render_image(
        model.mean, model.topology.triangles, painting, view.camera, view.rotation, view.translation, light
    )
    return replace(view, photo=photo)


def leaning(normals: np.ndarray, place: tuple[float, float]) -> tuple[float, float, float, float]:
    """Mean slope of a normal map's normals away from the bump, right, left, above and below of it."""
    found, mean = normals / 127.5 - 1, bump_at(place)
    grid, places, _ = on_the_grid()
    near = grid.texel[int(np.argmin(((places - mean) ** 2).sum(1)))]
    row, column = divmod(int(near), SIZE)
    reach = max(2, round(WIDTH * 1.4))
    out = found[row - 1 : row + 2, column + 1 : column + 1 + 2 * reach, 0].mean()
    back = -found[row - 1 : row + 2, column - 2 * reach : column, 0].mean()
    up = found[row - 2 * reach : row, column - 1 : column + 2, 1].mean()
    down = -found[row + 1 : row + 1 + 2 * reach, column - 1 : column + 2, 1].mean()
    return out, back, up, down


@pytest.mark.parametrize("light", [FROM_THE_LEFT, FROM_THE_RIGHT], ids=["from the left", "from the right"])
def test_a_bump_lit_from_a_side_is_a_bump(light: np.ndarray) -> None:
    up, down = (normal_map_of(head(), plain(), [bumpy(light, height)], SIZE) for height in (HEIGHT, -HEIGHT))
    for place in PLACES:
        right, left, _, _ = leaning(up, place)
        assert right > 0.03, place
        assert left > 0.03, place
        right, left, _, _ = leaning(down, place)
        assert right < -0.03, place
        assert left < -0.03, place


def test_light_from_above_tells_the_other_slope() -> None:
    light = ambient_light(np.full(3, 0.3)) + distant_light((0.0, 0.9, 0.6), np.full(3, 0.8))
    found = normal_map_of(head(), plain(), [bumpy(light)], SIZE)
    for place in PLACES:
        _, _, above, below = leaning(found, place)
        assert above > 0.03, place
        assert below > 0.03, place


def test_photos_in_two_lights_tell_both_slopes() -> None:
    above = ambient_light(np.full(3, 0.3)) + distant_light((0.0, 0.9, 0.6), np.full(3, 0.8))
    found = normal_map_of(head(), plain(), [bumpy(FROM_THE_LEFT), bumpy(above)], SIZE)
    for place in PLACES:
        assert min(leaning(found, place)) > 0.03, place


@pytest.mark.parametrize("light", [FRONTLIGHT, SIDELIGHT])
def test_flat_skin_gives_a_flat_map(light: np.ndarray) -> None:
    found = normal_map_of(head(), plain(), [bumpy(light, 0.0)], SIZE).astype(int)
    leaning = np.abs(found - FLAT)[np.kron(middle_of_the_face(), np.ones((2, 2))) > 0]
    assert np.quantile(leaning, 0.99) <= 2
    assert leaning.mean() < 0.2


def test_no_photo_gives_a_flat_map() -> None:
    assert (normal_map_of(head(), plain(), [], 64) == FLAT).all()


def test_spots_of_another_colour_are_no_relief() -> None:
    _, places, _ = on_the_grid()
    grid = atlas_of(head(), SIZE).fine
    spot = np.exp(-0.5 * ((places - bump_at(PLACES[0])) ** 2).sum(1) / 1.0**2)[:, None]
    found = []
    for color in ((0.3, 0.3, 0.3), (0.15, 0.3, 0.45)):
        skin = grid.values(plain()) * np.exp(-spot * np.array(color))
        pixels = np.rint(255 * srgb_from_linear(grid.picture(skin))).astype(np.uint8)
        view, model = photographed(FRONTLIGHT), head()
        painting = Texture(pixels, model.topology.uv, model.topology.uv_triangles)
        photo = render_image(
            model.mean, model.topology.triangles, painting, view.camera, view.rotation, view.translation, FRONTLIGHT
        )
        normals = normal_map_of(model, plain(), [replace(view, photo=photo)], SIZE).astype(float) - FLAT
        found.append(np.abs(grid.picture(spot)[..., 0] * normals[..., 0]).sum())
    assert found[1] < 0.6 * found[0]


def test_slopes_are_bounded_and_hair_and_eyes_are_no_relief() -> None:
    found = normal_map_of(head(), plain(), [bumpy(FROM_THE_LEFT, 4.0)], SIZE) / 127.5 - 1
    np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1, atol=0.01)
    slopes = np.hypot(found[..., 0], found[..., 1])
    assert 0.2 < slopes.max() < np.sin(np.arctan(STEEPEST)) + 0.01
    zones = atlas_of(head(), SIZE).zones
    hairy = (zones["scalp"] > 0.99) | (zones["eyes"] > 0.99) | (zones["mouth"] > 0.99)
    assert slopes[hairy].max() < 0.01


def test_tangents_are_frames_of_growing_u_and_v() -> None:
    rng = np.random.default_rng(0)
    uv = rng.uniform(size=(60, 2))
    triangles = np.array([(a, a + 1, a + 2) for a in range(0, 60, 3)])
    first, second = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2]
    vertices = uv[:, :1] * 30 * first + uv[:, 1:] * 30 * second
    normals = np.tile(np.cross(first, second), (60, 1))
    found = vertex_tangents(vertices, normals, triangles, uv)
    np.testing.assert_allclose(found[:, :3], np.tile(first, (60, 1)), atol=1e-9)
    np.testing.assert_allclose(found[:, 3:] * np.cross(normals, found[:, :3]), np.tile(second, (60, 1)), atol=1e-9)
    mirrored = vertex_tangents(vertices, normals, triangles, uv * [-1, 1])
    np.testing.assert_allclose(mirrored[:, :3], -found[:, :3], atol=1e-9)
    assert (mirrored[:, 3] == -found[:, 3]).all()


def test_tangents_without_a_direction_are_some() -> None:
    normals = np.eye(3)
    found = vertex_tangents(np.zeros((3, 3)), normals, np.array([[0, 1, 2]]), np.zeros((3, 2)))
    np.testing.assert_allclose(np.linalg.norm(found[:, :3], axis=1), 1)
    np.testing.assert_allclose((found[:, :3] * normals).sum(1), 0, atol=1e-12)


def a_head() -> Mesh:
    rng = np.random.default_rng(1)
    skin = rng.integers(0, 255, (64, 64, 3), np.uint8)
    return replace(head().mesh(np.zeros(head().space.size)), texture=skin)


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_s_normal_map_is_read_in_its_tangents(whole: bool) -> None:
    normals = np.full((64, 64, 3), FLAT, np.uint8)
    normals[20:30, 20:30] = (150, 110, 250)
    found = Glb(head_glb(head(), a_head(), normal_map=normals, whole=whole))
    skin = next(mesh for mesh in found.list("meshes") if "TANGENT" in mesh["primitives"][0]["attributes"])
    primitive = skin["primitives"][0]
    material = found.list("materials")[primitive["material"]]
    shown = {kind: entry for kind, entry in material.items() if kind == "normalTexture"}
    image = found.list("textures")[shown["normalTexture"]["index"]]["source"]
    base = material["pbrMetallicRoughness"]["baseColorTexture"]["index"]
    assert found.list("textures")[base]["source"] != image
    assert found.list("images")[image]["mimeType"] == "image/png"
    tangents, across = (found.values(primitive["attributes"][name]) for name in ("TANGENT", "NORMAL"))
    np.testing.assert_allclose(np.linalg.norm(tangents[:, :3], axis=1), 1, atol=1e-5)
    assert set(np.unique(tangents[:, 3])) <= {1.0, -1.0}
    assert np.abs((tangents[:, :3] * across).sum(1)).max() < 1e-4
    without = Glb(head_glb(head(), a_head(), whole=whole))
    assert not any("TANGENT" in one["attributes"] for one in without.primitives())


def test_a_normal_map_needs_a_texture() -> None:
    normals = np.full((64, 64, 3), FLAT, np.uint8)
    with pytest.raises(ValueError, match="a texture"):
        head_glb(head(), replace(a_head(), texture=None), normal_map=normals)


@pytest.mark.parametrize("whole", [True, False])
def test_material_files_name_it(whole: bool) -> None:
    normals = np.full((64, 64, 3), FLAT, np.uint8)
    found = head_obj_files("face", head(), a_head(), normal_map=normals, whole=whole)
    assert {"face-normal.png", "face.mtl", "face.obj"} <= set(found)
    text = found["face.mtl"].decode()
    assert text.count("norm face-normal.png\n") == text.count("map_Bump face-normal.png\n") == 1
    assert list(found)[-1] == "face.obj"
