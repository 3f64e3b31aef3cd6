"""Our GLB files in other programs: laws of the format that always run, and programs where they are installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from glb_files import packed
from gltf_laws import check_laws, unpacked
from other_programs import blender, chromium, khronos, three, three_whole
from test_animation import moves
from test_glb import blendshapes, head, seamed

from likeness import FaceModel, Reconstructor
from likeness.assets import asset
from likeness.geometry.rotation import rotation_from_euler
from likeness.mesh import Mesh
from likeness.mesh.animation import Animation
from likeness.mesh.glb_writer import glb_bytes, read_glb, write_glb
from likeness.model.face_model import ARKIT_NAMES
from likeness.model.head import head_glb, write_head_glb

TEXTURE = np.full((64, 64, 3), (40, 200, 90), np.uint8)
TEXTURE[::8] //= 2  # lines, so that what moves is seen without shading


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load(asset("face_model.npz"))


@pytest.fixture(scope="module")
def person(model: FaceModel) -> Mesh:
    """A coloured head of the embedded model."""
    rng = np.random.default_rng(5)
    identity = model.space.sample(1, rng)[0]
    return model.mesh(identity, albedo=rng.normal(0, 0.5, len(model.albedo_names)))


@pytest.fixture(scope="module")
def shapes(model: FaceModel) -> dict[str, np.ndarray]:
    return dict(zip(model.expression_names, model.expression_basis, strict=True))


def performance(count: int = 5) -> Animation:
    turn = np.linspace(0, 0.5, count)
    weights = np.random.default_rng(1).uniform(0, 1, (count, 52))
    place = np.outer(np.arange(count), [10.0, 0, 0])
    return Animation(np.arange(count) / 25, weights, rotation_from_euler(turn, 0 * turn, 0 * turn), place)


@pytest.fixture(scope="module")
def files(
    model: FaceModel, person: Mesh, shapes: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Files of every kind that is written."""
    folder = tmp_path_factory.mktemp("glb")
    paths = {
        name: folder / f"{name}.glb"
        for name in (
            "saved",
            "plain",
            "head",
            "textured",
            "jpeg",
            "animated",
            "all",
            "odd",
            "huge",
            "whole",
            "relief",
            "played",
        )
    }
    tube = head()
    seamed().save(paths["saved"])
    tube.save(paths["plain"])
    write_glb(paths["head"], person, shapes, np.linspace(0, 1, 52), "Ann", {"model": model.name})
    painted = replace(person, texture=TEXTURE)
    write_glb(paths["textured"], painted, shapes)
    write_glb(paths["jpeg"], painted, shapes, jpeg_quality=90)
    write_glb(paths["animated"], person, shapes, animation=performance())
    write_head_glb(
        paths["whole"], model, painted, np.linspace(0, 1, 52), "Ann", {"model": model.name}, jpeg_quality=90
    )
    paths["relief"].write_bytes(head_glb(model, painted, normal_map=TEXTURE))
    write_head_glb(paths["played"], model, person, animation=performance())
    seams = seamed(texture=TEXTURE)
    write_glb(paths["all"], seams, blendshapes(seams), animation=moves())
    broken = tube.triangles.copy()
    broken[:2] = [[3, 3, 4], [7, 7, 7]]
    Mesh(np.vstack([tube.vertices, np.ones((3, 3))]), broken, colors=np.ones((143, 3))).save(paths["odd"])
    write_glb(paths["huge"], replace(tube, vertices=(tube.vertices * 1e20).astype(np.float32)))
    return paths


@pytest.fixture(scope="module")
def reconstructed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `likeness reconstruct` writes of a photo."""
    photo = pytest.importorskip("skimage.data").astronaut()
    face = Reconstructor()(photo)[0]
    return face.save(tmp_path_factory.mktemp("out"), formats=("glb",), name="astronaut")["glb"]


def test_every_file_keeps_the_laws(files: dict[str, Path]) -> None:
    for path in files.values():
        check_laws(path.read_bytes())


def test_a_reconstruction_keeps_the_laws_and_has_arkits_names(reconstructed: Path) -> None:
    glb = check_laws(reconstructed.read_bytes())
    assert tuple(glb.json["meshes"][0]["extras"]["targetNames"]) == ARKIT_NAMES


def change(path: list[Any], value: Any) -> Callable[[dict[str, Any]], None]:
    def changed(document: dict[str, Any]) -> None:
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value(place.get(path[-1])) if callable(value) else value

    return changed


PRIMITIVE = ["meshes", 0, "primitives", 0]


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (change(["accessors", 0, "max"], lambda old: [old[0] + 1e-3, *old[1:]]), "wrong max"),
        (change(["accessors", 0, "min"], lambda old: [old[0] - 1e-3, *old[1:]]), "wrong min"),
        (lambda document: document["accessors"][0].pop("min"), "without bounds"),
        (change(["bufferViews", 1, "byteOffset"], lambda old: old + 2), "not aligned|overlap"),
        (change(["bufferViews", 1, "byteOffset"], lambda old: old - 4), "overlap"),
        (lambda document: document["bufferViews"][0].pop("target"), "without their target"),
        (change([*PRIMITIVE, "attributes", "NORMAL"], 0), "normals of another length"),
        (lambda document: document["materials"].append(document["materials"][0]), "idle materials"),
        (lambda document: document["nodes"].append({"name": "empty"}), "empty node"),
        (lambda document: document["nodes"].append({"mesh": 0}), "idle nodes"),
        (lambda document: document["images"].append(document["images"][0]), "idle images"),
        (lambda document: document["accessors"].append(document["accessors"][0]), "idle accessors"),
        (change(["images", 0, "mimeType"], "image/jpeg"), "another type"),
        (lambda document: document["meshes"][0]["extras"]["targetNames"].pop(), "names of targets"),
        (change(["meshes", 0, "extras", "targetNames"], ["a"] * 7), "names of targets"),
        (change(["meshes", 0, "weights"], [0.0]), "weights of targets"),
        (lambda document: document["materials"][0]["pbrMetallicRoughness"].clear(), "uv without texture"),
        (lambda document: document["animations"][0]["channels"].pop(), "idle sampler"),
        (change(["animations", 0, "samplers", 0, "input"], 0), "without bounds|do not rise|keys and times|start"),
        (change(["accessors", 1, "count"], 3), "attributes of several lengths"),
    ],
)
def test_a_file_that_breaks_a_law_is_refused(broken: Callable[[dict[str, Any]], None], law: str) -> None:
    mesh = seamed(texture=TEXTURE)
    document, binary = unpacked(glb_bytes(mesh, blendshapes(mesh), animation=moves()))
    check_laws(packed(document, binary))
    broken(document)
    with pytest.raises(AssertionError, match=law):
        check_laws(packed(document, binary))


@pytest.mark.parametrize(
    ("attribute", "value", "law"),
    [
        ("indices", np.array([140], "<u2"), "index out of range"),
        ("indices", np.array([9, 9], "<u2"), "triangle of two corners"),
        ("NORMAL", np.array([np.nan], "<f4"), "not finite"),
        ("NORMAL", np.array([2, 2], "<f4"), "normals of another length"),
    ],
)
def test_values_that_break_a_law_are_refused(attribute: str, value: np.ndarray, law: str) -> None:
    document, binary = unpacked(glb_bytes(head()))
    primitive = document["meshes"][0]["primitives"][0]
    accessor = document["accessors"][primitive.get(attribute, primitive["attributes"].get(attribute))]
    start = document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    wrong = binary[:start] + value.tobytes() + binary[start + value.nbytes :]
    with pytest.raises(AssertionError, match=law):
        check_laws(packed(document, wrong))


def test_a_mesh_without_a_whole_triangle_is_refused() -> None:
    with pytest.raises(ValueError, match="with triangles"):
        glb_bytes(Mesh(np.eye(3), [[0, 0, 1], [2, 2, 2]]))


def test_the_khronos_validator_has_nothing_to_say(files: dict[str, Path]) -> None:
    assert khronos(files.values()) == {path.name: [] for path in files.values()}


def test_the_khronos_validator_has_nothing_to_say_of_a_reconstruction(reconstructed: Path) -> None:
    assert khronos([reconstructed]) == {"astronaut.glb": []}


def test_the_guides_python_runs(
    files: dict[str, Path], person: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (Path(__file__).parents[1] / "docs" / "open_elsewhere.md").read_text()
    monkeypatch.chdir(tmp_path)
    Path("head.glb").write_bytes(files["head"].read_bytes())
    person.save("head.obj")
    for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL):
        exec(compile(block, "open_elsewhere.md", "exec"), {})
    glb = check_laws(Path("head-capitals.glb").read_bytes())
    assert "EyeBlinkLeft" in glb.json["meshes"][0]["extras"]["targetNames"]
    assert is_human(np.ptp(Mesh.load("head-metres.obj").vertices, axis=0))


def test_three_js_moves_a_whole_head_by_shapes_and_by_joints(files: dict[str, Path]) -> None:
    seen = three_whole(files["played"])
    assert seen["meshes"] == ["skin", "mouth", "eyes", "teeth", "tongue"]
    assert seen["bones"] == ["root", "neck", "head_1", "jaw", "eyeLeft", "eyeRight"]
    by_shape, by_joint = np.array(seen["byShape"]), np.array(seen["byJoint"])
    assert np.linalg.norm(by_shape - seen["rest"]) > 3e-3  # the left iris, m
    np.testing.assert_allclose(by_joint, by_shape, atol=1e-5)
    assert seen["moved"] == pytest.approx(0.02, abs=1e-4)  # half-way of the animation: the whole head


def test_a_whole_head_is_read_again(files: dict[str, Path]) -> None:
    mesh, shapes, _ = read_glb(files["played"])
    assert is_human(np.ptp(mesh.vertices, axis=0) / 1000)
    assert set(shapes) == set(ARKIT_NAMES)


def test_the_khronos_validator_is_heard(files: dict[str, Path], tmp_path: Path) -> None:
    document, binary = unpacked(files["plain"].read_bytes())
    document["accessors"][0]["max"][0] += 1
    (tmp_path / "wrong.glb").write_bytes(packed(document, binary))
    assert "ACCESSOR_MAX_MISMATCH" in str(khronos([tmp_path / "wrong.glb"]))


def is_human(size: np.ndarray) -> bool:
    """Width, height and depth in metres of a head with a neck."""
    return bool((np.array(size) > (0.13, 0.2, 0.15)).all() and (np.array(size) < (0.25, 0.4, 0.32)).all())


def test_trimesh_sees_size_colours_and_texture(files: dict[str, Path], person: Mesh) -> None:
    trimesh = pytest.importorskip("trimesh")
    (seen,) = trimesh.load(files["head"], process=False).geometry.values()
    assert is_human(seen.extents)
    np.testing.assert_allclose(seen.vertices * 1000, person.vertices, atol=1e-3)
    assert len(seen.visual.vertex_attributes["color"]) == len(person.vertices)  # beside the material
    (seen,) = trimesh.load(files["head"], process=False, skip_materials=True).geometry.values()
    colors = np.asarray(seen.visual.vertex_colors)
    assert colors.shape == (len(person.vertices), 4)
    assert np.ptp(colors[:, :3], axis=0).min() > 10
    (painted,) = trimesh.load(files["textured"], process=False).geometry.values()
    np.testing.assert_array_equal(np.asarray(painted.visual.material.baseColorTexture)[..., :3], TEXTURE)


def test_three_sees_a_head_that_can_be_animated(files: dict[str, Path], shapes: dict[str, np.ndarray]) -> None:
    seen = three(files["head"])
    assert seen["name"] == "Ann"
    assert seen["userData"]["model"]
    assert is_human(seen["size"])
    assert tuple(seen["names"]) == ARKIT_NAMES
    np.testing.assert_allclose(seen["weights"], np.linspace(0, 1, 52), atol=1e-6)
    assert seen["vertexColors"]
    for name, moved in seen["moved"].items():
        assert moved == pytest.approx(np.linalg.norm(shapes[name], axis=1).max() / 1000, abs=1e-6), name


def test_three_plays_a_performance(files: dict[str, Path]) -> None:
    made = performance()
    (played,) = three(files["animated"])["played"]
    assert played["duration"] == pytest.approx(made.times[-1])
    np.testing.assert_allclose(played["weights"], made.weights[2], atol=1e-5)
    np.testing.assert_allclose(played["position"], [0.02, 0, 0], atol=1e-6)
    half = np.arccos(np.clip((np.trace(np.asarray(made.rotation)[2]) - 1) / 2, -1, 1)) / 2
    assert abs(played["quaternion"][3]) == pytest.approx(np.cos(half), abs=1e-5)


def test_a_browser_shows_the_texture_and_opens_the_mouth(files: dict[str, Path], tmp_path: Path) -> None:
    seen = chromium(files["textured"], ["jawOpen", "browInnerUp"], tmp_path)
    rest = seen["rest"].astype(int)
    is_head = rest.sum(axis=2) > 60
    assert 0.2 < is_head.mean() < 0.7  # of a square of 32 cm
    shown = np.median(rest[is_head], axis=0)
    assert shown[1] > 1.5 * shown[2] > 1.5 * shown[0]  # the texture's green
    rows = np.arange(256)[:, None] * np.ones(256)
    opened, raised = (np.abs(seen[name] - rest).max(axis=2) > 12 for name in ("jawOpen", "browInnerUp"))
    assert opened.sum() > 200
    assert rows[opened].mean() > rows[raised].mean() + 20  # lower in the picture


def test_a_browser_shows_teeth_in_an_opened_mouth(files: dict[str, Path], tmp_path: Path) -> None:
    """Ivory on a head whose skin is green: none at rest but the eyes' white, which stays."""
    seen = chromium(files["whole"], ["jawOpen"], tmp_path)
    ivory = {name: (picture.min(axis=2) > 110) for name, picture in seen.items()}
    teeth = ivory["jawOpen"] & ~ivory["rest"]
    rows, columns = np.nonzero(teeth)
    assert 10 < teeth.sum() < 800
    assert rows.mean() > np.nonzero(ivory["rest"])[0].mean() + 20  # below the eyes,
    assert abs(columns.mean() - 127.5) < 5  # in the middle


def test_blender_sees_a_head_of_human_size(files: dict[str, Path]) -> None:
    (seen,) = blender(files["head"])["meshes"]
    assert is_human(np.array(seen["dimensions"])[[0, 2, 1]])  # z is up
    assert tuple(seen["shapes"]) == ARKIT_NAMES
    np.testing.assert_allclose(seen["weights"], np.linspace(0, 1, 52), atol=1e-6)
    assert seen["colors"]
    assert "VERTEX_COLOR" in seen["nodes"]
    assert "model" in seen["properties"]
    assert "TEX_IMAGE" in blender(files["textured"])["meshes"][0]["nodes"]
    assert blender(files["animated"])["actions"]


def test_blender_sees_a_whole_head_with_its_materials_and_bones(files: dict[str, Path]) -> None:
    seen = blender(files["whole"])
    parts = {mesh["name"]: mesh for mesh in seen["meshes"]}
    assert set(parts) == {"skin", "mouth", "eyes", "teeth", "tongue"}
    assert all(mesh["materials"] == [name] for name, mesh in parts.items())
    assert tuple(parts["skin"]["shapes"]) == ARKIT_NAMES
    assert "jawOpen" in parts["teeth"]["shapes"]
    assert "eyeLookUpLeft" in parts["eyes"]["shapes"]
    assert "TEX_IMAGE" in parts["skin"]["nodes"]
    assert "VERTEX_COLOR" in parts["teeth"]["nodes"]
    assert {"neck", "jaw", "eyeLeft", "eyeRight"} <= set(seen["bones"])
    assert {"jaw", "neck"} <= set(parts["skin"]["groups"])
    assert "model" in seen["properties"]
    assert is_human(np.array(parts["skin"]["dimensions"])[[0, 2, 1]])
