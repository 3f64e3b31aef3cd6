"""GLB files as people have them: several meshes and nodes, strips, skins, packed and quantised geometry, textures."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from glb_files import Scene

from likeness.errors import FileError, FileWarning
from likeness.geometry.rotation import rotation_from_euler
from likeness.images.color import linear_from_srgb
from likeness.mesh import Mesh
from likeness.mesh.glb_reader import read_glb, read_partly_textured_glb

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32) / 1000  # metres: mm when read
TWO = np.array([[0, 1, 2], [0, 2, 3]])


def square(scene: Scene, **attributes: int) -> dict[str, Any]:
    return {
        "attributes": {"POSITION": scene.accessor(SQUARE), **attributes},
        "indices": scene.accessor(TWO.ravel(), "uint16"),
    }


def image(kind: str = ".png") -> tuple[bytes, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if kind == ".webp" else []
    return cv2.imencode(kind, pixels[:, :, ::-1], options)[1].tobytes(), pixels


def test_all_meshes_of_all_nodes_are_read_where_their_nodes_have_them(tmp_path: Path) -> None:
    scene = Scene()
    first, second = scene.mesh(square(scene)), scene.mesh(square(scene), square(scene))
    turn = rotation_from_euler(0.3, 0.2, -0.5)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, (0.01, 0.02, 0.03)
    scene.put("nodes", mesh=first, translation=[0.1, 0, 0])
    scene.put("nodes", children=[2, 0], matrix=matrix.T.ravel().tolist())
    scene.put("nodes", mesh=second, scale=[2, 2, -2])
    scene.put("nodes", mesh=first)
    scene.put("nodes", mesh=first, translation=[9, 9, 9])  # of another scene
    scene.put("scenes", nodes=[4])
    scene.put("scenes", nodes=[1, 3])
    mesh, _, _ = read_glb(scene.write(tmp_path / "a.glb", scene=1))
    flat = 1000 * SQUARE.astype(np.float64)
    shift = 1000 * matrix[:3, 3]
    expected = [*[flat * [2, 2, -2] @ turn.T + shift] * 2, (flat + [100, 0, 0]) @ turn.T + shift, flat]
    np.testing.assert_allclose(mesh.vertices, np.concatenate(expected), atol=1e-4)
    turned = TWO[:, ::-1]  # the second mesh's node mirrors
    np.testing.assert_array_equal(mesh.triangles, np.concatenate([turned, turned + 4, TWO + 8, TWO + 12]))


def test_without_scenes_and_nodes_nothing_is_lost(tmp_path: Path) -> None:
    for nodes in (0, 2):
        scene = Scene()
        for _ in range(2):
            scene.mesh(square(scene))
        for number in range(nodes):
            scene.put("nodes", mesh=number)
        assert len(Mesh.load(scene.write(tmp_path / "a.glb")).vertices) == 8


def test_morph_targets_of_several_meshes_are_one_by_name(tmp_path: Path) -> None:
    scene = Scene()
    rng = np.random.default_rng(1)
    moves = rng.normal(size=(3, 4, 3)) / 1000
    for names, which, weights in ((["jawOpen", "smile"], (0, 1), [0.25, 0]), (["jawOpen"], (2,), [0.25])):
        item = {**square(scene), "targets": [{"POSITION": scene.accessor(moves[i])} for i in which]}
        scene.put("nodes", mesh=scene.mesh(item, extras={"targetNames": names}, weights=weights))
    scene.put("nodes", mesh=scene.mesh(square(scene)))
    mesh, shapes, weights = read_glb(scene.write(tmp_path / "a.glb"))
    assert len(mesh.vertices) == 12
    still = np.zeros((4, 3))
    jaw = np.concatenate([moves[0], moves[2], still])
    np.testing.assert_allclose(shapes["jawOpen"], 1000 * jaw, atol=1e-5)
    np.testing.assert_allclose(shapes["smile"], 1000 * np.concatenate([moves[1], still, still]), atol=1e-5)
    assert weights.tolist() == [0.25, 0]


@pytest.mark.parametrize(("mode", "order"), [(5, [0, 1, 3, 2]), (5, [0, 0, 0, 1, 3, 2, 2]), (6, [0, 1, 2, 3])])
def test_strips_and_fans_are_triangles_of_one_side(tmp_path: Path, mode: int, order: list[int]) -> None:
    scene = Scene()
    item = {**square(scene), "indices": scene.accessor(order, "uint8"), "mode": mode}
    scene.put("nodes", mesh=scene.mesh(item))
    mesh = Mesh.load(scene.write(tmp_path / "a.glb"))
    assert mesh.triangles.shape == (2, 3)
    np.testing.assert_allclose(mesh.triangle_normals(), [[0, 0, 1]] * 2, atol=1e-6)
    assert mesh.triangle_areas().sum() == pytest.approx(1)


def test_a_skin_at_rest_places_vertices_by_its_joints_not_by_its_node(tmp_path: Path) -> None:
    scene = Scene()
    bind = np.tile(np.eye(4), (2, 1, 1))
    bind[:, :3, :3] *= 0.5
    joints = scene.accessor([[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]], "uint8")
    weights = scene.accessor([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
    item = square(scene, JOINTS_0=joints, WEIGHTS_0=weights)
    matrices = scene.accessor(bind.transpose(0, 2, 1).reshape(2, 16))
    scene.put("skins", joints=[1, 2], inverseBindMatrices=matrices)
    scene.put("nodes", mesh=scene.mesh(item), skin=0, translation=[7, 7, 7])
    scene.put("nodes", translation=[0.01, 0, 0])
    scene.put("nodes", translation=[0, 0.02, 0])
    mesh = Mesh.load(scene.write(tmp_path / "a.glb"))
    shifts = np.array([[10, 0, 0], [0, 20, 0], [0, 20, 0], [5, 10, 0]])
    np.testing.assert_allclose(mesh.vertices, 500 * SQUARE + shifts, atol=1e-4)


def test_quantised_and_sparse_vertices(tmp_path: Path) -> None:
    scene = Scene()
    quantised = np.rint(SQUARE * 1000 * 32767).astype(np.int16)
    rows = np.zeros((4, 4), np.int16)  # rows of VEC3 of 16 bits lie 8 bytes apart
    rows[:, :3] = quantised
    view = scene.view(rows.tobytes(), byteStride=8)
    position = scene.put("accessors", bufferView=view, componentType=5122, count=4, type="VEC3", normalized=True)
    sparse = {
        "count": 3,
        "indices": {"bufferView": scene.view(bytes([1, 2, 3])), "componentType": 5121},
        "values": {"bufferView": scene.view(SQUARE[1:].tobytes())},
    }
    indices = scene.accessor(TWO.ravel(), "uint8")
    second = scene.put("accessors", componentType=5126, count=4, type="VEC3", sparse=sparse)
    scene.put("nodes", mesh=scene.mesh({"attributes": {"POSITION": position}, "indices": indices}), scale=[1e-3] * 3)
    scene.put("nodes", mesh=scene.mesh({"attributes": {"POSITION": second}, "indices": indices}))
    mesh = Mesh.load(scene.write(tmp_path / "a.glb", extensionsRequired=["KHR_mesh_quantization"]))
    np.testing.assert_allclose(mesh.vertices, np.tile(1000 * SQUARE, (2, 1)), atol=1e-4)


def test_meshes_that_nodes_share_by_the_million_are_refused(tmp_path: Path) -> None:
    for vertices, corners in ((30_000, 30), (3, 90_000)):
        scene = Scene()
        indices = scene.accessor(np.arange(corners) % vertices, "uint16")
        scene.mesh({"attributes": {"POSITION": scene.accessor(np.zeros((vertices, 3)))}, "indices": indices})
        for _ in range(200):
            scene.put("nodes", mesh=0)
        with pytest.raises(FileError, match="nodes share meshes so often"):
            Mesh.load(scene.write(tmp_path / "a.glb"))


def test_lines_and_points_beside_a_surface_are_nothing_to_it(tmp_path: Path) -> None:
    scene = Scene()
    line = {"attributes": {"POSITION": scene.accessor(SQUARE)}, "mode": 1, "targets": [{}]}
    scene.put("nodes", mesh=scene.mesh(line, weights=[0.5]))
    scene.put("nodes", mesh=scene.mesh(square(scene), line))
    assert len(Mesh.load(scene.write(tmp_path / "a.glb")).vertices) == 4
    scene.json["nodes"].pop()
    with pytest.raises(FileError, match="with triangles, found none"):
        Mesh.load(scene.write(tmp_path / "a.glb"))


UV = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 0.5]], np.float32)


@pytest.mark.parametrize("transform", [None, {"offset": [0.25, 0.5], "rotation": np.pi / 2, "scale": [0.5, 2]}])
def test_a_texture_transform_moves_the_uv(tmp_path: Path, transform: dict | None) -> None:
    scene = Scene()
    data, pixels = image()
    extensions = {} if transform is None else {"extensions": {"KHR_texture_transform": {**transform, "texCoord": 1}}}
    wrong, right = scene.accessor(UV * 9), scene.accessor(UV)
    item = square(scene, TEXCOORD_0=right if transform is None else wrong, TEXCOORD_1=right)
    scene.put("nodes", mesh=scene.mesh({**item, "material": scene.material(data, **extensions)}))
    mesh = Mesh.load(scene.write(tmp_path / "a.glb", extensionsRequired=["KHR_texture_transform"]))
    np.testing.assert_array_equal(mesh.texture, pixels)
    expected = UV
    if transform is not None:  # a quarter turn counter-clockwise as seen, v down: (u, v) -> (v, -u)
        scaled = UV * [0.5, 2]
        expected = np.stack([scaled[:, 1], -scaled[:, 0]], axis=1) + [0.25, 0.5]
    assert mesh.uv is not None
    np.testing.assert_allclose(mesh.uv, expected * [1, -1] + [0, 1], atol=1e-6)


@pytest.mark.parametrize("extension", [False, True])
def test_a_webp_texture_is_read(tmp_path: Path, extension: bool) -> None:
    scene = Scene()
    data, pixels = image(".webp")
    item = square(scene, TEXCOORD_0=scene.accessor(UV))
    material = scene.material(data, "image/webp", webp=extension)
    scene.put("nodes", mesh=scene.mesh({**item, "material": material}))
    mesh = Mesh.load(scene.write(tmp_path / "a.glb", extensionsRequired=["EXT_texture_webp"]))
    np.testing.assert_array_equal(mesh.texture, pixels)


def test_textures_that_cannot_be_had_are_told_and_left_out(tmp_path: Path) -> None:
    def built(change: Any) -> Path:
        scene = Scene()
        uv = scene.accessor(UV)
        items = [{**square(scene, TEXCOORD_0=uv), "material": scene.material(image()[0])} for _ in range(2)]
        items[1]["material"] = 0
        change(scene, items)
        scene.put("nodes", mesh=scene.mesh(*items))
        return scene.write(tmp_path / "a.glb")

    assert Mesh.load(built(lambda scene, items: None)).texture is not None
    for change, message in (
        (lambda scene, items: scene.json["images"][0].update(bufferView=scene.view(b"no image")), "cannot be used"),
        (lambda scene, items: scene.json["images"].__setitem__(0, {"uri": "skin.png"}), "outside the file"),
        (lambda scene, items: scene.json["images"].clear(), "IndexError"),
        (lambda scene, items: scene.json["textures"][0].update(source="x"), "whole number"),
        (
            lambda scene, items: scene.json["textures"].__setitem__(0, {"extensions": {"KHR_texture_basisu": {}}}),
            "KHR_texture_basisu",
        ),
    ):
        path = built(change)
        with pytest.warns(FileWarning, match=rf"a\.glb: no texture .*{message}"):
            mesh = Mesh.load(path)
        assert mesh.texture is None
        assert len(mesh.triangles) == 4
        assert mesh.uv is not None


def test_textures_that_differ_become_colours_of_vertices(tmp_path: Path) -> None:
    """Texel times base colour times vertex colour, in linear light; a wrong base colour is told."""
    uv = np.array([[0.05, 0.05], [0.95, 0.05], [1.95, -0.05], [0.05, 0.95]], np.float32)
    own = np.linspace(0.2, 0.9, 12).reshape(4, 3).astype(np.float32)
    factor = [0.5, 0.25, 1.0, 1.0]
    data, pixels = image()
    height, width = pixels.shape[:2]
    inside = uv.astype(np.float64) % 1
    texels = pixels[(inside[:, 1] * height).astype(int), (inside[:, 0] * width).astype(int)] / 255.0
    plain = np.tile(factor[:3], (4, 1))
    for second in ("none", "other", "broken"):
        scene = Scene()
        textured = scene.material(data)
        other = scene.put("materials", pbrMetallicRoughness={"baseColorFactor": factor})
        if second == "other":
            other = scene.material(data)
            scene.json["materials"][other]["pbrMetallicRoughness"]["baseColorFactor"] = factor
        if second == "broken":
            scene.json["materials"][other]["pbrMetallicRoughness"]["baseColorFactor"] = "red"
        first = square(scene, TEXCOORD_0=scene.accessor(uv), COLOR_0=scene.accessor(own))
        last = square(scene) if second == "none" else square(scene, TEXCOORD_0=scene.accessor(uv))
        scene.put("nodes", mesh=scene.mesh({**first, "material": textured}))
        scene.put("nodes", mesh=scene.mesh({**last, "material": other}))
        with pytest.warns(FileWarning) as told:
            mesh = Mesh.load(scene.write(tmp_path / "a.glb"))
        assert len(told) == 1
        reason = "2 of them, a mesh holds one" if second == "other" else "only some parts have one"
        assert f"textures as colours of vertices ({reason})" in str(told[0].message)
        assert ("no base colour" in str(told[0].message)) == (second == "broken")
        expected = {"none": plain, "other": linear_from_srgb(texels) * plain, "broken": np.ones((4, 3))}[second]
        assert mesh.texture is None
        assert (mesh.uv is None) == (second == "none")
        assert mesh.colors is not None
        np.testing.assert_allclose(linear_from_srgb(mesh.colors[:4]), linear_from_srgb(texels) * own, atol=1e-5)
        np.testing.assert_allclose(linear_from_srgb(mesh.colors[4:]), expected, atol=1e-5)


def test_a_texture_of_some_parts_is_kept_for_who_can_draw_it(tmp_path: Path) -> None:
    scene = Scene()
    data, pixels = image()
    textured = scene.material(data)
    scene.put("nodes", mesh=scene.mesh(square(scene)))
    scene.put("nodes", mesh=scene.mesh({**square(scene, TEXCOORD_0=scene.accessor(UV)), "material": textured}))
    read = read_partly_textured_glb(scene.write(tmp_path / "a.glb"))
    np.testing.assert_array_equal(read.mesh.texture, pixels)
    np.testing.assert_array_equal(read.covered, [False, False, True, True])
    assert read.mesh.uv is not None
    np.testing.assert_allclose(read.mesh.uv[4:], UV * [1, -1] + [0, 1], atol=1e-6)


def test_odd_colours_and_numbers_leave_the_geometry_alone(tmp_path: Path) -> None:
    scene = Scene()
    bad = np.vstack([SQUARE, [[np.nan] * 3]]).astype(np.float32)
    item = square(
        scene, COLOR_0=scene.accessor(np.full((5, 3), 1.5)), TEXCOORD_0=scene.accessor(np.full((5, 2), np.nan))
    )
    item["attributes"]["POSITION"] = scene.accessor(bad)
    item["targets"] = [{"POSITION": scene.accessor(bad)}]
    scene.put("nodes", mesh=scene.mesh(item))
    with pytest.warns(FileWarning) as told:
        mesh, shapes, _ = read_glb(scene.write(tmp_path / "a.glb"))
    assert len(told) == 1
    for part in ("without 1 vertices", "no uv", "colours 1.5..1.5 taken as 0..1"):
        assert part in str(told[0].message)
    assert mesh.vertices.shape == shapes["target0"].shape == (4, 3)
    np.testing.assert_allclose(mesh.colors, 1)
    item["indices"] = scene.accessor([0, 1, 4], "uint8")
    with pytest.raises(FileError, match="finite vertices"):
        read_glb(scene.write(tmp_path / "a.glb"))


def meshopt_square(scene: Scene, mode: str = "TRIANGLES") -> dict[str, Any]:
    library = pytest.importorskip("meshopt", reason="the meshes extra is not installed")

    def view(rows: np.ndarray, kind: str) -> int:
        data = library.encode_gltf_buffer(rows, kind)
        stride = rows.nbytes // len(rows)
        packed = scene.view(data)
        spec = scene.json["bufferViews"].pop(packed) | {"byteStride": stride, "count": len(rows), "mode": kind}
        return scene.put(
            "bufferViews",
            buffer=1,
            byteLength=rows.nbytes,
            byteStride=stride if kind == "ATTRIBUTES" else 0,
            extensions={"EXT_meshopt_compression": spec},
        )

    points = np.zeros((4, 4), np.float32)  # rows of 16 bytes, of which 12 are the position
    points[:, :3] = SQUARE
    position = {"bufferView": view(points, "ATTRIBUTES"), "componentType": 5126, "count": 4, "type": "VEC3"}
    corners = {
        "bufferView": view(TWO.ravel().astype(np.uint32), mode), "componentType": 5125, "count": 6, "type": "SCALAR"
    }  # fmt: skip
    return {
        "attributes": {"POSITION": scene.put("accessors", **position)},
        "indices": scene.put("accessors", **corners),
    }


@pytest.mark.parametrize("mode", ["TRIANGLES", "INDICES"])
def test_meshopts_geometry(tmp_path: Path, mode: str) -> None:
    scene = Scene()
    scene.put("nodes", mesh=scene.mesh(meshopt_square(scene, mode)))
    path = scene.write(tmp_path / "a.glb", extensionsRequired=["EXT_meshopt_compression"])
    mesh = Mesh.load(path)
    np.testing.assert_allclose(mesh.vertices, 1000 * SQUARE, atol=1e-6)
    assert sorted(map(sorted, mesh.triangles.tolist())) == TWO.tolist()
    for key, value in (("count", 10**9), ("mode", "?"), ("byteStride", 4), ("filter", "?"), ("byteLength", 3)):
        broken = Scene()
        broken.put("nodes", mesh=broken.mesh(meshopt_square(broken, mode)))
        broken.json["bufferViews"][0]["extensions"]["EXT_meshopt_compression"][key] = value
        with pytest.raises(FileError, match=r"a\.glb: not a usable GLB"):
            Mesh.load(broken.write(path))


def draco_square(scene: Scene) -> dict[str, Any]:
    library = pytest.importorskip("DracoPy", reason="the meshes extra is not installed")
    data = library.encode(
        SQUARE, TWO.astype(np.uint32), quantization_bits=14, preserve_order=True,
        tex_coord=UV.astype(np.float64), colors=np.tile(np.uint8([[255, 0, 51]]), (4, 1)),
    )  # fmt: skip
    unpacked = library.decode(data)
    kinds = {0: "POSITION", 2: "COLOR_0", 3: "TEXCOORD_0"}
    names = {kinds[int(a["attribute_type"])]: a["unique_id"] for a in unpacked.attributes}
    return {
        "attributes": {
            "POSITION": scene.accessor(SQUARE, view=False),
            "TEXCOORD_0": scene.accessor(UV, view=False),
            "COLOR_0": scene.accessor(np.zeros((4, 3)), "uint8", view=False, normalized=True),
        },
        "indices": scene.accessor(TWO.ravel(), "uint16", view=False),
        "extensions": {"KHR_draco_mesh_compression": {"bufferView": scene.view(data), "attributes": names}},
    }


def test_dracos_geometry(tmp_path: Path) -> None:
    scene = Scene()
    item = draco_square(scene)
    scene.put("nodes", mesh=scene.mesh(item))
    required = {"extensionsRequired": ["KHR_draco_mesh_compression"]}
    mesh = Mesh.load(scene.write(tmp_path / "a.glb", **required))
    np.testing.assert_allclose(mesh.vertices, 1000 * SQUARE, atol=1e-3)
    np.testing.assert_array_equal(mesh.triangles, TWO)
    assert mesh.uv is not None
    assert mesh.colors is not None
    np.testing.assert_allclose(mesh.uv, UV * [1, -1] + [0, 1], atol=1e-3)
    np.testing.assert_allclose(mesh.colors[:, :2], [[1, 0]] * 4)
    item["extensions"]["KHR_draco_mesh_compression"]["bufferView"] = scene.view(b"DRACO" + bytes(40))
    with pytest.raises(FileError, match="Draco data cannot be unpacked"):
        Mesh.load(scene.write(tmp_path / "a.glb", **required))


@pytest.mark.parametrize(("build", "module", "codec"), [
    (draco_square, "DracoPy", "Draco"), (meshopt_square, "meshopt", "meshopt"),
])  # fmt: skip
def test_without_the_library_one_word_names_it(
    tmp_path: Path, build: Any, module: str, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    scene = Scene()
    scene.put("nodes", mesh=scene.mesh(build(scene)))
    path = scene.write(tmp_path / "a.glb")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FileError, match=rf"a\.glb: geometry that is packed with {codec} .*likeness3d\[meshes\]"):
        Mesh.load(path)
