"""The viewer's page in a browser: what is seen, moved, said and asked for."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import opened, perceptual_distance, picture, violations

from likeness import FaceModel, Mesh
from likeness.assets import asset
from likeness.geometry.camera import Camera, image_center
from likeness.geometry.rotation import FRONTAL, rotation_from_euler
from likeness.geometry.similarity import similarity_from_points
from likeness.mesh.normals import vertex_normals
from likeness.render.raster import interpolate, rasterize_view
from likeness.view.heads import FittedPhoto, Rig, ViewedHead
from likeness.view.page import Page

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as BrowserPage

SIDE = 320
PLACE = np.array([6.0, 4.0, 1500.0])
TURN = FRONTAL @ rotation_from_euler(0.4, 0.1, 0.05)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


@pytest.fixture(scope="module")
def heads(model: FaceModel) -> list[ViewedHead]:
    """Two people with a photo each, and a mesh of another topology."""
    rng = np.random.default_rng(4)
    rig = Rig.of_model(model, 3)
    photo = np.broadcast_to(np.linspace(90, 200, SIDE).astype(np.uint8)[:, None], (SIDE, SIDE, 3))
    camera = Camera(4.0 * SIDE, image_center((SIDE, SIDE)), (SIDE, SIDE))
    fitted = FittedPhoto(np.ascontiguousarray(photo), camera, TURN, PLACE)
    people = [
        ViewedHead.of_mesh(
            name,
            model.mesh(model.space.sample(1, rng)[0], albedo=rng.normal(0, 0.5, len(model.albedo_names))),
            rig,
            weights={"mouthSmileLeft": 0.4},
            photo=fitted,
        )
        for name in ("Ann", "Ben")
    ]
    tile = Mesh(100 * np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), [[0, 1, 2]])
    return [*people, ViewedHead.of_mesh("tile", tile)]


@pytest.fixture(scope="module")
def shown(
    browser: Browser, heads: list[ViewedHead], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[BrowserPage, list[str]]]:
    path = tmp_path_factory.mktemp("page") / "heads.html"
    Page(heads, "Ann and others").save(path)
    with opened(browser) as (page, wrong):
        page.goto(path.as_uri())
        page.evaluate("likeness.ready.then(() => 1)")
        yield page, wrong


@pytest.fixture
def page(shown: tuple[BrowserPage, list[str]]) -> BrowserPage:
    """The page as it was when it was opened."""
    page = shown[0]
    do(page, "v.setPhoto('off'); v.setHeads(v.heads[0], null); v.setComparison('pair'); v.setMode('texture')")
    do(page, "v.setIdentity([0, 0, 0]); v.ownExpressions(); v.look('three-quarter')")
    return page


def do(page: BrowserPage, script: str) -> Any:
    """Run a line with the viewer ``v``, then draw; the value of what is returned."""
    return page.evaluate(f"likeness.ready.then((v) => {{ {script}; v.view.render() }})")


def ask(page: BrowserPage, expression: str) -> Any:
    return page.evaluate(f"likeness.ready.then((v) => ({expression}))")


def canvas(page: BrowserPage) -> np.ndarray:
    """What the canvas holds, on black."""
    url = ask(page, "(v.view.render(), v.view.canvas.toDataURL('image/png'))")
    return picture(base64.b64decode(url.split(",")[1]))


def drawn(page: BrowserPage) -> np.ndarray:
    """The first head's vertices (V, 3) mm."""
    return np.array(ask(page, "Array.from(v.first.drawn)")).reshape(-1, 3)


def test_a_head_is_seen_and_nothing_is_asked_for(shown: tuple[BrowserPage, list[str]], page: BrowserPage) -> None:
    seen = canvas(page).astype(int)
    is_head = seen.sum(axis=2) > 0
    assert 0.1 < is_head.mean() < 0.6
    assert seen[is_head].std() > 15
    red, _, blue = seen[is_head].mean(axis=0)
    assert red > blue  # skin
    assert shown[1] == []


def test_it_is_the_head_that_python_draws_in_the_fitted_camera(
    page: BrowserPage, heads: list[ViewedHead], model: FaceModel
) -> None:
    do(page, "v.setPhoto('behind'); v.setMode('normals')")
    area = ask(page, "v.view.photoArea(v.first.data.photo)")
    x, y, side = round(area["x"]), round(area["y"]), round(area["width"])
    seen = canvas(page)[y : y + side, x : x + side]
    photo = heads[0].photo
    assert photo is not None
    posed = heads[0].vertices + 0.4 * model.expression_basis[model.expression_names.index("mouthSmileLeft")]
    triangles = model.topology.triangles
    fragments = rasterize_view(posed, triangles, photo.camera.scaled(side / SIDE), TURN, PLACE, cull=False)
    normals = interpolate(fragments, vertex_normals(posed @ TURN.T, triangles) * [1, -1, -1])
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    is_head = fragments.triangle >= 0
    expected = np.where(is_head[..., None], 255 * (normals + 1) / 2, 0).astype(np.uint8)
    assert 0.1 < is_head.mean() < 0.7
    assert ((seen.sum(axis=2) > 0) != is_head).mean() < 0.006  # but for edges
    assert perceptual_distance(seen, expected) < 0.05
    assert perceptual_distance(seen, expected[:, ::-1]) > 0.15  # it can tell


def test_sliders_move_vertices_as_the_model_does(
    page: BrowserPage, heads: list[ViewedHead], model: FaceModel
) -> None:
    before = drawn(page)
    page.get_by_label("Jaw open", exact=True).fill("0.8")
    jaw = model.expression_basis[model.expression_names.index("jawOpen")]
    np.testing.assert_allclose(drawn(page) - before, 0.8 * jaw, atol=0.02)
    page.get_by_role("button", name="Neutral").click()
    np.testing.assert_allclose(drawn(page), heads[0].vertices, atol=0.02)
    page.locator("summary", has_text="Identity").click()
    page.get_by_label("1 (", exact=False).first.fill("-2")
    np.testing.assert_allclose(drawn(page) - heads[0].vertices, -2 * heads[0].rig.directions.deltas[0], atol=0.05)
    page.locator("summary", has_text="Identity").click()


def test_expressions_are_found_by_words(page: BrowserPage) -> None:
    page.get_by_label("Find an expression").fill("left smile")
    assert page.locator(".group .slider:visible label").all_text_contents() == ["Mouth smile left"]
    page.get_by_label("Find an expression").fill("")
    assert page.locator(".group .slider:visible").count() == 52


def test_the_keyboard_does_it_too(page: BrowserPage) -> None:
    page.locator("canvas").focus()
    before = ask(page, "v.view.direction")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    after = ask(page, "v.view.direction")
    np.testing.assert_allclose(np.subtract(after, before), [7.5, 7.5], atol=1e-6)
    assert page.get_by_role("status").inner_text() != ""
    textured = canvas(page)
    page.keyboard.press("2")
    assert page.get_by_role("button", name="Shape", exact=True).get_attribute("aria-pressed") == "true"
    assert np.abs(canvas(page).astype(int) - textured).mean() > 1
    page.keyboard.press("Home")
    assert page.locator("canvas").get_attribute("aria-label").startswith("3D view of Ann from the front")  # type: ignore[union-attr]
    page.get_by_label("Find an expression").press("w")  # typing is no shortcut
    assert not page.get_by_label("Wireframe").is_checked()
    page.get_by_label("Find an expression").fill("")
    page.locator("canvas").focus()
    page.keyboard.press("w")
    assert page.get_by_label("Wireframe").is_checked()
    page.keyboard.press("w")


def test_dragging_and_a_finger_turn_the_head(page: BrowserPage) -> None:
    start = ask(page, "v.view.direction")[0]
    page.mouse.move(250, 250)
    page.mouse.down()
    page.mouse.move(350, 250, steps=4)
    page.mouse.up()
    turned = ask(page, "v.view.direction")[0]
    assert turned < start - 10
    touch = page.context.new_cdp_session(page)
    for kind, x in (("touchStart", 350), ("touchMove", 300), ("touchMove", 200), ("touchEnd", None)):
        points = [] if x is None else [{"x": x, "y": 250}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert ask(page, "v.view.direction")[0] > turned + 10


def test_two_heads_are_swapped_blended_and_told_apart(
    page: BrowserPage, heads: list[ViewedHead], model: FaceModel
) -> None:
    page.get_by_label("Second head").select_option("Ben")
    halves = np.split(canvas(page).sum(axis=2) > 0, [ask(page, "v.view.canvas.width") // 2], axis=1)
    assert all(half.mean() > 0.05 for half in halves)
    page.get_by_role("button", name="Swap", exact=True).click()
    assert ask(page, "[v.first.data.name, v.second.data.name]") == ["Ben", "Ann"]
    page.get_by_role("button", name="Neutral").click()
    page.get_by_role("button", name="Blend", exact=True).click()
    page.get_by_label("Blend", exact=True).last.fill("0.25")
    mixed = 0.75 * heads[1].vertices + 0.25 * heads[0].vertices
    np.testing.assert_allclose(drawn(page), mixed, atol=0.02)
    page.get_by_role("button", name="Heat map", exact=True).click()
    face = model.topology.regions["face"]
    a, b = heads[0].vertices[face], heads[1].vertices[face]
    _, rotation, translation = similarity_from_points(a, b, scale=1.0)
    rms = np.sqrt(((a @ rotation.T + translation - b) ** 2).sum(axis=1).mean())
    assert f"{rms:.2f} mm apart (RMS, face)" in page.locator("figcaption").inner_text()
    page.get_by_label("Second head").select_option("tile")
    assert page.get_by_role("button", name="Heat map", exact=True).is_disabled()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page: BrowserPage, theme: str) -> None:
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    do(page, "v.setHeads(v.heads[0], v.heads[1]); v.setComparison('heat'); v.setPhoto('beside')")
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    assert violations(page) == []
    page.get_by_role("button", name="Keys and gestures").click()
    assert violations(page) == []
    page.get_by_role("button", name="Close").click()
    page.evaluate("delete document.documentElement.dataset.theme")


def test_a_notebooks_cell_shows_it(browser: Browser, heads: list[ViewedHead], tmp_path: Path) -> None:
    cell = tmp_path / "cell.html"
    cell.write_text(f"<!doctype html><html lang='en'><title>cell</title>{Page(heads[:1], 'Ann')._repr_html_()}")
    with opened(browser) as (page, wrong):
        page.goto(cell.as_uri())
        frame = page.frame_locator("iframe")
        frame.locator("canvas").wait_for()
        inner = page.frames[1]
        assert inner.evaluate("likeness.ready.then((v) => v.first.data.name)") == "Ann"
        assert wrong == []


def test_a_texture_of_some_triangles_is_sharp_and_the_others_have_their_colours(
    browser: Browser, tmp_path: Path
) -> None:
    """Stripes between two vertices on the left, blue on the right, however often the surface is changed."""
    square = 100 * np.array([[-1.0, 0, 0], [0, 0, 0], [0, 1, 0], [-1, 1, 0]])
    triangles = np.array([[4, 5, 6], [4, 6, 7], [0, 1, 2], [0, 2, 3]])  # the blue ones first
    uv = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], *np.zeros((4, 2))])
    stripes = np.repeat(np.tile(np.array([[20, 20, 20], [235, 235, 235]], np.uint8), (4, 1)), 16, axis=0)
    texture = np.tile(stripes, (128, 1, 1))
    colors = np.repeat([[0.5, 0.5, 0.5], [0.1, 0.1, 0.9]], 4, axis=0)
    mesh = Mesh(
        np.concatenate([square, square + [100, 0, 0]]),
        triangles,
        uv=uv,
        uv_triangles=triangles,
        colors=colors,
        texture=texture,
    )
    rig = Rig(mesh, covered=np.array([False, False, True, True]))
    path = tmp_path / "half.html"
    Page([ViewedHead.of_mesh("half", mesh, rig)], "half").save(path)
    with opened(browser) as (page, wrong):
        page.goto(path.as_uri())
        for change in ("v.look('front')", "v.setMode('normals'); v.view.render(); v.setMode('texture')"):
            do(page, change)
            seen = canvas(page).astype(int)
            rows, columns = np.nonzero(seen.sum(axis=2) > 0)
            part = seen[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            height, width = part.shape[:2]
            left, right = part[height // 2, width // 10 : 4 * width // 10], part[height // 2, 6 * width // 10 : -9]
            assert np.ptp(left[:, 1]) > 80
            bright = left[:, 1] > (left[:, 1].max() + left[:, 1].min()) / 2
            assert (bright[1:] != bright[:-1]).sum() >= 3
            assert (right[:, 2] > right[:, 0] + 60).all()
        assert wrong == []


def test_a_damaged_page_says_so(browser: Browser, heads: list[ViewedHead], tmp_path: Path) -> None:
    page_file = tmp_path / "damaged.html"
    html = Page(heads[2:], "tile").html
    start = html.index('id="heads">') + len('id="heads">')
    page_file.write_text(html[:start] + "AAAA" + html[start + 4 :])
    with opened(browser) as (page, _):
        page.goto(page_file.as_uri())
        page.get_by_role("alert").wait_for()
        assert "cannot be shown" in page.get_by_role("alert").inner_text()
